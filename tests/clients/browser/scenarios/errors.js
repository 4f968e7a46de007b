/**
 * What goes wrong, as a user sees it.
 */
import { scenario } from "../support/scenario.js";

scenario("errors: a graph that fails says why, and what it had said stays", "telling", async ({ view, gate, say }) => {
  gate.open("one");
  await say("one boom");
  await view.messages("human: one boom", "ai: one ");
  await view.shows("#error", [""]);
  gate.open("boom");
  await view.showing("#error", ([error]) => /boom$/.test(error));
  await view.state("idle");
  await view.runs("error");

  await say("one");
  await view.amongMessages("human: one", "ai: one");
  await view.shows("#error", [""]);
  await view.state("idle");
});

scenario("errors: a graph that there is not", "nobody", async ({ view, say }) => {
  await say("hello");
  await view.showing("#error", ([error]) => /nobody/.test(error));
  await view.state("idle");
});
