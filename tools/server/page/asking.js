// One answer from the request to its end: what is shown while it is read, waiting for a busy server, and
// why it ends. Knows neither turns nor settings.

import { chat } from "./api.js";
import { announce } from "./dom.js";
import { count, duration } from "./units.js";

/** How often a busy server is asked again before the user is. */
const TRIES = 5;

/**
 * Sends `body` and fills `answer` as it comes, showing it in `view`: its `text`, the number `n` of pieces,
 * why it ended (`finish`), its `usage`, and the `seconds` until its first and last piece.
 */
export async function makeAnswer(answer, view, body, { key, signal }) {
  const start = performance.now();
  const elapsed = () => (performance.now() - start) / 1000;
  let doing = "Reading";
  const tick = () => view.status(`${doing}… ${duration(elapsed())}`);
  const ticking = setInterval(tick, 200);
  tick();
  announce("Reading the question");
  try {
    for await (const event of patiently(body, { key, signal }, (what) => (doing = what))) {
      if (event.doing) doing = progress(event);
      if (event.text) {
        answer.seconds ??= { first: elapsed() };
        answer.n += 1;
        answer.text += event.text;
        answer.seconds.all = elapsed();
        doing = `${count(answer.n)} tokens`;
        view.text(answer.text);
      }
      answer.finish ??= event.finish;
      answer.usage ??= event.usage;
    }
  } finally {
    clearInterval(ticking);
  }
}

function progress({ doing, done, total }) {
  if (doing === "encoding") return `Looking at the pictures, ${Math.floor((100 * done) / total)} %`;
  return `Reading ${count(done)} of ${count(total)} tokens`;
}

/** `chat`, which waits and tries again while the server is busy; `waiting` is told what it does. */
async function* patiently(body, { key, signal }, waiting) {
  for (let attempt = 1; ; attempt++) {
    try {
      yield* chat(body, { key, signal });
      return;
    } catch (failure) {
      if (failure.status !== 429 || attempt === TRIES) throw failure;
      const seconds = Math.min(Math.max(failure.retryAfter ?? 2, 1), 60);
      waiting(`The server is busy, trying again in ${duration(seconds)}`);
      announce("The server is busy. The question is asked again in a moment.");
      await pause(seconds, signal);
      waiting("Reading");
    }
  }
}

function pause(seconds, signal) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, 1000 * seconds);
    signal.addEventListener("abort", () => {
      clearTimeout(timer);
      reject(signal.reason);
    });
  });
}

/** Why an answer ends where it ends, if not by itself. */
export function cutShort(answer, failure, { maxTokens }) {
  if (failure?.name === "AbortError") return "Stopped.";
  if (failure) return failure.message;
  if (answer.finish !== "length") return "";
  return maxTokens ? `Cut short at ${count(maxTokens)} tokens, the limit in Settings.` : "Cut short: there is no room for more.";
}
