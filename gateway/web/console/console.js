// The console of reception and clinicians: the lines of a location, and every step in them.

import { readLoad } from "../dashboard/load.js";
import { byId, setText, unbroken } from "../shared/look/page.js";
import { Shell } from "../shared/look/shell.js";
import { localeOf, timeText, zonedTimeText } from "../shared/words/times.js";
import { newest } from "../shared/credentials/renewal.js";
import { checkIn } from "./check-in.js";
import { Desk } from "./desk.js";
import { ask, isAsking, showSheet } from "./dialogs.js";
import { listenToDrags } from "./drag.js";
import { Flags } from "./flags.js";
import { isStep, meaningOf } from "./keys.js";
import { actionsOf, findTicket, queuesOfToken, reordered, ticketsAt, waitingOf } from "./lines.js";
import { renderLines, renderSide } from "./render.js";
import { textsOf } from "../languages/all.js";

const connectionTexts = textsOf("connection");
const consoleTexts = textsOf("console");

/** @typedef {import("../shared/connection/commands.js").Answer} Answer */
/** @typedef {import("./lines.js").Action} Action */
/** @typedef {import("./lines.js").Ticket} Ticket */

// Long enough to read a sentence.
const TOAST_MS = 8_000;

const shell = new Shell(consoleTexts, render);
const token = shell.link.get("token") ?? "";
const location = shell.link.get("location");
const desk = new Desk(token, render);
/** @type {Flags | undefined} */
let flags;

/** @type {ReturnType<typeof readLoad>} */
let load;
let changedAt = 0;
/** The queues that are followed. @type {string[]} */
let followed = [];
/** @type {{close: () => void} | undefined} */
let connection;
/** Id of the selected ticket. */
let selected = "";
/**
 * The ticket of the clerk's last step. It stays selected after it has left the line, so that its
 * end can be undone.
 * @type {Ticket | undefined}
 */
let lastStepped;
/** The queue that the keys of a line act on when no ticket is selected. */
let lastQueue = "";
/** Since when the page is read-only, in ms. @type {number | undefined} */
let offlineSince;
/**
 * The call that is not answered yet. Steps wait for it: it decides which ticket is selected.
 * @type {Promise<void> | undefined}
 */
let calling;

const roomKey = `console-room:${location}`;
let roomId = stored();

function stored() {
  try {
    return localStorage.getItem(roomKey) ?? "";
  } catch {
    return ""; // The browser was told to keep nothing.
  }
}

const queues = () => load?.queues.filter(({ id }) => followed.includes(id)) ?? [];
const lines = () => desk.lines(queues().map(({ id }) => id));
const room = () => load?.stations.find(({ id }) => id === roomId);
const tickets = () => lines().flatMap(({ tickets }) => tickets);

/** @returns {Ticket | undefined} */
function selectedTicket() {
  const found = tickets().find(({ id }) => id === selected);
  if (found || lastStepped?.id !== selected) return found;
  return { ...lastStepped, state: /** @type {any} */ ("ended"), unsure: false };
}

function follow() {
  shell.follow(location ? `load:${location}` : undefined, ({ entries = new Map(), at }) => {
    load = readLoad(entries);
    changedAt = Math.max(changedAt, at);
    followQueues();
    render();
  });
}

/** @param {readonly string[]} one @param {readonly string[]} other without repeats */
const sameSet = (one, other) =>
  one.length === other.length && one.every((id) => other.includes(id));

/** Follows the queues that exist, among those that the token names. */
function followQueues() {
  const named = queuesOfToken(token);
  const wanted = (load?.queues ?? []).map(({ id }) => id).filter((id) => named?.includes(id) ?? 1);
  if (sameSet(wanted, followed)) return;
  followed = wanted;
  connection?.close();
  for (const id of desk.views.keys()) if (!wanted.includes(id)) desk.views.delete(id);
  connection = shell.followSecond(
    wanted.map((id) => `queue:${id}`),
    (view, channel) => {
      changedAt = Math.max(changedAt, view.at);
      desk.update(channel.slice("queue:".length), view);
    },
  );
}

/** The page that prints the slip of the selected ticket. */
function linkToSlip() {
  const keys = new URLSearchParams({ token, ticket: selected });
  const link = /** @type {HTMLAnchorElement} */ (byId("print-slip"));
  const href = `slip?lang=${shell.language}#${keys}`;
  if (link.getAttribute("href") !== href) link.href = href;
}

