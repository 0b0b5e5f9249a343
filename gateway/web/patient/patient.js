// The page of a patient: follows one ticket and shows its place in line, its call and its end.

import { applyBrand } from "../shared/look/brand.js";
import { Connection } from "../shared/connection/connection.js";
import { crossingBanner } from "../shared/credentials/crossing.js";
import { LanguageSwitch } from "../shared/words/language.js";
import { reloadOnNewVersion } from "../shared/connection/new-version.js";
import { isOriginProblem } from "../shared/connection/origin.js";
import { byId, fragment, restartOnNewLink, setText } from "../shared/look/page.js";
import {
  noteOfTicket,
  placeSentence,
  renderNote,
  textsOfNote,
  TicketParts,
} from "../shared/visit/ticket.js";
import { exchangeLink } from "../shared/credentials/ticket-link.js";
import { TicketActions } from "./actions.js";
import { PhoneAlerts } from "./phone-alerts.js";
import { forget, keepKey, keptKey, recall, remember } from "./last-state.js";
import { ageText, changeText, zonedTimeText } from "../shared/words/times.js";
import { textsOf } from "../languages/all.js";

const connectionTexts = textsOf("connection");
const ticketTexts = textsOf("ticket");

/** @typedef {import("../shared/visit/ticket.js").Ticket} Ticket */
/** @typedef {import("../shared/visit/ticket.js").Note} Note */

// Short losses, and planned ones, are repaired within seconds. The line at the bottom shows them at
// once, the banner only if they last.
const BANNER_AFTER_MS = 5_000;

// A token of a link ends while a phone sleeps. The page then exchanges the link again, after a
// pause that keeps it from asking in a loop.
const EXCHANGE_AGAIN_MS = 5_000;

const params = fragment();
/** The key of the link that Clinicwire gave with the ticket. */
const link = params.get("link");
/** The short code of the ticket, as the patient typed it in `/t/<code>`. */
const code = params.get("code");
const token = params.get("token");
const ticketId = params.get("ticket");
const isInstalled = matchMedia("(display-mode: standalone)").matches;
const opened = link ? { link } : code ? { code } : undefined;
// An installed page starts at its own address, without a link.
const key = opened ?? (isInstalled && !token ? keptKey() : undefined);
/** The text that distinguishes this ticket from others that were followed on this phone. */
const identity = key ? Object.values(key)[0] : (ticketId ?? "");
const showCrossing = crossingBanner(token);

/** Notes of a link that opens nothing. @type {ReadonlySet<Note>} */
const CLOSED = new Set(["missing", "refused", "expired", "origin"]);

/** @type {Ticket | undefined} */
let ticket;
/** @type {import("../shared/connection/connection.js").ConnectionState} */
let state = { name: "connecting" };
/** @type {Connection | undefined} */
let connection;
let announced = "";

const languages = new LanguageSwitch(render);
const parts = new TicketParts(render);
const actions = new TicketActions(render);
const phoneAlerts = new PhoneAlerts(render, () => {
  const hash = key ? new URLSearchParams(key) : new URLSearchParams(location.hash.slice(1));
  return `patient#${hash}`;
});

const text = () => ticketTexts[languages.current];

/** Time since the connection was lost, or undefined while it is not. */
function lossMs() {
  return state.name === "lost" || state.name === "stale" ? Date.now() - state.since : undefined;
}

/**
 * The moment that the page shows: now, or the last news. An estimate must not run on without news.
 */
function shownNow() {
  return (connection?.now() ?? Date.now()) - (lossMs() ?? 0);
}

/** The note to show instead of a place in line, if any. @returns {Note | undefined} */
function currentNote() {
  if (!key && (!token || !ticketId)) return "missing";
  if (state.name === "refused" && isOriginProblem(state.code)) return "origin";
  // If this link cannot open the successor, the page shows the move of the ticket.
  if (state.name === "refused" && ticket?.successor) return "transferred";
  if (state.name === "refused") {
    if (state.code !== "token_expired") return "refused";
    // The page exchanges its link for a new token, and then goes on.
    if (!key) return "expired";
  }
  if (!ticket) return state.name === "lost" ? "unreachable" : undefined;
  return noteOfTicket(ticket, lossMs());
}

function render() {
  const language = languages.current;
  const note = currentNote();
  const shown = note && CLOSED.has(note) ? undefined : ticket;
  const root = document.documentElement;
  root.dataset.state = note === "outdated" ? note : (shown?.state ?? note ?? "none");
  root.dataset.link = state.name;

  byId("note").hidden = !note;
  setText(byId("queue-name"), shown?.queue_name ?? text().title);
  setText(byId("clinic"), shown?.clinic.name ?? "");
  setText(byId("address"), shown?.clinic.address ?? "");
  applyBrand(shown?.clinic.branding);
  document.title = [shown?.label, note ? text().notes[note][0] : "", text().title]
    .filter(Boolean)
    .join(" · ");
  parts.render(shown, language, shownNow(), note);
  actions.render(shown, language, state.name === "live");
  phoneAlerts.render(shown, language);
  if (note) renderNote(note, language, shown);
  languages.render();
  showCrossing(language);
  renderConnection(shown);
  announce(shown, note);
}

