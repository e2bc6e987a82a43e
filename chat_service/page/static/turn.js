/** One turn: sent with its own key, and asked for again with the same key until its outcome is known. */

import { ConnectionLost, ServiceError, events, json, newId } from "./api.js";

const FIRST_PAUSE_MS = 500;
const LONGEST_PAUSE_MS = 5_000;
/** Errors after which the same request may be sent again by the page itself: memory does not respond for a moment. */
const PASSING = new Set(["turn_not_known", "stopping"]);
/** Codes of memory's refusals, and of a reply that it would refuse: such a turn can never be saved. */
const REFUSED = new Set(["not_owner", "session_deleted", "history_too_large", "reply_too_long"]);

/**
 * The turns of this browser that have no final outcome yet, one for each session. All tabs see them, so that a reload
 * or a second tab can ask again with the same key.
 */
export const unfinished = {
  /** @param {string} user @param {string} session */
  name: (user, session) => `chat.turn/${user}/${session}`,
  /** @param {string} user @param {string} session @returns {{key: string, text: string} | null} */
  get: (user, session) => JSON.parse(localStorage.getItem(unfinished.name(user, session)) ?? "null"),
  /** @param {Turn} turn */
  keep: ({ user, session, key, text }) => {
    try {
      localStorage.setItem(unfinished.name(user, session), JSON.stringify({ key, text }));
    } catch {
      // The storage is full: the turn runs all the same, but a reload does not ask for it again.
    }
  },
  /** Forget this turn, but not a newer one of its session. @param {Turn} turn */
  forget: (turn) => {
    const { user, session, key } = turn;
    if (unfinished.get(user, session)?.key === key) unfinished.forgetSession(user, session);
  },
  /** @param {string} user @param {string} session */
  forgetSession: (user, session) => localStorage.removeItem(unfinished.name(user, session)),
  /** @param {string} user */
  forgetUser: (user) => {
    const names = Object.keys(localStorage).filter((name) => name.startsWith(unfinished.name(user, "")));
    for (const name of names) localStorage.removeItem(name);
  },
};

/** A message and its reply. What happens is reported to a view. */
export class Turn {
  #left = new AbortController();

  /**
   * @param {string} user
   * @param {string} session
   * @param {string} text
   * @param {string} [key] of a turn that was sent before
   */
  constructor(user, session, text, key) {
    Object.assign(this, { user, session, text, key: key ?? newId() });
  }

  /** Send the message. @param {TurnView} view */
  async run(view) {
    unfinished.keep(this);
    await this.#follow(view, false);
  }

  /** Get the reply of a message that was sent before; the model is not asked again. @param {TurnView} view */
  async resume(view) {
    await this.#follow(view, true);
  }

  /** End the model. What it has said so far stays; the stream reports it. */
  async stop() {
    await json("POST", "/chat/stop", { key: this.key, body: { user_id: this.user, session_id: this.session } });
  }

  /** Save a reply that could not be saved. @returns the whole response */
  async save() {
    const done = await json("POST", "/chat/?resume=true", { key: this.key, body: this.#body });
    this.#conclude(done);
    return done;
  }

  /** Read no more of the reply. The turn goes on in the service, and can be resumed. */
  leave() {
    this.#left.abort();
  }

  /** Whether somebody still looks at the turn. */
  get isLeft() {
    return this.#left.signal.aborted;
  }

  get #body() {
    return { user_id: this.user, text: this.text, metadata: { session_id: this.session } };
  }

  /**
   * Read the turn's events until its outcome is known. After a lost connection ask again, which never runs it twice.
   * @param {TurnView} view
   * @param {boolean} isResumed
   */
  async #follow(view, isResumed) {
    for (let pause = FIRST_PAUSE_MS; !this.isLeft; pause = Math.min(2 * pause, LONGEST_PAUSE_MS)) {
      view.restart();
      try {
        await this.#read(view, isResumed ? "/chat/stream?resume=true" : "/chat/stream");
        return;
      } catch (error) {
        if (this.isLeft) return;
        const mayPass = error instanceof ConnectionLost || PASSING.has(error.code);
        if (!mayPass) {
          if (REFUSED.has(error.code)) unfinished.forget(this);
          view.fail(error);
          return;
        }
        isResumed = true;
        view.reconnect(error);
        await new Promise((resolve) => setTimeout(resolve, pause));
      }
    }
  }

  /** @param {TurnView} view @param {string} path */
  async #read(view, path) {
    for await (const { name, data } of events(path, this.#body, this.key, this.#left.signal)) {
      if (this.isLeft) return;
      if (name === "delta") view.add(data.text);
      if (name === "tool") view.useTool(data);
      if (name === "error") throw new ServiceError(0, data);
      if (name === "done") {
        this.#conclude(data);
        await view.finish(data);
      }
    }
  }

  /** A turn that is not saved stays unfinished, so that it can be saved after a reload too. */
  #conclude(/** @type {any} */ done) {
    if (done.metadata.history === "saved" || !maySave(done)) unfinished.forget(this);
  }
}

/** Whether a reply that is not saved can be saved later. Memory may have refused it, whether or not it works otherwise. */
export function maySave(/** @type {any} */ done) {
  const { history, memory, code } = done.metadata;
  return history !== "saved" && memory === "unavailable" && !REFUSED.has(code);
}
