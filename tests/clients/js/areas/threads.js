/**
 * Threads: made, changed, found, copied and removed.
 */
import { test } from "node:test";
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { withEachClient } from "../support/clients.js";

withEachClient("threads", (client, version) => {
  test("one can be made, read, changed and removed", async () => {
    const made = await client.threads.create({ metadata: { a: 1 } });
    assert.equal(made.status, "idle");
    assert.equal(made.values, null);
    assert.deepEqual(await client.threads.get(made.thread_id), made);

    const changed = await client.threads.update(made.thread_id, { metadata: { b: 2 } });
    assert.deepEqual(changed.metadata, { a: 1, b: 2 });

    await client.threads.delete(made.thread_id);
    await assert.rejects(client.threads.get(made.thread_id), { status: 404 });
  });

  test("an id that exists is refused, or answered with what exists", async () => {
    const threadId = randomUUID();
    const made = await client.threads.create({ threadId });
    await assert.rejects(client.threads.create({ threadId }), { status: 409 });
    assert.deepEqual(await client.threads.create({ threadId, ifExists: "do_nothing" }), made);
  });

  test("one can begin with a history", async () => {
    const { thread_id: id } = await client.threads.create({
      graphId: "two",
      supersteps: [
        { updates: [{ values: { foo: "s" }, asNode: "__input__" }] },
        { updates: [{ values: { foo: "sa", log: ["a"] }, asNode: "a" }] },
      ],
    });
    const state = await client.threads.getState(id);
    assert.deepEqual(state.values, { foo: "sa", log: ["a"] });
    assert.deepEqual(state.next, ["b"]);
  });

  test("it may have a time to live", async () => {
    const made = await client.threads.create({ ttl: { ttl: 60, strategy: "delete" } });
    const changed = await client.threads.update(made.thread_id, { ttl: 30 });
    assert.equal(changed.thread_id, made.thread_id);
  });

  test("a copy has the same history and goes its own way", async () => {
    const { thread_id: id } = await client.threads.create();
    await client.runs.wait(id, "two", { input: { foo: "x" } });
    const copy = await client.threads.copy(id);
    assert.notEqual(copy.thread_id, id);
    assert.deepEqual((await client.threads.getState(copy.thread_id)).values, { foo: "xab", log: ["a", "b"] });

    await client.runs.wait(copy.thread_id, "two", { input: { foo: "y" } });
    assert.deepEqual((await client.threads.getState(id)).values, { foo: "xab", log: ["a", "b"] });
  });

  test("search filters by metadata, values and status, sorts and counts", async () => {
    const metadata = { suite: randomUUID() };
    const made = {};
    for (const [graph, n] of [
      ["two", 1],
      ["hitl", 2],
      ["fail", 3],
    ]) {
      made[graph] = (await client.threads.create({ metadata: { ...metadata, n } })).thread_id;
      await client.runs.wait(made[graph], graph, { input: { foo: "x" }, raiseError: false });
    }
    const ids = async (query) => (await client.threads.search({ metadata, ...query })).map((t) => t.thread_id);

    assert.deepEqual(await ids({ sortBy: "created_at", sortOrder: "asc" }), [made.two, made.hitl, made.fail]);
    assert.deepEqual(await ids({ sortBy: "created_at", limit: 1, offset: 1 }), [made.hitl]);
    assert.deepEqual(await ids({ status: "idle" }), [made.two]);
    assert.deepEqual(await ids({ status: "interrupted" }), [made.hitl]);
    assert.deepEqual(await ids({ status: "error" }), [made.fail]);
    assert.deepEqual(await ids({ values: { foo: "xab" } }), [made.two]);
    assert.deepEqual(await ids({ metadata: { ...metadata, n: 2 } }), [made.hitl]);
    assert.deepEqual(await ids({ ids: [made.fail] }), [made.fail]);
    assert.equal(await client.threads.count({ metadata }), 3);
    assert.equal(await client.threads.count({ metadata, status: "error" }), 1);
  });

  test("search gives only what was selected", async () => {
    const metadata = { suite: randomUUID() };
    const { thread_id: id } = await client.threads.create({ metadata });
    assert.deepEqual(await client.threads.search({ metadata, select: ["thread_id"] }), [{ thread_id: id }]);
  });

  test("a run notes its graph and its assistant on the thread", async () => {
    const { thread_id: id } = await client.threads.create();
    await client.runs.wait(id, "two", { input: { foo: "x" } });
    const [found] = await client.threads.search({ metadata: { graph_id: "two" }, ids: [id] });
    assert.equal(found.metadata.assistant_id, "4499204c-8eda-5495-a842-3696dc7527c7");
  });

  if (version === "1.15.0") {
    test("many can be removed at once, and ids that do not exist do not matter", async () => {
      const { thread_id: id } = await client.threads.create();
      assert.deepEqual(await client.threads.prune([id, randomUUID()]), { pruned_count: 1 });
      await assert.rejects(client.threads.get(id), { status: 404 });
    });

    test("an update may be answered with nothing", async () => {
      const { thread_id: id } = await client.threads.create();
      assert.equal(await client.threads.update(id, { metadata: { a: 1 }, returnMinimal: true }), undefined);
      assert.deepEqual((await client.threads.get(id)).metadata, { a: 1 });
    });

    test("search takes values out of the state", async () => {
      const { thread_id: id } = await client.threads.create();
      await client.runs.wait(id, "two", { input: { foo: "x" } });
      const [found] = await client.threads.search({ ids: [id], extract: { last: "values.log[-1]" } });
      assert.deepEqual(found.extracted, { last: "b" });
    });
  }
});