function render() {
  linkToSlip();
  const read = lines();
  const complete = followed.every((id) => desk.views.has(id));
  shell.filled = load !== undefined && complete;
  const { language, text } = shell;
  const zone = load?.head.time_zone;
  const { changedAt: changed, asOf } = connectionTexts[language];
  const words = shell.lossMs === undefined ? changed : asOf;
  const moment = shell.lossMs === undefined ? changedAt : shell.shownNow;
  shell.renderFrame(words(timeText(moment, language, zone)));
  setText(byId("name"), load?.head.name ?? text.title);
  setText(byId("find-text"), text.find);
  field("find-label").placeholder = text.find;
  setText(byId("sheet-open-text"), text.shortcuts);
  // Search and shortcuts do nothing while a note stands in place of the lines.
  byId("find").hidden = byId("sheet-open").hidden = !shell.filled || Boolean(shell.note);
  renderOffline();
  setText(byId("clock"), load ? zonedTimeText(shell.shownNow, language, zone) : "");
  if (!load || shell.note) return;
  document.title = `${load.head.name} · ${text.title}`;
  const now = shell.shownNow;
  const readOnly = offlineSince !== undefined;
  const place = { shell, now, readOnly, room: room(), rooms: load.stations, selected };
  flags?.render(text, language, zone);
  renderSide({ ...place, lines: read, ticket: selectedTicket(), doctors: load.doctors });
  renderLines({ ...place, lines: read });
}

/** Read-only from the first moment of a loss, and says since when. */
function renderOffline() {
  const loss = shell.lossMs;
  const was = offlineSince;
  offlineSince = loss === undefined ? undefined : shell.now - loss;
  byId("offline").hidden = offlineSince === undefined || !shell.filled;
  if (offlineSince !== undefined) {
    const time = new Intl.DateTimeFormat(localeOf(shell.language), {
      timeStyle: "medium",
      timeZone: load?.head.time_zone,
    }).format(was ?? offlineSince);
    offlineSince = was ?? offlineSince;
    setText(byId("offline-text"), shell.text.readOnly(time));
  } else if (was !== undefined) {
    say(shell.text.back);
  }
}

let toastTimer = 0;

/**
 * The live region stays in the page while it is empty: screen readers miss one that appears.
 * @param {string} text
 */
function say(text) {
  setText(byId("toast"), text);
  clearTimeout(toastTimer);
  toastTimer = setTimeout(() => setText(byId("toast"), ""), TOAST_MS);
}

/**
 * Says the result of a command.
 * @param {Answer} answer
 * @param {(result: {label?: string, ticket?: string}) => string} done
 * @param {string} [label] of the ticket that a refusal is about
 */
function tell(answer, done, label) {
  const plain = "applied" in answer ? (answer.applied.result ?? {}) : {};
  if ("applied" in answer) return say(done({ ...plain, label: unbroken(plain.label ?? "") }));
  const { refusals, refused, did } = shell.text;
  const text = refusals[answer.code] ?? refused(answer.code);
  return say(label ? did(unbroken(label), text) : text);
}

/** The clerk's room, or nothing after saying that one must be chosen. */
function roomForCall() {
  const own = room();
  if (!own) {
    say(shell.text.noRoom);
    byId("room").focus();
  }
  return own;
}

/**
 * Takes a step that calls somebody. When somebody else is still called to the room, the clerk may
 * mark that patient as absent with it.
 * @param {(force: boolean) => Promise<Answer>} step
 * @param {{id: string, name: string}} own
 */
async function forced(step, own) {
  const answer = await step(false);
  if (!("code" in answer) || answer.code !== "station_busy") return answer;
  const { text } = shell;
  const there = ticketsAt(lines(), own.name).find(({ state }) => state === "called");
  const label = unbroken(there?.label ?? "");
  const sure = await ask({ title: own.name, question: text.force(label), confirm: true }, text);
  // The connection may have been lost while the clerk was asked.
  return sure && offlineSince === undefined ? step(true) : answer;
}

/** @param {string} [queue] without it the lines of the room decide */
async function callNext(queue) {
  const own = roomForCall();
  if (!own) return;
  const all = lines().filter(({ id }) => !queue || id === queue);
  // With several lines only the server knows which of them the room serves.
  const first = queue ? waitingOf(all[0]?.tickets ?? [])[0] : undefined;
  const called = forced((force) => desk.callNext(own, first, queue, force), own);
  const call = called.then((answer) => {
    if ("applied" in answer) select(answer.applied.result?.ticket ?? "");
    tell(answer, ({ label = "" }) => shell.text.calledTo(label, own.name));
  });
  calling = call;
  await call;
  if (calling === call) calling = undefined;
}

/** @param {Action} action @param {Ticket} ticket */
async function act(action, ticket) {
  const { text } = shell;
  const own = action === "call" ? roomForCall() : undefined;
  if (action === "call" && !own) return;
  const body = own ? { station: own.id } : await bodyOf(action, ticket);
  // The connection may have been lost while the clerk was asked.
  if (!body || offlineSince !== undefined) return;
  lastStepped = ticket;
  /** @param {boolean} force */
  const step = (force) => desk.step(action, ticket, force ? { ...body, force } : body, own);
  const answer = own ? await forced(step, own) : await step(false);
  const word = text.actions[action].replace("…", "");
  tell(answer, () => text.did(unbroken(ticket.label), word), ticket.label);
}

