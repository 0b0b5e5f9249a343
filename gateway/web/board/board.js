// The board of a waiting room: who is called and where to go, readable from the last row of chairs.

import { applyBrand } from "../shared/look/brand.js";
import { Chime } from "../shared/sound/chime.js";
import { Connection } from "../shared/connection/connection.js";
import { crossingBanner } from "../shared/credentials/crossing.js";
import { directionOf, firstKnown, LANGUAGES } from "../shared/words/language.js";
import { reloadOnNewVersion } from "../shared/connection/new-version.js";
import { forgetPairing, keepPairing, keptPairing, pair } from "../shared/credentials/pairing.js";
import { isOriginProblem } from "../shared/connection/origin.js";
import {
  byId,
  fragment,
  keepScreenOn,
  restartOnNewLink,
  setIcon,
  setText,
} from "../shared/look/page.js";
import { placeName } from "../shared/visit/place.js";
import { within } from "../shared/look/rows.js";
import {
  ageText,
  datedText,
  dateText,
  hourOf,
  timeText,
  zonedTimeText,
} from "../shared/words/times.js";
import { Voice } from "../shared/sound/voice.js";
import { isNight, latestFirst, noteCalls, pageOf, splitCalls, spokenLabel } from "./calls.js";
import { markPage, renderList, showPages } from "./lists.js";
import { renderRows } from "./rows.js";
import { textsOf } from "../languages/all.js";

const boardTexts = textsOf("board");

/** @typedef {import("../shared/words/language.js").Language} Language */
/** @typedef {import("../shared/schemas.js").BoardHead} Board */
/** @typedef {import("../shared/schemas.js").BoardQueue} Queue */
/** @typedef {import("../shared/schemas.js").BoardMove} Move */
/** @typedef {import("./calls.js").Call} Call */
/** @typedef {import("./calls.js").KeyedCall} KeyedCall */

// A short loss is repaired unseen; a longer one is shown. After the last limit the board hides its
// calls, because a call could have been taken back long ago.
const BANNER_AFTER_MS = 10_000;
const HIDE_AFTER_MS = 5 * 60_000;

const HIGHLIGHT_MS = 9_000;

// The number of rows that people can read from afar. Further calls follow on the next page.
const MAX_ROWS = 6;
// A name of more letters is written smaller.
const LONG_NAME = 36;
// Patients do not look for older calls than these.
const MAX_RECENT = 6;
const PAGE_FOR_MS = 8_000;

const MESSAGE_FOR_MS = 10_000;

// A refused screen asks again: its rights, or the server's clock, may be put right meanwhile.
const ASK_AGAIN_MS = 60_000;

// Staff removed the display, or its credential was copied: it is paired again. A socket says so by
// the close code 3507.
const ENDED = new Set([
  "3507",
  "token_revoked",
  "credential_reused",
  "not_renewable",
  "token_invalid",
]);

// The hours at which the screen is dim, by the clinic's clock.
const NIGHT = "21-6";

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

// Where the browser keeps the pairing of this screen.
const PLACE = "display";

const params = fragment();
const linked = params.get("token");
/** Whether the page was opened without any link: then this screen is paired. */
const isPaired = !linked && !params.get("location");
const kept = isPaired ? keptPairing(PLACE) : undefined;
/** The token of the link, or of the display that this screen is paired as. */
let token = linked ?? kept?.token;
let locationId = params.get("location") ?? kept?.location;
/** The code that staff type to pair this screen. */
let pairingCode = "";

/** @type {ReadonlyMap<string, any> | undefined} */
let entries;
/** @type {import("../shared/connection/connection.js").ConnectionState} */
let state = { name: "connecting" };
/** @type {Connection | undefined} */
let connection;
/**
 * The calls shown so far, to tell a new or repeated call from one seen before.
 * @type {Map<string, import("./calls.js").Shown> | undefined}
 */
let seen;
/** When each highlight ends, by the clock of this screen. @type {Map<string, number>} */
const highlighted = new Map();

const chime = new Chime(renderSound);
const voice = new Voice();
const showCrossing = crossingBanner(linked);

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
 * @param {(text: typeof boardTexts.en, language: Language) => string} pick
 */
