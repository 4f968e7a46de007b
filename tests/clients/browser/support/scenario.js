/**
 * A scenario with each line of the client: both read the same page, over their own protocols.
 */
import { describe, test } from "node:test";
import { Gate } from "./gate.js";
import { withPage } from "./browser.js";
import { LIMIT } from "./waiting.js";

const LINES = {
  "SDK, streams of runs": { bundle: "as-installed", line: "classic" },
  "React package, server-sent events": { bundle: "as-installed", line: "newest", transport: "sse" },
  "React package, WebSocket": { bundle: "as-installed", line: "newest", transport: "websocket" },
  "React package on the SDK, server-sent events": { bundle: "one-sdk", line: "newest", transport: "sse" },
  "React package on the SDK, WebSocket": { bundle: "one-sdk", line: "newest", transport: "websocket" },
};

/** `story` is given the page, a gate for its graph, and `say`, which sends a message. */
export function scenario(name, graph, story) {
  describe(name, () => {
    for (const [line, asked] of Object.entries(LINES)) {
      test(line, LIMIT, () =>
        withPage({ graph, ...asked }, (view) => {
          const gate = new Gate();
          const say = (content, options) =>
            view.submit({ gate: gate.url, messages: [{ type: "human", content }] }, options);
          return story({ view, gate, say, ...asked });
        }),
      );
    }
  });
}
