/**
 * A server that lets in nobody but whoever has the key in KEY. The other tests need a server that lets in everybody,
 * so these are a process of their own.
 */
import { test } from "node:test";
import assert from "node:assert/strict";
import { connect, server, versions } from "./support/clients.js";
import { collect } from "./support/waiting.js";

const INPUT = { input: { foo: "hello" } };

for (const version of versions) {
  test(`a right key opens the server, SDK ${version}`, async () => {
    const client = connect(version, server, process.env.KEY);
    const { thread_id: id } = await client.threads.create();
    const values = await client.runs.wait(id, "two", INPUT);
    assert.match(values.foo, /^hello/);
    const events = await collect(client.runs.stream(id, "two", INPUT));
    assert.equal(events[0].event, "metadata");
    const cron = await client.crons.createForThread(id, "two", { schedule: "0 0 1 1 *" });
    assert.equal(cron.user_id, "somebody");
  });

  for (const key of [null, `not-${process.env.KEY}`]) {
    test(`${key ? "a wrong key" : "no key"} opens nothing, SDK ${version}`, async () => {
      const client = connect(version, server, key);
      const refused = { status: 401 };
      await assert.rejects(client.threads.create(), refused);
      await assert.rejects(client.assistants.search(), refused);
      await assert.rejects(client.runs.wait(null, "two", INPUT), refused);
      await assert.rejects(collect(client.runs.stream(null, "two", INPUT)), refused);
    });
  }
}
