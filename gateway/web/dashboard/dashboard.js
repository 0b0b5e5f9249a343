// The clinician's dashboard: how full the day is, at most once a second, and standing still when asked to.

import { drawCurve } from "./curve.js";
import { texts } from "./texts.js";
import { bandOfWait, byUrgency, changes, ignored, lastHour, minutesSince, QUARTER_MS, readLoad, wholeDay } from "./load.js";
import { byId, setIcon, setText } from "../shared/page.js";
import { keepRows, within } from "../shared/rows.js";
import { Shell } from "../shared/shell.js";

/** @typedef {import("./load.js").Band} Band */
/** @typedef {import("./load.js").Load} Load */
/** @typedef {ReadonlyMap<string, any>} Entries */

// Figures that change faster cannot be read.
const RENDER_EVERY_MS = 1_000;
// A screen reader is told now and then how full it is, and only when that has changed.
const SAY_EVERY_MS = 60_000;

/** @type {Entries | undefined} */
let entries;
/** Time of the last record in what is held. */
let changedAt = 0;
/** What the screen stands still at. @type {{entries: Entries, at: number, changedAt: number} | undefined} */
let frozen;
let renderedAt = 0;
let renderTimer = 0;
let said = "";
let saidAt = 0;

const queueIcons = { open: "dot", paused: "pause", closed: "dash" };
const stationIcons = { idle: "circle", busy: "person", closed: "dash" };

const shell = new Shell(texts, render);
const location = shell.asked.get("location");

/** Soon, but not sooner than a second after the last time. */
function renderSoon() {
  if (renderTimer) return;
  renderTimer = setTimeout(render, Math.max(0, renderedAt + RENDER_EVERY_MS - Date.now()));
}

function render() {
  clearTimeout(renderTimer);
  renderTimer = 0;
  renderedAt = Date.now();
  const load = entries && readLoad(frozen?.entries ?? entries);
  shell.filled = load !== undefined;
  const zone = load?.head.time_zone ?? "UTC";
  const loss = shell.lossMs;
  const { text } = shell;
  shell.renderFrame(loss === undefined ? text.changedAt(text.time(frozen?.changedAt ?? changedAt, zone)) : text.asOf(text.time(shell.shownNow, zone)));
  byId("pause").hidden = !load || Boolean(shell.note);
  if (!load || shell.note) return;
  const now = frozen?.at ?? shell.shownNow;
  renderHead(load, now);
  renderPause(load);
  renderFigures(load, now);
  renderQueues(load, now);
  renderCurve(load, now);
  renderStations(load);
  renderAppointments(load);
  say(load, now);
}

/** @param {Load} load @param {number} now */
function renderHead({ head }, now) {
  setText(byId("name"), head.name);
  setText(byId("day"), shell.text.day(head.day));
  setText(byId("clock"), shell.text.time(now, head.time_zone));
  document.title = `${head.waiting} · ${head.name} · ${shell.text.title}`;
}

/** @param {Load} shown */
function renderPause({ head }) {
  const { text } = shell;
  byId("pause").setAttribute("aria-pressed", String(Boolean(frozen)));
  setIcon(byId("pause"), frozen ? "play" : "pause");
  setText(byId("pause-text"), frozen ? text.goOn : text.pause);
  byId("frozen").hidden = !frozen;
  document.documentElement.classList.toggle("standing-still", Boolean(frozen));
  if (!frozen || !entries) return;
  setText(byId("frozen-text"), text.paused(text.time(frozen.at, head.time_zone)));
  setText(byId("meanwhile"), text.meanwhile(changes(frozen.entries, entries), head.waiting, readLoad(entries)?.head.waiting ?? head.waiting));
}

