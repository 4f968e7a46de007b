/**
 * What agent-chat-ui does, in its order.
 */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { withPage } from "../support/browser.js";
import { Gate } from "../support/gate.js";
import { ask } from "../support/server.js";
import { LIMIT } from "../support/waiting.js";

const said = (view, ...messages) => view.shows("#messages .text", messages);

describe("agent-chat-ui", () => {
  test("open, talk, regenerate, edit, and look at each of what came of it, also after a reload", LIMIT, () => {
    const gate = new Gate();
    return withPage({ bundle: "as-installed", line: "chat", graph: "telling", gate: gate.url }, async (view) => {
      await view.shows("#reached", ["true"]);
      await view.type("input[name=said]", "one two");
      await view.click("#submit");
      await said(view, "human: one two");
      gate.open("one");
      await said(view, "human: one two", "ai: one ");
      gate.open("two");
      await said(view, "human: one two", "ai: one two");
      await view.state("idle");
      await view.showing("#threads li", (threads) => threads.includes(view.thread));

      gate.shut("two");
      await view.click("[data-type=ai] .again");
      await said(view, "human: one two", "ai: one ");
      gate.open("two");
      await said(view, "human: one two", "ai: one two");
      await view.state("idle");
      await view.shows("[data-type=ai] .branch", ["1", "2"]);

      await view.type("[data-type=human] .other", "one");
      await view.click("[data-type=human] .edit");
      await said(view, "human: one", "ai: one");
      await view.state("idle");
      await view.shows("[data-type=human] .branch", ["1", "2"]);
      await view.click("[data-type=human] .branch:not([disabled])");
      await said(view, "human: one two", "ai: one two");

      await view.reload();
      await said(view, "human: one", "ai: one");
      await view.shows("#error", [""]);

      const opened = ["GET /info", "POST /threads/search"];
      // The SDK looks whether a run has ended whose stream has.
      const run = ["POST /threads/*/runs/stream", "GET /threads/*/runs/*", "POST /threads/*/history"];
      const listed = [...run, "POST /threads/search"];
      const reopened = [...opened, "POST /threads/*/history"];
      assert.deepEqual(view.requests, [...opened, "POST /threads", ...listed, ...listed, ...listed, ...reopened]);
    });
  });

  test("a question is answered beside an empty input", LIMIT, () =>
    withPage({ bundle: "as-installed", line: "chat", graph: "hitl" }, async (view) => {
      await view.type("input[name=said]", "hello");
      await view.click("#submit");
      await view.shows("#interrupt", ['{"question":"Go on?"}']);
      await view.state("idle");
      await view.click("#accept");
      await view.shows("#interrupt", ["null"]);
      await view.state("idle");
      const { values, next } = await ask("GET", `/threads/${view.thread}/state`);
      assert.deepEqual([values, next], [{ answer: [{ type: "accept" }], log: ["asked", "after"] }, []]);
    }),
  );
});
