// The dashboard of a location: how busy it is, refreshed at most once a second, and frozen on
// request.

import { byId, setIcon, setText } from "../shared/look/page.js";
import { keepRows, within } from "../shared/look/rows.js";
import { Shell } from "../shared/look/shell.js";
import {
  datedText,
  dayText,
  timeSpanText,
  timeText,
  zonedTimeText,
} from "../shared/words/times.js";
import { drawCurve } from "./curve.js";
import { Filter } from "./filter.js";
import {
  bandOfWait,
  byUrgency,
  changes,
  filterQueues,
  ignored,
  lastHour,
  minutesSince,
  QUARTER_MS,
  readLoad,
  wholeDay,
  worstFirst,
} from "./load.js";
import { textsOf } from "../languages/all.js";

const connectionTexts = textsOf("connection");
const dashboardTexts = textsOf("dashboard");

/** @typedef {import("./load.js").Band} Band */
/** @typedef {import("./load.js").Load} Load */
/** @typedef {ReadonlyMap<string, any>} Entries */

// Figures that change faster cannot be read.
const RENDER_EVERY_MS = 1_000;
// Screen readers hear the figures at most this often, and only if they have changed.
const ANNOUNCE_EVERY_MS = 60_000;

/** @type {Entries | undefined} */
let entries;
/** Time of the last record in `entries`. */
let changedAt = 0;
/**
 * The state at which the page is frozen.
 * @type {{entries: Entries, at: number, changedAt: number} | undefined}
 */
let frozen;
let renderedAt = 0;
let renderTimer = 0;
let announced = "";
let announcedAt = 0;

const queueIcons = { open: "dot", paused: "pause", closed: "dash" };
const stationIcons = { idle: "circle", busy: "person", closed: "dash" };

const shell = new Shell(dashboardTexts, render);
const location = shell.link.get("location");

/** @type {Filter<import("./load.js").QueueFilter>} */
const queueFilter = new Filter("queues-filter", ["all", "waiting", "high"], render);
/** @type {Filter<"all" | "idle" | "busy" | "closed">} */
const stationFilter = new Filter("stations-filter", ["all", "idle", "busy", "closed"], render);

/** Renders soon, but not sooner than a second after the last time. */
function renderSoon() {
  if (renderTimer) return;
  const pause = Math.max(0, renderedAt + RENDER_EVERY_MS - Date.now());
  renderTimer = setTimeout(render, pause);
}

function render() {
  clearTimeout(renderTimer);
  renderTimer = 0;
  renderedAt = Date.now();
  const load = entries && readLoad(frozen?.entries ?? entries);
  shell.filled = load !== undefined;
  shell.renderFrame(lastChangeText(load?.head.time_zone));
  byId("pause").hidden = !load || Boolean(shell.note);
  if (!load || shell.note) {
    setText(byId("name"), shell.text.title);
    setText(byId("day"), "");
    setText(byId("clock"), "");
    return;
  }
  const now = frozen?.at ?? shell.shownNow;
  renderHead(load, now);
  renderPause(load);
  renderFigures(load, now);
  renderQueues(load, now);
  renderCurve(load, now);
  renderStations(load);
  renderAppointments(load);
  announce(load, now);
}

/** @param {string} [zone] */
function lastChangeText(zone) {
  const { language } = shell;
  const texts = connectionTexts[language];
  const [at, now] = [frozen?.changedAt ?? changedAt, shell.shownNow];
  return shell.lossMs === undefined
    ? texts.changedAt(datedText(timeText(at, language, zone), at, now, language, zone))
    : texts.asOf(timeText(shell.shownNow, language, zone));
}

/** @param {Load} load @param {number} now */
function renderHead({ head }, now) {
  const { language, text } = shell;
  setText(byId("name"), head.name);
  setText(byId("day"), dayText(head.day, language));
  setText(byId("clock"), zonedTimeText(now, language, head.time_zone));
  document.title = `${head.waiting} · ${head.name} · ${text.title}`;
}

/** @param {Load} shown */
function renderPause({ head }) {
  const { text } = shell;
  byId("pause").setAttribute("aria-pressed", String(Boolean(frozen)));
  setIcon(byId("pause"), frozen ? "play" : "pause");
  setText(byId("pause-text"), frozen ? text.resume : text.pause);
  byId("frozen").hidden = !frozen;
  document.documentElement.classList.toggle("standing-still", Boolean(frozen));
  if (!frozen || !entries) return;
  setText(byId("frozen-text"), pausedText(frozen.at, head.time_zone));
  const waiting = readLoad(entries)?.head.waiting ?? head.waiting;
  const changed = changes(frozen.entries, entries);
  setText(byId("meanwhile"), text.meanwhile(changed, head.waiting, waiting));
}

/** @param {number} at @param {string} zone */
function pausedText(at, zone) {
  return shell.text.paused(timeText(at, shell.language, zone));
}

