/**
 * The server under test, asked without a page.
 */
import { DEADLINE_MS } from "./waiting.js";

export const server = process.env.SERVER ?? "http://127.0.0.1:8123";

/** What it answers, which must be a success. */
export async function ask(method, path, body) {
  const response = await fetch(`${server}${path}`, {
    method,
    headers: body === undefined ? {} : { "content-type": "application/json" },
    body: body === undefined ? undefined : JSON.stringify(body),
    signal: AbortSignal.timeout(DEADLINE_MS),
  });
  const text = await response.text();
  if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${text}`);
  return text === "" ? null : JSON.parse(text);
}
