/**
 * What a page shows of a message before the server has said anything, and of several that are sent at once.
 */
import assert from "node:assert/strict";
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

scenario(
  "queue: several messages are answered in the order in which they were sent",
  "telling",
  async ({ view, gate, say, line }) => {
    await say("one");
    await view.messages("human: one");
    await say("two", { multitaskStrategy: "enqueue" });
    await say("three", { multitaskStrategy: "enqueue" });
    if (line === "newest") await view.shows("#queued", ["2"]);
    gate.open("one");
    await view.amongMessages("human: one", "ai: one", "human: two");
    gate.open("two");
    await view.amongMessages("human: two", "ai: two", "human: three");
    await view.shows("#queued", ["0"]);
    await view.state("busy");
    gate.open("three");
    const all = ["one", "two", "three"].flatMap((word) => [`human: ${word}`, `ai: ${word}`]);
    await view.messages(...all);
    await view.state("idle");
    const runs = await ask("GET", `/threads/${view.thread}/runs`);
    assert.deepEqual(
      runs.map(({ status }) => status),
      ["success", "success", "success"],
    );
  },
);
