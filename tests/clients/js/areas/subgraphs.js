/**
 * Graphs inside graphs: what streams show of them, their state and history, changes of it, and answers from the top.
 */
import { test } from "node:test";
import assert from "node:assert/strict";
import { withEachClient } from "../support/clients.js";
import { collect } from "../support/waiting.js";

const INPUT = { input: { foo: "x" } };
const DONE = { foo: "xamiYb", log: ["a", "a", "m", "a", "m", "i", "ask", "b"] };

/** `mid:1|leaf:2` as `mid|leaf`. */
const nodes = (namespace) =>
  namespace
    .split("|")
    .map((place) => place.split(":")[0])
    .join("|");

const inside = ({ tasks: [{ state }] }) => state;

withEachClient("graphs inside graphs", (client) => {
  const newThread = async () => (await client.threads.create()).thread_id;

  /** A thread whose innermost graph asks, and the states of the three. */
  async function asked() {
    const id = await newThread();
    await client.runs.wait(id, "nested", INPUT);
    const state = await client.threads.getState(id, undefined, { subgraphs: true });
    return { id, state, mid: inside(state), leaf: inside(inside(state)) };
  }

  test("a stream shows them to whoever asks", async () => {
    const states = async (streamSubgraphs) => {
      const options = { ...INPUT, streamMode: "values", streamSubgraphs };
      const events = await collect(client.runs.stream(await newThread(), "nested", options));
      const shown = events.filter(({ event }) => event.startsWith("values"));
      return shown.map(({ event, data }) => [nodes(event.slice("values|".length)), data.foo]);
    };
    const outside = [
      ["", "x"],
      ["", "xa"],
      ["", "xa"],
    ];
    assert.deepEqual(await states(false), outside);
    const all = await states(true);
    assert.deepEqual(
      all.filter(([place]) => place === ""),
      outside,
    );
    assert.deepEqual(
      all.filter(([place]) => place === "mid|leaf").map(([, foo]) => foo),
      ["xam", "xami", "xami"],
    );
  });

  test("each has a state and a history of its own", async () => {
    const { id, state, mid, leaf } = await asked();
    const all = [state, mid, leaf];
    assert.deepEqual(
      all.map(({ values, next }) => [values.foo, ...next]),
      [
        ["xa", "mid"],
        ["xam", "leaf"],
        ["xami", "ask"],
      ],
    );
    const ids = all.map(({ checkpoint }) => checkpoint.checkpoint_id);
    assert.deepEqual(Object.values(leaf.checkpoint.checkpoint_map), ids);
    const found = await client.threads.getState(id, leaf.checkpoint);
    assert.deepEqual([found.values, found.checkpoint], [leaf.values, leaf.checkpoint]);
    const { checkpoint_ns } = leaf.checkpoint;
    const history = await client.threads.getHistory(id, { checkpoint: { checkpoint_ns } });
    assert.deepEqual(
      history.map(({ values }) => values.foo),
      ["xami", "xam", undefined],
    );
  });

  test("a deep question is answered at the top, by its id or by itself", async () => {
    for (const answer of [(question) => ({ [question]: "Y" }), () => "Y"]) {
      const { id, state } = await asked();
      const resume = answer(state.interrupts[0].id);
      assert.deepEqual(await client.runs.wait(id, "nested", { command: { resume } }), DONE);
    }
  });

  test("the state of one is changed before it goes on", async () => {
    const { id, leaf } = await asked();
    const change = { values: { foo: "new " }, asNode: "i", checkpoint: leaf.checkpoint };
    const changed = await client.threads.updateState(id, change);
    assert.equal(changed.configurable.checkpoint_ns, leaf.checkpoint.checkpoint_ns);
    const state = await client.threads.getState(id, undefined, { subgraphs: true });
    assert.equal(inside(inside(state)).values.foo, "new ");
    const { foo } = await client.runs.wait(id, "nested", { command: { resume: "Y" } });
    assert.equal(foo, "new Yb");
  });

  test("an earlier checkpoint asks anew", async () => {
    const { id, state } = await asked();
    await client.runs.wait(id, "nested", { command: { resume: "Y" } });
    await client.runs.wait(id, "nested", { checkpointId: state.checkpoint.checkpoint_id });
    const { foo } = await client.runs.wait(id, "nested", { command: { resume: "Z" } });
    assert.equal(foo, "xamiZb");
  });

  test("they are described and drawn", async () => {
    const [{ assistant_id: id }] = await client.assistants.search({ graphId: "nested", limit: 1 });
    assert.deepEqual(Object.keys(await client.assistants.getSubgraphs(id)), ["mid"]);
    const deep = await client.assistants.getSubgraphs(id, { recurse: true });
    assert.deepEqual(Object.keys(deep).sort(), ["mid", "mid|leaf"]);
    const drawn = async (xray) => (await client.assistants.getGraph(id, { xray })).nodes.map((node) => node.id).sort();
    assert.deepEqual(await drawn(1), ["__end__", "__start__", "a", "b", "mid:leaf", "mid:m"]);
    assert.deepEqual(await drawn(true), ["__end__", "__start__", "a", "b", "mid:leaf:ask", "mid:leaf:i", "mid:m"]);
  });
});
