// Choosing or dropping a claims file, sending it, and asking for its check.

import { byId, setText } from "../shared/page.js";
import { codeOf, Problem } from "./api.js";
import { problemText } from "./texts.js";

/** @typedef {import("./texts.js").Texts} Texts */

/** The part of the page that takes a file. */
export class Intake {
  #api;
  #onRun;
  /** @type {Texts} */
  #text;
  /** @type {{file: File, share: number, stop: AbortController} | undefined} */
  #sending;
  /** What to say of the last attempt. @type {((text: Texts) => string) | undefined} */
  #problem;

  /**
   * @param {import("./api.js").Api} api
   * @param {Texts} text
   * @param {(run: string) => void} onRun
   */
  constructor(api, text, onRun) {
    this.#api = api;
    this.#text = text;
    this.#onRun = onRun;
    const choose = /** @type {HTMLInputElement} */ (byId("choose"));
    choose.addEventListener("change", () => {
      void this.#take(choose.files);
      // The same file may be chosen again after it was mended.
      choose.value = "";
    });
    // It looks like a button, and Enter presses buttons; browsers disagree about fields for files.
    choose.addEventListener("keydown", (event) => {
      if (event.key !== "Enter") return;
      event.preventDefault();
      choose.click();
    });
    byId("upload-stop").addEventListener("click", () => this.#sending?.stop.abort());
    addEventListener("beforeunload", (event) => this.#sending && event.preventDefault());
    this.#watchDrops();
  }

  /** The whole window takes the drop: whoever misses the frame must not lose the page to the file. */
  #watchDrops() {
    let depth = 0;
    const mark = () => byId("drop").classList.toggle("over", depth > 0);
    addEventListener("dragenter", () => (depth++, mark()));
    addEventListener("dragleave", () => (depth--, mark()));
    addEventListener("dragover", (event) => event.preventDefault());
    addEventListener("drop", (event) => {
      event.preventDefault();
      depth = 0;
      mark();
      if (!byId("drop").hidden) void this.#take(event.dataTransfer?.files);
    });
  }

  /** @param {FileList | null | undefined} files */
  async #take(files) {
    if (!files?.length || this.#sending) return;
    const file = files[0];
    if (files.length > 1) return this.#say((text) => text.oneFile);
    if (file.size === 0) return this.#say((text) => problemText(text, "file_empty"));
    const { signal } = (this.#sending = { file, share: 0, stop: new AbortController() }).stop;
    this.#problem = undefined;
    this.render(this.#text);
    byId("upload-title").focus();
    try {
      const id = await this.#api.upload(file, (share) => this.#sent(share), signal);
      if (signal.aborted) throw new Problem("stopped");
      const run = await this.#api.start(id, /** @type {HTMLInputElement} */ (byId("passes")).checked);
      this.#sending = undefined;
      this.#onRun(run);
    } catch (error) {
      const code = codeOf(error);
      this.#sending = undefined;
      this.#say(code === "stopped" ? undefined : (text) => problemText(text, code));
      byId("choose").focus();
    }
  }

  /** @param {number} share */
  #sent(share) {
    if (this.#sending) this.#sending.share = share;
    this.render(this.#text);
  }

  /** @param {((text: Texts) => string) | undefined} problem */
  #say(problem) {
    this.#problem = problem;
    this.render(this.#text);
  }

  /** @param {Texts} text */
  render(text) {
    this.#text = text;
    setText(byId("drop-text"), text.drop);
    setText(byId("drop-or"), text.or);
    setText(byId("choose-text"), text.choose);
    setText(byId("passes-text"), text.listPasses);
    byId("drop").hidden = Boolean(this.#sending);
    byId("upload").hidden = !this.#sending;
    byId("intake-problem").hidden = !this.#problem;
    setText(byId("intake-problem"), this.#problem?.(text) ?? "");
    if (!this.#sending) return;
    const { file, share } = this.#sending;
    setText(byId("upload-title"), text.uploadTitle);
    setText(byId("upload-name"), file.name);
    setText(byId("upload-stop"), text.stop);
    const state = share < 1 ? text.uploaded(text.size(share * file.size), text.size(file.size)) : text.arriving;
    setText(byId("upload-text"), state);
    setBar(byId("upload-bar"), share * 1000, `${text.percentText(share * 1000)}, ${state}`);
  }
}

/**
 * @param {HTMLElement} bar a `progressbar`
 * @param {number | undefined} permille unknown for a bar that has not begun
 * @param {string} said what a screen reader says of it
 */
export function setBar(bar, permille, said) {
  bar.style.setProperty("--done", String((permille ?? 0) / 1000));
  if (permille === undefined) bar.removeAttribute("aria-valuenow");
  else bar.setAttribute("aria-valuenow", String(Math.floor(permille / 10)));
  bar.setAttribute("aria-valuetext", said);
}
