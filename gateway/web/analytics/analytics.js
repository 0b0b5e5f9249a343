// The figures of a clinic: today, a week or a month, by queue, doctor, hour or day.

import { textsOf } from "../languages/all.js";
import { byId, setText } from "../shared/look/page.js";
import { newest } from "../shared/credentials/renewal.js";
import { within } from "../shared/look/rows.js";
import { Shell } from "../shared/look/shell.js";
import { dayText, hourText, timeText } from "../shared/words/times.js";
import { drawChart } from "./charts.js";
import { chartsOf, daysOf, GROUPS, percentOf, PERIODS, serviceDay } from "./figures.js";

/** @typedef {import("./figures.js").Analytics} Analytics */
/** @typedef {import("./figures.js").Chart} Chart */
/** @typedef {import("./figures.js").Group} Group */
/** @typedef {import("./figures.js").Period} Period */

const connectionTexts = textsOf("connection");
const shell = new Shell(textsOf("analytics"), render);
const location = shell.link.get("location") ?? "";
const token = () => newest(shell.link.get("token") ?? "");

/** The settings of the location. @type {ReadonlyMap<string, any>} */
let settings = new Map();
/** The load, for the names of doctors. @type {ReadonlyMap<string, any>} */
let load = new Map();
/** The last answer, and what it is of. @type {{by: Group, analytics: Analytics} | undefined} */
let shown;
let readAt = 0;
/** The code of the last refusal. */
let problem = "";
/** Counts the questions: only the answer to the last one is shown. */
let asked = 0;
/** The charts whose table is shown. @type {Set<string>} */
const opened = new Set();

const REFRESH_MS = 60_000;

const choice = (/** @type {string} */ id) => /** @type {HTMLSelectElement} */ (byId(id));
const period = () => /** @type {Period} */ (choice("period").value);
const group = () => /** @type {Group} */ (choice("group").value);

/** The first and the last day. */
function days() {
  const { time_zone, timers } = settings.get("location") ?? {};
  const today = serviceDay(shell.now, time_zone, timers?.day_start_min ?? 0);
  return daysOf(period(), today);
}

/** @param {"json" | "csv"} format */
function read(format) {
  const [from, until] = days();
  const query = new URLSearchParams({ from, until, by: group(), format });
  const path = `v1/locations/${encodeURIComponent(location)}/analytics?${query}`;
  return fetch(path, { headers: { authorization: `Bearer ${token()}` } });
}

async function refresh() {
  if (!settings.has("location")) return;
  const question = ++asked;
  const by = group();
  try {
    const response = await read("json");
    const answer = await response.json();
    if (question !== asked) return;
    problem = response.ok ? "" : (answer.code ?? String(response.status));
    if (response.ok) shown = { by, analytics: answer };
    readAt = shell.now;
  } catch {
    if (question === asked) problem = "unreachable";
  }
  render();
}

async function save() {
  try {
    const response = await read("csv");
    if (!response.ok) throw new Error(String(response.status));
    const link = document.createElement("a");
    link.href = URL.createObjectURL(await response.blob());
    const [from, until] = days();
    link.download = `${location}-${from}-${until}-${group()}.csv`;
    link.click();
    URL.revokeObjectURL(link.href);
    problem = "";
  } catch {
    problem = "unreachable";
  }
  render();
}

function render() {
  const site = settings.get("location");
  shell.offerLanguages(site?.languages);
  shell.filled = site !== undefined;
  const { language, text } = shell;
  const changed = readAt ? timeText(readAt, language, site?.time_zone) : "";
  shell.renderFrame(changed && connectionTexts[language].changedAt(changed));
  setText(byId("name"), site?.name ?? text.title);
  fillChoice("period", PERIODS, text.periods);
  fillChoice("group", GROUPS, text.groups);
  setText(byId("period-name"), text.period);
  setText(byId("group-name"), text.group);
  setText(byId("export"), text.export);
  const said = problem === "forbidden" ? text.forbidden : text.problem;
  setText(byId("problem"), problem ? said : "");
  if (!site || shell.note) return setText(byId("days"), "");
  document.title = `${site.name} · ${text.title}`;
  const [from, until] = days();
  const [first, last] = [dayText(from, language), dayText(until, language)];
  setText(byId("days"), from === until ? last : text.days(first, last));
  renderFigures();
}

/** @param {string} id @param {string[]} values @param {Record<string, string>} names */
function fillChoice(id, values, names) {
  const select = choice(id);
  if (!select.options.length) select.append(...values.map((value) => new Option(value, value)));
  for (const option of select.options) setText(option, names[option.value]);
}

/** What the charts were last drawn from. @type {string} */
let drawn = "";

