/**
 * Runs that a user stops.
 */
import { scenario } from "../support/scenario.js";

scenario("cancel: the run ends on the server, and the page can go on", "telling", async ({ view, gate, say }) => {
  await say("one two three");
  gate.open("one");
  await view.messages("human: one two three", "ai: one ");
  await view.click("#stop");
  await view.state("idle");
  await view.runs("interrupted");
  await view.shows("#error", [""]);

  await say("one");
  await view.amongMessages("human: one", "ai: one");
  await view.state("idle");
  await view.runs("interrupted", "success");
});
