// The start page: describes Clinicwire. In a demo, or with tokens in its link, it leads to every
// page with a token of its own.

import { Connection } from "../shared/connection/connection.js";
import { crossingBanner, crossingOf } from "../shared/credentials/crossing.js";
import { byId, fragment, restartOnNewLink, setText, unbroken } from "../shared/look/page.js";
import { delayNow } from "../shared/visit/appointments.js";
import { LanguageSwitch } from "../shared/words/language.js";
import { timeText } from "../shared/words/times.js";
import { Desk } from "./desk.js";
import { textsOf } from "../languages/all.js";

const appointmentTexts = textsOf("states");
const startTexts = textsOf("start");

/**
 * The keys of all links. A page whose keys are missing is not offered.
 * @typedef {object} Keys
 * @property {Record<string, string | undefined>} tokens by role
 * @property {string[]} tickets
 * @property {string} [location]
 * @property {string} [schedule]
 * @property {string} [appointment]
 * @property {string[]} queues
 * @property {string[]} stations
 */

/** @typedef {import("../shared/connection/fold.js").View} View */

// A visitor needs no more tickets than this, and no more rows of a schedule.
const MAX_TICKETS = 6;
const MAX_ROWS = 3;

const ROLES = [
  "patient",
  "display",
  "reception",
  "doctor",
  "admin",
  "appointment",
  "editor",
  "viewer",
];

const languages = new LanguageSwitch(render);
const text = () => startTexts[languages.current];

/** The elements whose sentence is in the texts. @type {NodeListOf<HTMLElement>} */
const sentences = document.querySelectorAll("[data-text]");
/** Show the last news of the cards again, in another language. @type {(() => void)[]} */
const cards = [];

/** @param {string} state of a ticket or an appointment */
function stateName(state) {
  const { statuses, tickets } = appointmentTexts[languages.current];
  /** @type {Record<string, string | undefined>} */
  const names = { ...statuses, ...tickets };
  return (names[state] ?? state).toLocaleLowerCase(languages.current);
}

/** Writes every sentence in the reader's language. */
function render() {
  const { current } = languages;
  languages.render();
  document.title = text().title;
  /** @type {Record<string, string>} */
  const known = text().sentences;
  for (const element of sentences) {
    const key = element.dataset.text ?? "";
    if (known[key]) setText(element, known[key]);
  }
  byId("tickets").setAttribute("aria-label", text().moreTickets);
  byId("promises").setAttribute("aria-label", text().promises);
  byId("shell").setAttribute("aria-label", text().command);
  for (const card of cards) card();
}

/** @returns {Keys | undefined} */
function keysOfLink() {
  const params = fragment(ROLES);
  const param = (/** @type {string} */ name) => params.get(name) ?? undefined;
  const tokens = Object.fromEntries(ROLES.map((role) => [role, param(role)]));
  if (!Object.values(tokens).some(Boolean)) return undefined;
  const list = (/** @type {string} */ name) => params.get(name)?.split(",") ?? [];
  return {
    tokens,
    tickets: list("ticket"),
    location: param("location"),
    schedule: param("schedule"),
    appointment: param("of"),
    queues: list("queues"),
    stations: list("stations"),
  };
}

/** @returns {Promise<Keys | undefined>} */
async function keysOfDemo() {
  const response = await fetch("v1/demo", { cache: "no-store" }).catch(() => undefined);
  if (!response?.ok) return undefined;
  const demo = await response.json();
  const { tokens, tickets, location, schedule, appointments = [] } = demo;
  byId("demo").hidden = byId("terminal").hidden = false;
  setText(byId("command"), streamCommand(tokens.display, location));
  return {
    tokens,
    tickets,
    location,
    schedule: schedule ?? undefined,
    appointment: appointments[0],
    queues: demo.queues ?? [],
    stations: demo.stations ?? [],
  };
}

/** @param {string} token @param {string} location */
function streamCommand(token, location) {
  const base = new URL("v1/", document.baseURI);
  return [
    `ticket=$(curl -s ${base}stream-tickets -H 'content-type: application/json' \\`,
    `  -H 'authorization: Bearer ${token}' \\`,
    `  -d '{"channels":["board:${location}"]}' | sed 's/.*"ticket":"\\([^"]*\\)".*/\\1/')`,
    `curl -N "${base}stream?ticket=$ticket&channel=board:${location}"`,
  ].join("\n");
}

/** @param {string} page @param {Record<string, string>} keys */
function linkTo(page, keys) {
  const fragment = String(new URLSearchParams(keys));
  return fragment ? `${page}#${fragment}` : page;
}

