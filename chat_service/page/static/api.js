/** Requests to the chat service, and the errors that they end with. */

const TOKEN = "chat.token";
/** How long a stream may be silent, in milliseconds. The service sends a comment every 15 seconds. */
const SILENCE_MS = 40_000;

/** An error response: `code` for programs, `message` for people. */
export class ServiceError extends Error {
  /**
   * @param {number} status
   * @param {{code?: string, detail?: unknown}} body
   */
  constructor(status, body) {
    const detail = Array.isArray(body.detail) ? body.detail.map((field) => field.msg).join("; ") : body.detail;
    super(typeof detail === "string" ? detail : `The service responded with status ${status}: try again.`);
    this.status = status;
    this.code = body.code ?? "";
  }
}

/** No response, or one that broke off: the service may have done what was asked. */
export class ConnectionLost extends Error {
  constructor() {
    super("The service does not respond: try again when it is reachable.");
  }
}

/** The token of this tab, with identity on. It is kept until the tab is closed, and no longer. */
export const token = {
  get: () => sessionStorage.getItem(TOKEN),
  set: (/** @type {string} */ value) => sessionStorage.setItem(TOKEN, value),
  forget: () => sessionStorage.removeItem(TOKEN),
};

/**
 * Send a request and return its response.
 * @param {string} method
 * @param {string} path below the page's own address, so that it also works behind a proxy with a prefix
 * @param {{body?: object, key?: string, signal?: AbortSignal, bearer?: string}} [more] `bearer`: another token than
 *   that of this tab
 * @throws {ServiceError | ConnectionLost}
 */
export async function send(method, path, { body, key, signal, bearer = token.get() } = {}) {
  const headers = new Headers({ Accept: "application/json" });
  if (body) headers.set("Content-Type", "application/json");
  if (key) headers.set("Idempotency-Key", key);
  if (bearer) headers.set("Authorization", `Bearer ${bearer}`);
  let response;
  try {
    response = await fetch(`.${path}`, { method, headers, signal, body: body && JSON.stringify(body) });
  } catch {
    throw new ConnectionLost();
  }
  if (!response.ok) throw new ServiceError(response.status, await response.json().catch(() => ({})));
  return response;
}

/**
 * Send a request and return the JSON of its response.
 * @param {string} method
 * @param {string} path
 * @param {{body?: object, key?: string, bearer?: string}} [more]
 * @throws {ServiceError | ConnectionLost}
 */
export async function json(method, path, more) {
  const response = await send(method, path, more);
  try {
    return response.status === 204 ? null : await response.json();
  } catch {
    throw new ConnectionLost();
  }
}

/**
 * The events of a streamed response, as `{name, data}`. Throws ConnectionLost if it breaks off before `done` or `error`.
 * @param {string} path
 * @param {object} body
 * @param {string} key
 * @param {AbortSignal} signal
 */
export async function* events(path, body, key, signal) {
  const silence = new AbortController();
  let timer = setTimeout(() => silence.abort(), SILENCE_MS);
  const response = await send("POST", path, { body, key, signal: AbortSignal.any([signal, silence.signal]) });
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  try {
    while (true) {
      const { done, value } = await reader.read();
      if (done) break;
      clearTimeout(timer);
      timer = setTimeout(() => silence.abort(), SILENCE_MS);
      const blocks = (text + value).split("\n\n");
      text = blocks.pop();
      for (const block of blocks) {
        const event = parsed(block);
        if (event) yield event;
        if (event?.name === "done" || event?.name === "error") return;
      }
    }
  } catch (error) {
    if (!(error instanceof DOMException || error instanceof TypeError)) throw error;
  } finally {
    clearTimeout(timer);
    reader.cancel().catch(() => {});
  }
  throw new ConnectionLost();
}

/** One event of a stream; null for a comment. */
function parsed(/** @type {string} */ block) {
  const fields = Object.fromEntries(
    block.split("\n").map((line) => [line.slice(0, line.indexOf(":")), line.slice(line.indexOf(":") + 1).trim()]),
  );
  return fields.event ? { name: fields.event, data: JSON.parse(fields.data) } : null;
}

/** A random id for a session or a request. (`crypto.randomUUID` is missing on plain HTTP.) */
export function newId() {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}
