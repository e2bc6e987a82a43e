/** The messages of the open session: the newest first, older ones as the person scrolls up. */

import { json } from "./api.js";
import { byId, element, localTime } from "./page.js";
import { render } from "./markup.js";

const PAGE_MESSAGES = 50;
/** How near to the end, in pixels, a person must be for new text to scroll the view. */
const NEAR_PX = 80;

/** The list of messages. */
export class Conversation {
  #box = byId("messages");
  #list = byId("message-list");
  #older = byId("older-messages");
  /** What is open. Each opening has its own object: what was read for an earlier one is not shown. */
  #opening = null;

  constructor() {
    this.#older.addEventListener("click", () => this.#loadOlder());
    new IntersectionObserver(([entry]) => entry.isIntersecting && this.#loadOlder(), { root: this.#box }).observe(
      this.#older,
    );
  }

  /**
   * Show the newest messages of a session, or why they cannot be read.
   * @param {string} user
   * @param {string} session
   * @returns {Promise<boolean>} whether nothing else was opened meanwhile
   */
  async open(user, session) {
    this.clear();
    const opening = { user, session, before: null, isLoading: false };
    this.#opening = opening;
    let problem = null;
    await this.#load(opening).catch((error) => (problem = error));
    if (opening !== this.#opening) return false;
    if (problem) this.#list.append(element("li", { class: "notice problem", text: problem.message }));
    this.toEnd();
    return true;
  }

  /** Show no session. */
  clear() {
    this.#opening = null;
    this.#list.replaceChildren();
    this.#older.hidden = true;
    this.#showEmpty();
  }

  /**
   * Add a message at the end.
   * @param {{role: string, content: string, timestamp?: string, turn_id?: string, stopped?: boolean}} message
   */
  append(message) {
    const made = messageElement(message);
    this.#list.append(made);
    this.#showEmpty();
    this.toEnd();
    return made;
  }

  /** Remove the messages of a turn that is shown already, because the page follows it again. */
  removeTurn(/** @type {string} */ turnId) {
    for (const shown of [...this.#list.children]) if (shown.dataset.turn === turnId) shown.remove();
  }

  /** Whether the end of the conversation is in view. */
  get isAtEnd() {
    return this.#box.scrollHeight - this.#box.scrollTop - this.#box.clientHeight < NEAR_PX;
  }

  /** Scroll to the end. */
  toEnd() {
    this.#box.scrollTop = this.#box.scrollHeight;
  }

  async #loadOlder() {
    const opening = this.#opening;
    if (!opening?.before || opening.isLoading) return;
    opening.isLoading = true;
    try {
      await this.#load(opening);
    } catch (error) {
      if (opening === this.#opening) this.#older.textContent = `Older messages (${error.message})`;
    } finally {
      opening.isLoading = false;
    }
  }

  /** Add older messages above, without moving those in view. */
  async #load(/** @type {any} */ opening) {
    const more = opening.before ? `&before=${encodeURIComponent(opening.before)}` : "";
    const query = `user_id=${encodeURIComponent(opening.user)}&limit=${PAGE_MESSAGES}${more}`;
    const page = await json("GET", `/sessions/${encodeURIComponent(opening.session)}/messages?${query}`);
    if (opening !== this.#opening) return;
    const made = page.messages.map(messageElement);
    await render(made.filter((it) => it.classList.contains("assistant")).map((it) => it.querySelector(".body")));
    if (opening !== this.#opening) return;
    const fromEnd = this.#box.scrollHeight - this.#box.scrollTop;
    // A turn that was sent during the first read is shown already, and may be among what was read.
    const shown = opening.before ? [] : [...this.#list.children].map((it) => it.dataset.turn);
    this.#list.prepend(...made.filter((it) => !it.dataset.turn || !shown.includes(it.dataset.turn)));
    opening.before = page.before;
    this.#older.hidden = !page.before;
    this.#older.textContent = "Older messages";
    this.#showEmpty();
    this.#box.scrollTop = this.#box.scrollHeight - fromEnd;
  }

  #showEmpty() {
    byId("empty").hidden = this.#list.children.length > 0;
  }
}

/** @param {any} message */
function messageElement({ role, content, timestamp, turn_id: turnId, stopped }) {
  const isUser = role === "user";
  const heading = element("h2", { text: isUser ? "You" : "Assistant" });
  if (timestamp) heading.append(` · ${localTime(timestamp)}`);
  const body = element("div", { class: "body plain", text: content });
  const made = element("li", { class: `message ${isUser ? "user" : "assistant"}` }, heading, body);
  if (turnId) made.dataset.turn = turnId;
  if (stopped) made.append(element("p", { class: "notice", text: "You stopped this reply." }));
  return made;
}
