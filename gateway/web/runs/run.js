// Renders one run from its view: state, progress, and counts of findings so far.

import { byId, newIcon, setIcon, setText } from "../shared/look/page.js";
import { setBar } from "./upload.js";

/** @typedef {import("../languages/all.js").Texts["runs"]} Texts */
/** @typedef {import("./api.js").Head} Head */
/** @typedef {import("./api.js").Progress} Progress */
/** @typedef {import("./api.js").Counts} Counts */
/** @typedef {import("./api.js").Tally} Tally */
/** @typedef {import("./api.js").Severity} Severity */
/** @typedef {import("./api.js").Finding} Finding */

// A longer table of rules would push the findings below the screen, so it starts closed.
const MOST_OPEN_RULES = 12;

/** @type {Severity[]} */
export const SEVERITIES = ["error", "warning", "optimisation", "pass"];

/** @type {Record<import("./api.js").RunState, string>} */
const stateIcons = {
  queued: "clock",
  running: "chart",
  completed: "check",
  failed: "exclamation",
  cancelled: "stop",
};

/** @type {Record<Severity, string>} */
export const severityIcons = {
  error: "error",
  warning: "warning",
  optimisation: "gain",
  pass: "check",
};

/**
 * The view of a run, by kind of entry.
 * @typedef {object} RunView
 * @property {Head} head
 * @property {Progress} [progress]
 * @property {Counts} [counts]
 * @property {[rule: string, tally: Tally][]} tallies
 * @property {Finding[]} findings in the order they were found
 */

/** @param {ReadonlyMap<string, any>} entries @returns {RunView | undefined} */
export function readView(entries) {
  const head = entries.get("run");
  if (!head) return undefined;
  /** @param {string} prefix @returns {[string, any][]} */
  const keyed = (prefix) =>
    [...entries]
      .filter(([key]) => key.startsWith(prefix))
      .map(([key, entry]) => [key.slice(prefix.length), entry]);
  const byKey = (/** @type {[string, any]} */ [a], /** @type {[string, any]} */ [b]) =>
    a < b ? -1 : 1;
  return {
    head,
    progress: entries.get("progress"),
    counts: head.summary?.counts ?? entries.get("counts"),
    tallies: keyed("rule:").sort(byKey),
    findings: keyed("finding:")
      .sort(byKey)
      .map(([, finding]) => finding),
  };
}

/** @param {Texts} text @param {Head} head */
export function stateName(text, { state, cancelling }) {
  return cancelling && (state === "queued" || state === "running")
    ? text.cancelling
    : text.states[state];
}

/** The sentence beside the name of a state. @param {Texts} text @param {RunView} view */
export function stateText(
  text,
  { head: { state, cancelling, ahead, summary, failure }, progress },
) {
  if (state === "failed") return failureText(text, failure);
  if (state === "cancelled") return text.cancelled;
  if (state === "completed")
    return summary ? text.completed(summary.rows, text.took(summary.took_ms)) : "";
  if (cancelling) return text.cancellingText;
  if (state === "queued") return text.queued(ahead);
  return progress ? text.phases[progress.phase] : text.starting;
}

/** @param {Texts} text @param {Head["failure"]} failure */
function failureText(text, failure) {
  if (!failure) return text.failedOtherwise;
  const { code, params } = failure;
  const headless = code === "file_not_an_export" && params?.column === undefined;
  return text.failures[headless ? "file_no_header" : code] ?? text.failedOtherwise;
}

/**
 * @param {Texts} text
 * @param {RunView} view
 * @param {boolean} mayAct
 * @param {(column: string) => string} titleOf
 */
