/**
 * Gates at which graphs wait until a scenario has seen what it wants to see.
 */
import { createServer } from "node:http";
import { once } from "node:events";

const gates = new Map();

const listener = createServer((request, response) => {
  const { pathname, searchParams } = new URL(request.url, "http://gate");
  request.resume();
  gates.get(pathname).arrive(searchParams.get("at"), response);
});
listener.listen(0, "127.0.0.1");
await once(listener, "listening");

/** A gate that is shut: graphs wait at each of its places until that is opened. */
export class Gate {
  #held = new Map();
  #opened = new Map();

  constructor() {
    this.path = `/${gates.size}`;
    this.url = `http://127.0.0.1:${listener.address().port}${this.path}`;
    gates.set(this.path, this);
  }

  /** Lets through whoever waits at a place or comes there, who is told `answer`. */
  open(place, answer = "") {
    this.#opened.set(place, answer);
    this.#held.get(place)?.forEach((response) => response.end(answer));
    this.#held.delete(place);
  }

  /** Shuts a place again. */
  shut(place) {
    this.#opened.delete(place);
  }

  /** The places where somebody waits. */
  get held() {
    return [...this.#held.keys()];
  }

  arrive(place, response) {
    if (this.#opened.has(place)) return response.end(this.#opened.get(place));
    this.#held.set(place, [...(this.#held.get(place) ?? []), response]);
  }
}

export function closeGates() {
  listener.closeAllConnections();
  listener.close();
}
