// The list of checks, newest first, each with a link that opens it.

import { byId, setText } from "../shared/look/page.js";
import { codeOf, problemText } from "./api.js";
import { stateName } from "./run.js";

/** @typedef {import("./api.js").ListedRun} ListedRun */
/** @typedef {import("../languages/all.js").Texts["runs"]} Texts */

const PAGE = 20;

export class Recent {
  #api;
  #linkTo;
  #changed;
  /** @type {ListedRun[] | undefined} */
  #runs;
  /** @type {string | undefined} */
  #next;
  #problem = "";

  /**
   * @param {import("./api.js").Api} api
   * @param {(run: string) => string} linkTo
   * @param {() => void} changed
   */
  constructor(api, linkTo, changed) {
    this.#api = api;
    this.#linkTo = linkTo;
    this.#changed = changed;
    byId("refresh").addEventListener("click", () => this._load());
    byId("recent-more").addEventListener("click", () => this._load(this.#next));
    // A reader who comes back to this tab wants to see the latest state.
    document.addEventListener(
      "visibilitychange",
      () => document.visibilityState === "visible" && this._load(),
    );
    void this._load();
  }

  /** The code of the problem that kept the list from loading. */
  get problem() {
    return this.#problem;
  }

  /** @param {string} [cursor] */
  async _load(cursor) {
    try {
      const { runs, next } = await this.#api.get("runs", { limit: String(PAGE), cursor });
      this.#runs = cursor ? [...(this.#runs ?? []), ...runs] : runs;
      this.#next = next;
      this.#problem = "";
    } catch (error) {
      this.#problem = codeOf(error);
    }
    this.#changed();
  }

  /** @param {Texts} text */
  render(text) {
    setText(byId("recent-title"), text.recent);
    setText(byId("refresh"), text.refresh);
    setText(byId("recent-none"), text.noRecent);
    setText(byId("recent-more"), text.more);
    setText(byId("recent-problem"), this.#problem && problemText(text, this.#problem));
    byId("recent-problem").hidden = !this.#problem;
    byId("recent-none").hidden = this.#runs?.length !== 0;
    byId("recent-list").hidden = !this.#runs?.length;
    byId("recent-more").hidden = !this.#next;

    const list = byId("recent-list");
    const runs = this.#runs ?? [];
    while (list.children.length > runs.length) list.lastElementChild?.remove();
    const template = /** @type {HTMLTemplateElement} */ (byId("recent-row"));
    runs.forEach((run, index) => {
      const row =
        list.children[index] ??
        list.appendChild(
          /** @type {Element} */ (template.content.firstElementChild?.cloneNode(true)),
        );
      this._fill(row, run, text);
    });
  }

  /** @param {Element} row @param {ListedRun} run @param {Texts} text */
  _fill(row, run, text) {
    const link = /** @type {HTMLAnchorElement} */ (row.firstElementChild);
    const [name, badge, when, sum] = link.children;
    link.href = this.#linkTo(run.run);
    setText(name, run.name);
    setText(badge, stateName(text, run));
    badge.className = `badge ${run.state}`;
    setText(when, text.moment(run.requested_at));
    setText(sum, sumOf(text, run));
  }
}

/** The result of a run in a few words. @param {Texts} text @param {ListedRun} run */
function sumOf(text, { summary }) {
  if (!summary) return "";
  const { counts, at_risk_cents: risk, to_gain_cents: gain } = summary;
  return [
    text.errors(counts.error),
    risk && text.atRiskOf(text.money(risk)),
    gain && text.toGainOf(text.money(gain)),
  ]
    .filter(Boolean)
    .join(" · ");
}
