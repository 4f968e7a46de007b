/**
 * A webhook receiver: a real HTTP server on loopback that takes everything and keeps it.
 */
import { createServer } from "node:http";
import { once } from "node:events";

/** `url(path)` to be called at, what was `received`, and `close()`. */
export async function receive() {
  const received = [];
  const server = createServer(async (request, response) => {
    const chunks = [];
    for await (const chunk of request) chunks.push(chunk);
    received.push({ path: request.url, run: JSON.parse(Buffer.concat(chunks).toString()) });
    response.writeHead(204).end();
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    received,
    url: (path) => `http://127.0.0.1:${server.address().port}${path}`,
    close() {
      server.closeAllConnections();
      server.close();
    },
  };
}
