/**
 * Crons: made, found, changed, refused; and what their runs are given and deliver.
 */
import { test } from "node:test";
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { againstReference, withEachClient } from "../support/clients.js";
import { receive } from "../support/receiver.js";
import { eventually } from "../support/waiting.js";

const EVERY_SECOND = "* * * * * *";

/** So far away that nothing is due while a test runs, and to the second what the schedule says. */
const FAR = "0 12 1 7 * 0 2070";
const FAR_IN_UTC = "2070-07-01T12:00:00+00:00";
const FAR_IN_BERLIN = "2070-07-01T10:00:00+00:00";

const INPUT = { foo: "c" };
const nobody = randomUUID();

/** What both versions can say of the runs, as a program says it. */
const OPTIONS = {
  input: INPUT,
  config: { tags: ["t"], recursion_limit: 9 },
  context: { user: "u" },
  interruptBefore: ["nobody"],
  interruptAfter: "*",
  multitaskStrategy: "reject",
  durability: "sync",
  checkpointDuring: false,
  webhook: "http://127.0.0.1:9999/in",
};
/** And as a cron shows it. */
const TOLD = {
  input: INPUT,
  context: { user: "u" },
  interrupt_before: ["nobody"],
  interrupt_after: "*",
  multitask_strategy: "reject",
  durability: "sync",
  checkpoint_during: false,
  webhook: "http://127.0.0.1:9999/in",
};
/** What only the newer code can say. */
const MORE_OPTIONS = {
  timezone: "Europe/Berlin",
  endTime: "2071-01-01T00:00:00Z",
  streamMode: ["updates", "values"],
  streamSubgraphs: true,
  streamResumable: true,
};
const MORE_TOLD = {
  timezone: "Europe/Berlin",
  end_time: "2071-01-01T00:00:00Z",
  stream_mode: ["updates", "values"],
  stream_subgraphs: true,
  stream_resumable: true,
};

/** A receiver that keeps its deliveries apart by path, and closes when the test is over. */
async function openReceiver(t) {
  const receiver = await receive();
  t.after(() => receiver.close());
  const taken = {};
  const of = (path) => receiver.received.filter((delivery) => delivery.path === path).slice(taken[path] ?? 0);
  return {
    url: (path = "/in") => receiver.url(path),
    /** Waits for the first that nobody asked for. */
    async next(path = "/in") {
      const [first] = await eventually(
        () => of(path),
        ({ length }) => length > 0,
      );
      taken[path] = (taken[path] ?? 0) + 1;
      return first.run;
    },
    /** How many came that nobody asked for. */
    waiting: (path) => of(path).length,
  };
}

