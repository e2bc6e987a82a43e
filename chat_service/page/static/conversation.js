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
  #session = "";
  #user = "";
  #before = null;
  #isLoading = false;

  constructor() {
    this.#older.addEventListener("click", () => this.#loadOlder());
    new IntersectionObserver(([entry]) => entry.isIntersecting && this.#loadOlder(), { root: this.#box }).observe(
      this.#older,
    );
  }

  /**
   * Show the newest messages of a session.
   * @param {string} user
   * @param {string} session
   */
  async open(user, session) {
    this.clear();
    this.#user = user;
    this.#session = session;
    const page = await this.#read("");
    if (session !== this.#session) return;
    await this.#prepend(page);
    this.toEnd();
  }

  /** Show no session. */
  clear() {
    this.#session = "";
    this.#before = null;
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
    if (this.#isLoading || !this.#before) return;
    this.#isLoading = true;
    const session = this.#session;
    try {
      const page = await this.#read(`&before=${encodeURIComponent(this.#before)}`);
      if (session === this.#session) await this.#prepend(page);
    } catch (error) {
      this.#older.textContent = `Older messages (${error.message})`;
    } finally {
      this.#isLoading = false;
    }
  }

  async #read(/** @type {string} */ more) {
    const query = `user_id=${encodeURIComponent(this.#user)}&limit=${PAGE_MESSAGES}${more}`;
    return json("GET", `/sessions/${encodeURIComponent(this.#session)}/messages?${query}`);
  }

  /** Add older messages above, without moving those in view. */
  async #prepend(/** @type {any} */ page) {
    const made = page.messages.map(messageElement);
    await render(made.filter((it) => it.classList.contains("assistant")).map((it) => it.querySelector(".body")));
    const fromEnd = this.#box.scrollHeight - this.#box.scrollTop;
    this.#list.prepend(...made);
    this.#before = page.before;
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
