/**
 * A real browser: Chromium without a window, from its npm package, which carries it and the libraries that it needs.
 */
import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { after } from "node:test";
import puppeteer from "puppeteer-core";
import { closeGates } from "./gate.js";
import { closeSite } from "./site.js";
import { View } from "./view.js";
import { DEADLINE_MS } from "./waiting.js";

/** Where `run` has unpacked it. */
const unpacked = fileURLToPath(new URL("../node_modules/.chromium", import.meta.url));

const browser = await puppeteer.launch({
  executablePath: `${unpacked}/chromium`,
  env: { ...process.env, LD_LIBRARY_PATH: `${unpacked}/al2023/lib`, FONTCONFIG_PATH: `${unpacked}/fonts` },
  headless: "shell",
  // It sees nothing but the pages of this suite, and its own sandbox wants rights that a container does not give.
  args: ["--no-sandbox", "--disable-gpu"],
  // It ends with this process, however that ends.
  pipe: true,
});

after(async () => {
  await browser.close();
  closeSite();
  closeGates();
});

/** Opens the page in a browser profile of its own, shows it to `use`, and closes it in any case. */
export async function withPage(asked, use) {
  const profile = await browser.createBrowserContext();
  try {
    const tab = await profile.newPage();
    tab.setDefaultTimeout(DEADLINE_MS);
    const view = new View(tab);
    await view.open(asked);
    await use(view);
    assert.deepEqual(view.uncaught, []);
  } finally {
    await profile.close();
  }
}