export function renderRun(text, view, mayAct, titleOf) {
  const { head } = view;
  document.documentElement.dataset.state = head.state;
  setText(byId("run-name"), head.name);
  setText(byId("run-facts"), `${text.size(head.bytes)} · ${text.moment(head.requested_at)}`);
  setIcon(
    byId("state-icon"),
    head.cancelling && head.state === "running" ? "stop" : stateIcons[head.state],
  );
  setText(byId("state"), stateName(text, head));
  setText(byId("state-text"), stateText(text, view));
  renderMore(text, head, titleOf);
  renderProgress(text, view);
  renderTotals(text, head);
  renderCounts(text, view.counts);
  renderRuleHead(text);

  const running = head.state === "queued" || head.state === "running";
  byId("cancel").hidden = !(mayAct && running && !head.cancelling);
  byId("retry").hidden = !(mayAct && head.state === "failed" && head.failure?.retryable);
  byId("another").hidden = !(mayAct && !running);
  byId("actions").hidden = [...byId("actions").children].every((action) =>
    action.hasAttribute("hidden"),
  );
  setText(byId("cancel"), text.cancel);
  setText(byId("retry"), text.retry);
  setText(byId("another"), text.another);
}

/**
 * Renders where in the file the run failed, what may help, and the number of the attempt.
 * @param {Texts} text
 * @param {Head} head
 * @param {(column: string) => string} titleOf
 */
function renderMore(text, { state, attempt, failure, summary }, titleOf) {
  const { column, line, byte } = failure?.params ?? {};
  const place = (/** @type {number | string | undefined} */ at) =>
    typeof at === "number" ? text.number(at) : (at ?? "");
  const where =
    state === "failed"
      ? text.where(column === undefined ? "" : titleOf(String(column)), place(line), place(byte))
      : "";
  setText(byId("state-where"), where);
  byId("state-where").hidden = !where;

  const more = [];
  if (state === "failed" && failure)
    more.push(failure.retryable ? text.retryHint : text.newFileHint);
  if (summary?.rows_unreadable) more.push(text.unreadable(summary.rows_unreadable));
  if (attempt > 1 && (state === "queued" || state === "running")) more.push(text.attempt(attempt));
  setText(byId("state-more"), more.join(" "));
  byId("state-more").hidden = more.length === 0;
}

/** @param {Texts} text @param {RunView} view */
function renderProgress(text, { head, progress }) {
  byId("progress").hidden = byId("percent").hidden = head.state !== "running";
  if (head.state !== "running") return;
  setText(byId("percent"), progress ? text.percentText(progress.permille) : "");
  setBar(byId("bar"), progress?.permille, progressText(text, progress));
  const rows = progress && text.rowsOf(progress.rows_done, progress.rows_total);
  setFact("rows", text.rows, rows);
  setFact("rate", text.rate, progress?.rows_per_s ? text.rateText(progress.rows_per_s) : undefined);
  setFact(
    "left",
    text.timeLeft,
    progress?.eta_ms === undefined ? undefined : text.left(progress.eta_ms),
  );
}

/** The progress in words. @param {Texts} text @param {Progress | undefined} progress */
export function progressText(text, progress) {
  if (!progress) return text.starting;
  const { permille, rows_done: done, rows_total: total, eta_ms: eta } = progress;
  const parts = [text.percentText(permille), `${text.rows}: ${text.rowsOf(done, total)}`];
  if (eta !== undefined) parts.push(`${text.timeLeft}: ${text.left(eta)}`);
  return parts.join(", ");
}

/**
 * Sets a figure and its caption. Without a value both are empty and keep their place.
 * @param {string} id
 * @param {string} caption
 * @param {string | undefined} value
 */
function setFact(id, caption, value) {
  setText(byId(`${id}-caption`), value === undefined ? "" : caption);
  setText(byId(id), value ?? "");
}

/** @param {Texts} text @param {Head} head */
function renderTotals(text, { summary }) {
  byId("totals").hidden = !summary;
  setText(byId("at-risk-caption"), text.atRisk);
  setText(byId("to-gain-caption"), text.toGain);
  setText(byId("at-risk"), text.money(summary?.at_risk_cents ?? 0));
  setText(byId("to-gain"), text.money(summary?.to_gain_cents ?? 0));
}

