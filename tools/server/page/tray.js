// The pictures of a conversation: adding them by choosing, dropping or pasting, removing those that are
// not sent yet, and the slider of the token budget, with what reading will cost.

import { announce, byId, element } from "./dom.js";
import { forgetPicture, readPicture } from "./pictures.js";
import { about, count, tokens } from "./units.js";

/** Budgets to choose from, in tokens a picture. After the last comes none: as many as the picture has. */
const BUDGETS = [64, 128, 256, 512, 1024, 2048];

const list = byId("tray");
const slider = byId("budget");

export class Tray {
  /** True, or while files are read a promise whether all are pictures. */
  reading = true;
  /** Pictures that wait for the next question. */
  #pictures = [];
  /** Pictures of earlier questions, and the budget at which they were read. */
  #sent = [];
  #sentAt;
  #budgets = BUDGETS;
  #estimating = new AbortController();
  #estimate;
  #problem;

  /** `estimate(pictures, budget, signal)` asks the server; `problem(sentence)` shows what went wrong. */
  constructor({ estimate, problem }) {
    this.#estimate = estimate;
    this.#problem = problem;
    this.limitBudgets(Infinity);
    slider.addEventListener("input", () => {
      localStorage["pixtral.budget"] = this.#budget;
      this.#askCost();
    });
    byId("choose").addEventListener("click", () => byId("files").click());
    byId("files").addEventListener("change", (event) => {
      this.add([...event.target.files]);
      event.target.value = "";
    });
    document.addEventListener("paste", (event) => this.#take(event, event.clipboardData));
    this.#listenToDrops();
  }

  /** Offers only budgets that make a difference to a picture of at most `largest` tokens. */
  limitBudgets(largest) {
    this.#budgets = BUDGETS.filter((budget) => !(budget >= largest));
    slider.max = this.#budgets.length;
    const chosen = this.#budgets.indexOf(Number(localStorage["pixtral.budget"]));
    slider.value = chosen < 0 ? slider.max : chosen;
    this.#askCost();
  }

  get #budget() {
    return this.#budgets[slider.valueAsNumber];
  }

  get isEmpty() {
    return !this.#pictures.length;
  }

  /** Adds the pictures in `files` (or promises of them), in their order. */
  async add(files) {
    const mine = (this.reading = this.#add(files, this.reading));
    await mine;
    if (this.reading === mine) this.reading = true;
  }

  async #add(files, before) {
    const read = await Promise.allSettled(files.map(async (file) => readPicture(await file)));
    await before;
    const added = read.flatMap(({ value }) => value ?? []);
    this.put([...this.#pictures, ...added]);
    this.#problem(read.flatMap(({ reason }) => reason?.message ?? []).join(" "));
    if (added.length) announce(`Added: ${added.map(({ name }) => name).join(", ")}`);
    byId("question").focus();
    return added.length === files.length;
  }

  /** Puts `pictures` in place of those here. */
  put(pictures) {
    this.#pictures = pictures;
    list.replaceChildren(...pictures.map((picture) => this.#thumbnail(picture)));
    list.hidden = this.isEmpty;
    byId("cost").hidden = this.isEmpty && !this.#sent.length;
    this.#askCost();
  }

  /** Empties the tray and returns what was in it, which is then part of the conversation. */
  take() {
    const taken = this.#pictures;
    this.#sent.push(...taken);
    this.put([]);
    return taken;
  }

  /** Puts `pictures` that were taken before those here. */
  giveBack(pictures) {
    this.#sent = this.#sent.filter((picture) => !pictures.includes(picture));
    this.put([...pictures, ...this.#pictures]);
  }

  /** Tokens that each picture may take in the request that is made now; undefined without a limit. */
  useBudget() {
    this.#sentAt = this.#budget;
    this.#askCost();
    return this.#budget;
  }

  /** Forgets all pictures. */
  clear() {
    [...this.#sent, ...this.#pictures].forEach(forgetPicture);
    this.#sent = [];
    this.put([]);
  }

  #thumbnail(picture) {
    const { name, url, width, height } = picture;
    const size = `${name}, ${width} × ${height}`;
    const remove = element("button", { type: "button", title: "Remove" }, "×");
    remove.setAttribute("aria-label", `Remove ${name}`);
    remove.addEventListener("click", () => {
      const at = this.#pictures.indexOf(picture);
      forgetPicture(picture);
      this.put(this.#pictures.toSpliced(at, 1));
      // The keyboard goes to the next picture, not back to the top of the page.
      ((list.children[at] ?? list.lastChild)?.querySelector("button") ?? byId("question")).focus();
      announce(`${name} removed`);
    });
    return element("li", {}, element("img", { src: url, alt: size, title: size }), remove);
  }

  async #askCost() {
    this.#estimating.abort();
    this.#estimating = new AbortController();
    const { signal } = this.#estimating;
    this.#showCost(null);
    // At another budget, earlier pictures will have to be read again.
    const again = this.#budget === this.#sentAt ? [] : this.#sent;
    const toRead = [...again, ...this.#pictures];
    if (!toRead.length) return;
    try {
      const cost = await this.#estimate(toRead, this.#budget, signal);
      if (!signal.aborted) this.#showCost(cost);
    } catch (error) {
      if (error.name !== "AbortError") throw error;
    }
  }

  #showCost(cost) {
    const parts = [this.#budget ? `at most ${count(this.#budget)} a picture` : "full"];
    if (cost) {
      parts.push(tokens(cost.image_tokens.reduce((sum, n) => sum + n, 0)));
      if (typeof cost.seconds === "number") parts.push(about(cost.seconds));
    }
    const text = parts.join(" · ");
    byId("cost").querySelector("output").textContent = text;
    slider.setAttribute("aria-valuetext", text);
  }

  #take(event, data) {
    const files = [...(data?.files ?? [])];
    if (!files.length) return;
    event.preventDefault();
    this.add(files);
  }

  #listenToDrops() {
    const overlay = byId("drop");
    const hasFiles = (event) => event.dataTransfer?.types.includes("Files");
    addEventListener("dragover", (event) => {
      if (!hasFiles(event)) return;
      event.preventDefault();
      overlay.hidden = false;
    });
    addEventListener("dragleave", (event) => {
      if (!event.relatedTarget) overlay.hidden = true;
    });
    addEventListener("drop", (event) => {
      overlay.hidden = true;
      if (hasFiles(event)) this.#take(event, event.dataTransfer);
    });
  }
}
