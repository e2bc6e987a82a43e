/** "What is remembered": the profile, the facts and the summary, to correct, remove, export or erase. */

import { json, send } from "./api.js";
import { announce, button, byId, confirmed, element, localTime, showProblem } from "./page.js";

/** The dialog. */
export class Remembered {
  #dialog = byId("remembered");
  #path = "";

  /** @param {() => void} onErased */
  constructor(onErased) {
    this.onErased = onErased;
    byId("close-remembered").addEventListener("click", () => this.#dialog.close());
    this.#onSubmit("profile", (form) => this.#saveProfile(form));
    this.#onSubmit("new-fact", () => this.#addFact());
    byId("export").addEventListener("click", () => this.#try(() => this.#export()));
    byId("erase").addEventListener("click", () => this.#try(() => this.#erase()));
  }

  /**
   * Show what is remembered of a user.
   * @param {string} user
   * @param {{text: string, through: number} | null} summary of the open session
   */
  async open(user, summary) {
    this.user = user;
    this.#path = `/users/${encodeURIComponent(user)}`;
    byId("summary").textContent = summary
      ? `${summary.text}\n\n(It stands for the first ${summary.through} messages, and goes with the session.)`
      : "There is none: all messages of the session are given to the model as they are.";
    this.#dialog.showModal();
    byId("remembered-title").focus();
    await this.#try(() => Promise.all([this.#showProfile(), this.#showFacts()]));
  }

  async #showProfile() {
    const profile = await json("GET", `${this.#path}/profile`);
    for (const input of byId("profile").querySelectorAll("input")) input.value = profile[input.name] ?? "";
  }

  async #saveProfile(/** @type {HTMLFormElement} */ form) {
    await json("PATCH", `${this.#path}/profile`, { body: Object.fromEntries(new FormData(form)) });
    announce("The profile is saved");
  }

  async #showFacts() {
    const { facts } = await json("GET", `${this.#path}/facts`);
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
    await json(method, path, { body });
    await this.#showFacts();
    announce(said);
    if (!this.#dialog.contains(document.activeElement)) byId("remembered-title").focus();
  }

  async #export() {
    const response = await send("GET", `${this.#path}/export`);
    const address = URL.createObjectURL(await response.blob());
    element("a", { href: address, download: `${this.user}.json` }).click();
    URL.revokeObjectURL(address);
    announce("The export is saved as a file");
  }

  async #erase() {
    const text = `All that is kept of ${this.user} goes for good: the profile, all facts, and all sessions with their \
messages and summaries. Export it first if you want to keep it.`;
    if (!(await confirmed("Erase everything?", text, "Erase everything"))) return;
    await json("DELETE", this.#path);
    this.#dialog.close();
    announce("Everything is erased");
    this.onErased();
  }

  /** @param {string} id @param {(form: HTMLFormElement) => Promise<void>} action */
  #onSubmit(id, action) {
    byId(id).addEventListener("submit", (/** @type {SubmitEvent} */ event) => {
      event.preventDefault();
      void this.#try(() => action(byId(id)));
    });
  }

  async #try(/** @type {() => Promise<unknown>} */ action) {
    showProblem(byId("remembered-problem"), null);
    try {
      await action();
    } catch (error) {
      showProblem(byId("remembered-problem"), error);
    }
  }
}
