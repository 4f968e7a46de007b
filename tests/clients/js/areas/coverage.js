/**
 * Every public method of both clients is called by this suite, or a later issue is named for it. The methods are read
 * from the installed packages, so one that a new version brings is missed here by its name.
 */
import { test } from "node:test";
import assert from "node:assert/strict";
import { areas, called, connect, methods, versions } from "../support/clients.js";

/** By `area` or `area.method`. */
const LATER = {
  "~ui": "generative UI is not served",
};

const all = versions.flatMap((version) =>
  areas(connect(version)).flatMap((area) =>
    methods(version, area).map((method) => ({ version, area, method: `${area}.${method}` })),
  ),
);
const later = ({ area, method }) => Boolean(LATER[area] ?? LATER[method]);
const wasCalled = ({ version, method }) => called.has(`${version} ${method}`);
const named = (some) => some.map(({ version, method }) => `${version} ${method}`);

test("every public method is called or belongs to a later issue", (t) => {
  const count = (condition) => all.filter(condition).length;
  t.diagnostic(
    `client methods: ${all.length} in ${versions.length} clients, ${count(wasCalled)} called, ${count(later)} of later issues`,
  );
  assert.deepEqual(named(all.filter((m) => !later(m) && !wasCalled(m))), []);
});

test("no method of a later issue is called already", () => {
  assert.deepEqual(named(all.filter((m) => later(m) && wasCalled(m))), []);
});
