/**
 * What a page shows of a message before the server has said anything, and of several that are sent at once.
 */
import assert from "node:assert/strict";
import { isDeepStrictEqual } from "node:util";
import { scenario } from "../support/scenario.js";
import { ask } from "../support/server.js";

scenario(
  "optimistic updates: a message is there at once, and there once when the server has it",
  "telling",
  async ({ view, gate, line, transport }) => {
    const message = { type: "human", content: "one two", id: "the-first" };
    // The React package does by itself what the SDK is told.
    const optimistic = line === "classic" ? { optimistic: { messages: [message] } } : {};
    // A browser lets nobody hold back a WebSocket; there the gate alone says that nothing has come.
    const release = await view.holdRequests();
    await view.submit({ gate: gate.url, messages: [message] }, optimistic);
    await view.messages("human: one two");
    const held = await release();
    assert.ok(held > 0 || transport === "websocket");
    gate.open("one");
    await view.messages("human: one two", "ai: one ");
    gate.open("two");
    await view.messages("human: one two", "ai: one two");
    await view.state("idle");
    const { values } = await ask("GET", `/threads/${view.thread}/state`);
    assert.deepEqual(values.messages.map(({ id }) => id)[0], "the-first");
    assert.equal(values.messages.length, 2);
  },
);

const WORDS = ["one", "two", "three"];

scenario(
  "queue: several messages are answered in the order in which they were sent",
  "telling",
  async ({ view, gate, say, line, bundle, transport }) => {
    await say("one");
    await view.messages("human: one");
    await say("two", { multitaskStrategy: "enqueue" });
    await say("three", { multitaskStrategy: "enqueue" });
    if (line === "newest") await view.shows("#queued", ["2"]);
    const all = WORDS.flatMap((word) => [`human: ${word}`, `ai: ${word}`]);
    if (bundle === "as-installed" && transport === "sse") {
      // That SDK hears of the end of a run on two connections, and may take the second for the end of the next: then it
      // sends all that waits in its queue at once.
      WORDS.forEach((word) => gate.open(word));
      await view.showing("#messages li", (messages) => isDeepStrictEqual(messages.toSorted(), all.toSorted()));
    } else {
      gate.open("one");
      await view.messages(...all.slice(0, 3));
      gate.open("two");
      await view.messages(...all.slice(0, 5));
      await view.shows("#queued", ["0"]);
      await view.state("busy");
      gate.open("three");
      await view.messages(...all);
    }
    await view.state("idle");
    await view.runs("success", "success", "success");
  },
);
