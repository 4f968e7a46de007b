/**
 * The page, bundled for the browser and served from an origin of its own, as applications are.
 */
import { createServer } from "node:http";
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const path = (name) => fileURLToPath(new URL(`../${name}`, import.meta.url));

/** The React package brings an older SDK along; this gives it the one that this suite has. */
const oneSdk = {
  name: "one-sdk",
  setup(build) {
    build.onResolve({ filter: /^@langchain\/langgraph-sdk/ }, ({ path: wanted, kind, pluginData }) =>
      // Asked once more from here, and then left to what esbuild does by itself.
      pluginData === oneSdk ? undefined : build.resolve(wanted, { kind, resolveDir: path("."), pluginData: oneSdk }),
    );
  },
};

async function bundle(...plugins) {
  const { outputFiles } = await build({
    entryPoints: [path("page/main.jsx")],
    bundle: true,
    write: false,
    format: "esm",
    jsx: "automatic",
    define: { "process.env.NODE_ENV": '"production"' },
    plugins,
  });
  return ["text/javascript; charset=utf-8", outputFiles[0].contents];
}

const html = ["text/html; charset=utf-8", await readFile(path("page/index.html"))];
const files = {
  "/as-installed/": html,
  "/as-installed/main.js": await bundle(),
  "/one-sdk/": html,
  "/one-sdk/main.js": await bundle(oneSdk),
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
