/** The chat page: who is there, which session is open, and the turn that runs in it. */

import { newId } from "./api.js";
import { Conversation } from "./conversation.js";
import { whoIsIt } from "./identity.js";
import { announce, byId, notify } from "./page.js";
import { Remembered } from "./remembered.js";
import { Sessions } from "./sessions.js";
import { Turn, unfinished } from "./turn.js";
import { TurnView } from "./turn_view.js";

const text = byId("text");
const conversation = new Conversation();
const sessions = new Sessions(openSession, begin);
const remembered = new Remembered(begin);
let user = { id: "", name: "" };
let session = "";
/** @type {Turn | null} */
let running = null;
let isBusy = false;

/** Show a session, and go on with its turn that has no outcome yet. */
async function openSession(/** @type {string} */ id) {
  leave();
  session = id;
  location.hash = encodeURIComponent(id);
  sessions.mark(id);
  showSessions(false);
  text.focus();
  if (await conversation.open(user.id, id)) resume();
}

/** Show an empty session. It is stored with its first message. */
function begin() {
  leave();
  session = newId();
  history.replaceState(null, "", location.pathname);
  conversation.clear();
  sessions.mark(session);
  showSessions(false);
  void sessions.refresh(user.id);
  text.focus();
}

function leave() {
  running?.leave();
  running = null;
  setBusy(false);
  announce("");
}

/** Ask again for the turn of this session that another tab, or this one before a reload, has begun. */
function resume() {
  const known = unfinished.get(user.id, session);
  if (!known || known.key === running?.key) return;
  running?.leave();
  running = new Turn(user.id, session, known.text, known.key);
  void running.resume(view(running));
}

function submit() {
  const message = text.value;
  if (isBusy || !message.trim()) return;
  text.value = "";
  location.hash = encodeURIComponent(session);
  running = new Turn(user.id, session, message);
  announce("Sent");
  void running.run(view(running));
}

/** @param {Turn} turn */
function view(turn) {
  const onChange = (/** @type {boolean} */ isRunning) => {
    if (turn !== running) return;
    setBusy(isRunning);
    if (!isRunning) void sessions.refresh(user.id);
  };
  const onAgain = (/** @type {TurnView} */ shown) => {
    if (isBusy || turn.isLeft) return;
    running = turn;
    void turn.run(shown);
  };
  return new TurnView(conversation, turn, { onChange, onAgain });
}

async function stop() {
  try {
    await running?.stop();
  } catch (error) {
    if (!["stopped_empty", "turn_not_running"].includes(error.code)) notify(error.message);
  }
}

function setBusy(/** @type {boolean} */ isRunning) {
  const hadFocus = document.activeElement === byId("stop");
  isBusy = isRunning;
  byId("messages").setAttribute("aria-busy", String(isRunning));
  byId("send").hidden = isRunning;
  byId("stop").hidden = !isRunning;
  if (hadFocus) text.focus();
}

function showSessions(/** @type {boolean} */ isShown) {
  byId("sessions").classList.toggle("open", isShown);
  byId("show-sessions").setAttribute("aria-expanded", String(isShown));
}

/** The session in the address. One that cannot be decoded is none: no id has a percent sign. */
function namedSession() {
  try {
    return decodeURIComponent(location.hash.slice(1));
  } catch {
    return "";
  }
}

async function start(again = false) {
  const known = await whoIsIt(again);
  if (known === null) return;
  user = known;
  text.disabled = false;
  byId("user").textContent = user.name;
  const named = namedSession();
  if (named && !again) {
    void sessions.refresh(user.id);
    await openSession(named);
  } else begin();
}

byId("composer").addEventListener("submit", (/** @type {SubmitEvent} */ event) => {
  event.preventDefault();
  submit();
});
text.addEventListener("keydown", (/** @type {KeyboardEvent} */ event) => {
  if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  submit();
});
document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape" || document.querySelector("dialog[open]")) return;
  if (byId("sessions").classList.contains("open")) {
    showSessions(false);
    byId("show-sessions").focus();
  } else if (isBusy) void stop();
});
byId("stop").addEventListener("click", stop);
byId("new-session").addEventListener("click", begin);
byId("show-sessions").addEventListener("click", () => showSessions(!byId("sessions").classList.contains("open")));
byId("show-remembered").addEventListener("click", () => remembered.open(user.id, session));
byId("show-identity").addEventListener("click", () => start(true));
window.addEventListener("hashchange", () => {
  const named = namedSession();
  if (named && named !== session) void openSession(named);
});
window.addEventListener("storage", (event) => {
  if (event.newValue && event.key === unfinished.name(user.id, session)) resume();
});

void start();
