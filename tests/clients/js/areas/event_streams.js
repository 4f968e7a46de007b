/**
 * `threads.stream` of the newer client: runs started, watched and answered over the event protocol, by server-sent events
 * and by a WebSocket.
 */
import { describe, test } from "node:test";
import assert from "node:assert/strict";
import { DEADLINE_MS, againstReference, connect } from "../support/clients.js";
import { eventually } from "../support/waiting.js";

const client = connect("1.15.0");
const ENDS = ["completed", "failed", "interrupted"];
const isEnd = ({ method, params }) =>
  method === "lifecycle" && params.namespace.length === 0 && ENDS.includes(params.data.event);

/** What an iterable gives until it ends. */
async function all(iterable) {
  const items = [];
  for await (const item of iterable) items.push(item);
  return items;
}

/** The events of a subscription, up to the end of a run. */
async function untilTheEnd(subscription, ends = 1) {
  const events = [];
  let left = ends;
  while (left > 0) {
    for await (const event of subscription) {
      events.push(event);
      if (isEnd(event)) left -= 1;
      if (left === 0) break;
    }
    await subscription.waitForResume();
  }
  return events;
}

const dataOf = (events, method) => events.filter((e) => e.method === method).map(({ params }) => params.data);

for (const transport of ["sse", "websocket"]) {
  describe(`event streams by ${transport}, SDK 1.15.0`, { concurrency: 8, timeout: 4 * DEADLINE_MS }, () => {
    const newThread = async () => (await client.threads.create()).thread_id;

    /** Opens a session on a thread, and closes it in any case. */
    async function session(assistantId, use, threadId) {
      const stream = client.threads.stream(threadId ?? (await newThread()), { assistantId, transport });
      try {
        return await use(stream);
      } finally {
        await stream.close();
      }
    }

    test("a run is started and gives its state", () =>
      session("two", async (stream) => {
        const { run_id: runId } = await stream.run.start({ input: { foo: "in" } });
        assert.deepEqual(await stream.output, { foo: "inab", log: ["a", "b"] });
        assert.equal((await client.runs.get(stream.threadId, runId)).status, "success");
      }));

    test("values are told step by step", () =>
      session("two", async (stream) => {
        const values = all(stream.values);
        await stream.run.start({ input: { foo: "in" } });
        assert.deepEqual(
          (await values).map(({ foo }) => foo),
          ["in", "ina", "inab"],
        );
      }));

    test("a message is told as it grows", () =>
      session("chat", async (stream) => {
        await stream.run.start({ input: { messages: [{ role: "user", content: "hi" }] } });
        const texts = [];
        for await (const message of stream.messages) texts.push(await message.text);
        assert.deepEqual(texts, ["hello there world"]);
      }));

    test("a question is answered", () =>
      session("hitl", async (stream) => {
        await stream.run.start({ input: { foo: "x" } });
        const [question] = await eventually(
          () => stream.interrupts,
          (asked) => asked.length > 0,
        );
        assert.deepEqual(question.payload, { question: "continue?" });
        const answer = { interrupt_id: question.interruptId, namespace: question.namespace, response: "yes" };
        await stream.input.respond(answer);
        const state = await eventually(
          () => client.threads.getState(stream.threadId),
          ({ next }) => next.length === 0,
        );
        assert.equal(state.values.answer, "yes");
        await assert.rejects(stream.input.respond(answer), /no_such_interrupt|Unknown or already-consumed/);
      }));

    test("a failure is told", () =>
      session("fail", async (stream) => {
        const lifecycle = await stream.subscribe({ channels: ["lifecycle"] });
        await stream.run.start({ input: { foo: "x" } });
        const [, failed] = dataOf(await untilTheEnd(lifecycle), "lifecycle");
        assert.equal(failed.event, "failed");
        if (!againstReference) assert.equal(failed.error, "boom");
      }));

    test("a run that is cancelled says so", { skip: againstReference && "the reference says nothing" }, () =>
      session("slow", async (stream) => {
        const events = await stream.subscribe({ channels: ["lifecycle", "values"] });
        const { run_id: runId } = await stream.run.start({ input: { steps: 600, secs: 0.1 } });
        await client.runs.cancel(stream.threadId, runId, true);
        assert.equal(dataOf(await untilTheEnd(events), "lifecycle").at(-1).event, "interrupted");
      }));

    test("whoever comes late sees everything", async () => {
      const id = await newThread();
      await session("two", (stream) => stream.run.start({ input: { foo: "in" } }).then(() => stream.output), id);
      const older = { input: { foo: "x" }, streamResumable: true };
      for await (const _ of client.runs.stream(id, "two", older));
      await session(
        "two",
        async (late) => {
          const events = await untilTheEnd(await late.subscribe({ channels: ["lifecycle", "values"] }), 2);
          const states = dataOf(events, "values").map(({ foo }) => foo);
          assert.deepEqual(states, ["in", "ina", "inab", "x", "xa", "xab"]);
        },
        id,
      );
    });

    test("custom events are told", { skip: againstReference && "the reference needs a transformer" }, () =>
      session("custom", async (stream) => {
        const custom = await stream.subscribe({ channels: ["custom", "lifecycle"] });
        await stream.run.start({ input: { foo: "x" } });
        const told = dataOf(await untilTheEnd(custom), "custom").map(({ payload }) => payload);
        assert.deepEqual(told, [{ progress: 1 }, "plain string"]);
      }));
  });
}
