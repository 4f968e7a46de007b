/**
 * Six graphs beside each other inside one.
 */
import assert from "node:assert/strict";
import { scenario } from "../support/scenario.js";
import { ask } from "../support/server.js";
import { eventually } from "../support/waiting.js";

const NUMBERS = [1, 2, 3, 4, 5, 6];

scenario(
  "subgraph fan-out of six: each is seen for itself while all of them work",
  "six",
  async ({ view, gate, line }) => {
    await view.submit({ gate: gate.url }, { streamSubgraphs: true });
    await eventually(
      () => gate.held.length,
      (held) => held === 6,
    );
    await view.state("busy");
    if (line === "newest") await view.shows("#graphs .status", Array(6).fill("running"));

    // The last one first: none waits for another.
    for (const number of NUMBERS.toReversed()) {
      gate.open(`search-${number}`);
      const found = NUMBERS.filter((n) => n >= number).map((n) => `found ${n}`);
      if (line === "newest") await view.showing("#graphs .said", (said) => found.every((text) => said.includes(text)));
      else await view.showing("#messages li", (said) => found.every((text) => said.includes(`ai: ${text}`)));
      if (number > 1) await view.state("busy");
    }
    await view.state("idle");
    await view.messages(...NUMBERS.map((number) => `ai: found ${number}`));
    await view.values({ found: NUMBERS });
    if (line === "newest") await view.shows("#graphs .status", Array(6).fill("complete"));

    const namespaces = await view.graphs();
    assert.equal(new Set(namespaces).size, 6);
    assert.ok(
      namespaces.every((namespace) => /^search:[0-9a-f-]{36}$/.test(namespace)),
      `${namespaces}`,
    );
    const state = await ask("GET", `/threads/${view.thread}/state`);
    assert.deepEqual(state.values.found, NUMBERS);
  },
);
