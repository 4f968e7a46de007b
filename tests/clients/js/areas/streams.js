/**
 * Event streams: of a run from its start, of one under way, of a thread.
 */
import { test } from "node:test";
import assert from "node:assert/strict";
import { withEachClient } from "../support/clients.js";
import { collect, collectUntil, dataOf, runWith } from "../support/waiting.js";

const TWO = { input: { foo: "x" } };

withEachClient("streams", (client) => {
  const newThread = async () => (await client.threads.create()).thread_id;
  const streamed = async (graph, options) => collect(client.runs.stream(await newThread(), graph, options));

  test("the first event names the run, as the headers do", async () => {
    const id = await newThread();
    let created;
    const onRunCreated = (run) => (created = run);
    const [first] = await collect(client.runs.stream(id, "two", { ...TWO, onRunCreated }));
    assert.equal(first.event, "metadata");
    assert.equal(first.data.attempt, 1);
    assert.deepEqual(created, { run_id: first.data.run_id, thread_id: id });
  });

  test("values shows the state after every step", async () => {
    const expected = [
      { foo: "x", log: [] },
      { foo: "xa", log: ["a"] },
      { foo: "xab", log: ["a", "b"] },
    ];
    assert.deepEqual(dataOf(await streamed("two", TWO), "values"), expected);
    assert.deepEqual(dataOf(await collect(client.runs.stream(null, "two", TWO)), "values"), expected);
  });

  test("updates shows what each node did", async () => {
    const events = await streamed("two", { ...TWO, streamMode: "updates" });
    assert.deepEqual(dataOf(events, "updates"), [{ a: { foo: "xa", log: ["a"] } }, { b: { foo: "xab", log: ["b"] } }]);
  });

  test("several modes interleave in the order of what happens", async () => {
    const events = await streamed("two", { ...TWO, streamMode: ["values", "updates", "tasks"] });
    assert.deepEqual(
      events.map(({ event }) => event).filter((event) => event !== "end"),
      ["metadata", "values", ...Array(2).fill(["tasks", "updates", "tasks", "values"]).flat()],
    );
  });

  test("checkpoints and debug show every step", async () => {
    const events = await streamed("two", { ...TWO, streamMode: ["checkpoints", "debug"] });
    assert.deepEqual(
      dataOf(events, "checkpoints").map(({ metadata }) => metadata.step),
      [-1, 0, 1, 2],
    );
    assert.deepEqual(
      dataOf(events, "debug").map(({ type }) => type),
      ["checkpoint", "checkpoint", "task", "task_result", "checkpoint", "task", "task_result", "checkpoint"],
    );
  });

  test("custom shows what a node says", async () => {
    const events = await streamed("custom", { ...TWO, streamMode: "custom" });
    assert.deepEqual(dataOf(events, "custom"), [{ progress: 1 }, "plain string"]);
  });

  test("events tells of nodes that begin and end", async () => {
    const events = dataOf(await streamed("two", { ...TWO, streamMode: "events" }), "events");
    const named = (kind) => events.filter(({ event }) => event === kind).map(({ name }) => name);
    assert.equal(events[0].event, "on_chain_start");
    assert.equal(events.at(-1).event, "on_chain_end");
    for (const node of ["a", "b"]) {
      assert.ok(named("on_chain_start").includes(node));
      assert.ok(named("on_chain_end").includes(node));
    }
  });

  const HELLO = { input: { messages: [{ role: "user", content: "hi", id: "human-1" }] } };

  test("messages grows a message token by token", async () => {
    const events = await streamed("chat", { ...HELLO, streamMode: "messages" });
    const grown = dataOf(events, "messages/partial").map(([message]) => message.content);
    assert.deepEqual(grown, ["hello", "hello ", "hello there", "hello there ", "hello there world"]);
    const whole = dataOf(events, "messages/complete").map(([message]) => [message.id, message.content]);
    assert.deepEqual(whole, [["ai-2", "final"]]);
    assert.deepEqual(dataOf(events, "messages/metadata").flatMap(Object.keys), ["ai-1", "ai-2"]);
  });

  test("messages-tuple sends tokens with where they come from", async () => {
    const tuples = dataOf(await streamed("chat", { ...HELLO, streamMode: "messages-tuple" }), "messages");
    const said = (node) => tuples.filter(([, from]) => from.langgraph_node === node).map(([{ content }]) => content);
    assert.equal(said("chat").join(""), "hello there world");
    assert.deepEqual(said("post"), ["final"]);
  });

  test("a question shows in values and updates", async () => {
    const events = await streamed("hitl", { ...TWO, streamMode: ["values", "updates"] });
    const [asked] = dataOf(events, "updates").at(-1).__interrupt__;
    assert.deepEqual(asked.value, { question: "continue?" });
    assert.deepEqual(dataOf(events, "values").at(-1).__interrupt__[0].value, { question: "continue?" });
  });

  test("a failure is the last event", async () => {
    const events = await streamed("fail_b", TWO);
    assert.deepEqual(events.at(-1).data, { error: "ValueError", message: "boom-b" });
    assert.equal(events.at(-1).event, "error");
  });

  test("text that breaks lines elsewhere arrives whole", async () => {
    const text = "line\u2028paragraph\u2029😀";
    const [last] = dataOf(await streamed("unicode", { input: { text } }), "values").slice(-1);
    assert.equal(last.echo, text);
    assert.ok(!last.own.includes("\u0000"));
  });

  test("the run has ended when its stream has", async () => {
    const id = await newThread();
    const [{ data }] = await collect(client.runs.stream(id, "two", TWO));
    assert.equal((await client.runs.get(id, data.run_id)).status, "success");
  });

  test("a run under way can be joined", async () => {
    const id = await newThread();
    const run = await client.runs.create(id, "slow", { input: { steps: 4, secs: 0.3 } });
    await runWith("running", client, run);
    const seen = dataOf(await collect(client.runs.joinStream(id, run.run_id)), "values");
    assert.equal(seen.at(-1).done, 4);
  });

  test("a resumable run can be seen from its beginning, or from an event on", async () => {
    const id = await newThread();
    const options = { ...TWO, streamMode: ["values", "updates"], streamResumable: true };
    const live = await collect(client.runs.stream(id, "two", options));
    const runId = live[0].data.run_id;
    assert.ok(live.filter(({ event }) => event !== "end").every(({ id: eventId }) => /^\d+-\d+$/.test(eventId)));

    assert.deepEqual(await collect(client.runs.joinStream(id, runId, { lastEventId: "0" })), live);
    const afterFirst = await collect(client.runs.joinStream(id, runId, { lastEventId: live[0].id }));
    assert.deepEqual(afterFirst, live.slice(1));
    const values = await collect(client.runs.joinStream(id, runId, { lastEventId: "0", streamMode: ["values"] }));
    assert.deepEqual(dataOf(values, "values"), dataOf(live, "values"));
    assert.deepEqual(dataOf(values, "updates"), []);
  });

  test("a caller that goes away ends the run if it said so", async () => {
    const id = await newThread();
    const options = { input: { steps: 600, secs: 0.1 }, onDisconnect: "cancel" };
    const away = new AbortController();
    const stream = client.runs.stream(id, "slow", { ...options, signal: away.signal });
    const events = await collectUntil(stream, ({ event }) => event === "values");
    away.abort();
    await runWith("interrupted", client, { thread_id: id, run_id: events[0].data.run_id });
  });

  test("a caller that goes away leaves the run alone otherwise", async () => {
    const id = await newThread();
    const away = new AbortController();
    const options = { input: { steps: 3, secs: 0.1 }, signal: away.signal };
    const events = await collectUntil(client.runs.stream(id, "slow", options), ({ event }) => event === "values");
    away.abort();
    await runWith("success", client, { thread_id: id, run_id: events[0].data.run_id });
  });

  test("the stream of a thread shows all its runs", async () => {
    const id = await newThread();
    const away = new AbortController();
    const ended = ({ event, data }) => event === "metadata" && data.status === "run_done";
    const watching = collectUntil(client.threads.joinStream(id, { signal: away.signal, lastEventId: "-" }), ended);
    // Kept, so that it does not matter which of the two comes first.
    const run = await client.runs.create(id, "two", { ...TWO, streamResumable: true });
    const events = await watching;
    away.abort();
    assert.equal(events[0].data.run_id, run.run_id);
    assert.equal(events.at(-1).data.run_id, run.run_id);
    assert.deepEqual(dataOf(events, "values").at(-1), { foo: "xab", log: ["a", "b"] });
  });
});