/** Draws the figures anew where something changed: a reader may be inside of a table. */
function renderFigures() {
  const names = [...load].map(([key, { name }]) => [key, name]);
  const source = JSON.stringify([shown, shell.language, names, [...settings]]);
  if (source === drawn) return;
  drawn = source;
  const { analytics } = shown ?? {};
  byId("totals").replaceChildren(...(analytics ? totals(analytics) : []));
  const charts = shown ? chartsOf(shown.analytics) : [];
  byId("nothing").hidden = !shown || charts.length > 0;
  setText(byId("nothing"), shell.text.nothing);
  byId("charts").replaceChildren(...charts.map((chart) => draw(chart, shown?.by ?? "queue")));
}

/** @param {Analytics} analytics */
function totals({ total, peak_hour }) {
  const { text } = shell;
  const ended = Object.values(total.ended).reduce((sum, count) => sum + count, 0);
  const percent = (/** @type {number | undefined} */ share) =>
    share === undefined ? "–" : text.percent(share);
  const duration = (/** @type {number | undefined} */ s) =>
    s === undefined ? "–" : text.duration(s);
  /** @type {[string, string][]} */
  const entries = [
    [text.totals.tickets, text.number(total.arrived)],
    [text.totals.wait, duration(total.wait.p50_s)],
    [text.totals.longWait, duration(total.wait.p90_s)],
    [text.totals.service, duration(total.service.mean_s)],
    [text.totals.abandoned, percent(percentOf(total.abandoned, ended))],
    [text.totals.missed, percent(percentOf(total.missed, total.kept + total.missed))],
    [text.totals.peak, peak_hour === undefined ? "–" : hourName(peak_hour)],
  ];
  return entries.map(([title, value]) => {
    const template = /** @type {HTMLTemplateElement} */ (byId("total"));
    const part = /** @type {DocumentFragment} */ (template.content.cloneNode(true));
    const card = /** @type {HTMLElement} */ (part.firstElementChild);
    setText(within(card, "dt"), title);
    setText(within(card, "dd"), value);
    return card;
  });
}

/** @param {number} hour of a day */
const hourName = (hour) => hourText(Date.UTC(2000, 0, 1, hour), shell.language, "UTC");

/** @param {Chart} chart @param {Group} by */
function draw(chart, by) {
  const { text } = shell;
  const units = { count: text.number, time: text.duration, percent: text.percent };
  const ofRows = chart.name !== "leads" && chart.name !== "methods";
  const section = drawChart(
    chart,
    {
      title: text.charts[chart.name],
      table: text.table,
      keyTitle: ofRows ? text.groups[by] : text.keys[chart.name],
      keyText: (key) => (ofRows ? keyName(by, key) : text.keyNames[chart.name](key)),
      seriesText: (series) => text.series[series],
      valueText: units[chart.unit],
    },
    opened.has(chart.name),
  );
  const details = /** @type {HTMLDetailsElement} */ (within(section, "details"));
  details.addEventListener("toggle", () => {
    if (details.open) opened.add(chart.name);
    else opened.delete(chart.name);
  });
  return section;
}

/** @param {Group} by @param {string} key */
function keyName(by, key) {
  if (by === "hour") return hourName(Number(key));
  if (by === "day") return dayText(key, shell.language);
  if (!key) return shell.text.none[by];
  const named = by === "queue" ? settings.get(`queue:${key}`) : load.get(`doctor:${key}`);
  return named?.name ?? key.slice(key.indexOf(".") + 1);
}

function start() {
  byId("choice").addEventListener("submit", (event) => event.preventDefault());
  for (const id of ["period", "group"]) byId(id).addEventListener("change", () => void refresh());
  byId("export").addEventListener("click", () => void save());
  // On paper the tables are there too. Afterwards the page is as it was.
  addEventListener("beforeprint", () => {
    for (const details of document.querySelectorAll("details")) {
      details.classList.toggle("for-paper", !details.open);
      details.open = true;
    }
  });
  addEventListener("afterprint", () => {
    for (const details of document.querySelectorAll("details")) {
      if (details.classList.contains("for-paper")) details.open = false;
    }
  });
  shell.follow(location ? `settings:${location}` : undefined, (view) => {
    const isFirst = !settings.has("location");
    settings = view.entries ?? new Map();
    if (isFirst) void refresh();
    render();
  });
  if (location && shell.link.get("token")) {
    shell.followSecond(`load:${location}`, (view) => {
      const before = load.size;
      load = view.entries ?? new Map();
      if (!before) render();
    });
  }
  setInterval(() => {
    if (document.visibilityState === "visible") void refresh();
  }, REFRESH_MS);
}

start();
