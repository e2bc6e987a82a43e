/** Who the person is: a name they say, or with identity on the user of their token. */

import { json, token } from "./api.js";
import { byId, showProblem } from "./page.js";

const USER = "chat.user";

/**
 * The user of this page. Asks if it is not known, or if a token is no longer valid.
 * @param {boolean} [again] ask in any case
 * @returns {Promise<{id: string, name: string} | null>} null if the person was asked again and changes nothing
 */
export async function whoIsIt(again = false) {
  let problem = null;
  let isOn = true;
  try {
    const who = await json("GET", "/whoami");
    isOn = who.identity === "on";
    const known = isOn ? who.user_id : localStorage.getItem(USER);
    if (known && !again) return { id: known, name: who.name ?? known };
  } catch (error) {
    if (error.status !== 401 || token.get()) problem = error;
    isOn = error.status === 401;
    token.forget();
  }
  return ask(isOn, problem, again);
}

/** @param {boolean} isOn @param {Error | null} problem @param {boolean} mayCancel */
async function ask(isOn, problem, mayCancel) {
  const dialog = byId("identity");
  const input = byId("identity-value");
  byId("identity-label").textContent = isOn ? "Token" : "Name";
  byId("identity-help").textContent = isOn
    ? "Paste a token of your issuer. This tab keeps it until it is closed."
    : "Your sessions are kept under this name. Anybody who says the same name sees them.";
  input.type = isOn ? "password" : "text";
  input.value = "";
  showProblem(byId("identity-problem"), problem);
  byId("identity-no").hidden = !mayCancel;
  dialog.showModal();
  const value = await new Promise((resolve) => {
    byId("identity-form").onsubmit = (/** @type {SubmitEvent} */ event) => {
      event.preventDefault();
      if (input.value.trim()) resolve(input.value.trim());
    };
    byId("identity-no").onclick = () => resolve(null);
    dialog.oncancel = (/** @type {Event} */ event) => {
      event.preventDefault();
      if (mayCancel) resolve(null);
    };
  });
  dialog.close();
  if (value === null) return null;
  if (isOn) token.set(value);
  else localStorage.setItem(USER, value.replaceAll(/\s+/g, "-"));
  return whoIsIt();
}
