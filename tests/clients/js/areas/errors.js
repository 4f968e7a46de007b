/**
 * Errors: the client's `HTTPError` with the status, and a text that says what is wrong.
 */
import { test } from "node:test";
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { withEachClient } from "../support/clients.js";

const TWO = { input: { foo: "x" } };
const nobody = randomUUID();

withEachClient("errors", (client) => {
  const refusals = [
    ["an unknown thread", 404, () => client.threads.get(nobody)],
    ["a thread id that is none", 422, () => client.threads.get("nope")],
    ["an unknown assistant", 404, () => client.assistants.get(nobody)],
    ["a graph that is not served", 404, () => client.assistants.create({ graphId: "nope" })],
    ["a run on an unknown thread", 404, () => client.runs.create(nobody, "two", TWO)],
    ["a run of an unknown assistant", 404, () => client.runs.create(null, nobody, TWO)],
    ["a run of a graph that is not served", 422, () => client.runs.wait(null, "nope", TWO)],
    ["resuming without a thread", 400, () => client.runs.wait(null, "two", { command: { resume: 1 } })],
    [
      "both configurable and context",
      400,
      () => client.runs.wait(null, "two", { ...TWO, context: { a: 1 }, config: { configurable: { a: 1 } } }),
    ],
    ["an unknown stream mode", 422, () => client.runs.create(null, "two", { ...TWO, streamMode: "zzz" })],
    [
      "an unknown strategy",
      422,
      async () => {
        const { thread_id: id } = await client.threads.create();
        return client.runs.create(id, "two", { ...TWO, multitaskStrategy: "zzz" });
      },
    ],
    ["a page that is too large", 422, () => client.threads.search({ limit: 1001 })],
    ["a member that cannot be selected", 422, () => client.assistants.search({ select: ["zzz"] })],
    [
      "an update as a node that does not exist",
      400,
      async () => {
        const { thread_id: id } = await client.threads.create();
        await client.runs.wait(id, "two", TWO);
        return client.threads.updateState(id, { values: {}, asNode: "zzz" });
      },
    ],
    [
      "an update of a thread without a graph",
      400,
      async () => {
        const { thread_id: id } = await client.threads.create();
        return client.threads.updateState(id, { values: { foo: "x" } });
      },
    ],
    ["an unknown operator of the store", 400, () => client.store.searchItems(["a"], { filter: { n: { $in: [1] } } })],
  ];

  for (const [what, status, ask] of refusals) {
    test(`${what}: ${status}`, async () => {
      if (what.includes("operator")) await client.store.putItem(["a"], "k", { n: 1 });
      await assert.rejects(ask, (error) => {
        assert.equal(error.status, status, error.message);
        const { detail } = JSON.parse(error.text);
        assert.equal(typeof detail, "string");
        assert.notEqual(detail, "");
        return true;
      });
    });
  }

  test("a stream that is refused throws before its first event", async () => {
    await assert.rejects(client.runs.stream(nobody, "two", TWO).next(), { status: 404 });
  });
});