/** @param {Load} load @param {number} now */
function renderFigures({ head }, now) {
  const { text } = shell;
  const hour = lastHour(head.hour, now);
  const longest = minutesSince(head.oldest, now);
  const median = minutesSince(head.median, now);
  const since = head.oldest === undefined ? text.nobodyWaits : text.since(text.time(head.oldest, head.time_zone));
  /** @type {[string, {name: string, value: string, hint: string, band?: Band}][]} */
  const figures = [
    ["waiting", { name: text.waiting, value: String(head.waiting), hint: text.waitingHint }],
    ["longest", { name: text.longest, value: longest === undefined ? "–" : text.minutes(longest), hint: since, band: bandOfWait(head.bands, head.oldest, now) }],
    ["median", { name: text.median, value: median === undefined ? "–" : text.minutes(median), hint: median === undefined ? text.nobodyWaits : text.medianHint }],
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

/** A band is a word and a sign before it is a colour. @param {Element} holder @param {Band} band */
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
  for (const [index, cell] of [...byId("queues-head").children].entries()) setText(cell, titles[index]);
  keepRows(byId("queues"), "queue-row", queues.map((queue) => [queue.id, queue]), (row, queue) => {
    for (const [index, cell] of [...row.children].entries()) if (index) /** @type {HTMLElement} */ (cell).dataset.title = titles[index];
    const [longest, median] = [queue.oldest, queue.median].map((moment) => minutesSince(moment, now));
    setText(within(row, "th"), queue.name);
    row.dataset.state = queue.state;
    setIcon(within(row, ".state"), queueIcons[queue.state]);
    setText(within(row, ".state span"), text.queueStates[queue.state]);
    setText(within(row, ".waiting b"), String(queue.waiting));
    renderBand(within(row, ".waiting"), queue.band);
    const urgency = byUrgency(queue.priorities);
    setText(within(row, ".urgency"), urgency.map(([priority, count]) => text.urgencyOf(priority, count)).join(", ") || "–");
    setText(within(row, ".longest b"), longest === undefined ? "–" : text.minutes(longest));
    renderBand(within(row, ".longest"), bandOfWait(head.bands, queue.oldest, now));
    setText(within(row, ".median"), median === undefined ? "–" : text.minutes(median));
  });
}

/** @param {Load} load @param {number} now */
function renderCurve({ head, quarters }, now) {
  const { text } = shell;
  const zone = head.time_zone;
  const svg = byId("curve");
  setText(byId("curve-title"), text.curve);
  keepTexts(byId("legend"), "li", [text.curveArrived, text.curveServed, text.curveBooked]);
  drawCurve(svg, { day: wholeDay(quarters, now), now, timeZone: zone, text }, { width: svg.clientWidth, height: svg.clientHeight });
  const sum = (/** @type {"arrived" | "served" | "booked"} */ of) => quarters.reduce((all, quarter) => all + quarter[of], 0);
  setText(byId("curve-summary"), text.curveSummary(sum("arrived"), sum("served"), sum("booked")));
  setText(byId("curve-as-table"), text.asTable);
  keepTexts(byId("quarters-head"), "th", [text.curveTime, text.curveArrived, text.curveCalled, text.curveServed, text.noShow, text.curveBooked]);
  const table = byId("quarters");
  while (table.children.length > quarters.length) table.lastElementChild?.remove();
  quarters.forEach(({ start, arrived, called, served, no_show, booked }, index) => {
    const row = table.children[index] ?? table.appendChild(document.createElement("tr"));
    const cells = [text.span(start, start + QUARTER_MS, zone), ...[arrived, called, served, no_show, booked].map(String)];
    keepTexts(row, "td", cells);
  });
}

/** As many elements with these texts. @param {Element} holder @param {"li" | "td" | "th"} name @param {string[]} all */
function keepTexts(holder, name, all) {
  all.forEach((text, index) => setText(holder.children[index] ?? holder.appendChild(document.createElement(name)), text));
}

/** @param {Load} load */
function renderStations({ queues, stations }) {
  const { text } = shell;
  const names = new Map(queues.map(({ id, name }) => [id, name]));
  const open = stations.filter(({ state }) => state !== "closed");
  setText(byId("stations-title"), text.stations);
  setText(byId("stations-busy"), stations.length ? text.stationsBusy(open.filter(({ state }) => state === "busy").length, open.length) : text.none);
  keepRows(byId("stations"), "station", stations.map((station) => [station.id, station]), (row, { name, state, with: labels = [], queue }) => {
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
    ["due", text.due], ["late", text.late], ["arrived", text.arrived],
    ["fulfilled", text.fulfilled], ["no_show", text.noShow], ["cancelled", text.cancelled],
  ];
  const list = byId("appointments");
  names.forEach(([name, word], index) => {
    const tally = list.children[index] ?? list.appendChild(document.createElement("div"));
    tally.className = appointments[name] ? name : `${name} zero`;
    setText(tally.children[0] ?? tally.appendChild(document.createElement("dt")), word);
    setText(tally.children[1] ?? tally.appendChild(document.createElement("dd")), String(appointments[name]));
  });
  const dropped = ignored(facts);
  byId("facts").hidden = !dropped && !facts.applied;
  const parts = dropped ? ` (${text.factsParts(facts.repeated, facts.stale, facts.overruled)})` : "";
  setText(byId("facts"), `${text.factsText(dropped, dropped + facts.applied)}${parts}.`);
}

/** @param {Load} load @param {number} now */
function say({ head }, now) {
  const longest = minutesSince(head.oldest, now);
  const sentence = shell.text.say(head.waiting, longest === undefined ? undefined : shell.text.minutes(longest));
  if (frozen || sentence === said || Date.now() - saidAt < SAY_EVERY_MS) return;
  said = sentence;
  saidAt = Date.now();
  setText(byId("status"), sentence);
}

function togglePause() {
  frozen = frozen || !entries ? undefined : { entries, at: shell.shownNow, changedAt };
  // Whoever pressed it without seeing hears that it worked.
  setText(byId("status"), frozen ? shell.text.paused(shell.text.time(frozen.at, frozen.entries.get("load").time_zone)) : "");
  said = "";
  render();
}

function start() {
  byId("pause").addEventListener("click", togglePause);
  shell.follow(location ? `load:${location}` : undefined, (held) => {
    entries = held.entries;
    changedAt = held.at;
    renderSoon();
  });
  // Waits grow, an hour passes and the day goes on without a message.
  setInterval(renderSoon, RENDER_EVERY_MS);
  new ResizeObserver(renderSoon).observe(byId("curve"));
}

start();