/**
 * The answers of the clerk to the questions before the step. Nothing when the clerk cancelled.
 * @param {Action} action
 * @param {Ticket} ticket
 */
async function bodyOf(action, { label, queue, priority }) {
  const { text } = shell;
  const title = `${unbroken(label)} · ${text.actions[action].replace("…", "")}`;
  if (action === "hold" || action === "cancel") {
    const answer = await ask({ title, question: text.asks[action] }, text);
    return answer && (answer.text ? { reason: answer.text } : {});
  }
  if (action === "transfer") {
    /** @type {[string, string][]} */
    const choices = (load?.queues ?? [])
      .filter(({ id }) => id !== queue)
      .map(({ id, name }) => [id, name]);
    const chosen = choices[0]?.[0];
    const to = await ask({ title, question: text.asks.transfer, choices, chosen }, text);
    return to?.choice ? { queue: to.choice } : undefined;
  }
  if (action === "prioritise") {
    /** @type {[string, string][]} */
    const choices = Array.from({ length: 10 }, (_, level) => [`${9 - level}`, `${9 - level}`]);
    const { prioritise: question, priorityReason: more } = text.asks;
    const answer = await ask({ title, question, choices, chosen: String(priority), more }, text);
    if (!answer) return undefined;
    const level = { priority: Number(answer.choice) };
    return answer.text ? { ...level, reason: answer.text } : level;
  }
  return {};
}

/** @param {string} queue */
async function issue(queue) {
  const answer = await desk.send(`queues/${encodeURIComponent(queue)}/tickets`);
  if ("applied" in answer) select(answer.applied.result?.ticket ?? "");
  tell(answer, ({ label = "" }) => shell.text.issued(label));
}

/** Checks a patient with an appointment in. */
async function checkInByAppointment() {
  if (!load || !location || !load.doctors.length) return;
  const { text, language } = shell;
  const answer = await checkIn({
    location,
    token: newest(token),
    text,
    language,
    zone: load.head.time_zone,
    doctors: load.doctors,
    send: (path, body) => desk.send(path, body),
    readOnly: () => offlineSince !== undefined,
  });
  if (!answer) return;
  if ("applied" in answer) select(answer.applied.result?.ticket ?? "");
  tell(answer, ({ label = "" }) => text.checkedIn(label));
}

/** @param {string} queue @param {"open" | "close" | "pause" | "resume"} verb */
async function turn(queue, verb) {
  const name = queues().find(({ id }) => id === queue)?.name ?? "";
  const { text } = shell;
  const title = `${name} · ${text.queueActions[verb]}`;
  const asked =
    verb === "pause" ? await ask({ title, question: text.asks.pause }, text) : undefined;
  if ((verb === "pause" && !asked) || offlineSince !== undefined) return;
  const body = asked?.text ? { message: asked.text } : {};
  const answer = await desk.send(`queues/${encodeURIComponent(queue)}/${verb}`, body);
  tell(answer, () => shell.text.did(name, shell.text.queueActions[verb]), name);
}

async function toggleRoom() {
  const own = roomForCall();
  if (!own) return;
  const verb = own.state === "closed" ? "open" : "close";
  const answer = await desk.send(`stations/${encodeURIComponent(own.id)}/${verb}`);
  tell(answer, () => shell.text.did(own.name, shell.text.roomActions[verb]), own.name);
}

/** @param {string} ticket @param {(place: number) => number} to */
async function move(ticket, to) {
  const line = lines().find(({ tickets }) => tickets.some(({ id }) => id === ticket));
  const place = line ? waitingOf(line.tickets).findIndex(({ id }) => id === ticket) : -1;
  const order = line && place >= 0 ? reordered(line, ticket, to(place)) : undefined;
  if (!line || !order) return say(shell.text.noMove);
  const path = `queues/${encodeURIComponent(line.id)}/reorder`;
  const answer = await desk.send(path, { tickets: order });
  const { label = "" } = line.tickets.find(({ id }) => id === ticket) ?? {};
  return tell(answer, () => shell.text.moved(unbroken(label)), label);
}

/** @param {string} ticket */
function select(ticket) {
  selected = ticket;
  const found = selectedTicket();
  if (found) lastQueue = found.queue;
  render();
  const row = document.querySelector(`[data-key="${CSS.escape(ticket)}"] .ticket`);
  if (row instanceof HTMLElement) row.focus();
}

