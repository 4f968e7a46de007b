/**
 * Pages that are loaded again while a run goes on.
 */
import { scenario } from "../support/scenario.js";

scenario(
  "reconnect after a reload: what was said before stands there, and the rest follows",
  "telling",
  async ({ view, gate, say }) => {
    await say("one two three");
    gate.open("one");
    await view.messages("human: one two three", "ai: one ");
    await view.reload();
    await view.messages("human: one two three", "ai: one ");
    await view.state("busy");
    gate.open("two");
    await view.messages("human: one two three", "ai: one two ");
    await view.reload();
    await view.messages("human: one two three", "ai: one two ");
    gate.open("three");
    await view.messages("human: one two three", "ai: one two three");
    await view.state("idle");
    await view.runs("success");
  },
);

scenario(
  "reconnect after a reload: a run that ended meanwhile is shown whole",
  "telling",
  async ({ view, gate, say }) => {
    await say("one two three");
    gate.open("one");
    await view.messages("human: one two three", "ai: one ");
    await view.leave();
    gate.open("two");
    gate.open("three");
    await view.runs("success");
    await view.back();
    await view.messages("human: one two three", "ai: one two three");
    await view.state("idle");

    // And the conversation goes on.
    await say("one");
    await view.messages("human: one two three", "ai: one two three", "human: one", "ai: one");
    await view.state("idle");
  },
);
