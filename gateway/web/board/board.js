// The board of a waiting room: who is called and where to go, readable from the last row of chairs.

import { Chime } from "../shared/chime.js";
import { Connection } from "../shared/connection.js";
import { firstKnown, LANGUAGES } from "../shared/language.js";
import {
  byId,
  fragment,
  keepScreenOn,
  restartOnNewLink,
  setIcon,
  setText,
} from "../shared/page.js";
import { placeName } from "../shared/place.js";
import { ageText, datedText, dateText, timeText, zonedTimeText } from "../shared/times.js";
import { boardTexts } from "./texts.js";

/** @typedef {import("../shared/language.js").Language} Language */
/** @typedef {import("../shared/schemas.js").BoardHead} Board */
/** @typedef {import("../shared/schemas.js").BoardQueue} Queue */
/** @typedef {import("../shared/schemas.js").BoardMove} Move */
/**
 * @typedef {{label: string, station: string, at: number, recalls: number, current: boolean}} Call
 */
/** @typedef {[key: string, call: Call]} KeyedCall */

// A short loss is repaired before anybody notices; a longer one is shown. After the last limit the
// board hides its calls: nobody may follow one that could have been taken back long ago.
const BANNER_AFTER_MS = 10_000;
const HIDE_AFTER_MS = 5 * 60_000;

const HIGHLIGHT_MS = 9_000;
// A call that the board learns of after a loss is highlighted only if it is also recent.
const NEWS_FOR_MS = 60_000;

// As many as fit and can be read from afar. Further current calls lead the list beside the rows,
// which shows where to go too; further queues and moves are summed up.
const MAX_ROWS = 6;
const MAX_RECENT = 6;
const MAX_QUEUES = 5;
const MAX_MOVES = 3;

const MESSAGE_FOR_MS = 10_000;

// Against burn-in everything moves a little every minute; in units of `--shift`.
const SHIFTS = [
  [0, 0],
  [1, 0],
  [1, 1],
  [0, 1],
  [-1, 1],
  [-1, 0],
  [-1, -1],
  [0, -1],
  [1, -1],
];
const SHIFT_EVERY_MS = 60_000;

const params = fragment();
const token = params.get("token");
const locationId = params.get("location");

/** @type {ReadonlyMap<string, any> | undefined} */
let entries;
/** @type {import("../shared/connection.js").ConnectionState} */
let state = { name: "connecting" };
/** @type {Connection | undefined} */
let connection;
/**
 * The calls shown so far, to tell a new or repeated call from one seen before.
 * @type {Map<string, string> | undefined}
 */
let seen;
/** When each highlight ends, by the clock of this screen. @type {Map<string, number>} */
const highlighted = new Map();

const chime = new Chime(renderSound);

/** @returns {Board} */
function board() {
  return entries?.get("board") ?? { name: "", languages: [], messages: [] };
}

/** The languages of this location that the pages have, in its order. @returns {Language[]} */
function languages() {
  const known = board()
    .languages.map((tag) => LANGUAGES.find((language) => language === tag))
    .filter((tag) => tag !== undefined);
  return known.length ? known : [firstKnown(navigator.languages)];
}

/**
 * Shows one text in every language of the location, the first one large.
 * @param {Element} element
 * @param {(text: typeof boardTexts.en) => string} pick
 */
function setTexts(element, pick) {
  const spans = languages().map((language) => {
    const span = document.createElement("span");
    span.lang = language;
    span.textContent = pick(boardTexts[language]);
    return span;
  });
  const same =
    [...element.children].map((child) => child.outerHTML).join() ===
    spans.map((span) => span.outerHTML).join();
  if (!same) element.replaceChildren(...spans);
}

/** @param {string} prefix @returns {[string, any][]} */
function keyed(prefix) {
  return [...(entries ?? [])].filter(([key]) => key.startsWith(prefix));
}

/**
 * Latest first. The key decides between calls of the same time, so that rows never swap places.
 * @returns {KeyedCall[]}
 */
function calls() {
  return keyed("call:").sort(([keyA, a], [keyB, b]) => b.at - a.at || (keyA < keyB ? -1 : 1));
}

/** @param {ReadonlyMap<string, any>} next */
function updateView(next) {
  entries = next;
  const before = seen;
  seen = new Map();
  for (const [key, call] of calls().filter(([, call]) => call.current)) {
    const stamp = `${call.at}/${call.recalls}`;
    seen.set(key, stamp);
    const recent = (connection?.now() ?? call.at) - call.at < NEWS_FOR_MS;
    if (before && recent && before.get(key) !== stamp) announceCall(key, call);
  }
  render();
}

/** @param {string} key @param {Call} call */
function announceCall(key, call) {
  highlighted.set(key, Date.now() + HIGHLIGHT_MS);
  chime.ring();
  byId("announcement").textContent = boardTexts[languages()[0]].announce(call.label, call.station);
}

function render() {
  const root = document.documentElement;
  root.dataset.link = state.name;
  root.lang = languages()[0];
  setText(byId("name"), board().name || boardTexts[languages()[0]].title);
  document.title = board().name || boardTexts[languages()[0]].title;
  setTexts(byId("calling-title"), (text) => text.nowCalling);
  setTexts(byId("waiting-title"), (text) => text.waiting);
  setTexts(byId("recent-title"), (text) => text.recent);
  setTexts(byId("moves-title"), (text) => text.moves);

  const [current, earlier] = [
    calls().filter(([, call]) => call.current),
    calls().filter(([, call]) => !call.current),
  ];
  renderRows(current.slice(0, MAX_ROWS));
  renderRecent([...current.slice(MAX_ROWS), ...earlier].slice(0, MAX_RECENT));
  renderQueues();
  renderMoves();
  byId("nobody").hidden = current.length > 0 || !entries;
  setTexts(byId("nobody"), (text) => text.nobody);
  renderConnection();
  renderClock();
  renderSound();
}