/** @param {Load} load @param {number} now */
function renderFigures({ head }, now) {
  const { text, language } = shell;
  const hour = lastHour(head.hour, now);
  const longest = minutesSince(head.oldest, now);
  const median = minutesSince(head.median, now);
  const since =
    head.oldest === undefined
      ? text.nobodyWaits
      : text.since(timeText(head.oldest, language, head.time_zone));
  const band = bandOfWait(head.bands, head.oldest, now);
  const medianHint = median === undefined ? text.nobodyWaits : text.medianHint;
  /** @type {[string, {name: string, value: string, hint: string, band?: Band}][]} */
  const figures = [
    ["waiting", { name: text.waiting, value: String(head.waiting), hint: text.waitingHint }],
    ["longest", { name: text.longest, value: waitText(longest), hint: since, band }],
    ["median", { name: text.median, value: waitText(median), hint: medianHint }],
    ["called", { name: text.called, value: String(hour.called), hint: text.lastHour }],
    ["served", { name: text.served, value: String(hour.served), hint: text.lastHour }],
  ];
  setText(byId("now-title"), text.now);
  keepRows(byId("figures"), "figure", figures, (row, { name, value, hint, band = 0 }, key) => {
    row.id = `figure-${key}`;
    setText(within(row, "dt"), name);
    setText(within(row, "b"), value);
    setText(within(row, ".hint"), hint);
    renderBand(row, band);
  });
}

/** @param {number | undefined} minutes */
function waitText(minutes) {
  return minutes === undefined ? "–" : shell.text.minutes(minutes);
}

/**
 * Renders a band as a word and an icon, not by colour alone.
 * @param {Element} holder
 * @param {Band} band
 */
function renderBand(holder, band) {
  const mark = within(holder, ".band");
  mark.hidden = !band;
  mark.dataset.band = String(band);
  setIcon(mark, band > 1 ? "very-high" : "high");
  setText(within(mark, "span"), shell.text.bands[band]);
}

/** @param {Load} load @param {number} now */
function renderQueues({ head, queues }, now) {
  const { text } = shell;
  setText(byId("queues-title"), text.queues);
  const titles = [text.queue, text.state, text.waiting, text.urgency, text.longest, text.median];
  for (const [index, cell] of [...byId("queues-head").children].entries()) {
    setText(cell, titles[index]);
  }
  const filtered = (/** @type {import("./load.js").QueueFilter} */ filter) =>
    filterQueues(queues, filter, head.bands, now);
  queueFilter.render(text.filterOf(text.queues), text.queueFilters, {
    all: queues.length,
    waiting: filtered("waiting").length,
    high: filtered("high").length,
  });
  const shown = worstFirst(filtered(queueFilter.value), head.bands, now);
  byId("queues-none").hidden = shown.length > 0;
  byId("queues-table").hidden = shown.length === 0;
  setText(byId("queues-none"), text.noneShown);
  const rows = shown.map((queue) => /** @type {[string, typeof queue]} */ ([queue.id, queue]));
  keepRows(byId("queues"), "queue-row", rows, (row, queue) => {
    const cells = /** @type {HTMLElement[]} */ ([...row.children]);
    // Where the table is folded into cards, each cell shows the title of its column.
    for (const [index, cell] of cells.entries()) if (index) cell.dataset.title = titles[index];
    const [longest, median] = [queue.oldest, queue.median].map((at) => minutesSince(at, now));
    setText(within(row, "th"), queue.name);
    row.dataset.state = queue.state;
    setIcon(within(row, ".state"), queueIcons[queue.state]);
    setText(within(row, ".state span"), text.queueStates[queue.state]);
    setText(within(row, ".waiting b"), String(queue.waiting));
    renderBand(within(row, ".waiting"), /** @type {Band} */ (queue.band));
    setText(within(row, ".urgency"), urgencyText(queue.priorities));
    row.classList.toggle(
      "urgent",
      byUrgency(queue.priorities).some(([level]) => level > 0),
    );
    setText(within(row, ".longest b"), waitText(longest));
    renderBand(within(row, ".longest"), bandOfWait(head.bands, queue.oldest, now));
    setText(within(row, ".median"), waitText(median));
  });
}

/** @param {Record<string, number> | undefined} priorities */
function urgencyText(priorities) {
  const { text } = shell;
  const counts = byUrgency(priorities);
  const levels = counts.filter(([level]) => level > 0).length;
  const parts = counts.map(([level, count]) =>
    level ? text.urgent(count, levels > 1 ? level : undefined) : text.routine(count),
  );
  return parts.join(", ") || "–";
}

