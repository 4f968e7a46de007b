/**
 * The page, bundled for the browser and served from an origin of its own, as applications are.
 */
import { createServer } from "node:http";
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const page = (name) => fileURLToPath(new URL(`../page/${name}`, import.meta.url));

const bundled = await build({
  entryPoints: [page("main.jsx")],
  bundle: true,
  write: false,
  format: "esm",
  jsx: "automatic",
  define: { "process.env.NODE_ENV": '"production"' },
});
const files = {
  "/": ["text/html; charset=utf-8", await readFile(page("index.html"))],
  "/main.js": ["text/javascript; charset=utf-8", bundled.outputFiles[0].contents],
};

const listener = createServer((request, response) => {
  const [type, bytes] = files[new URL(request.url, "http://site").pathname] ?? [];
  if (!type) return response.writeHead(404).end();
  response.writeHead(200, { "content-type": type }).end(bytes);
});
listener.listen(0, "127.0.0.1");
await once(listener, "listening");

export const site = `http://127.0.0.1:${listener.address().port}/`;

export function closeSite() {
  listener.closeAllConnections();
  listener.close();
}
