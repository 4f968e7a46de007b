/**
 * What the official chat UIs send, in their order: agent-chat-ui edits, regenerates and reconnects; deep-agents-ui
 * takes single steps and ends a run by hand. Sent with fetch from another origin, as browsers do: from where these UIs
 * are served while somebody develops.
 */
import { describe, test } from "node:test";
import assert from "node:assert/strict";
import { DEADLINE_MS, againstReference, server } from "../support/clients.js";

const ORIGIN = "http://localhost:3000";

async function ask(method, path, body, headers = {}) {
  const response = await fetch(`${server}${path}`, {
    method,
    headers: { origin: ORIGIN, ...(body === undefined ? {} : { "content-type": "application/json" }), ...headers },
    body: body === undefined ? undefined : JSON.stringify(body),
    signal: AbortSignal.timeout(DEADLINE_MS),
  });
  const mayRead = response.headers.get("access-control-allow-origin");
  assert.ok(mayRead === "*" || mayRead === ORIGIN, `${path}: ${mayRead}`);
  return response;
}

async function json(method, path, body) {
  const response = await ask(method, path, body);
  const text = await response.text();
  assert.ok(response.ok, `${method} ${path}: ${response.status} ${text}`);
  return JSON.parse(text);
}

/** The events of an SSE response that ends. */
async function events(response) {
  assert.equal(response.status, 200, `${response.url}: ${response.status}`);
  assert.match(response.headers.get("content-type"), /^text\/event-stream/);
  const blocks = (await response.text()).split(/\r?\n\r?\n/);
  return blocks
    .map((block) =>
      Object.fromEntries(
        block
          .split(/\r?\n/)
          .filter((line) => /^\w/.test(line))
          .map(field),
      ),
    )
    .filter(({ event }) => event !== undefined && event !== "end");
}

function field(line) {
  const colon = line.indexOf(":");
  const [name, value] = [line.slice(0, colon), line.slice(colon + 1).trim()];
  return [name, name === "data" ? JSON.parse(value) : value];
}

const submit = (input, more = {}) => ({
  assistant_id: "chat",
  input,
  stream_mode: ["values", "messages-tuple", "custom"],
  stream_subgraphs: true,
  stream_resumable: true,
  on_disconnect: "continue",
  ...more,
});

const human = (content, id) => ({ messages: [{ type: "human", content, id }] });
const contents = (values) => values.messages.map(({ content }) => content);

describe("chat UIs", { timeout: 4 * DEADLINE_MS }, () => {
  test("agent-chat-ui: open, talk, reconnect, regenerate, edit", async () => {
    assert.ok((await json("GET", "/info")).version);
    const search = { metadata: { graph_id: "chat" }, limit: 100 };
    const before = await json("POST", "/threads/search", search);

    const { thread_id: id } = await json("POST", "/threads", { metadata: {} });
    assert.deepEqual(await json("POST", `/threads/${id}/history`, { limit: 10 }), []);
    const response = await ask("POST", `/threads/${id}/runs/stream`, submit(human("hi", "h1")));
    assert.match(response.headers.get("access-control-expose-headers"), /content-location/i);
    const runId = response.headers.get("content-location").split("/").at(-1);
    const live = await events(response);
    const tokens = live.filter(({ event }) => event === "messages").map(({ data: [message] }) => message.content);
    assert.equal(tokens.slice(0, 5).join(""), "hello there world");
    assert.deepEqual(contents(live.filter(({ event }) => event === "values").at(-1).data), [
      "hi",
      "hello there world",
      "final",
    ]);

    const now = await json("POST", "/threads/search", search);
    assert.ok(now.some((thread) => thread.thread_id === id) && now.length > before.length - (before.length === 100));

    // After a reload the page asks for everything again.
    const replayed = await ask("GET", `/threads/${id}/runs/${runId}/stream`, undefined, { "last-event-id": "-1" });
    assert.deepEqual(await events(replayed), live);

    // Regenerate: once more from the checkpoint before the answer.
    const history = await json("POST", `/threads/${id}/history`, { limit: 10 });
    const answered = history.find(({ values }) => values.messages?.some((m) => m.id === "ai-1"));
    const again = submit(undefined, { checkpoint: answered.parent_checkpoint });
    const regenerated = await events(await ask("POST", `/threads/${id}/runs/stream`, again));
    const last = (some) => some.filter(({ event }) => event === "values").at(-1).data;
    assert.deepEqual(contents(last(regenerated)), ["hi", "hello there world", "final"]);

    // Edit: another question from the checkpoint before the first.
    const asked = (await json("POST", `/threads/${id}/history`, { limit: 100 })).findLast(({ values }) =>
      values.messages?.some((m) => m.id === "h1"),
    );
    const other = submit(human("edited", "h2"), { checkpoint: asked.parent_checkpoint });
    const edited = await events(await ask("POST", `/threads/${id}/runs/stream`, other));
    assert.deepEqual(contents(last(edited)), ["edited", "hello there world", "final"]);
  });

  test("deep-agents-ui: single steps, and an end by hand", async () => {
    const { thread_id: id } = await json("POST", "/threads", {});
    const step = (input) => submit(input, { interrupt_before: ["post"], interrupt_after: ["chat"] });
    await events(await ask("POST", `/threads/${id}/runs/stream`, step(human("hi", "h1"))));
    const paused = await json("GET", `/threads/${id}/state`);
    assert.deepEqual(paused.next, ["post"]);

    const end = submit(undefined, { command: { goto: "__end__", update: null } });
    const stream = await events(await ask("POST", `/threads/${id}/runs/stream`, end));
    assert.ok(stream.every(({ event }) => event !== "error"));
    const state = await json("GET", `/threads/${id}/state`);
    assert.ok(contents(state.values).includes("hello there world"));
  });

  test("Studio: a preflight from a public page to a private address", async () => {
    const response = await fetch(`${server}/threads`, {
      method: "OPTIONS",
      headers: {
        origin: "https://smith.langchain.com",
        "access-control-request-method": "POST",
        "access-control-request-headers": "content-type,x-auth-scheme",
        "access-control-request-private-network": "true",
      },
      signal: AbortSignal.timeout(DEADLINE_MS),
    });
    // The reference says yes in its headers and no in its status.
    assert.equal(response.ok, !againstReference);
    assert.match(response.headers.get("access-control-allow-methods"), /POST/);
    assert.match(response.headers.get("access-control-allow-headers"), /x-auth-scheme/i);
    assert.equal(response.headers.get("access-control-allow-private-network"), "true");
  });
});
