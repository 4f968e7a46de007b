/**
 * Events of the graph's own.
 */
import { scenario } from "../support/scenario.js";

const progress = (said) => ({ name: "progress", payload: { said } });

scenario(
  "custom channels: events arrive as they are emitted, also by their name",
  "telling",
  async ({ view, gate, say, line }) => {
    await say("one two");
    for (const [index, word] of ["one", "two"].entries()) {
      gate.open(word);
      const emitted = Array.from({ length: index + 1 }, (_, n) => JSON.stringify(progress(n + 1)));
      await view.shows("#custom li", emitted);
      if (line === "newest") await view.shows("#progress", [JSON.stringify({ said: index + 1 })]);
    }
    await view.state("idle");
  },
);
