// The conversation as it is shown: questions with their pictures, answers as they grow, and below
// each answer what it took. Is told what to show and knows neither requests nor settings.

import { byId, element } from "./dom.js";
import { code, showMarkdown } from "./markdown.js";
import { count, duration, tokens } from "./units.js";

const transcript = byId("transcript");

/** Whether the reader is at the end of the page, which then stays in sight as the page grows. */
let atEnd = false;
/** Where it was scrolled to. */
let place = 0;

function toEnd() {
  const page = document.documentElement;
  page.scrollTop = page.scrollHeight;
  place = page.scrollTop;
}

addEventListener("scroll", () => {
  const { scrollHeight, clientHeight, scrollTop } = document.documentElement;
  const left = scrollHeight - clientHeight - scrollTop;
  // It may have grown by now: only who goes up leaves the end.
  atEnd = scrollTop < place ? left < 2 : atEnd || left < 48;
  place = scrollTop;
});
new ResizeObserver(() => atEnd && toEnd()).observe(document.body);

function show(item) {
  transcript.append(item);
  byId("empty").hidden = true;
  atEnd = true;
  toEnd();
  return item;
}

export function clearTranscript() {
  transcript.replaceChildren();
  byId("empty").hidden = false;
}

/** Takes what `showQuestion` or an `AnswerView` has shown back off the page. */
export function unshow(item) {
  item.remove();
  byId("empty").hidden = transcript.children.length > 0;
}

export function showQuestion({ text, pictures }) {
  const images = pictures.map(({ url, name }) => element("img", { src: url, alt: name }));
  const item = element("li", { className: "question" }, element("h2", { className: "unseen" }, "You"));
  if (images.length) item.append(element("div", { className: "pictures" }, ...images));
  if (text) item.append(element("p", {}, text));
  return show(item);
}

export class AnswerView {
  #text = element("div", { className: "text" });
  #status = element("p", { className: "status" });
  #isJson;
  #shown = "";
  #frame = 0;

  /** An answer that is not there yet; `isJson` if it will be JSON. */
  constructor(isJson) {
    this.#isJson = isJson;
    this.item = element("li", { className: "answer" }, element("h2", { className: "unseen" }, "Answer"));
    this.item.append(this.#text, this.#status);
    this.item.setAttribute("aria-busy", "true");
    show(this.item);
  }

  /** Says `text` in the line below the answer while it is made. */
  status(text) {
    this.#status.textContent = text;
  }

  /** Shows `text` as the whole answer so far, at the next frame. */
  text(text) {
    this.#shown = text;
    this.#frame ||= requestAnimationFrame(() => this.#draw());
  }

  #draw() {
    this.#frame = 0;
    if (this.#isJson) this.#text.replaceChildren(code(this.#shown));
    else showMarkdown(this.#text, this.#shown);
  }

  /**
   * The answer is complete, or as complete as it will be. `note` says why it is cut short, `readout`
   * is what it took, `again` asks the same question again.
   */
  end(text, { note, readout, again }) {
    this.#shown = this.#isJson ? indented(text) : text;
    this.#draw();
    this.item.removeAttribute("aria-busy");
    const copy = element("button", { type: "button", className: "link" }, "Copy");
    copy.addEventListener("click", () => this.#copy(text, copy));
    const repeat = element("button", { type: "button", className: "link again" }, "Ask again");
    repeat.addEventListener("click", again);
    if (note) this.#status.before(element("p", { className: "cut" }, note));
    this.#status.replaceChildren(copy, repeat, element("span", {}, readout));
  }

  async #copy(text, button) {
    try {
      await navigator.clipboard.writeText(text);
      button.textContent = "Copied";
    } catch {
      // Browsers offer no clipboard to pages over plain HTTP from other machines.
      getSelection().selectAllChildren(this.#text);
      button.textContent = "Selected: copy it with Ctrl+C";
    }
    setTimeout(() => (button.textContent = "Copy"), 3000);
  }
}

function indented(text) {
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
}

/**
 * What an answer took, in words. `seconds` has `first` (until the first token) and `all`; `n` are
 * tokens counted as they came, for answers whose usage is not known since they were stopped.
 */
export function readout({ usage, n, seconds }) {
  const parts = [];
  if (usage) {
    const known = usage.prompt_tokens_details?.cached_tokens;
    parts.push(`${tokens(usage.prompt_tokens)} read${known ? ` (${count(known)} known before)` : ""}`);
  }
  parts.push(`first token after ${duration(seconds.first)}`);
  const made = usage?.completion_tokens ?? n;
  // The server's own clock knows more: several tokens may arrive at once.
  const generating = usage?.timings ? usage.timings.decode_ms / 1000 : seconds.all - seconds.first;
  const rate = (made - 1) / generating;
  parts.push(`${tokens(made)}${rate > 0 && rate < Infinity ? ` at ${rate < 100 ? rate.toFixed(1) : count(Math.round(rate))} a second` : ""}`);
  return parts.join(" · ");
}
