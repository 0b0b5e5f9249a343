// The start page: says what Clinicwire is and, where a demo runs or the link carries tokens, leads to the pages.

import { Desk } from "./desk.js";
import { byId, fragment, restartOnNewLink, setText } from "../shared/page.js";
import { Wire } from "../shared/connection.js";

/**
 * What the links need; what is missing is not offered.
 * @typedef {object} Keys
 * @property {Record<string, string | undefined>} tokens by role
 * @property {string[]} tickets
 * @property {string} [location]
 * @property {string} [schedule]
 * @property {string} [appointment]
 * @property {string[]} queues
 * @property {string[]} stations
 */

/** @typedef {import("../shared/fold.js").Held} Held */

// A page has few eyes: the first tickets are enough.
const MOST_TICKETS = 6;
// And the next rows of a schedule.
const MOST_ROWS = 3;

const stateNames = new Map([
  ["in_service", "being seen"], ["on_hold", "on hold"], ["no_show", "missed"], ["transferred", "moved"], ["left", "left"],
  ["checked-in", "checked in"], ["noshow", "missed"], ["fulfilled", "done"], ["completed", "done"],
]);

/** @returns {Keys | undefined} */
function keysOfLink() {
  const asked = fragment();
  const of = (/** @type {string} */ name) => asked.get(name) ?? undefined;
  const names = ["patient", "display", "reception", "doctor", "appointment", "editor", "viewer"];
  const tokens = Object.fromEntries(names.map((name) => [name, of(name)]));
  if (!Object.values(tokens).some(Boolean)) return undefined;
  const list = (/** @type {string} */ name) => asked.get(name)?.split(",") ?? [];
  return {
    tokens, tickets: list("ticket"), location: of("location"), schedule: of("schedule"), appointment: of("of"),
    queues: list("queues"), stations: list("stations"),
  };
}

/** @returns {Promise<Keys | undefined>} */
async function keysOfDemo() {
  const response = await fetch("v1/demo", { cache: "no-store" }).catch(() => undefined);
  if (!response?.ok) return undefined;
  const { tokens, tickets, location, schedule, appointments = [], queues = [], stations = [] } = await response.json();
  byId("demo").hidden = false;
  setText(byId("command"), command(tokens.display, location));
  return { tokens, tickets, location, schedule: schedule ?? undefined, appointment: appointments[0], queues, stations };
}

/** @param {string} token @param {string} location */
function command(token, location) {
  const base = new URL("v1/", document.baseURI);
  return [
    `ticket=$(curl -s ${base}stream-tickets -H 'content-type: application/json' \\`,
    `  -H 'authorization: Bearer ${token}' \\`,
    `  -d '{"channels":["board:${location}"]}' | sed 's/.*"ticket":"\\([^"]*\\)".*/\\1/')`,
    `curl -N "${base}stream?ticket=$ticket&channel=board:${location}"`,
  ].join("\n");
}

/**
 * Shows a card's link, and keeps its picture true.
 * @param {string} card id; its links and its first link are named after it
 * @param {{page: string, keys: Record<string, string>}} link
 * @param {string[]} channels
 * @param {(channel: string, held: Held, now: number) => void} onView
 */
function lead(card, { page, keys }, channels, onView) {
  byId(`${card}-links`).hidden = false;
  /** @type {HTMLAnchorElement} */ (byId(`${card}-link`)).href = linkTo(page, keys);
  const wire = new Wire({
    token: keys.token,
    channels,
    onView: (channel, held) => onView(channel, held, wire.now()),
    onLink: ({ name }) => byId(card).classList.toggle("doubtful", name === "lost" || name === "stale" || name === "refused"),
    by: "socket",
  });
}

/** @param {string} page @param {Record<string, string>} keys */
function linkTo(page, keys) {
  return `${page}#${new URLSearchParams(keys)}`;
}

/** @param {string} token @param {string[]} tickets @param {(queue: string) => void} onLead told whose line the shown ticket stands in */
function showPatient(token, tickets, onLead) {
  const links = tickets.slice(0, MOST_TICKETS).map((ticket) => {
    const item = byId("tickets").appendChild(document.createElement("li"));
    const link = item.appendChild(document.createElement("a"));
    link.href = linkTo("patient", { token, ticket });
    link.textContent = "…";
    return { channel: `ticket:${ticket}`, ticket, link };
  });
  if (!links.length) return;
  /** @type {Map<string, any>} */
  const states = new Map();
  lead("patient", { page: "patient", keys: { token, ticket: links[0].ticket } }, links.map(({ channel }) => channel), (channel, { state }) => {
    states.set(channel, state);
    const best = mostTelling(links.map((link) => ({ link, state: states.get(link.channel) })));
    if (best) {
      /** @type {HTMLAnchorElement} */ (byId("patient-link")).href = best.link.link.href;
      setText(byId("patient-label"), best.state.label);
      setText(byId("patient-state"), shortState(best.state));
      onLead(best.state.queue);
    }
    for (const one of links) {
      const known = states.get(one.channel);
      if (known) setText(one.link, `${known.label} · ${shortState(known)}`);
    }
  });
}

