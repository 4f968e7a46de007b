/**
 * Assistants: the default ones, and those that callers make, change and find.
 */
import { test } from "node:test";
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { withEachClient } from "../support/clients.js";

withEachClient("assistants", (client) => {
  test("every graph has a default assistant under a fixed id", async () => {
    const [found] = await client.assistants.search({ graphId: "two", metadata: { created_by: "system" } });
    assert.equal(found.assistant_id, "4499204c-8eda-5495-a842-3696dc7527c7");
    assert.equal(found.name, "two");
    assert.equal(found.description, "two nodes");
    assert.deepEqual(await client.assistants.get(found.assistant_id), found);
  });

  test("one can be made, read, changed and removed", async () => {
    const made = await client.assistants.create({
      graphId: "two",
      name: "Mine",
      description: "d",
      metadata: { a: 1 },
      context: { k: 1 },
    });
    assert.equal(made.version, 1);
    assert.deepEqual(made.config.configurable, { k: 1 });
    assert.deepEqual(await client.assistants.get(made.assistant_id), made);

    const changed = await client.assistants.update(made.assistant_id, { name: "Changed", metadata: { b: 2 } });
    assert.equal(changed.version, 2);
    assert.equal(changed.name, "Changed");
    assert.deepEqual(changed.metadata, { a: 1, b: 2 });

    await client.assistants.delete(made.assistant_id);
    await assert.rejects(client.assistants.get(made.assistant_id), { status: 404 });
  });

  test("an old version can be made current", async () => {
    const made = await client.assistants.create({ graphId: "two", name: "First" });
    await client.assistants.update(made.assistant_id, { name: "Second" });

    const versions = await client.assistants.getVersions(made.assistant_id);
    assert.deepEqual(
      versions.map(({ version, name }) => [version, name]),
      [
        [2, "Second"],
        [1, "First"],
      ],
    );

    const current = await client.assistants.setLatest(made.assistant_id, 1);
    assert.equal(current.version, 1);
    assert.equal(current.name, "First");
    assert.equal((await client.assistants.get(made.assistant_id)).name, "First");
  });

  test("an id that exists is refused, or answered with what exists", async () => {
    const assistantId = randomUUID();
    const made = await client.assistants.create({ graphId: "two", assistantId });
    await assert.rejects(client.assistants.create({ graphId: "two", assistantId }), { status: 409 });
    const same = await client.assistants.create({ graphId: "hitl", assistantId, ifExists: "do_nothing" });
    assert.deepEqual(same, made);
  });

  test("search filters, sorts, selects and counts", async () => {
    const metadata = { suite: randomUUID() };
    for (const name of ["alpha", "Beta", "gamma"]) await client.assistants.create({ graphId: "two", name, metadata });

    const names = async (query) => (await client.assistants.search({ metadata, ...query })).map(({ name }) => name);
    assert.deepEqual(await names({}), ["gamma", "Beta", "alpha"]);
    assert.deepEqual(await names({ sortBy: "created_at", sortOrder: "asc", limit: 2 }), ["alpha", "Beta"]);
    assert.deepEqual(await names({ name: "ALPH" }), ["alpha"]);
    assert.deepEqual(await names({ graphId: "hitl" }), []);
    assert.deepEqual(await client.assistants.search({ metadata, select: ["name"], limit: 1 }), [{ name: "gamma" }]);
    assert.equal(await client.assistants.count({ metadata }), 3);
  });

  test("a page knows where the next begins", async () => {
    const metadata = { suite: randomUUID() };
    for (let n = 0; n < 3; n += 1) await client.assistants.create({ graphId: "two", metadata });
    const first = await client.assistants.search({ metadata, limit: 2, includePagination: true });
    assert.equal(first.assistants.length, 2);
    assert.equal(first.next, "2");
    const second = await client.assistants.search({ metadata, limit: 2, offset: 2, includePagination: true });
    assert.equal(second.assistants.length, 1);
    assert.equal(second.next, null);
  });

  test("a graph can be drawn", async () => {
    const { nodes, edges } = await client.assistants.getGraph("two", { xray: true });
    assert.deepEqual(
      nodes.map(({ id }) => id),
      ["__start__", "a", "b", "__end__"],
    );
    assert.deepEqual(edges, [
      { source: "__start__", target: "a" },
      { source: "a", target: "b" },
      { source: "b", target: "__end__" },
    ]);
  });

  test("schemas describe the state and the context", async () => {
    const [{ assistant_id: id }] = await client.assistants.search({ graphId: "ctx", limit: 1 });
    const schemas = await client.assistants.getSchemas(id);
    assert.equal(schemas.graph_id, "ctx");
    assert.ok(schemas.state_schema.properties.seen_context);
    assert.ok(schemas.context_schema.properties.user);
  });

  test("a graph without subgraphs has none", async () => {
    const [{ assistant_id: id }] = await client.assistants.search({ graphId: "two", limit: 1 });
    assert.deepEqual(await client.assistants.getSubgraphs(id, { recurse: true }), {});
    assert.deepEqual(await client.assistants.getSubgraphs(id, { namespace: "a" }), {});
  });
});
