/**
 * The state of a thread: as it is, as it was, and changed by hand.
 */
import { test } from "node:test";
import assert from "node:assert/strict";
import { withEachClient } from "../support/clients.js";

withEachClient("state", (client) => {
  async function ran(graph, input) {
    const { thread_id: id } = await client.threads.create();
    await client.runs.wait(id, graph, { input, raiseError: false });
    return id;
  }

  test("an empty thread has an empty state", async () => {
    const { thread_id: id } = await client.threads.create();
    const state = await client.threads.getState(id);
    assert.deepEqual(state.values, {});
    assert.deepEqual(state.next, []);
    assert.equal(state.checkpoint, null);
    assert.deepEqual(await client.threads.getHistory(id), []);
  });

  test("the history begins with the newest checkpoint and can be paged", async () => {
    const id = await ran("two", { foo: "x" });
    const history = await client.threads.getHistory(id, { limit: 10 });
    assert.deepEqual(
      history.map(({ next }) => next),
      [[], ["b"], ["a"], ["__start__"]],
    );
    assert.deepEqual(
      history.map(({ metadata }) => metadata.step),
      [2, 1, 0, -1],
    );
    for (const [n, state] of history.slice(0, -1).entries()) {
      assert.deepEqual(state.parent_checkpoint, history[n + 1].checkpoint);
    }

    const before = { configurable: { checkpoint_id: history[1].checkpoint.checkpoint_id } };
    const older = await client.threads.getHistory(id, { limit: 1, before });
    assert.deepEqual(
      older.map(({ next }) => next),
      [["a"]],
    );

    const inputs = await client.threads.getHistory(id, { metadata: { source: "input" } });
    assert.deepEqual(
      inputs.map(({ next }) => next),
      [["__start__"]],
    );
  });

  test("a state can be read at a checkpoint, named by id or whole", async () => {
    const id = await ran("two", { foo: "x" });
    const [, { checkpoint }] = await client.threads.getHistory(id, { limit: 2 });
    for (const at of [checkpoint, checkpoint.checkpoint_id]) {
      const state = await client.threads.getState(id, at, { subgraphs: false });
      assert.deepEqual(state.values, { foo: "xa", log: ["a"] });
      assert.deepEqual(state.next, ["b"]);
    }
  });

  test("an update by hand counts as the work of a node", async () => {
    const id = await ran("two", { foo: "x" });
    const { checkpoint } = await client.threads.updateState(id, { values: { foo: "hand" }, asNode: "a" });
    const state = await client.threads.getState(id);
    assert.deepEqual(state.next, ["b"]);
    assert.equal(state.checkpoint.checkpoint_id, checkpoint.checkpoint_id);
    assert.equal((await client.threads.get(id)).status, "interrupted");
    assert.deepEqual(await client.runs.wait(id, "two", { input: null }), { foo: "handb", log: ["a", "b", "b"] });
  });

  test("an update at an old checkpoint forks the history", async () => {
    const id = await ran("two", { foo: "x" });
    const [, { checkpoint }] = await client.threads.getHistory(id, { limit: 2 });
    await client.threads.updateState(id, { values: { foo: "fork" }, asNode: "a", checkpoint });
    const [newest] = await client.threads.getHistory(id, { limit: 1 });
    assert.equal(newest.parent_checkpoint.checkpoint_id, checkpoint.checkpoint_id);
    assert.deepEqual(newest.values, { foo: "fork", log: ["a"] });
  });

  test("a question shows in the thread and in its state", async () => {
    const id = await ran("hitl", { foo: "x" });
    const state = await client.threads.getState(id);
    assert.deepEqual(state.next, ["ask"]);
    const [task] = state.tasks;
    assert.deepEqual(
      task.interrupts.map(({ value }) => value),
      [{ question: "continue?" }],
    );
    const thread = await client.threads.get(id);
    assert.equal(thread.status, "interrupted");
    assert.deepEqual(Object.keys(thread.interrupts), [task.id]);
    assert.equal(thread.interrupts[task.id][0].id, task.interrupts[0].id);
  });

  test("a failure shows in the thread and in its state", async () => {
    const id = await ran("fail_b", { foo: "x" });
    const state = await client.threads.getState(id);
    assert.deepEqual(state.next, ["fail_b"]);
    assert.match(state.tasks[0].error, /boom-b/);
    const thread = await client.threads.get(id);
    assert.equal(thread.status, "error");
    assert.deepEqual(thread.values, { foo: "xa", log: ["a"] });
  });

  test("metadata of a state cannot be patched on this kind of server", async () => {
    // The client has the method; no server of today has the route.
    const id = await ran("two", { foo: "x" });
    await assert.rejects(client.threads.patchState(id, { a: 1 }), { status: 405 });
  });
});
