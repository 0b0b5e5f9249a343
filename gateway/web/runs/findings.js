// The findings of a run: the first ones while it runs, and all of them by page and filter once it
// is
// finished.

import { byId, setIcon, setText } from "../shared/look/page.js";
import { TEXTS } from "../languages/all.js";
import { codeOf, problemText } from "./api.js";
import { SEVERITIES, severityIcons } from "./run.js";

/** @typedef {import("../shared/words/language.js").Language} Language */
/** @typedef {import("./api.js").Finding} Finding */
/** @typedef {import("./run.js").RunView} RunView */
/** @typedef {import("../languages/all.js").Texts["runs"]} Texts */

// As many as a live run shows, so that the table keeps its length when the run ends.
const PAGE = 100;

/**
 * Stored findings read so far. `query` identifies the attempt, filter and language.
 * @typedef {{query: string, findings: Finding[], next?: string}} Stored
 */

export class Findings {
  #api;
  #run;
  #messages;
  /** Renders the page again. */
  #changed;
  /** @type {Stored | undefined} */
  #stored;
  /** The query in progress, or one that failed and must not be repeated automatically. */
  #requested = "";
  #problem = "";
  #exporting = false;
  /** @type {Language} */
  #language = "en";
  /** @type {Texts | undefined} */
  #text;
  /** @type {RunView | undefined} */
  #view;

  /**
   * @param {import("./api.js").Api} api
   * @param {string} run
   * @param {import("./messages.js").Messages} messages
   * @param {() => void} changed
   */
  constructor(api, run, messages, changed) {
    this.#api = api;
    this.#run = run;
    this.#messages = messages;
    this.#changed = changed;
    byId("filters").addEventListener("change", () => changed());
    byId("filters").addEventListener("submit", (event) => event.preventDefault());
    byId("findings-more").addEventListener("click", () => this._more());
    byId("export").addEventListener("click", () => this._export());
  }

  get _filter() {
    const severity = /** @type {HTMLInputElement | null} */ (
      byId("severities").querySelector("input:checked")
    )?.value;
    return { severity, rule: /** @type {HTMLSelectElement} */ (byId("rule-choice")).value };
  }

