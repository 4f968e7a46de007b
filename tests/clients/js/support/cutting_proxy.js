/**
 * A TCP proxy that cuts connections in the middle of an answer.
 */
import net from "node:net";
import { once } from "node:events";
import { server } from "./clients.js";

/**
 * Passes bytes on to the server under test, and resets the n-th connection after the head and `cuts[n]` bytes of its
 * first answer; connections after the last entry are never cut.
 */
export async function openCuttingProxy(cuts) {
  const { hostname, port } = new URL(server);
  const proxy = { connections: 0, url: "", close: () => {} };
  const sockets = new Set();
  const listener = net.createServer((client) => {
    let left = cuts[proxy.connections] ?? Infinity;
    proxy.connections += 1;
    const upstream = net.connect(Number(port), hostname);
    for (const socket of [client, upstream]) {
      sockets.add(socket);
      // A reset is what this proxy is for; the other side is told by `close`.
      socket.on("error", () => {});
      socket.on("close", () => [client, upstream].forEach((s) => s.destroy()));
    }
    client.pipe(upstream);
    upstream.once("data", (bytes) => {
      // Servers send the head of an answer at once.
      left += bytes.indexOf("\r\n\r\n") + 4;
    });
    upstream.on("data", (bytes) => {
      const passed = bytes.subarray(0, left);
      left -= passed.length;
      client.write(passed, () => {
        if (left === 0) client.resetAndDestroy();
      });
      if (left === 0) upstream.pause();
    });
  });
  listener.listen(0, "127.0.0.1");
  await once(listener, "listening");
  proxy.url = `http://127.0.0.1:${listener.address().port}`;
  proxy.close = () => {
    sockets.forEach((socket) => socket.destroy());
    listener.close();
  };
  return proxy;
}
