/**
 * Runs: begun, waited for, listed, cancelled; and what they may be asked for.
 */
import { test } from "node:test";
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { withEachClient } from "../support/clients.js";
import { eventually, runWith } from "../support/waiting.js";

const TWO = { input: { foo: "x" } };
const ENDLESS = { input: { steps: 600, secs: 0.1 } };

withEachClient("runs", (client, version) => {
  const newThread = async () => (await client.threads.create()).thread_id;

  async function running(id) {
    const run = await client.runs.create(id, "slow", ENDLESS);
    await runWith("running", client, run);
    await eventually(
      () => client.threads.getState(id),
      ({ values }) => values.done >= 1,
    );
    return run;
  }

  test("one runs in the background and can be joined", async () => {
    const id = await newThread();
    let created;
    const run = await client.runs.create(id, "two", { ...TWO, onRunCreated: (made) => (created = made) });
    assert.deepEqual(created, { run_id: run.run_id, thread_id: id });
    assert.equal(run.thread_id, id);
    assert.deepEqual(await client.runs.join(id, run.run_id), { foo: "xab", log: ["a", "b"] });
    assert.equal((await client.runs.get(id, run.run_id)).status, "success");
  });

  test("wait gives the last values, on a thread and without one", async () => {
    assert.deepEqual(await client.runs.wait(await newThread(), "two", TWO), { foo: "xab", log: ["a", "b"] });
    assert.deepEqual(await client.runs.wait(null, "two", TWO), { foo: "xab", log: ["a", "b"] });
  });

  test("a failure is thrown, or handed over on request", async () => {
    const id = await newThread();
    await assert.rejects(client.runs.wait(id, "fail_b", TWO), /^Error: ValueError: boom-b$/);
    const given = await client.runs.wait(id, "fail_b", { ...TWO, raiseError: false });
    assert.deepEqual(given, { __error__: { error: "ValueError", message: "boom-b" } });
  });

  test("a batch answers in its order", async () => {
    const runs = await client.runs.createBatch([
      { assistantId: "two", ...TWO },
      { assistantId: "hitl", ...TWO },
    ]);
    assert.deepEqual(
      runs.map(({ kwargs }) => kwargs.config.configurable.graph_id),
      ["two", "hitl"],
    );
  });

  test("a list has the newest first and can be filtered", async () => {
    const id = await newThread();
    const first = await client.runs.create(id, "two", TWO);
    await runWith("success", client, first);
    const second = await client.runs.create(id, "fail", TWO);
    await runWith("error", client, second);

    const ids = async (options) => (await client.runs.list(id, options)).map(({ run_id }) => run_id);
    assert.deepEqual(await ids(), [second.run_id, first.run_id]);
    assert.deepEqual(await ids({ limit: 1, offset: 1 }), [first.run_id]);
    assert.deepEqual(await ids({ status: "error" }), [second.run_id]);
    if (version === "1.15.0") {
      assert.deepEqual(await client.runs.list(id, { limit: 1, select: ["status"] }), [{ status: "error" }]);
    }
  });

  test("one can be removed", async () => {
    const id = await newThread();
    const run = await client.runs.create(id, "two", TWO);
    await client.runs.join(id, run.run_id);
    await client.runs.delete(id, run.run_id);
    await assert.rejects(client.runs.get(id, run.run_id), { status: 404 });
    await assert.rejects(client.runs.delete(id, run.run_id), { status: 404 });
  });

  test("one can be cancelled, and stays cancelled", async () => {
    const id = await newThread();
    const run = await running(id);
    await client.runs.cancel(id, run.run_id, true);
    assert.equal((await client.runs.get(id, run.run_id)).status, "interrupted");
    assert.equal((await client.threads.get(id)).status, "interrupted");
    await assert.rejects(client.runs.cancel(id, run.run_id), { status: 404 });
    assert.equal((await client.runs.get(id, run.run_id)).status, "interrupted");
  });

  test("a rollback leaves nothing of the run", async () => {
    const id = await newThread();
    await client.runs.wait(id, "slow", { input: { steps: 1, secs: 0.01 } });
    const before = await client.threads.getState(id);
    const run = await running(id);
    await client.runs.cancel(id, run.run_id, true, "rollback");
    await assert.rejects(client.runs.get(id, run.run_id), { status: 404 });
    const after = await client.threads.getState(id);
    assert.deepEqual(after.checkpoint, before.checkpoint);
    assert.deepEqual(after.values, before.values);
  });

  if (version === "1.15.0") {
    test("many can be cancelled at once", async () => {
      const id = await newThread();
      const later = { ...TWO, afterSeconds: 3600 };
      const runs = [await client.runs.create(id, "two", later), await client.runs.create(id, "two", later)];
      await client.runs.cancelMany({ threadId: id, runIds: runs.map((run) => run.run_id) });
      for (const run of runs) await runWith("interrupted", client, run);
    });
  }

  test("reject refuses a second run while one is under way", async () => {
    const id = await newThread();
    const run = await running(id);
    const second = { input: { steps: 1, secs: 0.01 }, multitaskStrategy: "reject" };
    await assert.rejects(client.runs.create(id, "slow", second), { status: 409 });
    await assert.rejects(client.runs.wait(id, "slow", second), { status: 409 });
    await client.runs.cancel(id, run.run_id);
  });

  test("enqueue lets the second run begin when the first has ended", async () => {
    const id = await newThread();
    const first = await running(id);
    const second = await client.runs.create(id, "two", { ...TWO, multitaskStrategy: "enqueue" });
    assert.equal((await client.runs.get(id, second.run_id)).status, "pending");
    await client.runs.cancel(id, first.run_id);
    await runWith("success", client, second);
  });

  test("interrupt ends the first run and keeps what it did, also on wait", async () => {
    const id = await newThread();
    const first = await running(id);
    const options = { input: { foo: "y" }, multitaskStrategy: "interrupt" };
    const values = await client.runs.wait(id, "two", options);
    assert.equal(values.foo, "yab");
    assert.equal((await client.runs.get(id, first.run_id)).status, "interrupted");
  });

  test("rollback ends the first run and takes back what it did", async () => {
    const id = await newThread();
    const first = await running(id);
    const values = await client.runs.wait(id, "two", { ...TWO, multitaskStrategy: "rollback" });
    assert.deepEqual(values, { foo: "xab", log: ["a", "b"] });
    await assert.rejects(client.runs.get(id, first.run_id), { status: 404 });
  });

  test("a thread that does not exist is made on request", async () => {
    const id = randomUUID();
    await assert.rejects(client.runs.wait(id, "two", TWO), { status: 404 });
    assert.equal((await client.runs.wait(id, "two", { ...TWO, ifNotExists: "create" })).foo, "xab");
  });

  test("a question is answered by value", async () => {
    const id = await newThread();
    const asked = await client.runs.wait(id, "hitl", TWO);
    assert.deepEqual(
      asked.__interrupt__.map(({ value }) => value),
      [{ question: "continue?" }],
    );
    const values = await client.runs.wait(id, "hitl", { command: { resume: "yes" } });
    assert.equal(values.answer, "yes");
    assert.equal((await client.threads.get(id)).status, "idle");
  });

  test("several questions are answered by their ids, also one at a time", async () => {
    const id = await newThread();
    const { __interrupt__: asked } = await client.runs.wait(id, "hitl_many", TWO);
    const idOf = Object.fromEntries(asked.map((question) => [question.value.ask, question.id]));
    await client.runs.wait(id, "hitl_many", { command: { resume: { [idOf.left]: "L" } } });
    assert.deepEqual((await client.threads.getState(id)).next, ["right"]);
    const values = await client.runs.wait(id, "hitl_many", { command: { resume: { [idOf.right]: "R" } } });
    assert.deepEqual(values.log, ["left=L", "right=R", "after"]);
  });

  test("a command updates the state and goes where it says", async () => {
    const id = await newThread();
    await client.runs.wait(id, "two", TWO);
    const values = await client.runs.wait(id, "two", { command: { update: { foo: "L" }, goto: "b" } });
    assert.deepEqual(values, { foo: "Lb", log: ["a", "b", "b"] });
    const sent = await client.runs.wait(id, "two", { command: { goto: { node: "b", input: { foo: "S" } } } });
    assert.equal(sent.foo, "Sb");
  });

  test("breakpoints stop before and after nodes", async () => {
    const id = await newThread();
    await client.runs.wait(id, "two", { ...TWO, interruptBefore: ["b"] });
    const thread = await client.threads.get(id);
    assert.equal(thread.status, "interrupted");
    assert.deepEqual(thread.interrupts, {});
    assert.equal((await client.runs.wait(id, "two", { input: null })).foo, "xab");

    await client.runs.wait(id, "two", { ...TWO, interruptAfter: "*" });
    assert.deepEqual((await client.threads.getState(id)).next, ["b"]);
  });

  test("a run can begin at an old checkpoint", async () => {
    const id = await newThread();
    await client.runs.wait(id, "two", TWO);
    const [, { checkpoint }] = await client.threads.getHistory(id, { limit: 2 });
    for (const at of [{ checkpointId: checkpoint.checkpoint_id }, { checkpoint }]) {
      const values = await client.runs.wait(id, "two", { input: null, ...at });
      assert.deepEqual(values, { foo: "xab", log: ["a", "b"] });
    }
    const forks = await client.threads.getHistory(id, { limit: 10, metadata: { source: "fork" } });
    assert.equal(forks.length, 2);
  });

  test("every durability ends in the same state", async () => {
    for (const durability of ["sync", "async", "exit"]) {
      const id = await newThread();
      await client.runs.wait(id, "two", { ...TWO, durability });
      assert.deepEqual((await client.threads.getState(id)).values, { foo: "xab", log: ["a", "b"] });
    }
  });

  test("a graph sees its context, and only what its schema names", async () => {
    const context = { user: "Ann", level: 3, extra: true };
    const values = await client.runs.wait(await newThread(), "ctx", { ...TWO, context });
    assert.deepEqual(values.seen_context, { user: "Ann", level: 3 });
  });

  test("a run takes over the configuration of its assistant", async () => {
    const assistant = await client.assistants.create({ graphId: "ctx", context: { user: "assistant" } });
    const values = await client.runs.wait(await newThread(), assistant.assistant_id, TWO);
    assert.equal(values.seen_context.user, "assistant");
  });

  test("the recursion limit ends a loop", async () => {
    const waited = client.runs.wait(null, "limit", { input: { count: 0 }, config: { recursion_limit: 3 } });
    await assert.rejects(waited, /^Error: GraphRecursionError: Recursion limit of 3/);
  });

  if (version === "1.15.0") {
    test("a stateless run may keep its thread", async () => {
      const run = await client.runs.create(null, "two", { ...TWO, onCompletion: "keep" });
      await runWith("success", client, run);
      assert.equal((await client.threads.getState(run.thread_id)).values.foo, "xab");
    });
  }
});