/** @param {Load} load @param {number} now */
function renderCurve({ head, quarters }, now) {
  const { text, language } = shell;
  const timeZone = head.time_zone;
  const svg = byId("curve");
  setText(byId("curve-title"), text.curve);
  keepTexts(byId("legend"), "li", [text.curveArrived, text.curveServed, text.curveBooked]);
  drawCurve(
    svg,
    { day: wholeDay(quarters, now), now, timeZone, language, nowText: text.curveNow },
    { width: svg.clientWidth, height: svg.clientHeight },
  );
  const sum = (/** @type {"arrived" | "served" | "booked"} */ count) =>
    quarters.reduce((all, quarter) => all + quarter[count], 0);
  const summary = text.curveSummary(sum("arrived"), sum("served"), sum("booked"));
  setText(byId("curve-summary"), summary);
  setText(byId("curve-as-table"), text.asTable);
  const { curveTime, curveArrived, curveCalled, curveServed, noShow, curveBooked } = text;
  const titles = [curveTime, curveArrived, curveCalled, curveServed, noShow, curveBooked];
  keepTexts(byId("quarters-head"), "th", titles);
  const table = byId("quarters");
  while (table.children.length > quarters.length) table.lastElementChild?.remove();
  quarters.forEach(({ start, arrived, called, served, no_show, booked }, index) => {
    const row = table.children[index] ?? table.appendChild(document.createElement("tr"));
    const counts = [arrived, called, served, no_show, booked].map(String);
    const span = timeSpanText(start, start + QUARTER_MS, language, timeZone);
    keepTexts(row, "td", [span, ...counts]);
  });
}

/**
 * Makes `holder` contain one element per text.
 * @param {Element} holder
 * @param {"li" | "td" | "th"} name
 * @param {string[]} texts
 */
function keepTexts(holder, name, texts) {
  texts.forEach((text, index) => {
    setText(holder.children[index] ?? holder.appendChild(document.createElement(name)), text);
  });
}

/** @param {Load} load */
function renderStations({ queues, stations }) {
  const { text } = shell;
  const names = new Map(queues.map(({ id, name }) => [id, name]));
  const open = stations.filter(({ state }) => state !== "closed").length;
  const busy = stations.filter(({ state }) => state === "busy").length;
  setText(byId("stations-title"), text.stations);
  setText(byId("stations-busy"), stations.length ? text.stationsBusy(busy, open) : text.none);
  byId("stations-filter").hidden = stations.length === 0;
  const filters = { all: text.all, ...text.stationStates };
  stationFilter.render(text.filterOf(text.stations), filters, {
    all: stations.length,
    idle: open - busy,
    busy,
    closed: stations.length - open,
  });
  const { value } = stationFilter;
  const shown = stations.filter(({ state }) => value === "all" || state === value);
  const rows = shown.map((one) => /** @type {[string, typeof one]} */ ([one.id, one]));
  keepRows(byId("stations"), "station", rows, (row, station) => {
    const { name, state, with: labels = [], queue } = station;
    row.dataset.state = state;
    setText(within(row, ".name"), name);
    setIcon(within(row, ".state"), stationIcons[state]);
    setText(within(row, ".state span"), text.stationStates[state]);
    setText(within(row, ".with"), labels.length ? text.withText(labels.join(", ")) : "");
    setText(within(row, ".hint"), (queue && names.get(queue)) ?? "");
  });
}

/** @param {Load} load */
function renderAppointments({ head: { appointments, facts } }) {
  const { text } = shell;
  setText(byId("appointments-title"), text.appointments);
  /** @type {[keyof import("./load.js").AppointmentCounts, string][]} */
  const names = [
    ["due", text.due],
    ["late", text.late],
    ["arrived", text.arrived],
    ["fulfilled", text.fulfilled],
    ["no_show", text.noShow],
    ["cancelled", text.cancelled],
  ];
  const list = byId("appointments");
  names.forEach(([name, word], index) => {
    const tally = list.children[index] ?? list.appendChild(document.createElement("div"));
    tally.className = appointments[name] ? name : `${name} zero`;
    setText(tally.children[0] ?? tally.appendChild(document.createElement("dt")), word);
    const count = tally.children[1] ?? tally.appendChild(document.createElement("dd"));
    setText(count, String(appointments[name]));
  });
  const dropped = ignored(facts);
  const all = dropped + facts.applied;
  byId("facts").hidden = !all;
  const { repeated, stale, overruled } = facts;
  const parts = dropped ? ` (${text.factsParts(repeated, stale, overruled)})` : "";
  setText(byId("facts"), `${text.factsText(dropped, all)}${parts}.`);
}

/** @param {Load} load @param {number} now */
function announce({ head }, now) {
  const longest = minutesSince(head.oldest, now);
  const wait = longest === undefined ? undefined : shell.text.minutes(longest);
  const sentence = shell.text.say(head.waiting, wait);
  const recent = Date.now() - announcedAt < ANNOUNCE_EVERY_MS;
  if (frozen || sentence === announced || recent) return;
  announced = sentence;
  announcedAt = Date.now();
  setText(byId("status"), sentence);
}

function togglePause() {
  frozen = frozen || !entries ? undefined : { entries, at: shell.shownNow, changedAt };
  // A reader who cannot see the page hears that it worked.
  const zone = frozen?.entries.get("load").time_zone;
  setText(byId("status"), frozen ? pausedText(frozen.at, zone) : "");
  announced = "";
  render();
}

function start() {
  byId("pause").addEventListener("click", togglePause);
  shell.follow(location ? `load:${location}` : undefined, (view) => {
    entries = view.entries;
    changedAt = view.at;
    renderSoon();
  });
  // Waits grow and the day goes on without a message.
  setInterval(renderSoon, RENDER_EVERY_MS);
  new ResizeObserver(renderSoon).observe(byId("curve"));
}

start();
