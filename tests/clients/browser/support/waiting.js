/**
 * Waiting: always for a condition, always with a deadline.
 */

/** Every wait of this suite ends by then. */
export const DEADLINE_MS = 20_000;

/** And so does every test, which waits several times. */
export const LIMIT = { timeout: 4 * DEADLINE_MS };

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
