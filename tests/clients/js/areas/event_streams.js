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
        const messages = all(stream.messages);
        await stream.run.start({ input: { messages: [{ role: "user", content: "hi" }] } });
        const texts = await Promise.all((await messages).map(({ text }) => text));
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

    const inside = ({ params }) => params.namespace.map((segment) => segment.split(":")[0]).join("|");

    /** The questions of a session, once there are as many. */
    const asked = (stream, count) =>
      eventually(
        () => stream.interrupts,
        (questions) => questions.length === count,
      );

    const answer = (stream, { interruptId, namespace }, response) =>
      stream.input.respond({ interrupt_id: interruptId, namespace, response });

    const atRest = (stream) =>
      eventually(
        () => client.threads.getState(stream.threadId),
        ({ next }) => next.length === 0,
      );

    test("graphs inside begin and end", () =>
      session("handover", async (stream) => {
        const lifecycle = await stream.subscribe({ channels: ["lifecycle"] });
        await stream.run.start({ input: { foo: "x" } });
        const told = (await untilTheEnd(lifecycle)).map((event) => [inside(event), event.params.data.event]);
        assert.deepEqual(told, [
          ["", "running"],
          ["sub", "started"],
          ["sub", "completed"],
          ["", "completed"],
        ]);
      }));

    test("a reader chooses among graphs by where they are", () =>
      session("nested", async (stream) => {
        const places = async (count, filter) => {
          const events = await stream.subscribe({ channels: ["lifecycle"], ...filter });
          const seen = new Set();
          for await (const event of events) {
            seen.add(inside(event));
            if (seen.size === count) break;
          }
          // What one of several readers was told first, the client tells the others, too.
          return [...seen].sort();
        };
        const chosen = Promise.all([
          places(1, { namespaces: [["mid"]], depth: 0 }),
          places(2, { namespaces: [["mid"]] }),
          places(3),
        ]);
        await stream.run.start({ input: { foo: "x" } });
        assert.deepEqual(await chosen, [["mid"], ["mid", "mid|leaf"], ["", "mid", "mid|leaf"]]);
      }));

    test("a deep question is answered", () =>
      session("nested", async (stream) => {
        await stream.run.start({ input: { foo: "x" } });
        const [question] = await asked(stream, 1);
        assert.deepEqual(question.payload, { question: "deep?" });
        assert.equal(inside({ params: question }), "mid|leaf");
        await answer(stream, question, "Y");
        assert.equal((await atRest(stream)).values.foo, "xamiYb");
      }));

    test("questions of two graphs are answered one by one", () =>
      session("wide", async (stream) => {
        await stream.run.start({ input: { foo: "x" } });
        const questions = await asked(stream, 2);
        for (const question of [...questions]) await answer(stream, question, "ok");
        assert.deepEqual((await atRest(stream)).values.log, ["left=ok", "right=ok", "after"]);
      }));

    test("a session finds the graphs inside, and what they say", () =>
      session("talking", async (stream) => {
        await stream.run.start({ input: { messages: [{ role: "user", content: "hi" }] } });
        const found = [];
        for await (const sub of stream.subgraphs) {
          const texts = [];
          for await (const message of sub.messages) texts.push(await message.text);
          found.push([sub.name, texts]);
        }
        assert.deepEqual(found, [["sub", ["hello there world"]]]);
      }));

    test("custom events are told", { skip: againstReference && "the reference needs a transformer" }, () =>
      session("custom", async (stream) => {
        const custom = await stream.subscribe({ channels: ["custom", "lifecycle"] });
        await stream.run.start({ input: { foo: "x" } });
        const told = dataOf(await untilTheEnd(custom), "custom").map(({ payload }) => payload);
        assert.deepEqual(told, [{ progress: 1 }, "plain string"]);
      }));
  });
}
