// The board of a waiting room: who is called and where to go, readable from the last row of chairs.

import { Chime } from "../shared/chime.js";
import { byId, fragment, keepScreenOn, restartOnNewLink, setIcon, setText } from "../shared/page.js";
import { Wire } from "../shared/connection.js";
import { ageText, firstSpoken, spoken, words } from "../shared/texts.js";

/** @typedef {import("../shared/page.js").Language} Language */
/** @typedef {{name: string, languages: string[], messages: string[], time_zone?: string}} Board */
/** @typedef {{name: string, state: "open" | "paused" | "closed", waiting: number}} Queue */
/** @typedef {{label: string, station: string, at: number, recalls: number, current: boolean}} Call */
/** @typedef {[key: string, call: Call]} KeyedCall */

// A short loss repairs itself unseen; a longer one is said; after the last nobody may follow a call
// that could have been taken back long ago.
const BANNER_AFTER_MS = 10_000;
const HIDE_AFTER_MS = 5 * 60_000;

const HIGHLIGHT_MS = 9_000;
// What a screen learns after a loss is news only if it is also recent.
const NEWS_FOR_MS = 60_000;

// What fits and can be read from afar. Current calls beyond the rows lead the list beside them,
// which shows where to go too; queues beyond theirs are summed up.
const MOST_ROWS = 6;
const MOST_RECENT = 6;
const MOST_QUEUES = 5;

const MESSAGE_FOR_MS = 10_000;

// Against burn-in everything moves a little every minute; in units of `--shift`.
const SHIFTS = [[0, 0], [1, 0], [1, 1], [0, 1], [-1, 1], [-1, 0], [-1, -1], [0, -1], [1, -1]];
const SHIFT_EVERY_MS = 60_000;

const asked = fragment();
const token = asked.get("token");
const locationId = asked.get("location");

/** @type {ReadonlyMap<string, any> | undefined} */
let entries;
/** @type {import("../shared/connection.js").Link} */
let link = { name: "connecting" };
/** @type {Wire | undefined} */
let wire;
/** What was called already, to tell a new call, or a repeated one, from one seen before. @type {Map<string, string> | undefined} */
let seen;
/** Until when a call is highlighted, by the clock of this screen. @type {Map<string, number>} */
const highlighted = new Map();

const chime = new Chime(renderSound);

/** @returns {Board} */
function board() {
  return entries?.get("board") ?? { name: "", languages: [], messages: [] };
}

/** The languages of this location that we speak, in its order. @returns {Language[]} */
function languages() {
  const known = board().languages.map((tag) => spoken.find((language) => language === tag)).filter((tag) => tag !== undefined);
  return known.length ? known : [firstSpoken(navigator.languages)];
}

/**
 * Shows one text in every language of the location, the first one large.
 * @param {Element} element
 * @param {(text: typeof words.en.board) => string} pick
 */
function setTexts(element, pick) {
  const spans = languages().map((language) => {
    const span = document.createElement("span");
    span.lang = language;
    span.textContent = pick(words[language].board);
    return span;
  });
  const same = [...element.children].map((child) => child.outerHTML).join() === spans.map((span) => span.outerHTML).join();
  if (!same) element.replaceChildren(...spans);
}

/** @param {string} prefix @returns {[string, any][]} */
function keyed(prefix) {
  return [...(entries ?? [])].filter(([key]) => key.startsWith(prefix));
}

/** Latest first; the key decides between calls of one instant, so that rows never swap places. @returns {KeyedCall[]} */
function calls() {
  return keyed("call:").sort(([keyA, a], [keyB, b]) => b.at - a.at || (keyA < keyB ? -1 : 1));
}

/** @param {ReadonlyMap<string, any>} next */
function takeView(next) {
  entries = next;
  const before = seen;
  seen = new Map();
  for (const [key, call] of calls().filter(([, call]) => call.current)) {
    const stamp = `${call.at}/${call.recalls}`;
    seen.set(key, stamp);
    const recent = (wire?.now() ?? call.at) - call.at < NEWS_FOR_MS;
    if (before && recent && before.get(key) !== stamp) tellCall(key, call);
  }
  render();
}

