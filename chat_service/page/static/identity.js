/** Who the person is: a name they say, or with identity on the user of their token. */

import { json, token } from "./api.js";
import { byId, showProblem } from "./page.js";

const USER = "chat.user";

/**
 * The user of this page. Asks if it is not known, or if a token is no longer valid.
 * @param {boolean} [again] ask in any case
 * @param {string} [given] the token that the person gave then; it is kept once it is accepted
 * @returns {Promise<{id: string, name: string} | null>} null if the person was asked again and changes nothing
 */
export async function whoIsIt(again = false, given = undefined) {
  let problem = null;
  let identity = "on";
  try {
    const who = await json("GET", "/whoami", { bearer: given });
    if (given) token.set(given);
    identity = who.identity;
    const known = identity === "on" ? who.user_id : localStorage.getItem(USER);
    if (known && (given || !again)) return { id: known, name: who.name ?? known };
  } catch (error) {
    if (error.status !== 401 || given || token.get()) problem = error;
    if (error.status !== 401) identity = "unknown";
    else if (!given) token.forget();
  }
  return ask(identity, problem, again, given);
}

/**
 * Ask for what is missing: a token, a name, or, if the service did not say which, only whether to try again.
 * @param {string} identity
 * @param {Error | null} problem
 * @param {boolean} again whether the person wanted to be asked, and may cancel
 * @param {string} [given] the token to try again
 */
async function ask(identity, problem, again, given) {
  const dialog = byId("identity");
  const input = byId("identity-value");
  const isOn = identity === "on";
  const isUnknown = identity === "unknown";
  byId("identity-label").textContent = isOn ? "Token" : "Name";
  byId("identity-help").textContent = isOn
    ? "Paste a token of your issuer. This tab keeps it until it is closed."
    : "Your sessions are kept under this name. Anybody who says the same name sees them.";
  byId("identity-help").hidden = byId("identity-field").hidden = input.disabled = isUnknown;
  byId("identity-yes").textContent = isUnknown ? "Try again" : "Go on";
  input.type = isOn ? "password" : "text";
  input.pattern = isOn ? "[ -~]*" : ".*"; // a header takes nothing else
  input.value = "";
  showProblem(byId("identity-problem"), problem);
  byId("identity-no").hidden = !again;
  dialog.showModal();
  const value = await new Promise((resolve) => {
    byId("identity-form").onsubmit = (/** @type {SubmitEvent} */ event) => {
      event.preventDefault();
      if (isUnknown || input.value.trim()) resolve(input.value.trim());
    };
    byId("identity-no").onclick = () => resolve(null);
    dialog.oncancel = (/** @type {Event} */ event) => {
      event.preventDefault();
      if (again) resolve(null);
    };
    // Chromium closes a dialog at a further Escape, whatever the page says.
    dialog.onclose = () => (again ? resolve(null) : dialog.showModal());
  });
  dialog.onclose = null;
  dialog.close();
  if (value === null) return null;
  if (isUnknown) return whoIsIt(again, given);
  if (isOn) return whoIsIt(again, value);
  localStorage.setItem(USER, value.replaceAll(/\s+/g, "-"));
  return whoIsIt();
}
