/**
 * Connections that are cut in the middle: the client goes on where it was, and loses and repeats nothing.
 */
import { test } from "node:test";
import assert from "node:assert/strict";
import { connect, withEachClient } from "../support/clients.js";
import { openCuttingProxy } from "../support/cutting_proxy.js";
import { collect, dataOf } from "../support/waiting.js";

/** Bytes of each answer. The first event must have arrived, since a client without an id cannot say where it was. */
const CUTS = [[200], [400], [300, 200]];

withEachClient("reconnecting", (client, version) => {
  for (const cuts of CUTS) {
    test(`a stream cut after ${cuts.join(" and ")} bytes is whole in the end`, async (t) => {
      const proxy = await openCuttingProxy(cuts);
      t.after(proxy.close);
      const { thread_id: id } = await client.threads.create();
      const options = { input: { steps: 8, secs: 0.1 }, streamResumable: true };
      const events = await collect(connect(version, proxy.url).runs.stream(id, "slow", options));

      assert.ok(proxy.connections > cuts.length, `only ${proxy.connections} connections`);
      assert.equal(dataOf(events, "metadata").length, 1);
      assert.deepEqual(
        dataOf(events, "values").map(({ log }) => log.length),
        [0, 1, 2, 3, 4, 5, 6, 7, 8],
      );
    });
  }

  test("the replay of a run that has ended can be cut as well", async (t) => {
    const proxy = await openCuttingProxy([200]);
    t.after(proxy.close);
    const { thread_id: id } = await client.threads.create();
    const options = { input: { steps: 3, secs: 0.05 }, streamResumable: true };
    const live = await collect(client.runs.stream(id, "slow", options));
    const far = connect(version, proxy.url);
    const events = await collect(far.runs.joinStream(id, live[0].data.run_id, { lastEventId: "0" }));
    assert.deepEqual(events, live);
    assert.ok(proxy.connections > 1);
  });
});