  /** @param {string} [cursor] @returns {Promise<{findings: Finding[], next?: string}>} */
  _read(cursor) {
    const query = {
      ...this._filter,
      language: TEXTS[this.#language].findings,
      limit: String(PAGE),
      cursor,
    };
    return this.#api.get(`runs/${this.#run}/findings`, query);
  }

  /** The attempt, filter and language of the table. A change makes the page read findings again. */
  _query() {
    const { severity, rule } = this._filter;
    return [this.#view?.head.attempt, this.#language, severity, rule].join();
  }

  async _load() {
    const wanted = this._query();
    if (this.#requested === wanted) return;
    this.#requested = wanted;
    this.#problem = "";
    try {
      const { findings, next } = await this._read();
      if (wanted !== this.#requested) return;
      this.#stored = { query: wanted, findings, next };
    } catch (error) {
      if (wanted !== this.#requested) return;
      this.#problem = codeOf(error);
    }
    this.#changed();
  }

  async _more() {
    const before = this.#stored;
    const more = byId("findings-more");
    if (more.getAttribute("aria-disabled") === "true") return;
    if (before?.query !== this._query()) {
      // The last request failed: repeat it.
      if (this.#problem) this.#requested = "";
      return this.#changed();
    }
    // Not `disabled`, which would take the focus away.
    more.setAttribute("aria-disabled", "true");
    try {
      const { findings, next } = await this._read(before.next);
      if (this.#stored === before)
        this.#stored = { ...before, findings: [...before.findings, ...findings], next };
      this.#problem = "";
    } catch (error) {
      this.#problem = codeOf(error);
    }
    more.removeAttribute("aria-disabled");
    this.#changed();
    // At the end of the list the button is gone: move the focus to the title of the list.
    if (more.hidden) byId("findings-title").focus({ preventScroll: true });
  }

  async _export() {
    if (this.#exporting) return;
    this.#exporting = true;
    this.#problem = "";
    this.#changed();
    try {
      const csv = await this.#api.blob(`runs/${this.#run}/findings.csv`, {
        ...this._filter,
        language: TEXTS[this.#language].findings,
      });
      const name = this.#view?.head.name.replace(/\.\w+$/, "") ?? "findings";
      save(csv, `${name}-${this.#text?.findings.toLowerCase()}.csv`);
    } catch (error) {
      this.#problem = codeOf(error);
    }
    this.#exporting = false;
    this.#changed();
  }

  /**
   * @param {Texts} text
   * @param {Language} language
   * @param {RunView} view
   * @param {(rule: string) => string} nameOf
   */
  render(text, language, view, nameOf) {
    this.#text = text;
    this.#language = language;
    this.#view = view;
    const { state } = view.head;
    const whole = state === "completed";
    byId("findings").hidden =
      state === "queued" || (!whole && state !== "running" && view.findings.length === 0);
    if (byId("findings").hidden) return;
    byId("filters").hidden = byId("export").hidden = !whole;
    if (whole) this._renderFilters(text, view, nameOf);
    if (whole) void this._load();

    // Until the whole list has arrived, the findings shown before stay.
    const findings = (whole && this.#stored?.findings) || view.findings;
    const loading = whole && this.#stored?.query !== this._query() && !this.#problem;
    byId("findings-table").setAttribute("aria-busy", String(loading));
    this._renderRows(findings, nameOf);
    this._renderNotes(text, view, findings.length, whole, loading);
  }

  /**
   * @param {Texts} text
   * @param {RunView} view
   * @param {number} shown
   * @param {boolean} whole
   * @param {boolean} loading
   */
  _renderNotes(text, { head, counts }, shown, whole, loading) {
    setText(byId("findings-title"), whole ? text.findings : text.firstFindings);
    const stored = head.summary?.stored ?? 0;
    const found = counts ? counts.error + counts.warning + counts.optimisation : 0;
    const live = head.state === "running" ? text.firstHint : text.partHint;
    const hints = whole ? [stored < found && text.capped(stored)] : [live];
    setText(byId("findings-hint"), [...hints, text.rowHint].filter(Boolean).join(" "));
    setText(byId("export"), this.#exporting ? text.exporting : text.export);
    byId("findings-problem").hidden = !this.#problem;
    setText(byId("findings-problem"), this.#problem && problemText(text, this.#problem));

    byId("findings-table").hidden = shown === 0;
    byId("findings-none").hidden = shown > 0 || loading || Boolean(this.#problem);
    const { severity, rule } = this._filter;
    const nothing = severity || rule ? text.nothingLikeThis : text.nothing;
    setText(byId("findings-none"), whole ? nothing : text.nothingYet);
    const next = whole && Boolean(this.#stored?.next);
    const failed = whole && this.#problem !== "" && this.#stored?.query !== this._query();
    setText(
      byId("findings-shown"),
      whole && shown && !loading && !failed ? text.shown(shown, !next) : "",
    );
    byId("findings-more").hidden = !next && !failed;
    setText(byId("findings-more"), failed ? text.retry : text.more);
  }

  /** @param {Texts} text @param {RunView} view @param {(rule: string) => string} nameOf */
  _renderFilters(text, { head, counts, tallies }, nameOf) {
    const fieldset = byId("severities");
    setText(/** @type {Element} */ (fieldset.querySelector("legend")), text.show);
    const found = counts ? counts.error + counts.warning + counts.optimisation : 0;
    for (const severity of ["", ...SEVERITIES]) {
      const known = /** @type {HTMLInputElement | null} */ (
        fieldset.querySelector(`[value="${severity}"]`)
      );
      const radio = known ?? newRadio(fieldset, severity);
      // Passing rows are stored only on request.
      const listed = severity !== "pass" || (head.summary?.stored ?? 0) > found;
      const choice = /** @type {HTMLElement} */ (radio.parentElement);
      choice.hidden = !listed;
      const key = /** @type {import("./api.js").Severity | ""} */ (severity);
      setText(
        /** @type {Element} */ (choice.querySelector("span")),
        key ? text.severities[key] : text.all,
      );
    }
    const select = /** @type {HTMLSelectElement} */ (byId("rule-choice"));
    setText(/** @type {Element} */ (select.labels?.[0]), text.rule);
    ["", ...tallies.map(([rule]) => rule)].forEach((rule, index) => {
      const option = select.options[index] ?? select.appendChild(document.createElement("option"));
      option.value = rule;
      setText(option, rule ? nameOf(rule) : text.everyRule);
    });
  }

  /**
   * Fills rows in place, so that a growing list moves neither the view nor the focus.
   * @param {Finding[]} findings
   * @param {(rule: string) => string} nameOf
   */
  _renderRows(findings, nameOf) {
    const text = /** @type {Texts} */ (this.#text);
    const titles = byId("findings-table").querySelectorAll("th");
    [text.kind, text.row, text.what, text.rule, text.amount].forEach((title, index) =>
      setText(titles[index], title),
    );
    const list = byId("findings-rows");
    while (list.children.length > findings.length) list.lastElementChild?.remove();
    const template = /** @type {HTMLTemplateElement} */ (byId("finding-row"));
    findings.forEach((finding, index) => {
      const row =
        list.children[index] ??
        list.appendChild(
          /** @type {Element} */ (template.content.firstElementChild?.cloneNode(true)),
        );
      this._fillRow(row, finding, nameOf);
    });
  }

  /** @param {Element} row @param {Finding} finding @param {(rule: string) => string} nameOf */
  _fillRow(row, finding, nameOf) {
    const text = /** @type {Texts} */ (this.#text);
    const [severity, number, what, rule, amount] = row.children;
    row.className = finding.severity;
    setIcon(
      /** @type {Element} */ (severity.querySelector("svg")),
      severityIcons[finding.severity],
    );
    setText(
      /** @type {Element} */ (severity.querySelector("span")),
      text.severity[finding.severity],
    );
    setText(number, finding.row ? text.number(finding.row) : text.wholeFile);
    number.setAttribute("data-title", text.row);
    setText(what, this.#messages.message(this.#language, finding));
    setText(rule, nameOf(finding.rule));
    setText(amount, finding.cents ? text.money(finding.cents) : "–");
    amount.classList.toggle("zero", !finding.cents);
  }
}

/** @param {HTMLElement} fieldset @param {string} severity */
function newRadio(fieldset, severity) {
  const label = fieldset.appendChild(document.createElement("label"));
  const radio = label.appendChild(document.createElement("input"));
  radio.type = "radio";
  radio.name = "severity";
  radio.value = severity;
  radio.checked = !severity;
  radio.className = "unseen";
  label.appendChild(document.createElement("span"));
  return radio;
}

/** Saves a file on the reader's device. @param {Blob} blob @param {string} name */
function save(blob, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  // The browser keeps its own reference once the click is handled.
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}
