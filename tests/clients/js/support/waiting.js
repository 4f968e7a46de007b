/**
 * Waiting for what a server does in its own time: always for a condition, always with a deadline.
 */
import { DEADLINE_MS } from "./clients.js";

const POLL_MS = 30;

/** Asks again until the answer satisfies `condition`. */
export async function eventually(ask, condition) {
  const deadline = Date.now() + DEADLINE_MS;
  for (;;) {
    const answer = await ask();
    if (condition(answer)) return answer;
    if (Date.now() > deadline) throw new Error(`never true: ${condition}; last seen ${JSON.stringify(answer)}`);
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
}

/** The run, once it has this status. */
export function runWith(status, client, run) {
  return eventually(
    () => client.runs.get(run.thread_id, run.run_id),
    (seen) => seen.status === status,
  );
}

/** All events of a stream that ends. */
export async function collect(stream) {
  const events = [];
  for await (const event of stream) events.push(event);
  return events;
}

/** The events of a stream that does not end, up to the first one that satisfies `condition`. */
export async function collectUntil(stream, condition) {
  const events = [];
  for await (const event of stream) {
    events.push(event);
    if (condition(event)) return events;
  }
  throw new Error(`the stream ended after ${JSON.stringify(events)}`);
}

/** The data of the events with this name. */
export function dataOf(events, name) {
  return events.filter(({ event }) => event === name).map(({ data }) => data);
}
