// The patient page: follows one ticket and says, at any moment, what its holder wants to know.

import { byId, fragment, restartOnNewLink, setText } from "../shared/page.js";
import { clock, noteOfTicket, placeSentence, renderNote, TicketParts } from "../shared/ticket.js";
import { Wire } from "../shared/connection.js";
import { ageText, firstSpoken, spoken, words } from "../shared/texts.js";

/** @typedef {import("../shared/ticket.js").Ticket} Ticket */
/** @typedef {import("../shared/ticket.js").Note} Note */

// The browser repairs short losses, and planned ones, within seconds: the small line at the bottom
// says so at once, the banner only when it lasts.
const BANNER_AFTER_MS = 5_000;

const asked = fragment();
const token = asked.get("token");
const ticketId = asked.get("ticket");

let language = firstSpoken([new URLSearchParams(location.search).get("lang"), ...navigator.languages]);
/** @type {Ticket | undefined} */
let ticket;
/** @type {import("../shared/connection.js").Link} */
let link = { name: "connecting" };
/** @type {Wire | undefined} */
let wire;
let announced = "";

const parts = new TicketParts(render);

const text = () => words[language].patient;

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
  return noteOfTicket(ticket);
}

function render() {
  const note = noteOf();
  const known = note === "missing" || note === "refused" ? undefined : ticket;
  const state = known?.state ?? note ?? "none";
  const root = document.documentElement;
  root.lang = language;
  root.dataset.state = state;
  root.dataset.link = link.name;

  byId("note").hidden = !note;
  setText(byId("queue-name"), known?.queue_name ?? "");
  document.title = [known?.label, note ? text().notes[note][0] : "", text().title].filter(Boolean).join(" · ");
  parts.render(known, language, shownNow());
  if (note) renderNote(note, language, known?.reason);
  renderLanguages();
  renderFreshness(known);
  announce(known, note);
}

function renderLanguages() {
  for (const button of byId("languages").querySelectorAll("button")) {
    button.setAttribute("aria-pressed", String(button.value === language));
  }
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
  setText(byId("changed"), known ? `· ${showBanner ? text().asOf(clock(shownNow(), language)) : text().changedAt(clock(known.at, language))}` : "");
}

/**
 * Screen readers hear changes of place and state, politely.
 * @param {Ticket | undefined} known
 * @param {Note | undefined} note
 */
function announce(known, note) {
  let sentence = note ? text().notes[note].join(". ") : "";
  if (known?.state === "waiting") sentence = placeSentence(known, language);
  if (!byId("banner").hidden) sentence = link.name === "lost" ? text().notConnected : text().reconnecting;
  if (sentence !== announced) {
    announced = sentence;
    byId("status").textContent = sentence;
  }
}

/** @param {Ticket} next */
function takeTicket(next) {
  ticket = next;
  parts.take(next);
  render();
}

/** @param {import("../shared/page.js").Language} next */
function speak(next) {
  language = next;
  const url = new URL(location.href);
  url.searchParams.set("lang", next);
  history.replaceState(null, "", url);
  render();
}

function start() {
  for (const button of byId("languages").querySelectorAll("button")) {
    button.addEventListener("click", () => speak(spoken.find((known) => known === button.value) ?? language));
  }
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