withEachClient("crons", (client, version) => {
  const newer = version === "1.15.0";
  const newThread = async () => (await client.threads.create()).thread_id;
  const ofGraph = async (graphId) =>
    (await client.assistants.search({ graphId, metadata: { created_by: "system" } }))[0].assistant_id;

  /** The cron, which is taken away when the test is over, so that it fires for nobody. */
  function kept(t, cron) {
    t.after(() => client.crons.delete(cron.cron_id).catch(() => {}));
    return cron;
  }
  const made = async (t, assistant, payload) => kept(t, await client.crons.create(assistant, payload));
  const onThread = async (t, thread, assistant, payload) =>
    kept(t, await client.crons.createForThread(thread, assistant, payload));
  /** The clients have no method that reads one. */
  const shown = async ({ cron_id: id }) =>
    (await client.crons.search({ limit: 1000 })).find(({ cron_id }) => cron_id === id);

  const inPart = (whole, part) => Object.fromEntries(Object.keys(part).map((name) => [name, whole[name]]));

  test("one tells what it was asked", async (t) => {
    const metadata = { mark: randomUUID() };
    const options = { schedule: FAR, metadata, enabled: false, ...OPTIONS, ...(newer ? MORE_OPTIONS : {}) };
    const told = { ...TOLD, ...(newer ? MORE_TOLD : {}) };
    const cron = await made(t, "two", { ...options, onRunCompleted: "keep" });
    assert.deepEqual(inPart(cron.payload, told), told);
    assert.deepEqual(cron.payload.config, { ...OPTIONS.config, configurable: { cron_id: cron.cron_id } });
    assert.equal(cron.assistant_id, await ofGraph("two"));
    assert.deepEqual(cron.metadata, metadata);
    assert.deepEqual([cron.thread_id, cron.on_run_completed, cron.enabled], [null, "keep", false]);
    assert.equal(cron.next_run_date, newer ? FAR_IN_BERLIN : FAR_IN_UTC);
    assert.deepEqual(await shown(cron), cron);

    const thread = await newThread();
    const other = await onThread(t, thread, "two", options);
    assert.deepEqual(inPart(other.payload, told), told);
    assert.deepEqual([other.thread_id, other.on_run_completed], [thread, null]);
    assert.equal(other.next_run_date, newer ? FAR_IN_BERLIN : FAR_IN_UTC);
  });

  test("a run without a thread leaves nothing but its delivery", async (t) => {
    const receiver = await openReceiver(t);
    const cron = await made(t, "two", { schedule: EVERY_SECOND, input: INPUT, webhook: receiver.url() });
    const runs = [await receiver.next(), await receiver.next()];
    for (const run of runs) {
      assert.equal(run.status, "success");
      assert.deepEqual(run.values, againstReference ? null : { foo: "cab", log: ["a", "b"] });
      assert.equal(run.kwargs.config.configurable.cron_id, cron.cron_id);
      await assert.rejects(client.threads.get(run.thread_id), { status: 404 });
    }
    assert.notEqual(runs[0].run_id, runs[1].run_id);
  });

  test("a run may leave its thread", async (t) => {
    const receiver = await openReceiver(t);
    const metadata = { mark: randomUUID() };
    const payload = { schedule: EVERY_SECOND, input: INPUT, metadata, webhook: receiver.url() };
    await made(t, "two", { ...payload, onRunCompleted: "keep" });
    const run = await receiver.next();
    assert.deepEqual(run.values, { foo: "cab", log: ["a", "b"] });
    assert.equal(run.metadata.mark, metadata.mark);
    const thread = await client.threads.get(run.thread_id);
    assert.deepEqual(thread.values, run.values);
    assert.equal(thread.metadata.mark, metadata.mark);
  });

  test("runs on a thread go on from each other", async (t) => {
    const receiver = await openReceiver(t);
    const thread = await newThread();
    await onThread(t, thread, "two", { schedule: EVERY_SECOND, input: { foo: "t" }, webhook: receiver.url() });
    const [first, second] = [await receiver.next(), await receiver.next()];
    assert.deepEqual([first.thread_id, second.thread_id], [thread, thread]);
    assert.deepEqual(first.values.log, ["a", "b"]);
    assert.deepEqual(second.values.log, ["a", "b", "a", "b"]);
  });

  test("a run has the context that the cron was given", async (t) => {
    const receiver = await openReceiver(t);
    const context = { user: "u", level: 3 };
    const payload = { schedule: EVERY_SECOND, input: INPUT, context, webhook: receiver.url() };
    await made(t, "ctx", { ...payload, onRunCompleted: "keep" });
    const run = await receiver.next();
    assert.deepEqual(run.values.seen_context, context);
    assert.deepEqual(run.kwargs.context, context);
  });

  test("one whose runs fail goes on", async (t) => {
    const receiver = await openReceiver(t);
    await made(t, "fail", { schedule: EVERY_SECOND, input: INPUT, webhook: receiver.url() });
    for (const run of [await receiver.next(), await receiver.next()]) {
      assert.deepEqual(run.error, { error: "ValueError", message: "boom" });
    }
  });

  test("a disabled one fires when it is enabled", async (t) => {
    const receiver = await openReceiver(t);
    const every = (path) => ({ schedule: EVERY_SECOND, input: INPUT, webhook: receiver.url(path) });
    const cron = await made(t, "two", { ...every("/disabled"), enabled: false });
    await made(t, "two", every("/other"));
    await receiver.next("/other");
    await receiver.next("/other");
    assert.equal(receiver.waiting("/disabled"), 0);
    assert.equal((await client.crons.update(cron.cron_id, { enabled: true })).enabled, true);
    assert.equal((await receiver.next("/disabled")).status, "success");
  });

  test("an update changes what it names and nothing else", async (t) => {
    const cron = await made(t, "two", { schedule: FAR, enabled: false, metadata: { a: 1 }, ...OPTIONS });
    const changes = [
      ["input", { foo: "new" }],
      ["context", { other: 1 }],
      ["webhook", "http://127.0.0.1:9999/new"],
      ["interruptBefore", "*", "interrupt_before"],
      ["interruptAfter", ["b"], "interrupt_after"],
      ...(newer
        ? [
            ["streamMode", "values", "stream_mode"],
            ["streamSubgraphs", false, "stream_subgraphs"],
            ["streamResumable", false, "stream_resumable"],
            ["durability", "exit"],
          ]
        : []),
    ];
    for (const [name, value, member = name] of changes) {
      const before = await shown(cron);
      const after = await client.crons.update(cron.cron_id, { [name]: value });
      assert.deepEqual(after.payload, { ...before.payload, [member]: value });
    }
    let after = await client.crons.update(cron.cron_id, { config: { tags: ["new"] } });
    assert.deepEqual(after.payload.config, { tags: ["new"], configurable: { cron_id: cron.cron_id } });
    after = await client.crons.update(cron.cron_id, { metadata: { b: 2 }, onRunCompleted: "keep" });
    assert.deepEqual([after.metadata, after.on_run_completed], [{ a: 1, b: 2 }, "keep"]);
    after = await client.crons.update(cron.cron_id, { schedule: "0 0 1 1 * 0 2070" });
    assert.equal(after.next_run_date, "2070-01-01T00:00:00+00:00");
    if (newer) {
      after = await client.crons.update(cron.cron_id, { timezone: "Europe/Berlin" });
      assert.equal(after.next_run_date, "2069-12-31T23:00:00+00:00");
    }
    assert.deepEqual(await shown(cron), after);
  });

  test("an end is set and taken away", async (t) => {
    const cron = await made(t, "two", { schedule: FAR, enabled: false });
    const end = "2071-01-01T00:00:00Z";
    let after = await client.crons.update(cron.cron_id, { endTime: end });
    assert.equal(Date.parse(after.end_time), Date.parse(end));
    after = await client.crons.update(cron.cron_id, { endTime: null });
    assert.equal(after.end_time, null);
  });

  test("a changed one fires as it was changed", async (t) => {
    const receiver = await openReceiver(t);
    const cron = await made(t, "two", { schedule: FAR, input: INPUT, webhook: receiver.url("/old") });
    const changes = { schedule: EVERY_SECOND, input: { foo: "new" }, webhook: receiver.url("/new") };
    await client.crons.update(cron.cron_id, { ...changes, onRunCompleted: "keep" });
    assert.equal((await receiver.next("/new")).values.foo, "newab");
    assert.equal(receiver.waiting("/old"), 0);
  });

  test("they are found and counted", async (t) => {
    const metadata = { mark: randomUUID() };
    const thread = await newThread();
    const assistant = (await client.assistants.create({ graphId: "two" })).assistant_id;
    const crons = [
      await onThread(t, thread, assistant, { schedule: "0 0 1 3 * 0 2070", metadata }),
      await onThread(t, await newThread(), assistant, { schedule: FAR, metadata: { ...metadata, n: 1 } }),
      await made(t, assistant, { schedule: "0 0 1 1 * 0 2070", metadata, enabled: false }),
    ];
    const found = async (query) =>
      (await client.crons.search({ assistantId: assistant, ...query })).map(({ cron_id: id }) =>
        crons.findIndex(({ cron_id }) => cron_id === id),
      );
    assert.deepEqual(await found(), [2, 1, 0]);
    assert.deepEqual(await found({ limit: 1, offset: 1 }), [1]);
    assert.deepEqual(await found({ enabled: false }), [2]);
    assert.deepEqual(await found({ enabled: true }), [1, 0]);
    assert.deepEqual(await found({ threadId: thread }), [0]);
    assert.deepEqual(await found({ sortBy: "next_run_date", sortOrder: "asc" }), [2, 0, 1]);
    const selected = await client.crons.search({ assistantId: assistant, select: ["schedule"], limit: 1 });
    assert.deepEqual(selected, [{ schedule: "0 0 1 1 * 0 2070" }]);
    assert.equal(await client.crons.count({ assistantId: assistant }), 3);
    assert.equal(await client.crons.count({ assistantId: assistant, threadId: thread }), 1);
    assert.equal(await client.crons.count({ threadId: nobody }), 0);
    if (newer) {
      assert.deepEqual(await found({ metadata: { n: 1 } }), [1]);
      assert.equal(await client.crons.count({ metadata }), 3);
    }
  });

  test("a deleted one is gone", async () => {
    const cron = await client.crons.create("two", { schedule: FAR });
    await client.crons.delete(cron.cron_id);
    assert.equal(await shown(cron), undefined);
    await assert.rejects(client.crons.delete(cron.cron_id), { status: 404 });
    await assert.rejects(client.crons.update(cron.cron_id, { enabled: false }), { status: 404 });
  });

  test("they go with their thread and their assistant", async () => {
    const thread = await newThread();
    const { assistant_id: assistantId } = await client.assistants.create({ graphId: "two" });
    await client.crons.createForThread(thread, assistantId, { schedule: FAR });
    await client.crons.create(assistantId, { schedule: FAR });
    await client.threads.delete(thread);
    assert.equal(await client.crons.count({ assistantId }), 1);
    await client.assistants.delete(assistantId);
    assert.equal(await client.crons.count({ assistantId }), 0);
  });

  const whole = { schedule: FAR };
  const refusals = [
    ["a bad schedule", 422, /schedule: 'bad cron'/, () => client.crons.create("two", { schedule: "bad cron" })],
    ["no schedule at all", 422, /schedule/, () => client.crons.create("two", {})],
    ["an unknown graph", 404, /Assistant 'nope' not found/, () => client.crons.create("nope", whole)],
    ["an unknown thread", 404, /Thread with ID/, () => client.crons.createForThread(nobody, "two", whole)],
    [
      "a webhook that may not be called",
      422,
      /Webhook host blocked/,
      () => client.crons.create("two", { ...whole, webhook: "ftp://example.com/x" }),
    ],
    ["an update of nothing", 400, /Request body cannot be empty/, () => client.crons.update(nobody, {})],
    ["an id that is none", 422, /Invalid cron ID/, () => client.crons.delete("nope")],
    ["a page that is too large", 422, /limit/, () => client.crons.search({ limit: 1001 })],
    ["an order by what is none", 422, /sort_by/, () => client.crons.search({ sortBy: "zzz" })],
  ];
  for (const [what, status, text, ask] of refusals) {
    // The reference answers 500 where the schedule is missing.
    test(`${what}: ${status}`, { skip: againstReference && what.startsWith("no schedule") }, async () => {
      await assert.rejects(ask(), (error) => {
        assert.equal(error.status, status);
        assert.match(error.message, text);
        return true;
      });
    });
  }

  // The reference stops firing every cron while one of them has an end, and takes one that is over.
  test("no run is made after the end", { skip: againstReference || !newer }, async (t) => {
    const receiver = await openReceiver(t);
    const end = new Date(Date.now() + 3000);
    const every = (path) => ({ schedule: EVERY_SECOND, input: INPUT, webhook: receiver.url(path) });
    await made(t, "two", { ...every("/ending"), endTime: end.toISOString() });
    await made(t, "two", every("/other"));
    assert.ok(new Date((await receiver.next("/ending")).created_at) <= end);
    await eventually(
      () => receiver.next("/other"),
      (run) => new Date(run.created_at) - end >= 3000,
    );
    while (receiver.waiting("/ending") > 0) {
      assert.ok(new Date((await receiver.next("/ending")).created_at) <= end);
    }
    const over = client.crons.create("two", { ...whole, endTime: "2020-01-01T00:00:00Z" });
    await assert.rejects(over, { status: 422 });
  });
});
