/**
 * The store: items under namespaces.
 */
import { test } from "node:test";
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { withEachClient } from "../support/clients.js";

withEachClient("store", (client) => {
  test("an item can be put, read, replaced and removed", async () => {
    const namespace = [randomUUID(), "notes"];
    await client.store.putItem(namespace, "k", { a: 1 });
    const item = await client.store.getItem(namespace, "k");
    assert.deepEqual(item.namespace, namespace);
    assert.equal(item.key, "k");
    assert.deepEqual(item.value, { a: 1 });
    assert.ok(item.createdAt && item.updatedAt);

    await client.store.putItem(namespace, "k", { a: 2 }, { ttl: 60, index: false });
    assert.deepEqual((await client.store.getItem(namespace, "k", { refreshTtl: true })).value, { a: 2 });

    await client.store.deleteItem(namespace, "k");
    assert.equal(await client.store.getItem(namespace, "k"), null);
  });

  test("a search filters by the members of values", async () => {
    const namespace = [randomUUID(), "numbers"];
    for (const n of [1, 2, 3]) await client.store.putItem(namespace, `k${n}`, { n, odd: n % 2 === 1 });
    const keys = async (options) =>
      (await client.store.searchItems(namespace, options)).items.map(({ key }) => key).sort();

    assert.deepEqual(await keys({}), ["k1", "k2", "k3"]);
    assert.deepEqual(await keys({ filter: { odd: true } }), ["k1", "k3"]);
    assert.deepEqual(await keys({ filter: { n: { $gt: 1 } } }), ["k2", "k3"]);
    assert.deepEqual(await keys({ filter: { n: { $gte: 1, $lt: 3 }, odd: true } }), ["k1"]);
    assert.equal((await keys({ limit: 2 })).length, 2);
    assert.equal((await keys({ limit: 2, offset: 2 })).length, 1);
  });

  test("a search finds by meaning", async () => {
    const namespace = [randomUUID(), "words"];
    await client.store.putItem(namespace, "far", { text: "dog" });
    await client.store.putItem(namespace, "near", { text: "cat" });
    await client.store.putItem(namespace, "half", { text: "dog", parts: ["cat dog bird text"] }, { index: ["parts[*]"] });
    await client.store.putItem(namespace, "none", { text: "cat" }, { index: false });
    const near = async (options) =>
      (await client.store.searchItems(namespace, options)).items.map(({ key, score }) => [key, score ?? null]);

    const everything = [
      ["near", 1],
      ["half", 0.5],
      ["far", 0],
      ["none", null],
    ];
    assert.deepEqual(await near({ query: "cat" }), everything);
    assert.deepEqual(await near({ query: "cat", limit: 2, offset: 1 }), everything.slice(1, 3));
    assert.deepEqual(await near({ query: "cat", filter: { text: "cat" } }), [everything[0], everything[3]]);
    await client.store.putItem(namespace, "near", { text: "bird" });
    assert.deepEqual((await near({ query: "cat", limit: 1 }))[0], everything[1]);
  });

  test("namespaces are listed by how they begin and end", async () => {
    const root = randomUUID();
    for (const namespace of [
      [root, "u1", "notes"],
      [root, "u2", "notes"],
      [root, "u2", "files", "deep"],
    ]) {
      await client.store.putItem(namespace, "k", {});
    }
    const listed = async (options) => (await client.store.listNamespaces({ prefix: [root], ...options })).namespaces;
    assert.equal((await listed({})).length, 3);
    assert.deepEqual(await listed({ suffix: ["notes"], limit: 1 }), [[root, "u1", "notes"]]);
    assert.deepEqual(await listed({ maxDepth: 2 }), [
      [root, "u1"],
      [root, "u2"],
    ]);
  });

  test("a label with a dot never leaves the client", async () => {
    await assert.rejects(client.store.putItem(["a.b"], "k", {}), /period/);
  });
});