function setTexts(element, pick) {
  const spans = languages().map((language) => {
    const span = document.createElement("span");
    span.lang = language;
    span.textContent = pick(boardTexts[language], language);
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

function calls() {
  return latestFirst(keyed("call:"));
}

/** @param {ReadonlyMap<string, any>} next */
function updateView(next) {
  entries = next;
  const clocks = { now: Date.now(), serverNow: connection?.now() ?? Date.now() };
  const { shown, news } = noteCalls(calls(), seen, clocks);
  for (const key of seen?.keys() ?? []) if (!shown.has(key)) voice.drop(key);
  seen = shown;
  // The oldest first: voices and screen readers tell them in the order of their calls.
  for (const [key, call] of news.reverse()) announceCall(key, call);
  render();
}

/** @param {string} key @param {Call} call */
function announceCall(key, call) {
  highlighted.set(key, Date.now() + HIGHLIGHT_MS);
  chime.ring();
  voice.say(
    key,
    languages().map((lang) => ({
      lang,
      text: boardTexts[lang].speak(spokenLabel(call.label), call.station),
    })),
  );
  byId("announcement").textContent = boardTexts[languages()[0]].announce(call.label, call.station);
}

/** @param {string} key */
const isFresh = (key) => (highlighted.get(key) ?? 0) > Date.now();

function render() {
  const root = document.documentElement;
  root.dataset.link = state.name;
  root.lang = languages()[0];
  root.dir = directionOf(languages()[0]);
  showCrossing(languages()[0]);
  setText(byId("name"), board().name || boardTexts[languages()[0]].title);
  byId("name").classList.toggle("long", board().name.length > LONG_NAME);
  document.title = board().name || boardTexts[languages()[0]].title;
  applyBrand(board().branding);
  setTexts(byId("calling-title"), (text) => text.nowCalling);
  setTexts(byId("waiting-title"), (text) => text.waiting);
  setTexts(byId("recent-title"), (text) => text.recent);
  setTexts(byId("moves-title"), (text) => text.moves);

  const [current, earlier] = splitCalls(calls(), seen ?? new Map(), Date.now());
  byId("nobody").hidden = current.length > 0 || !entries;
  setTexts(byId("nobody"), (text) => text.nobody);
  renderConnection();
  renderRecent(earlier.slice(0, MAX_RECENT));
  renderQueues();
  renderMoves();
  // Rendered after the parts that take room from it, because its texts are fitted to the remaining
  // room.
  renderCurrent(current);
  renderClock();
  renderSound();
  showPages(byId("aside"), [byId("queues"), byId("moves"), byId("recent")], turn());
}

/**
 * The number of turns of this length since 1970, or until 1970 on a screen whose clock shows an
 * earlier time.
 * @param {number} now ms
 * @param {number} lastsMs
 */
const turnsUntil = (now, lastsMs) => Math.abs(Math.floor(now / lastsMs));

/** Counts the pages shown so far. */
const turn = () => turnsUntil(connection?.now() ?? Date.now(), PAGE_FOR_MS);

/** @param {KeyedCall[]} current */
function renderCurrent(current) {
  const { page, index, count } = pageOf(current, ([key]) => isFresh(key), MAX_ROWS, turn());
  markPage(byId("calls"), index, count);
  renderRows(byId("calls"), page, (row, key, { recalls, name, doctor }) => {
    const person = [name, doctor].filter(Boolean).join(" · ");
    within(row, ".person").hidden = !person;
    setText(within(row, ".person"), person);
    const flag = within(row, ".flag");
    row.classList.toggle("fresh", isFresh(key));
    flag.hidden = !isFresh(key) && !recalls;
    setTexts(flag, (text) => (recalls ? text.again : text.isNew));
  });
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
  // The difference of two queues without a place is NaN: their names decide.
  queues.sort(
    (a, b) =>
      (a.place ?? Infinity) - (b.place ?? Infinity) || a.name.localeCompare(b.name, languages()[0]),
  );
  const text = boardTexts[languages()[0]];
  renderList(
    byId("queues"),
    queues.map(({ name, state, waiting, message }) => [
      name,
      state === "open" ? "" : [text[state], message].filter(Boolean).join(": "),
      waiting === undefined ? "" : String(waiting),
    ]),
  );
}

/** People on the way to another location, who keep their place here until it has accepted. */
function renderMoves() {
  /** @type {Move[]} */
  const moves = keyed("move:").map(([, move]) => move);
  byId("moves-section").hidden = moves.length === 0;
  moves.sort((a, b) => (a.label < b.label ? -1 : 1));
  renderList(
    byId("moves"),
    moves.map(({ label, to }) => [label, placeName(to)]),
  );
}

function renderConnection() {
  const loss = state.name === "lost" || state.name === "stale" ? Date.now() - state.since : 0;
  const refused = !token || !locationId || state.name === "refused";
  const hide = refused || loss >= HIDE_AFTER_MS;
  byId("banner").hidden = refused || loss < BANNER_AFTER_MS;
  if (!byId("banner").hidden)
    setTexts(byId("banner-text"), (text, language) => text.lost(ageText(loss, language)));
  document.documentElement.classList.toggle("doubtful", hide || loss >= BANNER_AFTER_MS);
  byId("calling").hidden = byId("aside").hidden = hide;
  byId("instead").hidden = !hide;
  const misplaced = state.name === "refused" && isOriginProblem(state.code);
  const reason = misplaced ? "origin" : refused ? "refused" : "hidden";
  if (hide) renderInstead(pairingCode ? "pair" : reason);
  byId("code").hidden = !pairingCode;
  setText(byId("code"), pairingCode);
}

/** @param {"refused" | "hidden" | "origin" | "pair"} which */
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
  renderMessage(messages, turnsUntil(now, MESSAGE_FOR_MS));
  const isCalling = calls().some(([key]) => isFresh(key));
  const night = isNight(hourOf(now, zone), params.get("night") ?? NIGHT);
  document.documentElement.classList.toggle("night", night && !isCalling);

  const [x, y] = SHIFTS[turnsUntil(now, SHIFT_EVERY_MS) % SHIFTS.length];
  byId("board").style.setProperty("--x", String(x));
  byId("board").style.setProperty("--y", String(y));
}

/**
 * Shows the messages in turn, each in all languages of the location before the next one.
 * @param {Board["messages"]} messages
 * @param {number} turn
 */
function renderMessage(messages, turn) {
  const texts = messages.flatMap((message) => {
    const known = board().languages.filter((tag) => message[tag]);
    const shown = known.length ? known : Object.keys(message).slice(0, 1);
    return shown.map((tag) => ({ tag, text: message[tag] }));
  });
  const { tag = "", text = "" } = texts[turn % texts.length] ?? {};
  byId("message").lang = tag;
  byId("message").dir = "auto";
  setText(byId("message"), text);
}

function renderSound() {
  byId("sound").classList.toggle("on", chime.on);
  setIcon(byId("sound"), chime.on ? "sound-on" : "sound-off");
  const text = boardTexts[languages()[0]];
  setText(byId("sound-text"), chime.on ? text.soundOn : `${text.soundOff} · ${text.startSound}`);
}

function toggleSound() {
  voice.on = !chime.on && params.get("speech") !== "off";
  if (chime.on) {
    voice.stop();
    void chime.stop();
  } else {
    void chime.start();
  }
}

/** @param {string} token @param {string} location */
function follow(token, location) {
  const own = new Connection({
    token,
    channels: [`board:${location}`],
    onView: (_channel, view) => updateView(view.entries ?? new Map()),
    onState: (next) => {
      if (own !== connection) return;
      state = next;
      if (state.name === "refused" && isPaired && ENDED.has(state.code)) return void pairAgain();
      if (state.name === "refused") setTimeout(() => follow(token, location), ASK_AGAIN_MS);
      render();
    },
  });
  connection = own;
}

/** Pairs this screen, and follows the board of its location from then on. */
async function pairAgain() {
  forgetPairing(PLACE);
  connection?.close();
  [token, locationId, entries] = [undefined, undefined, undefined];
  const display = await pair((code) => {
    pairingCode = code;
    render();
  });
  keepPairing(PLACE, display);
  pairingCode = "";
  state = { name: "connecting" };
  [token, locationId] = [display.token, display.location];
  follow(display.token, display.location);
  render();
}

function start() {
  byId("sound").addEventListener("click", toggleSound);
  restartOnNewLink();
  render();
  if (!isPaired && (!token || !locationId)) return;
  keepScreenOn();
  if (token && locationId) follow(token, locationId);
  else void pairAgain();
  reloadOnNewVersion(() => state.name === "live" && !calls().some(([key]) => isFresh(key)));
  // The clock, ages, pages and the end of a highlight.
  setInterval(render, 1_000);
}

start();