/** @param {KeyedCall[]} shown */
function renderRows(shown) {
  const list = byId("calls");
  list.dataset.count = String(shown.length);
  const kept = new Map(
    [...list.children].map((row) => [/** @type {HTMLElement} */ (row).dataset.key, row]),
  );
  shown.forEach(([key, call], index) => {
    const row = kept.get(key) ?? newRow(key);
    kept.delete(key);
    fillRow(row, key, call);
    // Moving an element restarts its animation: move only those out of place.
    if (list.children[index] !== row) list.insertBefore(row, list.children[index] ?? null);
  });
  for (const gone of kept.values()) gone.remove();
  fitTexts();
}

/**
 * Shrinks texts that are wider than their cell. The width of a text is proportional to its size.
 */
function fitTexts() {
  for (const text of /** @type {NodeListOf<HTMLElement>} */ (
    byId("calls").querySelectorAll("b span")
  )) {
    const fit = Number(text.style.getPropertyValue("--fit")) || 1;
    const room = text.parentElement?.clientWidth ?? 0;
    const next = room && text.offsetWidth ? Math.min(1, (room / text.offsetWidth) * fit) : 1;
    // Rounding of widths must not make the text shiver.
    if (Math.abs(next - fit) > 0.01)
      text.style.setProperty("--fit", String(Math.floor(next * 100) / 100));
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
  const [label, room, flag] = [".label span", ".room span", ".flag"].map(
    (part) => /** @type {HTMLElement} */ (row.querySelector(part)),
  );
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
  const now = connection?.now() ?? Date.now();
  const [[language], zone] = [languages(), board().time_zone];
  renderList(
    byId("recent"),
    shown.map(([, call]) => [
      call.label,
      call.station,
      datedText(timeText(call.at, language, zone), call.at, now, language, zone),
    ]),
  );
}

function renderQueues() {
  /** @type {Queue[]} */
  const queues = keyed("queue:").map(([, queue]) => queue);
  queues.sort((a, b) => a.name.localeCompare(b.name, languages()[0]));
  const shown = queues.length > MAX_QUEUES ? queues.slice(0, MAX_QUEUES - 1) : queues;
  const rest = queues.slice(shown.length);
  const text = boardTexts[languages()[0]];
  const lines = shown.map((queue) => [
    queue.name,
    queue.state === "open" ? "" : text[queue.state],
    String(queue.waiting),
  ]);
  if (rest.length)
    lines.push([
      text.moreLines(rest.length),
      "",
      String(rest.reduce((sum, queue) => sum + queue.waiting, 0)),
    ]);
  renderList(byId("queues"), lines);
}

/** People on the way to another location, who keep their place here until it has accepted. */
function renderMoves() {
  /** @type {Move[]} */
  const moves = keyed("move:").map(([, move]) => move);
  byId("moves-section").hidden = moves.length === 0;
  moves.sort((a, b) => (a.label < b.label ? -1 : 1));
  const shown = moves.length > MAX_MOVES ? moves.slice(0, MAX_MOVES - 1) : moves;
  const lines = shown.map(({ label, to }) => [label, placeName(to)]);
  const rest = moves.length - shown.length;
  if (rest) lines.push([`+${rest}`, ""]);
  renderList(byId("moves"), lines);
}

/** @param {HTMLElement} list @param {string[][]} lines */
function renderList(list, lines) {
  while (list.children.length > lines.length) list.lastElementChild?.remove();
  lines.forEach((cells, index) => {
    const line = list.children[index] ?? list.appendChild(document.createElement("li"));
    cells.forEach((text, cell) =>
      setText(line.children[cell] ?? line.appendChild(document.createElement("span")), text),
    );
  });
}

function renderConnection() {
  const loss = state.name === "lost" || state.name === "stale" ? Date.now() - state.since : 0;
  const refused = !token || !locationId || state.name === "refused";
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
    for (const [index, text] of boardTexts[language][which].entries()) {
      part.appendChild(document.createElement(index ? "p" : "h2")).textContent = text;
    }
    return part;
  });
  byId("instead-text").replaceChildren(...parts);
}

function renderClock() {
  const now = connection?.now() ?? Date.now();
  const [language] = languages();
  const zone = board().time_zone;
  setText(byId("clock"), zonedTimeText(now, language, zone));
  setText(byId("date"), dateText(now, language, zone));

  const { messages } = board();
  setText(byId("message"), messages[Math.floor(now / MESSAGE_FOR_MS) % messages.length] ?? "");

  const [x, y] = SHIFTS[Math.floor(now / SHIFT_EVERY_MS) % SHIFTS.length];
  byId("board").style.setProperty("--x", String(x));
  byId("board").style.setProperty("--y", String(y));
}

function renderSound() {
  byId("sound").classList.toggle("on", chime.on);
  setIcon(byId("sound"), chime.on ? "sound-on" : "sound-off");
  const text = boardTexts[languages()[0]];
  setText(byId("sound-text"), chime.on ? text.soundOn : `${text.soundOff} · ${text.startSound}`);
}

function start() {
  byId("sound").addEventListener("click", () => (chime.on ? chime.stop() : chime.start()));
  restartOnNewLink();
  render();
  if (!token || !locationId) return;
  keepScreenOn();
  connection = new Connection({
    token,
    channels: [`board:${locationId}`],
    onView: (_channel, view) => updateView(view.entries ?? new Map()),
    onState: (next) => {
      state = next;
      render();
    },
  });
  // The clock, ages and the end of a highlight.
  setInterval(render, 1_000);
}

start();
