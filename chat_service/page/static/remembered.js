/** "What is remembered": the profile, the facts and the summary, to correct, remove, export or erase. */

import { json, send } from "./api.js";
import { button, byId, confirmed, element, localTime, notify, showProblem } from "./page.js";
import { unfinished } from "./turn.js";

/** The dialog. */
export class Remembered {
  #dialog = byId("remembered");
  #path = "";
  #session = "";
  /** How many messages the shown summary stands for. */
  #through = 0;
  /** Each opening of the panel has its own object: nothing of an earlier one is shown. */
  #opening = {};

  /** @param {() => void} onErased */
  constructor(onErased) {
    this.onErased = onErased;
    byId("close-remembered").addEventListener("click", () => this.#dialog.close());
    this.#onSubmit("profile", (form) => this.#saveProfile(form));
    this.#onSubmit("new-fact", () => this.#addFact());
    this.#onSubmit("summary", () => this.#correctSummary());
    byId("remove-summary").addEventListener("click", () => this.#try(() => this.#removeSummary()));
    byId("export").addEventListener("click", () => this.#try(() => this.#export()));
    byId("erase").addEventListener("click", () => this.#try(() => this.#erase()));
  }

  /**
   * Show what is remembered of a user, and the summary of the open session.
   * @param {string} user
   * @param {string} session
   */
  async open(user, session) {
    this.#opening = {};
    this.user = user;
    this.#session = `/sessions/${encodeURIComponent(session)}`;
    this.#path = `/users/${encodeURIComponent(user)}`;
    this.#showProfile(null);
    byId("facts").replaceChildren();
    byId("no-facts").hidden = true;
    byId("new-fact-text").value = "";
    byId("summary").hidden = true;
    byId("summary-help").textContent = "";
    notify("");
    this.#dialog.showModal();
    byId("remembered-title").focus();
    await this.#try(() => Promise.all([this.#readProfile(), this.#readFacts(), this.#readSummary()]));
  }

  async #readProfile() {
    this.#showProfile(await this.#ask("GET", `${this.#path}/profile`));
  }

  /** Show the profile. One that is not read cannot be saved: that would empty it. */
  #showProfile(/** @type {Record<string, string> | null} */ profile) {
    for (const field of byId("profile").elements) {
      field.disabled = !profile;
      if (field.name) field.value = profile?.[field.name] ?? "";
    }
  }

  async #saveProfile(/** @type {HTMLFormElement} */ form) {
    await this.#ask("PATCH", `${this.#path}/profile`, { body: Object.fromEntries(new FormData(form)) });
    notify("The profile is saved");
  }

  async #readFacts() {
    const { facts } = await this.#ask("GET", `${this.#path}/facts`);
    byId("facts").replaceChildren(...facts.map((fact) => this.#fact(fact)));
    byId("no-facts").hidden = facts.length > 0;
  }

  /** @param {{fact_id: string, text: string, created_at: string, session_id: string | null}} fact */
  #fact({ fact_id: id, text, created_at: created, session_id: session }) {
    const path = `${this.#path}/facts/${encodeURIComponent(id)}`;
    const input = element("input", { value: text });
    input.setAttribute("aria-label", `Fact: ${text}`);
    const change = () => this.#try(() => this.#changeFacts("PATCH", path, { text: input.value }, "The fact is changed"));
    const remove = () => this.#try(() => this.#changeFacts("DELETE", path, undefined, "The fact is removed"));
    const row = element(
      "div",
      { class: "row" },
      input,
      button("Change", change, { label: `Change fact: ${text}` }),
      button("Remove", remove, { label: `Remove fact: ${text}` }),
    );
    const origin = `Since ${localTime(created)}${session ? `, from session ${session}` : ""}`;
    return element("li", {}, row, element("small", { text: origin }));
  }

  async #addFact() {
    const input = byId("new-fact-text");
    await this.#changeFacts("POST", `${this.#path}/facts`, { text: input.value }, "The fact is added");
    input.value = "";
    input.focus();
  }

  /** @param {string} method @param {string} path @param {object | undefined} body @param {string} said */
  async #changeFacts(method, path, body, said) {
    await this.#ask(method, path, { body });
    await this.#readFacts();
    notify(said);
    if (!this.#dialog.contains(document.activeElement)) byId("remembered-title").focus();
  }

  async #readSummary() {
    const { summary } = await this.#ask("GET", `${this.#session}/messages${this.#query}&limit=1`);
    this.#showSummary(summary);
  }

  #showSummary(/** @type {{text: string, through: number} | null} */ summary) {
    byId("summary").hidden = !summary?.text;
    byId("summary-text").value = summary?.text ?? "";
    this.#through = summary?.through ?? 0;
    byId("summary-help").textContent = summaryHelp(summary);
  }

  async #correctSummary() {
    const body = { text: byId("summary-text").value, through: this.#through };
    this.#showSummary(await this.#ask("PUT", `${this.#session}/summary${this.#query}`, { body }));
    notify("The summary is corrected");
  }

  async #removeSummary() {
    await this.#ask("DELETE", `${this.#session}/summary${this.#query}`);
    this.#showSummary({ text: "", through: this.#through });
    notify("The summary is removed");
    byId("remembered-title").focus();
  }

  get #query() {
    return `?user_id=${encodeURIComponent(this.user)}`;
  }

  async #export() {
    const { user } = this;
    const response = await send("GET", `${this.#path}/export`);
    const address = URL.createObjectURL(await response.blob());
    element("a", { href: address, download: `${user}.json` }).click();
    URL.revokeObjectURL(address);
    notify("The export is saved as a file");
  }

  async #erase() {
    const { user } = this;
    const text = `All that is kept of ${user} goes for good: the profile, all facts, and all sessions with their \
messages and summaries. Export it first if you want to keep it.`;
    if (!(await confirmed("Erase everything?", text, "Erase everything"))) return;
    await json("DELETE", this.#path);
    unfinished.forgetUser(user);
    if (user !== this.user) return;
    this.#dialog.close();
    this.onErased();
    notify("Everything is erased");
  }

  /**
   * Send a request and return the JSON of its response. If the panel was opened again meanwhile, its action ends here.
   * @param {string} method @param {string} path @param {{body?: object}} [more]
   */
  async #ask(method, path, more) {
    const opening = this.#opening;
    const found = await json(method, path, more);
    if (opening !== this.#opening) throw new Error("The panel was opened again.");
    return found;
  }

  /** @param {string} id @param {(form: HTMLFormElement) => Promise<void>} action */
  #onSubmit(id, action) {
    byId(id).addEventListener("submit", (/** @type {SubmitEvent} */ event) => {
      event.preventDefault();
      void this.#try(() => action(byId(id)));
    });
  }

  /** Do this and show what goes wrong, unless the panel was opened again meanwhile. */
  async #try(/** @type {() => Promise<unknown>} */ action) {
    const opening = this.#opening;
    showProblem(byId("remembered-problem"), null);
    notify("");
    try {
      await action();
    } catch (error) {
      if (opening === this.#opening) showProblem(byId("remembered-problem"), error);
    }
  }
}

/** What the summary stands for. @param {{text: string, through: number} | null} summary */
function summaryHelp(summary) {
  if (!summary) return "There is none: all messages of the session are given to the model as they are.";
  const old = `the first ${summary.through} messages`;
  return summary.text
    ? `The model gets it in place of ${old}, and the newest messages word for word. It goes with the session.`
    : `It was removed: the model gets no summary of ${old}. They stay in the session until you delete it.`;
}