/** @param {Ticket} [shown] */
function renderConnection(shown) {
  const language = languages.current;
  const texts = connectionTexts[language];
  const loss = lossMs();
  const showBanner = shown !== undefined && loss !== undefined && loss >= BANNER_AFTER_MS;
  byId("banner").hidden = !showBanner;
  if (showBanner) {
    const lost = state.name === "lost" ? texts.lost : texts.stale;
    setText(byId("banner-text"), lost(ageText(loss, language)));
  }
  document.documentElement.classList.toggle("doubtful", showBanner);

  const { connecting, live, reconnecting, notConnected, finished } = texts;
  const names = {
    connecting,
    live,
    stale: notConnected,
    lost: showBanner ? notConnected : reconnecting,
    refused: "",
    ended: finished,
  };
  setText(byId("link"), key || (ticketId && token) ? names[state.name] : "");
  const zone = shown?.clinic.time_zone;
  const age = showBanner
    ? texts.asOf(zonedTimeText(shownNow(), language, zone))
    : shown && texts.changedAt(changeText(shown.at, shownNow(), language, zone));
  setText(byId("changed"), age ? `· ${age}` : "");
}

/**
 * Tells screen readers about changes of place and state, politely.
 * @param {Ticket | undefined} shown
 * @param {Note | undefined} note
 */
function announce(shown, note) {
  const { notConnected, reconnecting } = connectionTexts[languages.current];
  let sentence = note ? textsOfNote(note, languages.current, shown).join(". ") : "";
  if (shown?.state === "waiting" && !note) sentence = placeSentence(shown, languages.current);
  if (!byId("banner").hidden) sentence = state.name === "lost" ? notConnected : reconnecting;
  if (sentence === announced) return;
  announced = sentence;
  byId("status").textContent = sentence;
}

/**
 * Follows a ticket, and after a move to another location the one that continues it there: the link
 * opens both.
 * @param {string} token
 * @param {string} id
 */
function follow(token, id) {
  connection?.close();
  actions.use(token, id);
  void phoneAlerts.use(token, id);
  state = { name: "connecting" };
  const own = new Connection({
    token,
    channels: [`ticket:${id}`],
    onView: (_channel, view) => {
      const next = /** @type {Ticket} */ (view.state);
      ticket = next;
      languages.offer(next.clinic.languages);
      remember(identity, next);
      parts.update(next);
      if (next.successor) follow(token, next.successor);
      render();
    },
    onState: (next) => {
      if (own !== connection) return;
      if (next.name === "refused" && next.code !== "token_expired") forget();
      const asleep = key && next.name === "refused" && next.code === "token_expired";
      state = asleep ? { name: "lost", since: Date.now() } : withLastState(next);
      if (asleep) setTimeout(() => void openLink(key), EXCHANGE_AGAIN_MS);
      render();
    },
  });
  connection = own;
}

/**
 * A page that opens offline shows the last state on this phone, and its age.
 * @param {import("../shared/connection/connection.js").ConnectionState} next
 * @returns {import("../shared/connection/connection.js").ConnectionState}
 */
function withLastState(next) {
  const last = next.name === "lost" && !ticket ? recall(identity) : undefined;
  if (!last) return next;
  ticket = last.ticket;
  languages.offer(ticket.clinic.languages);
  return { name: "lost", since: last.at };
}

/** Keeps the page for a phone without network, and its link for the installed page. */
function prepareOffline() {
  // Plain HTTP has no service workers, and a browser may refuse them.
  navigator.serviceWorker?.register("service-worker.js").catch(() => {});
  // Until now the state was fresh, however long ago it changed.
  addEventListener("pagehide", () => {
    if (ticket && state.name === "live") remember(identity, ticket);
  });
  if (!key) return;
  if (isInstalled) keepKey(key);
  addEventListener("appinstalled", () => keepKey(key));
}

/**
 * Exchanges the link or code for a token and follows its ticket, until the server answers.
 * @param {{link: string} | {code: string}} key
 */
async function openLink(key) {
  try {
    const opened = await exchangeLink(key);
    if ("token" in opened) return follow(opened.token, opened.ticket);
    state = { name: "refused", code: opened.code };
    forget();
  } catch {
    if (state.name !== "lost") state = withLastState({ name: "lost", since: Date.now() });
    setTimeout(() => void openLink(key), EXCHANGE_AGAIN_MS);
  }
  return render();
}

function start() {
  restartOnNewLink();
  prepareOffline();
  reloadOnNewVersion(() => document.hidden);
  render();
  if (key) void openLink(key);
  else if (token && ticketId) follow(token, ticketId);
  else return;
  // Ages and waits change without a message.
  setInterval(render, 1_000);
}

start();
