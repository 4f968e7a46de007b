/**
 * The clients under test: both lines of the official SDK side by side, each with a record of the methods called.
 *
 * The npm tag `latest` is 2.0.0, whose code is older than that of 1.15.0: people use both.
 */
import { describe } from "node:test";
import { Client as Client1 } from "langgraph-sdk-1";
import { Client as Client2 } from "langgraph-sdk-2";

export const server = process.env.SERVER ?? "http://127.0.0.1:8123";

/** What the server says while it runs. */
export const log = process.env.LOG;

/** Every wait of this suite ends by then. */
export const DEADLINE_MS = 30_000;

/** Set when the reference server is driven, whose defects some tests make allowance for. */
export const againstReference = Boolean(process.env.REFERENCE);

const VERSIONS = { "1.15.0": Client1, "2.0.0": Client2 };

/** `1.15.0 runs.wait` for every method that was called. */
export const called = new Set();

export const versions = Object.keys(VERSIONS);

/** A client of this version, whose calls are recorded. Without a key, none is taken from the environment either. */
export function connect(version, apiUrl = server, apiKey = null) {
  // A failed call is not tried again: a test would only take longer to say the same.
  const client = new VERSIONS[version]({ apiUrl, apiKey, callerOptions: { maxRetries: 0 } });
  for (const area of areas(client)) {
    client[area] = recording(client[area], `${version} ${area}`);
  }
  return client;
}

/** The parts of a client: `assistants`, `threads`, … */
export function areas(client) {
  return Object.keys(client).filter((name) => typeof client[name] === "object" && client[name] !== null);
}

/** The methods that the class of an area adds to what every area inherits. */
export function methods(version, area) {
  const plain = new VERSIONS[version]({ apiUrl: server, apiKey: null });
  const own = Object.getOwnPropertyNames(Object.getPrototypeOf(plain[area]));
  return own.filter((name) => name !== "constructor" && !name.startsWith("_"));
}

function recording(area, name) {
  return new Proxy(area, {
    get(target, method) {
      const value = Reflect.get(target, method);
      if (typeof value !== "function") return value;
      return (...given) => {
        called.add(`${name}.${String(method)}`);
        return value.apply(target, given);
      };
    },
  });
}

/** The same tests with each version. They share nothing but the server, so they may run side by side. */
export function withEachClient(name, tests) {
  for (const version of versions) {
    describe(`${name}, SDK ${version}`, { concurrency: 8, timeout: 4 * DEADLINE_MS }, () => {
      tests(connect(version), version);
    });
  }
}
