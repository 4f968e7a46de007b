/**
 * Questions that graphs ask, and answers that are typed into the page.
 */
import assert from "node:assert/strict";
import { scenario } from "../support/scenario.js";
import { ask } from "../support/server.js";

/** Nothing is asked any more, and the page and the server agree on where the conversation came to. */
async function ended(view, values) {
  await view.asks();
  await view.values(values);
  await view.state("idle");
  const state = await ask("GET", `/threads/${view.thread}/state`);
  assert.deepEqual([state.values, state.next], [values, []]);
}

const GO_ON = { question: "Go on?" };

scenario("interrupts: one question is answered", "hitl", async ({ view }) => {
  await view.submit({});
  await view.asks(GO_ON);
  await view.state("idle");
  await view.answerAlone(GO_ON, "yes");
  await ended(view, { answer: "yes", log: ["asked", "after"] });
});

scenario("interrupts: a question is there after a reload, and its answer after another", "hitl", async ({ view }) => {
  await view.submit({});
  await view.asks(GO_ON);
  await view.reload();
  await view.asks(GO_ON);
  await view.answerAlone(GO_ON, "later");
  const values = { answer: "later", log: ["asked", "after"] };
  await ended(view, values);
  await view.reload();
  await ended(view, values);
});

const BOTH = { log: ["left: L", "right: R", "after"] };

scenario("interrupts: two questions of one step are answered together", "both", async ({ view }) => {
  await view.submit({});
  await view.asks("left", "right");
  await view.state("idle");
  await view.answer("left", "L");
  await view.answer("right", "R");
  await view.click("#answer-all");
  await ended(view, BOTH);
});

scenario("interrupts: two questions of one step are answered one after the other", "both", async ({ view }) => {
  await view.submit({});
  await view.asks("left", "right");
  await view.state("idle");
  await view.answerAlone("right", "R");
  await view.runs("success", "success");
  await view.asks("left");
  await view.state("idle");
  await view.answerAlone("left", "L");
  await ended(view, BOTH);
});

const OK = { question: "ok?" };

scenario("interrupts: a question three graphs down", "nested", async ({ view }) => {
  await view.submit({ foo: "x" }, { streamSubgraphs: true });
  await view.asks(OK);
  await view.state("idle");
  await view.answerAlone(OK, "Y");
  await ended(view, { foo: "xamiYb", log: ["a", "a", "m", "a", "m", "i", "asked", "b"] });
});

scenario("interrupts: questions of two graphs in one step", "wide", async ({ view }) => {
  await view.submit({}, { streamSubgraphs: true });
  await view.asks("ok?", "ok?");
  await view.state("idle");
  await view.answerAlone("ok?", "first");
  await view.runs("success", "success");
  await view.asks("ok?");
  await view.state("idle");
  await view.answerAlone("ok?", "second");
  await view.asks();
  await view.showing("#values", ([shown]) => JSON.parse(shown).log?.at(-1) === "after");
  await view.state("idle");
  const { values } = await ask("GET", `/threads/${view.thread}/state`);
  assert.deepEqual(values.log.toSorted(), ["after", "first", "second"]);
});
