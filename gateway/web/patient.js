// The patient page: follows one ticket and says, at any moment, what its holder wants to know.

import { Chime } from "./chime.js";
import { byId, fragment, keepScreenOn, restartOnNewLink, setIcon, setText } from "./page.js";
import { waitFrom } from "./wait.js";
import { Wire } from "./wire.js";
import { ageText, firstSpoken, spoken, words } from "./words.js";

/**
 * @typedef {object} Ticket
 * @property {number} at
 * @property {string} label
 * @property {string} queue_name
 * @property {"open" | "paused" | "closed"} queue_state
 * @property {"waiting" | "called" | "in_service" | "on_hold" | "absent" | "completed" | "no_show" | "cancelled" | "left" | "transferred"} state
 * @property {number} [ahead]
 * @property {{from: number, to: number}} [estimate]
 * @property {{station: string, at: number, recalls: number}} [call]
 * @property {string} [reason]
 */

/** @typedef {keyof typeof words.en.patient.notes} Note */

// The browser repairs short losses, and planned ones, within seconds: the small line at the bottom
// says so at once, the banner only when it lasts.
const BANNER_AFTER_MS = 5_000;

// Vibration in ms: on, off, on …
const CALL_PATTERN = [400, 200, 400, 200, 800];

// The figures nearest the door are drawn; who stands behind them is a number.
const MOST_FIGURES = 6;

/** @type {Record<Note, string>} */
const noteIcons = {
  in_service: "heart", on_hold: "pause", absent: "info", completed: "check", no_show: "info",
  cancelled: "info", left: "away", transferred: "away", missing: "info", refused: "info", waiting_for_server: "unplugged",
};

const asked = fragment();
const token = asked.get("token");
const ticketId = asked.get("ticket");

let language = firstSpoken([new URLSearchParams(location.search).get("lang"), ...navigator.languages]);
/** @type {Ticket | undefined} */
let ticket;
/** @type {import("./wire.js").Link} */
let link = { name: "connecting" };
/** @type {Wire | undefined} */
let wire;
let alerting = false;
let drawnAhead = -1;
let announced = "";
let callTold = "";

const chime = new Chime(render);

const text = () => words[language].patient;

/** @param {number} ms */
function clock(ms) {
  // The reader's own habits (12 or 24 hours) where they are of the language shown.
  const tags = [...navigator.languages.filter((tag) => tag.startsWith(language)), language];
  return new Intl.DateTimeFormat(tags, { hour: "numeric", minute: "2-digit" }).format(ms);
}

/** How long we have been without the server, or undefined while we are with it. */
function lossMs() {
  return link.name === "lost" || link.name === "stale" ? Date.now() - link.since : undefined;
}

/** The moment that the page speaks of: now, or when it last knew. An estimate must not run on without news. */
function shownNow() {
  return (wire?.now() ?? Date.now()) - (lossMs() ?? 0);
}

/** @returns {Note | undefined} what the note says instead of a place in line, if anything */
function noteOf() {
  if (!token || !ticketId) return "missing";
  if (link.name === "refused") return "refused";
  if (!ticket) return link.name === "lost" ? "waiting_for_server" : undefined;
  return ticket.state === "waiting" || ticket.state === "called" ? undefined : ticket.state;
}

function render() {
  const note = noteOf();
  const known = note === "missing" || note === "refused" ? undefined : ticket;
  const state = known?.state ?? note ?? "none";
  const root = document.documentElement;
  root.lang = language;
  root.dataset.state = state;
  root.dataset.link = link.name;

  byId("ticket").hidden = !known;
  byId("waiting").hidden = byId("overtaking").hidden = state !== "waiting";
  byId("called").hidden = state !== "called";
  byId("note").hidden = !note;
  byId("alert").hidden = state !== "waiting";

  setText(byId("queue-name"), known?.queue_name ?? "");
  setText(byId("ticket-caption"), text().yourTicket);
  setText(byId("label"), known?.label ?? "");
  document.title = [known?.label, note ? text().notes[note][0] : "", text().title].filter(Boolean).join(" · ");
  if (known?.state === "waiting") renderWaiting(known);
  if (known?.state === "called") renderCalled(known);
  if (note) renderNote(note, known?.reason);
  renderLanguages();
  renderAlert();
  renderFreshness(known);
  announce(known, note);
}

/** @param {Ticket} ticket */
function renderWaiting({ label, ahead = 0, estimate, queue_state: queueState }) {
  setText(byId("ahead"), ahead ? String(ahead) : "");
  setText(byId("ahead-text"), ahead ? text().ahead(ahead) : text().next);
  byId("ahead-hint").hidden = ahead > 0;
  setText(byId("ahead-hint"), text().nextHint);
  drawLine(ahead);
  setText(byId("wait-caption"), text().wait);
  setText(byId("wait"), waitText({ estimate, queueState }));
  byId("queue-notice").hidden = queueState === "open";
  setText(byId("queue-notice-text"), queueState === "paused" ? text().paused : text().closed);
  setText(byId("overtaking"), text().overtaking);
  document.title = ahead ? `${label} · ${ahead} ${text().ahead(ahead)}` : `${label} · ${text().next}`;
}

/** @param {{estimate: Ticket["estimate"], queueState: Ticket["queue_state"]}} known */
function waitText({ estimate, queueState }) {
  if (queueState === "paused") return text().onceResumed;
  return estimate ? text().waitText(waitFrom(estimate, shownNow())) : text().noWait;
}