/** @param {string} id @param {string} page @param {Record<string, string>} keys */
function setLink(id, page, keys) {
  /** @type {HTMLAnchorElement} */ (byId(id)).href = linkTo(page, keys);
}

/**
 * Shows the link of a card, and keeps its picture up to date.
 * @param {string} page the name of the page and of its card
 * @param {Record<string, string>} keys of the link
 * @param {string[]} channels
 * @param {(channel: string, view: View, now: number) => void} onView
 */
function showCard(page, keys, channels, onView) {
  byId(`${page}-links`).hidden = false;
  setLink(`${page}-link`, page, keys);
  /** @type {Map<string, View>} */
  const views = new Map();
  cards.push(() => views.forEach((view, channel) => onView(channel, view, connection.now())));
  const connection = new Connection({
    token: keys.token,
    channels,
    onView: (channel, view) => {
      views.set(channel, view);
      onView(channel, view, connection.now());
    },
    onState: ({ name }) => {
      const doubtful = name === "lost" || name === "stale" || name === "refused";
      byId(page).classList.toggle("doubtful", doubtful);
    },
  });
}

/**
 * @param {string} token
 * @param {string[]} tickets
 * @param {(queue: string) => void} onQueue receives the line of the ticket that is shown
 */
function showPatient(token, tickets, onQueue) {
  const links = tickets.slice(0, MAX_TICKETS).map((ticket) => {
    const item = byId("tickets").appendChild(document.createElement("li"));
    const link = item.appendChild(document.createElement("a"));
    link.href = linkTo("patient", { token, ticket });
    link.textContent = "…";
    return { channel: `ticket:${ticket}`, ticket, link };
  });
  if (!links.length) return;
  /** @type {Map<string, any>} */
  const states = new Map();
  const channels = links.map(({ channel }) => channel);
  showCard("patient", { token, ticket: links[0].ticket }, channels, (channel, { state }) => {
    states.set(channel, state);
    const best = soonest(links.map((link) => ({ link, state: states.get(link.channel) })));
    if (best) {
      setLink("patient-link", "patient", { token, ticket: best.link.ticket });
      setText(byId("patient-label"), best.state.label);
      setText(byId("patient-state"), shortState(best.state));
      onQueue(best.state.queue);
    }
    for (const one of links) {
      const known = states.get(one.channel);
      if (known) setText(one.link, `${unbroken(known.label)} · ${shortState(known)}`);
    }
  });
}

/**
 * The waiting ticket that is called soonest, else one that is called.
 * @template T
 * @param {{link: T, state: any}[]} all
 */
function soonest(all) {
  const inState = (/** @type {string} */ name) => all.filter(({ state }) => state?.state === name);
  const waiting = inState("waiting").sort((a, b) => a.state.ahead - b.state.ahead);
  return waiting[0] ?? inState("called")[0];
}

/** @param {{state: string, ahead?: number, call?: {station: string}}} ticket */
function shortState({ state, ahead, call }) {
  if (state === "waiting") return text().ahead(ahead ?? 0);
  return (state === "called" && call?.station) || stateName(state);
}

/** @param {string} token @param {string} location */
function showBoard(token, location) {
  showCard("board", { token, location }, [`board:${location}`], (_channel, view) => {
    const all = [...(view.entries ?? [])];
    const ofKind = (/** @type {string} */ kind) =>
      all.filter(([key]) => key.startsWith(`${kind}:`)).map(([, entry]) => entry);
    const waiting = ofKind("queue").reduce((sum, queue) => sum + queue.waiting, 0);
    setText(byId("board-waiting"), text().waitingNow(waiting));
    const last = ofKind("call").sort((a, b) => b.at - a.at)[0];
    if (!last) return;
    setText(byId("board-label"), last.label);
    setText(byId("board-room"), last.station);
  });
}

/** @param {string} token @param {string} location */
function showDashboard(token, location) {
  showCard("dashboard", { token, location }, [`load:${location}`], (_channel, view, now) => {
    const head = view.entries?.get("load");
    if (!head) return;
    setText(byId("dashboard-waiting"), String(head.waiting));
    const minutes = Math.max(0, Math.floor((now - head.oldest) / 60_000));
    const { nobodyWaits, longestWait } = text();
    const wait = head.oldest === undefined ? nobodyWaits : longestWait(minutes);
    setText(byId("dashboard-wait"), wait);
  });
}