/** @param {string} key @param {Call} call */
function tellCall(key, call) {
  highlighted.set(key, Date.now() + HIGHLIGHT_MS);
  chime.ring();
  byId("announcement").textContent = words[languages()[0]].board.announce(call.label, call.station);
}

function render() {
  const root = document.documentElement;
  root.dataset.link = link.name;
  root.lang = languages()[0];
  setText(byId("name"), board().name);
  document.title = board().name || "Clinicwire";
  setTexts(byId("calling-title"), (text) => text.nowCalling);
  setTexts(byId("waiting-title"), (text) => text.waiting);
  setTexts(byId("recent-title"), (text) => text.recent);

  const [current, earlier] = [calls().filter(([, call]) => call.current), calls().filter(([, call]) => !call.current)];
  renderRows(current.slice(0, MOST_ROWS));
  renderRecent([...current.slice(MOST_ROWS), ...earlier].slice(0, MOST_RECENT));
  renderQueues();
  byId("nobody").hidden = current.length > 0 || !entries;
  setTexts(byId("nobody"), (text) => text.nobody);
  renderLink();
  renderClock();
  renderSound();
}

/** @param {KeyedCall[]} shown */
function renderRows(shown) {
  const list = byId("calls");
  list.dataset.count = String(shown.length);
  const kept = new Map([...list.children].map((row) => [/** @type {HTMLElement} */ (row).dataset.key, row]));
  shown.forEach(([key, call], index) => {
    const row = kept.get(key) ?? newRow(key);
    kept.delete(key);
    fillRow(row, key, call);
    // Moving an element restarts its animation: only those out of place are moved.
    if (list.children[index] !== row) list.insertBefore(row, list.children[index] ?? null);
  });
  for (const gone of kept.values()) gone.remove();
  fitTexts();
}

/** A text is as wide as its size makes it, so one look tells how much smaller it must be to fit its cell. */
function fitTexts() {
  for (const text of /** @type {NodeListOf<HTMLElement>} */ (byId("calls").querySelectorAll("b span"))) {
    const fit = Number(text.style.getPropertyValue("--fit")) || 1;
    const room = text.parentElement?.clientWidth ?? 0;
    const next = room && text.offsetWidth ? Math.min(1, (room / text.offsetWidth) * fit) : 1;
    // Rounding of widths must not make it shiver.
    if (Math.abs(next - fit) > 0.01) text.style.setProperty("--fit", String(Math.floor(next * 100) / 100));
  }
}

/** @param {string} key */
function newRow(key) {
  const template = /** @type {HTMLTemplateElement} */ (byId("row"));
  const row = /** @type {HTMLElement} */ (template.content.firstElementChild?.cloneNode(true));
  row.dataset.key = key;
  return row;
}

/** @param {Element} row @param {string} key @param {Call} call */
function fillRow(row, key, call) {
  const [label, room, flag] = [".label span", ".room span", ".flag"].map((part) => /** @type {HTMLElement} */ (row.querySelector(part)));
  setText(label, call.label);
  setText(room, call.station);
  const fresh = (highlighted.get(key) ?? 0) > Date.now();
  row.classList.toggle("fresh", fresh);
  flag.hidden = !fresh && !call.recalls;
  setTexts(flag, (text) => (call.recalls ? text.again : text.isNew));
}

/** @param {KeyedCall[]} shown */
function renderRecent(shown) {
  byId("recent-section").hidden = shown.length === 0;
  renderList(byId("recent"), shown.map(([, call]) => [call.label, call.station, time(call.at)]));
}

