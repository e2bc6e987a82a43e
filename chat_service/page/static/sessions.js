/** The list of a person's sessions, the one with the latest activity first. */

import { json } from "./api.js";
import { button, byId, confirmed, element, localTime, showProblem } from "./page.js";
import { unfinished } from "./turn.js";

/** The list beside the messages. */
export class Sessions {
  #list = byId("session-list");
  #more = byId("more-sessions");
  #user = "";
  #current = "";
  #before = null;
  #damaged = 0;

  /**
   * @param {(session: string) => void} open shows a session
   * @param {() => void} begin shows an empty one
   */
  constructor(open, begin) {
    Object.assign(this, { open, begin });
    this.#more.addEventListener("click", () => this.#load());
  }

  /** Read the list again. @param {string} user */
  async refresh(user) {
    if (user !== this.#user) {
      this.#list.replaceChildren();
      this.#more.hidden = true;
    }
    this.#user = user;
    this.#before = null;
    await this.#load();
  }

  /** Mark the session that is shown. */
  mark(/** @type {string} */ session) {
    this.#current = session;
    for (const item of this.#list.children) {
      item.firstChild.setAttribute("aria-current", String(item.dataset.session === session));
    }
  }

  async #load() {
    const user = this.#user;
    const more = this.#before ? `&before=${encodeURIComponent(this.#before)}` : "";
    try {
      const page = await json("GET", `/users/${encodeURIComponent(user)}/sessions?limit=20${more}`);
      if (user !== this.#user) return;
      const made = page.sessions.map((session) => this.#item(session));
      if (more) this.#list.append(...made);
      else this.#list.replaceChildren(...made);
      this.#damaged = (more ? this.#damaged : 0) + (page.damaged?.length ?? 0);
      this.#before = page.before;
      this.#more.hidden = !page.before;
      this.mark(this.#current);
      showProblem(byId("session-notice"), this.#damaged ? unreadable(this.#damaged) : null);
    } catch (error) {
      if (user === this.#user) showProblem(byId("session-notice"), error);
    }
  }

  /** @param {{session_id: string, title: string, messages: number, updated_at: string}} session */
  #item({ session_id: id, title, messages, updated_at: updated }) {
    const name = title || "Session without messages";
    const open = button("", () => this.open(id));
    open.append(
      element("span", { text: name }),
      element("small", { text: `${messages} messages · ${localTime(updated)}` }),
    );
    const item = element("li", {}, open);
    item.dataset.session = id;
    item.append(button("✕", () => this.#delete(item, name, messages), { label: `Delete session: ${name}` }));
    return item;
  }

  async #delete(/** @type {HTMLElement} */ item, /** @type {string} */ name, /** @type {number} */ messages) {
    const id = item.dataset.session;
    const user = this.#user;
    const text = `“${name}” with its ${messages} messages and its summary goes for good.`;
    if (!(await confirmed("Delete this session?", text, "Delete"))) return;
    try {
      await json("DELETE", `/sessions/${encodeURIComponent(id)}?user_id=${encodeURIComponent(user)}`);
    } catch (error) {
      if (user === this.#user) showProblem(byId("session-notice"), error);
      return;
    }
    unfinished.forgetSession(user, id);
    item.remove();
    if (id === this.#current) this.begin();
    else byId("new-session").focus();
  }
}

function unreadable(/** @type {number} */ count) {
  return new Error(`Sessions that cannot be read: ${count}. Report it to whoever runs this service.`);
}
