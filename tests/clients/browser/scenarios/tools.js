/**
 * Tools that an agent calls.
 */
import { scenario } from "../support/scenario.js";
import { eventually } from "../support/waiting.js";

const asked = (gate) => `use knock ${JSON.stringify({ gate: gate.url })}`;

scenario(
  "tool calls: a call is seen while its tool works, and then what it gave",
  "toolbox",
  async ({ view, gate, line }) => {
    await view.submit({ messages: [{ type: "human", content: asked(gate) }] });
    const [working, finished] = line === "classic" ? ["pending", "completed"] : ["running", "finished"];
    await view.shows("#tool-calls li", [`knock ${working} `]);
    await eventually(
      () => gate.held,
      (held) => held.includes("knock"),
    );
    if (line === "classic") await view.shows("#tool-events li", ["knock starting"]);
    await view.state("busy");

    gate.open("knock", "come in");
    await view.shows("#tool-calls li", [`knock ${finished} come in`]);
    await view.messages(`human: ${asked(gate)}`, "ai: ", "tool: come in", "ai: The answer is come in.");
    await view.state("idle");
    if (line === "classic") await view.shows("#tool-events li", ["knock completed"]);
  },
);

scenario("tool calls: what a tool that failed said", "toolbox", async ({ view, line }) => {
  await view.submit({ messages: [{ type: "human", content: 'use knock {"gate": "http://127.0.0.1:1/"}' }] });
  // The React package takes whatever message answers a call for its result.
  const failed = line === "classic" ? "knock error Error: EgressDenied" : "knock finished Error: EgressDenied";
  await view.showing("#tool-calls li", ([call]) => call?.startsWith(failed));
  await view.state("idle");
  await view.shows("#error", [""]);
});
