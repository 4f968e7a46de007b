/**
 * What a user sees of the page, and does with it. Every look waits until there is what is looked for.
 */
import { isDeepStrictEqual } from "node:util";
import { ask, server } from "./server.js";
import { site } from "./site.js";
import { eventually } from "./waiting.js";

export class View {
  #tab;
  #thread = null;
  #said = [];
  /** What the page did not expect. */
  uncaught = [];
  /** What the page has asked of the server: method and path. */
  requests = [];

  constructor(tab) {
    this.#tab = tab;
    tab.on("request", (request) => this.#note(request));
    tab.on("pageerror", (error) => this.uncaught.push(error.message));
    tab.on("console", (message) => this.#said.push(`${message.type()}: ${message.text()}`));
  }

  async open({ bundle, ...asked }) {
    await this.#tab.goto(`${site}${bundle}/?${new URLSearchParams({ server, ...asked })}`);
    await this.#tab.waitForSelector("#form");
  }

  async reload() {
    await this.#tab.reload();
    await this.#tab.waitForSelector("#form");
  }

  /** Goes away from the page, and comes back. */
  async leave() {
    this.#thread = this.thread;
    await this.#tab.goto("about:blank");
  }

  async back() {
    await this.#tab.goBack();
    await this.#tab.waitForSelector("#form");
  }

  /** Holds back what the page asks of the server, until the function that this gives is called; which says how much. */
  async holdRequests() {
    const held = [];
    let holds = true;
    await this.#tab.setRequestInterception(true);
    this.#tab.on("request", (request) => (holds ? held.push(request) : request.continue()));
    return async () => {
      holds = false;
      await Promise.all(held.map((request) => request.continue()));
      return held.length;
    };
  }

  /** The thread, as the address of the page has it. */
  get thread() {
    return (this.#thread = new URL(this.#tab.url()).searchParams.get("thread") ?? this.#thread);
  }

  /** Waits until the thread's runs have these statuses, the oldest first. */
  runs(...statuses) {
    return eventually(
      async () => (await ask("GET", `/threads/${this.thread}/runs`)).map(({ status }) => status).reverse(),
      (seen) => isDeepStrictEqual(seen, statuses),
    );
  }

  /** The namespaces of the graphs inside that are shown. */
  graphs() {
    return this.#tab.$$eval("#graphs li", (items) => items.map((item) => item.dataset.namespace));
  }

  texts(selector) {
    return this.#tab.$$eval(selector, (elements) => elements.map((element) => element.textContent));
  }

  /** Waits until these messages stand next to each other. */
  amongMessages(...wanted) {
    return this.showing("#messages li", (shown) => `\n${shown.join("\n")}\n`.includes(`\n${wanted.join("\n")}\n`));
  }

  /** Waits until the texts of all elements are these. */
  shows(selector, wanted) {
    return this.#until(
      () => this.texts(selector),
      (texts) => JSON.stringify(texts) === JSON.stringify(wanted),
      wanted,
    );
  }

  /** Waits until the texts of all elements satisfy a condition. */
  showing(selector, condition) {
    return this.#until(() => this.texts(selector), condition, condition.toString());
  }

  messages(...wanted) {
    return this.shows("#messages li", wanted);
  }

  state(wanted) {
    return this.shows("#state", [wanted]);
  }

  /** Waits until the state that is shown has these members. */
  values(wanted) {
    const has = ([shown]) => {
      const values = JSON.parse(shown) ?? {};
      return Object.entries(wanted).every(([name, value]) => isDeepStrictEqual(values[name], value));
    };
    return this.#until(() => this.texts("#values"), has, wanted);
  }

  async submit(input, options = {}) {
    await this.#fill("textarea[name=input]", JSON.stringify(input));
    await this.#fill("textarea[name=options]", JSON.stringify(options));
    await this.click("#submit");
  }

  /** Waits until these are the questions; they may have been asked in any order. */
  asks(...questions) {
    const wanted = questions.map((question) => JSON.stringify(question)).sort();
    const same = (texts) => JSON.stringify(texts.toSorted()) === JSON.stringify(wanted);
    return this.#until(() => this.texts("#questions .asked"), same, wanted);
  }

  /** Types an answer to the first such question. */
  async answer(question, text) {
    await this.type(`${await this.#item(question)} input`, text);
  }

  /** Types an answer to the first such question, and sends it alone. */
  async answerAlone(question, text) {
    const item = await this.#item(question);
    await this.type(`${item} input`, text);
    await this.click(`${item} button`);
  }

  /** By the element, since its place may change while a mouse is on its way. */
  click(selector) {
    return this.#tab.$eval(selector, (element) => element.click());
  }

  type(selector, text) {
    return this.#tab.type(selector, text);
  }

  async #item(question) {
    const asked = await this.texts("#questions .asked");
    return `#questions li:nth-child(${asked.indexOf(JSON.stringify(question)) + 1})`;
  }

  #fill(selector, text) {
    return this.#tab.$eval(selector, (element, value) => (element.value = value), text);
  }

  #note(request) {
    const { origin, pathname } = new URL(request.url());
    if (origin !== server || request.method() === "OPTIONS") return;
    this.requests.push(`${request.method()} ${pathname.replaceAll(/[0-9a-f-]{36}/g, "*")}`);
  }

  async #until(ask, condition, wanted) {
    try {
      return await eventually(ask, condition);
    } catch {
      const body = await this.#tab.$eval("main", (main) => main.innerHTML);
      const told = { wanted, body, said: this.#said, uncaught: this.uncaught };
      throw new Error(`never shown:\n${JSON.stringify(told, null, 2)}`);
    }
  }
}