/** Who waits and is called soonest, else who is called already. @template T @param {{link: T, state: any}[]} all */
function mostTelling(all) {
  const of = (/** @type {string} */ name) => all.filter(({ state }) => state?.state === name);
  return of("waiting").sort((a, b) => a.state.ahead - b.state.ahead)[0] ?? of("called")[0];
}

/** @param {{state: string, ahead?: number, call?: {station: string}}} ticket */
function shortState({ state, ahead, call }) {
  if (state === "waiting") return ahead ? `${ahead} ahead` : "next";
  if (state === "called") return call?.station ?? "called";
  return stateNames.get(state) ?? state;
}

/** @param {string} token @param {string} location */
function showBoard(token, location) {
  lead("board", { page: "board", keys: { token, location } }, [`board:${location}`], (_channel, { entries = new Map() }) => {
    const all = [...entries];
    const waiting = all.filter(([key]) => key.startsWith("queue:")).reduce((sum, [, queue]) => sum + queue.waiting, 0);
    const last = all.filter(([key]) => key.startsWith("call:")).map(([, call]) => call).sort((a, b) => b.at - a.at)[0];
    setText(byId("board-waiting"), `${waiting} waiting now`);
    if (!last) return;
    setText(byId("board-label"), last.label);
    setText(byId("board-room"), last.station);
  });
}

/** @param {string} token @param {string} location */
function showDashboard(token, location) {
  lead("dashboard", { page: "dashboard", keys: { token, location } }, [`load:${location}`], (_channel, { entries }, now) => {
    const head = entries?.get("load");
    if (!head) return;
    setText(byId("dashboard-waiting"), String(head.waiting));
    const minutes = head.oldest === undefined ? undefined : Math.max(0, Math.floor((now - head.oldest) / 60_000));
    setText(byId("dashboard-wait"), minutes === undefined ? "nobody waits" : `the longest for ${minutes || "under 1"} min`);
  });
}

/** @param {string} token @param {string} schedule @param {(held: Held) => void} onView */
function showSchedule(token, schedule, onView) {
  lead("schedule", { page: "schedule", keys: { token, schedule } }, [`schedule:${schedule}`], (_channel, held, now) => {
    const head = held.entries?.get("schedule");
    if (!head) return;
    onView(held);
    setText(byId("schedule-doctor"), head.doctor + (head.delay_min ? `, ${head.delay_min} min behind` : ", on time"));
    const all = [...(held.entries ?? [])].filter(([key, { start }]) => key !== "schedule" && start).map(([, entry]) => entry).sort((a, b) => a.start - b.start);
    const from = Math.max(0, Math.min(all.findIndex(({ end }) => end > now) - 1, all.length - MOST_ROWS));
    const rows = all.slice(from, from + MOST_ROWS).map(({ start, status, ticket }) => {
      const row = document.createElement("li");
      row.appendChild(document.createElement("b")).textContent = timeOf(start, head.time_zone);
      row.appendChild(document.createElement("span")).textContent = stateNames.get(ticket?.state ?? status) ?? ticket?.state ?? status;
      return row;
    });
    if (rows.length) byId("agenda").replaceChildren(...rows);
  });
}

/** @param {string} token @param {string} appointment */
function showAppointment(token, appointment) {
  lead("appointment", { page: "appointment", keys: { token, appointment } }, [`appointment:${appointment}`], (_channel, { entries }) => {
    const { start, status } = entries?.get("appointment") ?? {};
    if (start) setText(byId("appointment-time"), timeOf(start));
    if (status) setText(byId("appointment-state"), stateNames.get(status) ?? status);
  });
}

/** @param {number} ms @param {string} [timeZone] */
function timeOf(ms, timeZone) {
  return new Intl.DateTimeFormat("en-CA", { hour: "2-digit", minute: "2-digit", hourCycle: "h23", timeZone }).format(ms);
}

/** @param {string} [editor] a token @param {string} [viewer] a token */
function showClaims(editor, viewer) {
  byId("claims-links").hidden = !editor && !viewer;
  for (const [id, token] of /** @type {const} */ ([["claims-link", editor], ["watch-link", viewer]])) {
    const link = /** @type {HTMLAnchorElement} */ (byId(id));
    link.hidden = !token;
    if (token) link.href = linkTo("runs", { token });
  }
}

async function start() {
  restartOnNewLink();
  const keys = keysOfLink() ?? (await keysOfDemo());
  if (!keys) return;
  const { tokens, location, schedule, appointment } = keys;
  const desk = tokens.reception && location && keys.queues.length ? new Desk(tokens.reception, location, keys.queues, keys.stations) : undefined;
  if (tokens.patient) showPatient(tokens.patient, keys.tickets, (queue) => desk?.suggest(queue));
  if (tokens.display && location) showBoard(tokens.display, location);
  const clinician = tokens.doctor ?? tokens.reception;
  if (clinician && location) showDashboard(clinician, location);
  if (clinician && schedule) showSchedule(clinician, schedule, ({ entries = new Map() }) => desk?.offer(entries));
  if (tokens.appointment && appointment) showAppointment(tokens.appointment, appointment);
  showClaims(tokens.editor, tokens.viewer);
}

void start();