/** The line as figures: you at its end, the door ahead of everyone. @param {number} ahead */
function drawLine(ahead) {
  if (ahead === drawnAhead) return;
  const moved = drawnAhead > ahead;
  drawnAhead = ahead;
  const shown = ahead > MOST_FIGURES ? MOST_FIGURES - 1 : ahead;
  const parts = [figure("person", "you")];
  if (ahead > shown) {
    const more = document.createElement("span");
    more.textContent = `+${ahead - shown}`;
    parts.push(more);
  }
  for (let index = 0; index < shown; index++) parts.push(figure("person", "other"));
  parts.push(figure("door", "door"));
  const line = byId("line");
  line.replaceChildren(...parts);
  line.classList.toggle("moved", moved);
}

/** @param {string} symbol @param {string} kind @returns {Element} */
function figure(symbol, kind) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("class", `icon ${kind}`);
  svg.append(document.createElementNS("http://www.w3.org/2000/svg", "use"));
  setIcon(svg, symbol);
  return svg;
}

/** @param {Ticket} ticket */
function renderCalled({ label, call }) {
  setText(byId("your-turn"), text().yourTurn);
  setText(byId("go-to"), call ? text().goTo : "");
  setText(byId("room"), call?.station ?? "");
  byId("room").style.setProperty("--longest", String(Math.max(4, ...(call?.station ?? "").split(/\s+/).map((word) => word.length))));
  setText(byId("called-at"), call ? (call.recalls ? text().recalledAt : text().calledAt)(clock(call.at)) : "");
  document.title = [call?.station, text().yourTurn, label].filter(Boolean).join(" · ");
}

/** @param {Note} note @param {string} [reason] */
function renderNote(note, reason) {
  setIcon(byId("note-icon"), noteIcons[note]);
  setText(byId("note-title"), text().notes[note][0]);
  setText(byId("note-text"), text().notes[note][1]);
  byId("note-reason").hidden = !reason;
  setText(byId("note-reason"), reason ? text().reason(reason) : "");
}

function renderLanguages() {
  for (const button of byId("languages").querySelectorAll("button")) {
    button.setAttribute("aria-pressed", String(button.value === language));
  }
}

function renderAlert() {
  byId("alert").setAttribute("aria-checked", String(alerting));
  setText(byId("alert-text"), text().alert);
  setText(byId("alert-hint"), text().alertHint);
}

/** @param {Ticket} [known] */
function renderFreshness(known) {
  const loss = lossMs();
  const showBanner = known !== undefined && loss !== undefined && loss >= BANNER_AFTER_MS;
  byId("banner").hidden = !showBanner;
  if (showBanner) setText(byId("banner-text"), (link.name === "lost" ? text().lost : text().stale)(ageText(loss)));
  document.documentElement.classList.toggle("doubtful", showBanner);

  const { connecting, live, reconnecting, notConnected, finished } = text();
  const lost = showBanner ? notConnected : reconnecting;
  const names = { connecting, live, stale: notConnected, lost, refused: "", ended: finished };
  setText(byId("link"), ticketId && token ? names[link.name] : "");
  setText(byId("changed"), known ? `· ${showBanner ? text().asOf(clock(shownNow())) : text().changedAt(clock(known.at))}` : "");
}

/**
 * Screen readers hear changes of place and state, politely; only the own call interrupts.
 * @param {Ticket | undefined} known
 * @param {Note | undefined} note
 */
function announce(known, note) {
  let sentence = note ? text().notes[note].join(". ") : "";
  if (known?.state === "waiting") {
    const { ahead = 0 } = known;
    sentence = ahead ? `${ahead} ${text().ahead(ahead)}` : `${text().next}. ${text().nextHint}`;
    if (known.queue_state !== "open") sentence += `. ${known.queue_state === "paused" ? text().paused : text().closed}`;
  }
  if (!byId("banner").hidden) sentence = link.name === "lost" ? text().notConnected : text().reconnecting;
  if (sentence !== announced) {
    announced = sentence;
    byId("status").textContent = sentence;
  }
  const call = known?.state === "called" ? known.call : undefined;
  const told = call ? `${call.at}/${call.recalls}/${language}` : "";
  if (told !== callTold) {
    callTold = told;
    byId("call-alert").textContent = call ? `${text().yourTurn}. ${text().goTo}: ${call.station}` : "";
  }
}

/** @param {Ticket} next */
function takeTicket(next) {
  const before = ticket;
  ticket = next;
  const again = before?.call?.at !== next.call?.at || before?.call?.recalls !== next.call?.recalls;
  if (alerting && next.state === "called" && (before?.state !== "called" || again)) {
    chime.ring();
    navigator.vibrate?.(CALL_PATTERN);
  }
  render();
}

/** @param {import("./page.js").Language} next */
function speak(next) {
  language = next;
  const url = new URL(location.href);
  url.searchParams.set("lang", next);
  history.replaceState(null, "", url);
  render();
}

async function toggleAlert() {
  alerting = !alerting;
  if (alerting) {
    navigator.vibrate?.(100);
    keepScreenOn();
    await chime.start();
  } else {
    await chime.stop();
  }
  render();
}

function start() {
  for (const button of byId("languages").querySelectorAll("button")) {
    button.addEventListener("click", () => speak(spoken.find((known) => known === button.value) ?? language));
  }
  byId("alert").addEventListener("click", () => toggleAlert());
  restartOnNewLink();
  render();
  if (!token || !ticketId) return;
  wire = new Wire({
    token,
    channels: [`ticket:${ticketId}`],
    onView: (_channel, held) => takeTicket(held.state),
    onLink: (next) => {
      link = next;
      render();
    },
  });
  // Ages and waits move by themselves.
  setInterval(render, 1_000);
}

start();
