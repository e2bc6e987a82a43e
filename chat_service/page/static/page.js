/** Small helpers for the elements of the page. Text is only ever set as text. */

/**
 * The element with this id.
 * @param {string} id
 * @returns {any}
 */
export const byId = (id) => document.getElementById(id);

/**
 * A new element. A property `class`, `text` or any of the element's own; then its children.
 * @param {string} name
 * @param {object} [properties]
 * @param {...(Node|string)} children
 * @returns {any}
 */
export function element(name, { class: className = "", text, ...properties } = {}, ...children) {
  const made = Object.assign(document.createElement(name), { className, ...properties });
  if (text !== undefined) made.textContent = text;
  made.append(...children);
  return made;
}

/**
 * A button whose action does not begin again while it runs. It keeps its focus, which a disabled one would lose.
 * @param {string} text
 * @param {() => unknown} action
 * @param {{class?: string, label?: string}} [more]
 */
export function button(text, action, { class: className = "", label } = {}) {
  const made = element("button", { type: "button", class: className, text });
  if (label) made.setAttribute("aria-label", label);
  made.addEventListener("click", async () => {
    if (made.ariaDisabled) return;
    made.ariaDisabled = "true";
    try {
      await action();
    } finally {
      made.ariaDisabled = null;
    }
  });
  return made;
}

/** Have a screen reader say this. It can be seen on the page already. */
export function announce(/** @type {string} */ text) {
  say(text, false);
}

/** Show this in the status line. A screen reader says it too. */
export function notify(/** @type {string} */ text) {
  say(text, true);
}

/** The line of an open dialog is used where it has one: what is behind a dialog is neither seen nor read. */
function say(/** @type {string} */ text, /** @type {boolean} */ isShown) {
  const line = document.querySelector("dialog[open] .status") ?? byId("status");
  line.textContent = text;
  line.classList.toggle("visually-hidden", !isShown || !text);
}

/** Show the message of an error in a notice; without an error hide it. */
export function showProblem(/** @type {HTMLElement} */ notice, /** @type {Error} */ error) {
  notice.hidden = !error;
  notice.textContent = error?.message ?? "";
}

/** A time as this person's country writes it. */
export function localTime(/** @type {string} */ iso) {
  const time = new Date(iso);
  return Number.isNaN(time.valueOf()) ? iso : time.toLocaleString(undefined, { dateStyle: "medium", timeStyle: "short" });
}

/**
 * Ask before something that cannot be undone. Escape and Cancel mean no.
 * @param {string} title
 * @param {string} text
 * @param {string} yes what the button that does it says
 * @returns {Promise<boolean>}
 */
export function confirmed(title, text, yes) {
  const dialog = byId("question");
  byId("question-title").textContent = title;
  byId("question-text").textContent = text;
  byId("question-yes").textContent = yes;
  dialog.returnValue = "";
  dialog.showModal();
  byId("question-no").onclick = () => dialog.close();
  byId("question-yes").onclick = () => dialog.close("yes");
  byId("question-no").focus();
  return new Promise((resolve) => {
    dialog.onclose = () => resolve(dialog.returnValue === "yes");
  });
}