function renderQueues() {
  /** @type {Queue[]} */
  const queues = keyed("queue:").map(([, queue]) => queue);
  queues.sort((a, b) => a.name.localeCompare(b.name, languages()[0]));
  const shown = queues.length > MOST_QUEUES ? queues.slice(0, MOST_QUEUES - 1) : queues;
  const rest = queues.slice(shown.length);
  const text = words[languages()[0]].board;
  const lines = shown.map((queue) => [queue.name, queue.state === "open" ? "" : text[queue.state], String(queue.waiting)]);
  if (rest.length) lines.push([text.moreLines(rest.length), "", String(rest.reduce((sum, queue) => sum + queue.waiting, 0))]);
  renderList(byId("queues"), lines);
}

/** @param {HTMLElement} list @param {string[][]} lines */
function renderList(list, lines) {
  while (list.children.length > lines.length) list.lastElementChild?.remove();
  lines.forEach((cells, index) => {
    const line = list.children[index] ?? list.appendChild(document.createElement("li"));
    cells.forEach((text, cell) => setText(line.children[cell] ?? line.appendChild(document.createElement("span")), text));
  });
}

function renderLink() {
  const loss = link.name === "lost" || link.name === "stale" ? Date.now() - link.since : 0;
  const refused = !token || !locationId || link.name === "refused";
  const hide = refused || loss >= HIDE_AFTER_MS;
  byId("banner").hidden = refused || loss < BANNER_AFTER_MS;
  if (!byId("banner").hidden) setTexts(byId("banner-text"), (text) => text.lost(ageText(loss)));
  document.documentElement.classList.toggle("doubtful", hide || loss >= BANNER_AFTER_MS);
  byId("calling").hidden = byId("aside").hidden = hide;
  byId("instead").hidden = !hide;
  if (hide) renderInstead(refused ? "refused" : "hidden");
}

/** @param {"refused" | "hidden"} which */
function renderInstead(which) {
  const parts = languages().map((language) => {
    const part = document.createElement("div");
    part.lang = language;
    for (const [index, text] of words[language].board[which].entries()) {
      part.appendChild(document.createElement(index ? "p" : "h2")).textContent = text;
    }
    return part;
  });
  byId("instead-text").replaceChildren(...parts);
}

/** @param {number} ms */
function time(ms) {
  return format(ms, { hour: "2-digit", minute: "2-digit", hourCycle: languages()[0] === "fr" ? "h23" : undefined });
}

/** @param {number} ms @param {Intl.DateTimeFormatOptions} options */
function format(ms, options) {
  return new Intl.DateTimeFormat(languages()[0], { timeZone: board().time_zone, ...options }).format(ms);
}

function renderClock() {
  const now = wire?.now() ?? Date.now();
  setText(byId("clock"), time(now));
  setText(byId("date"), format(now, { weekday: "long", day: "numeric", month: "long" }));

  const { messages } = board();
  setText(byId("message"), messages[Math.floor(now / MESSAGE_FOR_MS) % messages.length] ?? "");

  const [x, y] = SHIFTS[Math.floor(now / SHIFT_EVERY_MS) % SHIFTS.length];
  byId("board").style.setProperty("--x", String(x));
  byId("board").style.setProperty("--y", String(y));
}

function renderSound() {
  byId("sound").classList.toggle("on", chime.on);
  setIcon(/** @type {Element} */ (byId("sound").querySelector("svg")), chime.on ? "sound-on" : "sound-off");
  const text = words[languages()[0]].board;
  setText(byId("sound-text"), chime.on ? text.soundOn : `${text.soundOff} · ${text.startSound}`);
}

function start() {
  byId("sound").addEventListener("click", () => (chime.on ? chime.stop() : chime.start()));
  restartOnNewLink();
  render();
  if (!token || !locationId) return;
  keepScreenOn();
  wire = new Wire({
    token,
    channels: [`board:${locationId}`],
    onView: (_channel, held) => takeView(held.entries ?? new Map()),
    onLink: (next) => {
      link = next;
      render();
    },
  });
  // The clock, ages and the end of a highlight.
  setInterval(render, 1_000);
}

start();
