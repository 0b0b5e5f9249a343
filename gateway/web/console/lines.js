// The lines of a location as the console shows them, and what is allowed in which state. Pure, so
// that tests need no browser.

import { claimsOf } from "../shared/credentials/token.js";
import { patchesFor } from "./pending.js";

/** @typedef {import("../shared/schemas.js").QueueEntry} Entry */
/** @typedef {import("../shared/schemas.js").QueueHead} Head */
/** @typedef {import("../shared/schemas.js").TicketState} TicketState */
/** @typedef {import("../shared/connection/fold.js").View} View */
/** @typedef {import("./pending.js").Pending} Pending */
/**
 * `unsure` says that the clerk's own step is shown before the server has confirmed it.
 * @typedef {Entry & {id: string, queue: string, unsure: boolean}} Ticket
 */
/** @typedef {{id: string, head: Head, tickets: Ticket[], waiting: number}} Line */
/**
 * A step with a ticket, named as in the address of its command.
 * @typedef {"call" | "recall" | "start" | "complete" | "hold" | "resume" | "absent" | "return"
 *   | "no-show" | "transfer" | "prioritise" | "cancel" | "revert"} Action
 */

/**
 * The actions of each state, the usual next one first. `revert` is offered everywhere: only the
 * server knows whether there is a step to undo.
 * @type {Record<string, Action[]>}
 */
const ACTIONS = {
  expected: ["no-show", "transfer", "cancel"],
  waiting: ["call", "hold", "prioritise", "transfer", "no-show", "cancel"],
  called: ["start", "recall", "absent", "hold", "no-show", "transfer", "cancel"],
  in_service: ["complete", "hold", "transfer", "cancel"],
  on_hold: ["resume", "call", "transfer", "cancel"],
  absent: ["return", "call", "no-show", "transfer", "cancel"],
  leaving: [],
};

/** @param {{state: string}} ticket @returns {Action[]} */
export function actionsOf({ state }) {
  return [...(ACTIONS[state] ?? []), "revert"];
}

/**
 * Busy people come first, then the line, then those who are set aside.
 * @type {Record<string, number>}
 */
const GROUPS = { called: 0, in_service: 1, waiting: 2, expected: 3, leaving: 4, absent: 5 };
const LAST_GROUP = 6;

/**
 * The order of the list. The waiting are in the order of their calls: the higher priority, the
 * smaller rank, the smaller id (docs/queues.md).
 * @param {Ticket} a
 * @param {Ticket} b
 */
function compare(a, b) {
  const group = (/** @type {Ticket} */ { state }) => GROUPS[state] ?? LAST_GROUP;
  return (
    group(a) - group(b) || b.priority - a.priority || a.rank - b.rank || (a.id < b.id ? -1 : 1)
  );
}

/**
 * Reads the view of a queue, with the clerk's own steps that are not confirmed yet.
 * @param {string} id of the queue
 * @param {View} view
 * @param {readonly Pending[]} pending
 * @returns {Line | undefined} nothing while the head is missing
 */
export function readLine(id, { entries = new Map() }, pending) {
  const head = entries.get("queue");
  if (!head) return undefined;
  /** @type {Ticket[]} */
  const tickets = [];
  for (const [key, entry] of entries) {
    if (key === "queue") continue;
    const patch = patchesFor(pending, key, entry);
    if (patch?.gone) continue;
    tickets.push({ ...entry, ...patch?.changes, id: key, queue: id, unsure: Boolean(patch) });
  }
  tickets.sort(compare);
  return { id, head, tickets, waiting: waitingOf(tickets).length };
}

// People do not read more rows, and a line of thousands would slow down the rendering of each
// second. People behind are counted, and found by label.
export const MAX_ROWS = 60;

/**
 * The tickets that a line shows: the first ones, and the selected one.
 * @param {readonly Ticket[]} tickets
 * @param {string} selected id
 */
export function shownOf(tickets, selected) {
  return tickets.filter(({ id }, index) => index < MAX_ROWS || id === selected);
}

/** @param {readonly Ticket[]} tickets */
export const waitingOf = (tickets) => tickets.filter(({ state }) => state === "waiting");

/**
 * The tickets with this room.
 * @param {readonly Line[]} lines
 * @param {string | undefined} room its name; a ticket contains nothing else about it
 */
export function ticketsAt(lines, room) {
  const busy = (/** @type {Ticket} */ { state, station }) =>
    station === room && (state === "called" || state === "in_service");
  return room === undefined ? [] : lines.flatMap(({ tickets }) => tickets.filter(busy));
}

/**
 * Finds a ticket by its label, as people say it: `a42`, `A-042` and `42` find A-042. A whole label
 * goes before a part of one.
 * @param {readonly Line[]} lines
 * @param {string} asked
 */
export function findTicket(lines, asked) {
  const wanted = plain(asked);
  if (!wanted) return undefined;
  const all = lines.flatMap(({ tickets }) => tickets);
  const digits = wanted.replace(/^[a-z]*/, "");
  return (
    all.find(({ label }) => plain(label) === wanted) ??
    all.find(({ label }) => digits === wanted && plain(label).endsWith(digits))
  );
}

/** Without case, dashes, spaces and leading zeros. @param {string} label */
function plain(label) {
  return label
    .toLowerCase()
    .replace(/[^\p{L}\d]/gu, "")
    .replace(/(^|\p{L})0+(?=\d)/gu, "$1");
}

// `queue.reorder` takes at most so many tickets (`MAX_REORDER`).
const MAX_REORDER = 500;

/**
 * The waiting tickets in their order after a move, as `reorder` wants them: from the first of the
 * line to the last one that moved. Nothing for a move that is not possible. A move never passes a
 * ticket of another priority, because the server orders by priority first.
 * @param {Line} line
 * @param {string} ticket
 * @param {number} to place among the waiting tickets, from 0
 * @returns {string[] | undefined}
 */
export function reordered({ tickets }, ticket, to) {
  const waiting = waitingOf(tickets);
  const from = waiting.findIndex(({ id }) => id === ticket);
  if (from < 0 || to < 0 || to >= waiting.length || to === from) return undefined;
  const passed = waiting.slice(Math.min(from, to), Math.max(from, to) + 1);
  if (passed.some(({ priority }) => priority !== waiting[from].priority)) return undefined;
  if (Math.max(from, to) >= MAX_REORDER) return undefined;
  const order = waiting.map(({ id }) => id);
  order.splice(to, 0, ...order.splice(from, 1));
  return order.slice(0, Math.max(from, to) + 1);
}

/**
 * The queues that a token names, or nothing when it is not bound to some. The server checks it;
 * here it only keeps the page from opening channels that would be refused.
 * @param {string | null} token
 * @returns {string[] | undefined}
 */
export function queuesOfToken(token) {
  const { queues } = claimsOf(token);
  return Array.isArray(queues) && queues.length ? queues : undefined;
}
