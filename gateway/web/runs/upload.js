// Takes a claims file that is chosen or dropped, sends it, and requests its check.

import { byId, setText } from "../shared/look/page.js";
import { codeOf, Problem, problemText } from "./api.js";

/** @typedef {import("../languages/all.js").Texts["runs"]} Texts */

/** The part of the page that takes a file. */
export class Intake {
  #api;
  #onRun;
  /** @type {Texts} */
  #text;
  /** @type {{file: File, share: number, stop: AbortController} | undefined} */
  #sending;
  /**
   * The problem of the last attempt, as text in a language.
   * @type {((text: Texts) => string) | undefined}
   */
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
      void this._handle(choose.files);
      // Without this the same file could not be chosen again after it was corrected.
      choose.value = "";
    });
    // The field looks like a button, so Enter must press it. Browsers disagree about file fields.
    choose.addEventListener("keydown", (event) => {
      if (event.key !== "Enter") return;
      event.preventDefault();
      choose.click();
    });
    byId("upload-stop").addEventListener("click", () => this.#sending?.stop.abort());
    addEventListener("beforeunload", (event) => this.#sending && event.preventDefault());
    this._watchDrops();
  }

  /**
   * The whole window takes the drop: the browser would replace the page by a file dropped beside
   * the frame.
   */
  _watchDrops() {
    let depth = 0;
    const mark = () => byId("drop").classList.toggle("over", depth > 0);
    addEventListener("dragenter", () => (depth++, mark()));
    addEventListener("dragleave", () => (depth--, mark()));
    addEventListener("dragover", (event) => event.preventDefault());
    addEventListener("drop", (event) => {
      event.preventDefault();
      depth = 0;
      mark();
      if (!byId("drop").hidden) void this._handle(event.dataTransfer?.files);
    });
  }

  /** @param {FileList | null | undefined} files */
  async _handle(files) {
    if (!files?.length || this.#sending) return;
    const file = files[0];
    if (files.length > 1) return this._setProblem((text) => text.oneFile);
    if (file.size === 0) return this._setProblem((text) => problemText(text, "file_empty"));
    const { signal } = (this.#sending = { file, share: 0, stop: new AbortController() }).stop;
    this.#problem = undefined;
    this.render(this.#text);
    byId("upload-title").focus();
    try {
      const id = await this.#api.upload(file, (share) => this._setShare(share), signal);
      if (signal.aborted) throw new Problem("stopped");
      const run = await this.#api.start(
        id,
        /** @type {HTMLInputElement} */ (byId("passes")).checked,
      );
      this.#sending = undefined;
      this.#onRun(run);
    } catch (error) {
      const code = codeOf(error);
      this.#sending = undefined;
      this._setProblem(code === "stopped" ? undefined : (text) => problemText(text, code));
      byId("choose").focus();
    }
  }

  /** @param {number} share */
  _setShare(share) {
    if (this.#sending) this.#sending.share = share;
    this.render(this.#text);
  }

  /** @param {((text: Texts) => string) | undefined} problem */
  _setProblem(problem) {
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
    const state =
      share < 1 ? text.uploaded(text.size(share * file.size), text.size(file.size)) : text.arriving;
    setText(byId("upload-text"), state);
    setBar(byId("upload-bar"), share * 1000, `${text.percentText(share * 1000)}, ${state}`);
  }
}

/**
 * @param {HTMLElement} bar a `progressbar`
 * @param {number | undefined} permille undefined for a bar that has not begun
 * @param {string} spoken what a screen reader says
 */
export function setBar(bar, permille, spoken) {
  bar.style.setProperty("--done", String((permille ?? 0) / 1000));
  if (permille === undefined) bar.removeAttribute("aria-valuenow");
  else bar.setAttribute("aria-valuenow", String(Math.floor(permille / 10)));
  bar.setAttribute("aria-valuetext", spoken);
}
