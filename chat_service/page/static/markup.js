/** Shows the Markdown of replies. The service renders it into HTML with a list of allowed elements and no images. */

import { json } from "./api.js";
import { button, element, notify } from "./page.js";

/** How many characters one request may hold; the service refuses more than 64,000. */
const BATCH_CHARS = 60_000;

/**
 * Replace the text of these elements by its rendered form. What cannot be rendered now stays as plain text.
 * @param {HTMLElement[]} bodies
 */
export async function render(bodies) {
  for (const batch of batches(bodies)) {
    const texts = batch.map((body) => body.textContent);
    const { html } = await json("POST", "/render", { body: { texts } }).catch(() => ({ html: [] }));
    batch.forEach((body, index) => show(body, html[index]));
  }
}

/** @param {HTMLElement[]} bodies */
function batches(bodies) {
  const found = [];
  let length = Infinity;
  for (const body of bodies) {
    const added = body.textContent.length;
    if (added > BATCH_CHARS) continue;
    length += added;
    if (length > BATCH_CHARS) {
      found.push([]);
      length = added;
    }
    found.at(-1).push(body);
  }
  return found;
}

/**
 * The only place where HTML becomes part of the page.
 * @param {HTMLElement} body
 * @param {string | null | undefined} html
 */
function show(body, html) {
  if (!html) return;
  body.innerHTML = html;
  body.classList.remove("plain");
  for (const code of body.querySelectorAll("pre")) {
    code.tabIndex = 0;
    const frame = element("div", { class: "code" });
    code.replaceWith(frame);
    frame.append(code, button("Copy code", () => copy(code.textContent)));
  }
}

/** Put the text into the clipboard. */
async function copy(/** @type {string} */ text) {
  try {
    await navigator.clipboard.writeText(text);
    notify("Copied");
  } catch {
    notify("The browser does not allow to copy: select the text instead.");
  }
}