/** @param {Texts} text @param {Counts | undefined} counts */
function renderCounts(text, counts) {
  const list = byId("counts");
  list.hidden = !counts;
  SEVERITIES.forEach((severity, index) => {
    const tile = list.children[index] ?? list.appendChild(newTile(severity));
    const count = counts?.[severity] ?? 0;
    tile.classList.toggle("zero", count === 0);
    setText(/** @type {Element} */ (tile.querySelector("dt")), text.severities[severity]);
    setText(/** @type {Element} */ (tile.querySelector("span")), text.number(count));
  });
}

/** @param {Severity} severity */
function newTile(severity) {
  const tile = document.createElement("div");
  tile.className = severity;
  tile.appendChild(document.createElement("dt"));
  tile
    .appendChild(document.createElement("dd"))
    .append(newIcon(severityIcons[severity]), document.createElement("span"));
  return tile;
}

/** @param {Texts} text */
function renderRuleHead(text) {
  const head = byId("rules-head");
  [text.rule, ...SEVERITIES.map((severity) => text.severities[severity]), text.time].forEach(
    (title, index) => {
      const cell = head.children[index] ?? head.appendChild(newCell("th", "columnheader"));
      cell.setAttribute("scope", "col");
      setText(cell, title);
    },
  );
}

/**
 * Renders the rules and their counts. While the run goes on, rules without a result are listed from
 * the start, so that the table does not grow while a person reads below it.
 * @param {Texts} text
 * @param {RunView} view
 * @param {string[]} known enabled rules
 * @param {(rule: string) => string} nameOf
 */
export function renderRules(text, { head, tallies }, known, nameOf) {
  const byRule = new Map(tallies);
  const running = head.state === "running";
  const rules = [
    ...new Set([...(running ? known : known.filter((rule) => byRule.has(rule))), ...byRule.keys()]),
  ];
  const details = /** @type {HTMLDetailsElement} */ (byId("rules"));
  if (details.hidden && rules.length)
    details.open = rules.length <= MOST_OPEN_RULES && matchMedia("(min-width: 46rem)").matches;
  details.hidden = rules.length === 0;
  setText(byId("rules-title"), text.rules);
  const finished = tallies.filter(([, { took_us: took }]) => took !== undefined).length;
  setText(byId("rules-done"), running ? text.rulesDone(finished, rules.length) : "");
  const list = byId("rules-rows");
  while (list.children.length > rules.length) list.lastElementChild?.remove();
  rules.forEach((rule, index) => {
    const row = list.children[index] ?? list.appendChild(newRuleRow());
    fillRule(text, row, nameOf(rule), byRule.get(rule), running);
  });
}

/**
 * @param {Texts} text
 * @param {Element} row
 * @param {string} name
 * @param {Tally | undefined} tally
 * @param {boolean} running
 */
function fillRule(text, row, name, tally, running) {
  const counts = SEVERITIES.map((severity) => tally?.[severity] ?? 0);
  // Only a run that goes on has unfinished rules.
  const took =
    tally?.took_us === undefined ? (running ? text.notYet : "–") : text.took(tally.took_us / 1000);
  const titles = ["", ...SEVERITIES.map((severity) => text.severities[severity]), text.time];
  [name, ...counts.map((count) => text.number(count)), took].forEach((cell, at) => {
    setText(row.children[at], cell);
    // Where the table is folded into cards, each cell shows the title of its column.
    row.children[at].setAttribute("data-title", titles[at]);
    row.children[at].classList.toggle("zero", counts[at - 1] === 0);
  });
}

function newRuleRow() {
  const row = document.createElement("tr");
  row.setAttribute("role", "row");
  row.append(
    newCell("th", "rowheader"),
    ...[...SEVERITIES, "time"].map(() => newCell("td", "cell")),
  );
  row.children[0].setAttribute("scope", "row");
  return row;
}

/** @param {"th" | "td"} tag @param {string} role */
function newCell(tag, role) {
  const cell = document.createElement(tag);
  cell.setAttribute("role", role);
  if (role === "cell") cell.className = "figures";
  return cell;
}