/** @param {1 | -1} step */
function selectNext(step) {
  const all = tickets();
  const at = all.findIndex(({ id }) => id === selected);
  const next = all[at < 0 ? (step > 0 ? 0 : all.length - 1) : at + step];
  if (next) select(next.id);
}

/** @param {string} id */
function field(id) {
  return /** @type {HTMLInputElement} */ (byId(id));
}

/** @type {Record<keyof typeof import("./keys.js").PAGE_KEYS, () => unknown>} */
const functions = {
  callNext: () => callNext(),
  find: () => field("find-label").focus(),
  issue: () => lastOrFirst() && issue(lastOrFirst()),
  checkIn: checkInByAppointment,
  queue: () => toggleQueue(lastOrFirst()),
  pause: () => pauseQueue(lastOrFirst()),
  room: toggleRoom,
  sheet: () => showSheet(shell.text),
};
const lastOrFirst = () => lastQueue || (queues()[0]?.id ?? "");

/** @param {string} id */
function toggleQueue(id) {
  const state = lines().find((line) => line.id === id)?.head.state;
  if (state) void turn(id, state === "closed" ? "open" : "close");
}

/** @param {string} id */
function pauseQueue(id) {
  const state = lines().find((line) => line.id === id)?.head.state;
  if (state && state !== "closed") void turn(id, state === "paused" ? "resume" : "pause");
}

/** @param {KeyboardEvent} event */
function onKey(event) {
  const { target } = event;
  if (isAsking() || (target instanceof HTMLElement && target.matches("input, select"))) return;
  // The key is meant for the ticket that is being called, whatever is selected until then.
  if (calling && isStep(event)) {
    event.preventDefault();
    return void calling.then(() => onKey(event));
  }
  const ticket = selectedTicket();
  const meaning = meaningOf(event, ticket ? actionsOf(ticket) : []);
  if (!meaning || !shell.filled) return;
  event.preventDefault();
  if ("select" in meaning) return selectNext(meaning.select);
  if ("page" in meaning && ["find", "sheet"].includes(meaning.page)) {
    return void functions[meaning.page]();
  }
  if (offlineSince !== undefined) return;
  if ("action" in meaning && ticket) void act(meaning.action, ticket);
  if ("page" in meaning) void functions[meaning.page]();
  if ("move" in meaning && ticket) void move(ticket.id, (place) => place + meaning.move);
}

/** @param {MouseEvent} event */
function onClick({ target }) {
  const button = target instanceof Element ? target.closest("button") : null;
  if (!(button instanceof HTMLButtonElement)) return;
  const { action, visitor } = button.dataset;
  const key = button.closest("li")?.dataset.key ?? "";
  const queue = button.closest("section")?.dataset.key ?? "";
  if (visitor) return select(visitor);
  if (button.matches(".ticket")) return select(key);
  const ticket = selectedTicket();
  if (action && ticket) return void act(/** @type {Action} */ (action), ticket);
  if (!queue) return undefined;
  lastQueue = queue;
  if (button.matches(".next")) return void callNext(queue);
  if (button.matches(".issue")) return void issue(queue);
  if (button.matches(".pause")) return pauseQueue(queue);
  if (button.matches(".toggle")) return toggleQueue(queue);
  return undefined;
}

/** @param {string} ticket @param {string} onto the ticket whose place it takes */
function drop(ticket, onto) {
  const line = lines().find(({ tickets }) => tickets.some(({ id }) => id === ticket));
  const place = line ? waitingOf(line.tickets).findIndex(({ id }) => id === onto) : -1;
  if (place >= 0) void move(ticket, () => place);
}

function start() {
  addEventListener("keydown", onKey);
  byId("content").addEventListener("click", onClick);
  listenToDrags(byId("lines"), { mayDrag: () => offlineSince === undefined, onDrop: drop });
  byId("call-next").addEventListener("click", () => void callNext());
  byId("room-toggle").addEventListener("click", () => void toggleRoom());
  byId("check-in").addEventListener("click", () => void checkInByAppointment());
  byId("sheet-open").addEventListener("click", () => showSheet(shell.text));
  byId("room").addEventListener("change", () => {
    roomId = field("room").value;
    try {
      localStorage.setItem(roomKey, roomId);
    } catch {
      // The browser was told to keep nothing.
    }
    render();
  });
  byId("find").addEventListener("submit", (event) => {
    event.preventDefault();
    const asked = field("find-label").value;
    const found = findTicket(lines(), asked);
    if (!found) return say(shell.text.notFound(asked));
    field("find-label").value = "";
    return select(found.id);
  });
  // The desk sees flags; staff who are bound to some lines do not.
  if (token && location && !queuesOfToken(token))
    flags = new Flags(location, () => newest(token), render);
  follow();
  // The clock, the waits and the age of a loss.
  setInterval(render, 1_000);
}

start();
