// The page of `pixtral serve`: starts its parts and holds what they share, which is the turns so far,
// the model that is served, and the answer that is being made.

import { Failure, estimate, servedModel } from "./api.js";
import { cutShort, makeAnswer } from "./asking.js";
import { chatRequest } from "./conversation.js";
import { announce, byId } from "./dom.js";
import { apiKey, openSettings, settings, startSettings } from "./settings.js";
import { AnswerView, clearTranscript, readout, showQuestion, unshow } from "./transcript.js";
import { Tray } from "./tray.js";
import { megabytes } from "./units.js";

/** Milliseconds until a server that did not answer is looked for again. */
const LOOK_AGAIN = 3000;

const question = byId("question");
const tray = new Tray({
  estimate: (pictures, budget, signal) => estimate(pictures, budget, { key: apiKey(), signal }),
  problem,
});

let turns = [];
let model = null;
/** What is said about the server until it answers, and the timer to look for it again. */
let missing = "";
let looking;
/** The AbortController of the answer that is being made. */
let running = null;

/** Shows `sentence` as what went wrong; nothing if it is empty. */
function problem(sentence) {
  const place = byId("problem");
  if (place.textContent !== sentence) place.textContent = sentence;
  place.hidden = !sentence;
}

/** Asks which model is served, again and again until the server answers. */
async function lookForModel() {
  clearTimeout(looking);
  try {
    model = await servedModel(apiKey());
    byId("model").textContent = model.id;
    tray.limitBudgets(model.image?.max_tokens);
    if (byId("problem").textContent === missing) problem("");
  } catch (failure) {
    complain(failure);
  }
}

function complain(failure) {
  problem(failure.message);
  if (!(failure instanceof Failure)) throw failure;
  if (failure.status === 401) openSettings("key");
  else if (failure.status === 0) looking = setTimeout(lookForModel, LOOK_AGAIN);
  else return;
  missing = failure.message;
}

/** Sends what is in the box and the tray. */
async function send() {
  if (!(await tray.reading)) return;
  const text = question.value.trim();
  if (running || (!text && tray.isEmpty)) return;
  const wanted = checkedSettings();
  if (!wanted) return;
  question.value = "";
  growQuestion();
  ask({ role: "user", text, pictures: tray.take() }, wanted);
}

function checkedSettings() {
  try {
    return settings();
  } catch (error) {
    if (!error.field) throw error;
    problem(error.message);
    openSettings(error.field);
    return null;
  }
}

/** Asks `turn` after the turns so far. If nothing comes of it, it goes back into the box. */
async function ask(turn, wanted) {
  problem("");
  const asked = showQuestion(turn);
  const view = new AnswerView(Boolean(wanted.schema));
  turns.push(turn);
  const mine = new AbortController();
  setRunning(mine);
  const answer = { text: "", n: 0, finish: null, usage: null, seconds: null };
  let failure = null;
  try {
    const { body, shrunk } = await chatRequest(turns, model, { ...wanted, budget: tray.useBudget() });
    mine.signal.throwIfAborted();
    if (shrunk) {
      const what = shrunk === 1 ? "A picture was" : `${shrunk} pictures were`;
      problem(`${what} made smaller: the server takes ${megabytes(model.max_body_bytes)} at once.`);
    }
    await makeAnswer(answer, view, body, { key: apiKey(), signal: mine.signal });
  } catch (error) {
    failure = error;
  }
  if (running !== mine) return; // A new conversation has begun since.
  setRunning(null);
  if (!answer.text) {
    turns.pop();
    unshow(asked);
    unshow(view.item);
    putBack(turn);
    if (failure?.name === "AbortError") announce("Stopped");
    else complain(failure ?? new Failure("The model had nothing to say. Ask in another way.", 200));
    return;
  }
  const reply = { role: "assistant", text: answer.text };
  turns.push(reply);
  const again = () => {
    const now = !running && turns.at(-1) === reply && checkedSettings();
    if (!now) return;
    turns.splice(-2);
    unshow(asked);
    unshow(view.item);
    ask(turn, now);
  };
  const note = cutShort(answer, failure, wanted);
  view.end(answer.text, { note, readout: readout(answer), again });
  announce(`${note} ${answer.text}`);
}

function putBack({ text, pictures }) {
  question.value = [text, question.value].filter(Boolean).join("\n");
  tray.giveBack(pictures);
  growQuestion();
  question.focus();
}

function setRunning(controller) {
  running = controller;
  const hadFocus = [byId("send"), byId("stop")].includes(document.activeElement);
  byId("send").hidden = Boolean(controller);
  byId("stop").hidden = !controller;
  if (hadFocus) question.focus();
}

function newConversation() {
  running?.abort();
  setRunning(null);
  turns = [];
  tray.clear();
  clearTranscript();
  problem("");
  announce("New conversation");
  question.focus();
}

function growQuestion() {
  question.style.height = "auto";
  question.style.height = `${question.scrollHeight}px`;
}

function askExample({ picture, question: text }) {
  if (running || tray.reading !== true) return;
  const file = fetch(picture)
    .then((answer) => answer.blob())
    .then((blob) => new File([blob], picture, { type: blob.type }));
  tray.add([file]);
  question.value = text;
  send();
}

function start() {
  byId("composer").addEventListener("submit", (event) => {
    event.preventDefault();
    send();
  });
  question.addEventListener("keydown", (event) => {
    // On a phone there is no other way to begin a line.
    const newLine = event.shiftKey || event.isComposing || matchMedia("(pointer: coarse)").matches;
    if (event.key !== "Enter" || newLine) return;
    event.preventDefault();
    send();
  });
  question.addEventListener("input", growQuestion);
  byId("stop").addEventListener("click", () => running?.abort());
  addEventListener("keydown", (event) => {
    if (event.key === "Escape" && !byId("settings").open) running?.abort();
  });
  byId("new").addEventListener("click", newConversation);
  for (const example of document.querySelectorAll(".example")) {
    example.addEventListener("click", () => askExample(example.dataset));
    const shown = () => (byId("examples").hidden = false);
    example.querySelector("img").decode().then(shown, () => example.remove());
  }
  startSettings(lookForModel);
  lookForModel();
}

start();