/** @param {string} token @param {string} schedule @param {(view: View) => void} onView */
function showSchedule(token, schedule, onView) {
  showCard("schedule", { token, schedule }, [`schedule:${schedule}`], (_channel, view, now) => {
    const head = view.entries?.get("schedule");
    if (!head) return;
    onView(view);
    const all = [...(view.entries ?? [])]
      .filter(([key, { start }]) => key !== "schedule" && start)
      .map(([, entry]) => entry)
      .sort((a, b) => a.start - b.start);
    const delay = text().behind(delayNow(head.delay_min, all, now, head.waiting_since));
    setText(byId("schedule-doctor"), `${head.doctor}, ${delay}`);
    const current = all.findIndex(({ end }) => end > now) - 1;
    const from = Math.max(0, Math.min(current, all.length - MAX_ROWS));
    const rows = all.slice(from, from + MAX_ROWS).map(({ start, status, ticket }) => {
      const row = document.createElement("li");
      const time = timeText(start, languages.current, head.time_zone);
      row.appendChild(document.createElement("b")).textContent = time;
      const state = stateName(ticket?.state ?? status);
      row.appendChild(document.createElement("span")).textContent = state;
      return row;
    });
    if (rows.length) byId("agenda").replaceChildren(...rows);
  });
}

/** @param {string} token @param {string} appointment */
function showAppointment(token, appointment) {
  const channel = `appointment:${appointment}`;
  showCard("appointment", { token, appointment }, [channel], (_channel, { entries }) => {
    const { start, status, clinic } = entries?.get("appointment") ?? {};
    if (start)
      setText(byId("appointment-time"), timeText(start, languages.current, clinic.time_zone));
    if (status) setText(byId("appointment-state"), stateName(status));
  });
}

/** @param {string} [editor] a token @param {string} [viewer] a token */
function showClaims(editor, viewer) {
  byId("claims-links").hidden = !editor && !viewer;
  byId("claims-link").hidden = !editor;
  byId("watch-link").hidden = !viewer;
  if (editor) setLink("claims-link", "runs", { token: editor });
  if (viewer) setLink("watch-link", "runs", { token: viewer });
}

/** @param {Keys} keys */
function showDesk({ tokens: { reception }, location, queues, stations }) {
  if (!reception || !location || !queues.length) return undefined;
  byId("reception-links").hidden = false;
  setLink("reception-link", "dashboard", { token: reception, location });
  setLink("desk-console-link", "console", { token: reception, location });
  const desk = new Desk(reception, location, { queues, stations }, () => languages.current);
  cards.push(() => desk.render());
  return desk;
}

/** @param {string} id @param {Record<string, string>} keys */
function showSetup(id, keys) {
  byId(id).hidden = false;
  setLink(id, "setup", keys);
}

/** @param {string} id @param {Record<string, string>} keys */
function showAnalytics(id, keys) {
  byId(id).hidden = false;
  setLink(id, "analytics", keys);
}

/** Without a demo each page opens without keys, and asks for the link that it needs. */
function showBareLinks() {
  byId("no-demo").hidden = false;
  for (const page of ["patient", "appointment", "board", "dashboard", "schedule"]) {
    byId(`${page}-links`).hidden = false;
    setLink(`${page}-link`, page, {});
  }
  setLink("console-link", "console", {});
  showSetup("bare-setup-link", {});
  showAnalytics("bare-analytics-link", {});
  byId("claims-links").hidden = false;
  byId("watch-link").hidden = true;
  setLink("claims-link", "runs", {});
}

async function start() {
  render();
  restartOnNewLink();
  const keys = keysOfLink() ?? (await keysOfDemo());
  if (!keys) return showBareLinks();
  const { tokens, location, schedule, appointment } = keys;
  const crosses = Object.values(tokens).find((token) => token && crossingOf(token));
  const showCrossing = crossingBanner(crosses ?? null);
  cards.push(() => showCrossing(languages.current));
  showCrossing(languages.current);
  const desk = showDesk(keys);
  if (tokens.patient) {
    showPatient(tokens.patient, keys.tickets, (queue) => desk?.suggestQueue(queue));
  }
  if (tokens.display && location) showBoard(tokens.display, location);
  const clinician = tokens.doctor ?? tokens.reception ?? tokens.admin;
  if (clinician && location) {
    showDashboard(clinician, location);
    setLink("console-link", "console", { token: clinician, location });
  }
  const manager = tokens.reception ?? tokens.admin;
  if (manager && location) {
    showAnalytics(desk ? "analytics-link" : "bare-analytics-link", { token: manager, location });
  }
  if (tokens.admin && location) {
    // Beside the desk's other pages where there is a desk.
    showSetup(desk ? "setup-link" : "bare-setup-link", { token: tokens.admin, location });
  }
  if (clinician && schedule) {
    showSchedule(clinician, schedule, ({ entries = new Map() }) =>
      desk?.offerAppointments(entries),
    );
  }
  if (tokens.appointment && appointment) showAppointment(tokens.appointment, appointment);
  return showClaims(tokens.editor, tokens.viewer);
}

void start();
