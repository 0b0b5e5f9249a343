// The clerk's own steps that the server has not confirmed yet. A step is shown at once, and dropped
// as soon as the server's entry of the ticket differs. Pure.

/** @typedef {import("../shared/schemas.js").QueueEntry} Entry */
/** @typedef {import("../shared/connection/fold.js").View} View */
/**
 * @typedef {object} Pending
 * @property {number} id
 * @property {string} ticket
 * @property {Entry} base what the clerk saw. Another entry from the server replaces the step.
 * @property {Partial<Entry>} changes
 * @property {boolean} gone whether the ticket leaves the line
 * @property {number} since ms
 */

// The server carries out no command after 30 s, and an answer takes at most some more. After this
// time a step without an answer is not shown any longer.
export const GIVE_UP_MS = 40_000;

/** What a step does to a ticket, before the server says so. @type {Record<string, object>} */
const CHANGES = {
  start: { state: "in_service" },
  hold: { state: "on_hold" },
  resume: { state: "waiting" },
  absent: { state: "absent" },
  return: { state: "waiting" },
};
const ENDS = new Set(["complete", "no-show", "cancel", "transfer"]);

/**
 * The step as it is shown until the server answers. Nothing for a step whose result only the server
 * knows, such as an undo.
 * @param {{id: number, action: string, ticket: {id: string}, base: Entry, now: number,
 *   room?: string, priority?: number}} step
 * @returns {Pending | undefined}
 */
export function pendingOf({ id, action, ticket, base, now, room, priority }) {
  const known = { id, ticket: ticket.id, base, since: now, gone: false };
  if (action === "call") return { ...known, changes: { state: "called", station: room } };
  if (action === "recall") return { ...known, changes: { recalls: (base.recalls ?? 0) + 1 } };
  if (action === "prioritise") return { ...known, changes: { priority } };
  if (ENDS.has(action)) return { ...known, changes: {}, gone: true };
  return CHANGES[action] && { ...known, changes: CHANGES[action] };
}

/**
 * The newest step of the clerk with a ticket, while the server's entry is the one it was made from.
 * @param {readonly Pending[]} pending
 * @param {string} ticket
 * @param {Entry} entry as the server has it
 */
export function patchesFor(pending, ticket, entry) {
  return pending.filter((step) => step.ticket === ticket && step.base === entry).pop();
}

/** Refused: the ticket is shown as the server has it. @param {readonly Pending[]} pending @param {number} id */
export function rollBack(pending, id) {
  return pending.filter((step) => step.id !== id);
}

/**
 * The steps that still count: those whose ticket the server has not changed since, and that are not
 * too old.
 * @param {readonly Pending[]} pending
 * @param {ReadonlyMap<string, View>} views of the queues
 * @param {number} now
 */
export function stillPending(pending, views, now) {
  return pending.filter(
    ({ ticket, base, since }) =>
      now - since < GIVE_UP_MS &&
      [...views.values()].some(({ entries }) => entries?.get(ticket) === base),
  );
}

/**
 * The steps without the one that the server has applied under `version`, once the views contain it.
 * A later version may contain it although the entry did not change, as with a step that was undone.
 * @param {readonly Pending[]} pending
 * @param {number} id
 * @param {{epoch: string, version: number}} applied
 * @param {ReadonlyMap<string, View>} views
 */
export function confirm(pending, id, { epoch, version }, views) {
  const step = pending.find((step) => step.id === id);
  const holder = [...views.values()].find(({ entries }) => entries?.has(step?.ticket ?? ""));
  const contained =
    !holder ||
    holder.epoch > BigInt(epoch) ||
    (holder.epoch === BigInt(epoch) && holder.version >= version);
  return contained ? rollBack(pending, id) : pending;
}
