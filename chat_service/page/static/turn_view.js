/** Shows one turn while it runs: the text so far, the tool at work, and what can be done after a failure. */

import { ServiceError } from "./api.js";
import { announce, button, element, notify } from "./page.js";
import { render } from "./markup.js";
import { maySave } from "./turn.js";

const CUT = {
  length: "The model reached its limit, and the reply ends here. Ask it to go on.",
  content_filter: "A filter of the model's endpoint cut this reply off.",
};

/** The message and the reply of a turn, and its notices. */
export class TurnView {
  #notices = element("div");
  #tools = element("div");

  /**
   * @param {import("./conversation.js").Conversation} conversation
   * @param {import("./turn.js").Turn} turn
   * @param {{onChange: (isRunning: boolean) => void, onAgain: (view: TurnView) => void}} listener is told when the
   *   turn begins and ends, and when the person wants it again
   */
  constructor(conversation, turn, listener) {
    Object.assign(this, { conversation, turn, listener });
    this.question = conversation.append({ role: "user", content: turn.text });
    this.reply = conversation.append({ role: "assistant", content: "" });
    this.body = this.reply.querySelector(".body");
    this.body.before(this.#tools);
    this.reply.append(this.#notices);
  }

  /** Show an empty reply: all that was said so far comes again. */
  restart() {
    this.reply.classList.add("running");
    this.body.textContent = "";
    this.body.classList.add("plain");
    this.#tools.replaceChildren();
    this.listener.onChange(true);
  }

  /** Add a piece of the reply. */
  add(/** @type {string} */ text) {
    const wasAtEnd = this.conversation.isAtEnd;
    this.#notices.replaceChildren();
    this.body.append(text);
    if (wasAtEnd) this.conversation.toEnd();
  }

  /** Show which tool the model uses. @param {{name: string, arguments: string}} call */
  useTool({ name, arguments: given }) {
    this.#notices.replaceChildren();
    const shown = element("p", { class: "tool" }, "The model uses ", element("code", { text: name }));
    if (given && given !== "{}") shown.append(" with ", element("code", { text: given }));
    this.#tools.append(shown);
    announce(`The model uses ${name}`);
  }

  /** Say that the page tries to reach the service again. */
  reconnect(/** @type {Error} */ error) {
    this.#say(`${error.message} The page keeps trying, and nothing is lost.`);
  }

  /** Show the whole reply and what is to be said about it. */
  async finish(/** @type {any} */ done) {
    const wasAtEnd = this.conversation.isAtEnd;
    this.conversation.removeTurn(done.metadata.turn_id);
    this.question.dataset.turn = this.reply.dataset.turn = done.metadata.turn_id;
    this.body.textContent = done.reply;
    this.#end();
    this.#about(done);
    await render([this.body]);
    if (this.turn.isLeft) return;
    announce(`Reply: ${this.body.textContent}`);
    if (wasAtEnd) this.conversation.toEnd();
  }

  /** Show what went wrong and what can be done. */
  fail(/** @type {Error} */ error) {
    this.#end();
    if (error.code === "turn_not_found") {
      this.#offer("There is no stored reply to this message: it broke off.", "Ask again");
    } else if (error.code === "stopped_empty") {
      this.#offer("You stopped this before the model said anything, and it is not saved.", "Ask again");
    } else {
      this.#offer(error.message, "Try again");
    }
  }

  #end() {
    this.reply.classList.remove("running");
    this.#notices.replaceChildren();
    this.listener.onChange(false);
  }

  #about(/** @type {any} */ done) {
    const { history, stopped, finish, memory, code } = done.metadata;
    if (stopped) this.#say("You stopped this reply.");
    if (CUT[finish]) this.#say(CUT[finish]);
    if (maySave(done)) this.#offerToSave(history);
    else if (history !== "saved") this.#say(`This reply cannot be saved (${code}): copy what you need.`, true);
    else if (memory !== "ok") this.#say("Memory did not respond: this reply was made without what is remembered.");
  }

  #offerToSave(/** @type {string} */ history) {
    const save = button("Save it", async () => {
      try {
        const done = await this.turn.save();
        this.#notices.replaceChildren();
        this.#about(done);
        if (done.metadata.history === "saved") notify("Saved");
      } catch (error) {
        if (error instanceof ServiceError && error.code === "turn_not_found") {
          this.#notices.replaceChildren();
          this.#offer("The service no longer has this reply, so it cannot be saved.", "Ask again");
        } else notify(error.message);
      }
    });
    this.#say(
      history === "unknown"
        ? "It is not known whether this reply is saved: memory did not respond in time."
        : "This reply is not saved, because memory did not respond.",
      true,
      save,
    );
  }

  #offer(/** @type {string} */ text, /** @type {string} */ action) {
    this.#say(text, true, button(action, () => this.listener.onAgain(this)));
  }

  /** @param {string} text @param {boolean} [isProblem] @param {...Node} actions */
  #say(text, isProblem = false, ...actions) {
    const notice = element("div", { class: isProblem ? "notice problem" : "notice" }, element("p", { text }), ...actions);
    this.#notices.replaceChildren(...(isProblem ? [] : this.#notices.childNodes), notice);
    announce(text);
    if (this.conversation.isAtEnd) this.conversation.toEnd();
  }
}
