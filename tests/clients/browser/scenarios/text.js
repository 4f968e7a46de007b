import { scenario } from "../support/scenario.js";

scenario(
  "text streaming: each word stands on the page before the next is said",
  "telling",
  async ({ view, gate, say }) => {
    await say("one two three");
    await view.messages("human: one two three");
    await view.state("busy");
    for (const [word, shown] of [
      ["one", "one "],
      ["two", "one two "],
    ]) {
      gate.open(word);
      await view.messages("human: one two three", `ai: ${shown}`);
      await view.state("busy");
    }
    gate.open("three");
    await view.messages("human: one two three", "ai: one two three");
    await view.state("idle");
    await view.shows("#error", [""]);
  },
);
