/**
 * Every method that LangGraph documents with `webhook`, called as the documentation shows, ends in a delivery.
 */
import { test } from "node:test";
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { randomUUID } from "node:crypto";
import { againstReference, log, server, withEachClient } from "../support/clients.js";
import { receive } from "../support/receiver.js";
import { collect, eventually } from "../support/waiting.js";

const INPUT = { foo: "hello" };

/** Calls each method once; `to(name)` is the webhook of a run. */
async function callAll(client, to) {
  const { thread_id } = await client.threads.create();
  for (const [place, id] of [
    ["thread", thread_id],
    ["stateless", null],
  ]) {
    await client.runs.create(id, "two", { input: INPUT, webhook: to(`${place}/create`) });
    await collect(client.runs.stream(id, "two", { input: INPUT, webhook: to(`${place}/stream`) }));
    await client.runs.wait(id, "two", { input: INPUT, webhook: to(`${place}/wait`) });
  }
  await client.runs.createBatch(
    [0, 1, 2].map((n) => ({ assistantId: "two", input: INPUT, webhook: to(`batch/${n}`) })),
  );
}

withEachClient("webhooks", (client) => {
  test("each method that takes a webhook ends in a delivery, and the token stays out of sight", async () => {
    const receiver = await receive();
    const token = randomUUID();
    const paths = [];
    try {
      await callAll(client, (name) => {
        paths.push(`/${name}?token=${token}`);
        return receiver.url(paths.at(-1));
      });
      await eventually(
        () => receiver.received,
        ({ length }) => length >= paths.length,
      );
    } finally {
      receiver.close();
    }
    assert.deepEqual(receiver.received.map(({ path }) => path).sort(), paths.sort());
    for (const { path, run } of receiver.received) {
      assert.equal(run.status, "success", path);
      assert.deepEqual(run.kwargs.input, INPUT, path);
      assert.ok(run.kwargs.webhook.endsWith(path), run.kwargs.webhook);
      if (!againstReference) assert.equal(run.values.foo, "helloab", path);
    }
    const metrics = await (await fetch(`${server}/metrics`)).text();
    assert.ok(metrics.includes("lg_api_workers_max") && !metrics.includes(token));
    const lines = await readFile(log, "utf8");
    assert.ok(lines.length > 0 && (againstReference || !lines.includes(token)));
  });
});
