// What a schedule and an appointment mean at a moment: pure, so that it is known without a browser.

/** @typedef {import("../appointment/texts.js").Status} Status */
/** @typedef {{doctor: string, day: string, time_zone: string, delay_min: number}} Head */
/** @typedef {{status: Status, start?: number, end?: number, late?: boolean, label?: string, reason?: string,
 *   ticket?: {label: string, state: import("../appointment/texts.js").TicketState}}} Entry */

/** Statuses after which nothing more is expected. @type {ReadonlySet<Status>} */
const ENDS = new Set(/** @type {Status[]} */ (["fulfilled", "cancelled", "noshow", "entered-in-error"]));
/** Statuses of a patient who is there. @type {ReadonlySet<Status>} */
const HERE = new Set(/** @type {Status[]} */ (["arrived", "checked-in"]));

/** @param {Status} status */
export const isOver = (status) => ENDS.has(status);

/** @param {Status} status */
export const isHere = (status) => HERE.has(status);

/**
 * A schedule's view, read: by time, what has none last, then by key, so that rows of one time never swap places.
 * What was entered in error is not shown.
 * @param {ReadonlyMap<string, any>} entries
 * @returns {{head: Head, appointments: [id: string, entry: Entry][]} | undefined}
 */
export function readSchedule(entries) {
  const head = entries.get("schedule");
  if (!head) return undefined;
  /** @type {[string, Entry][]} */
  const appointments = [...entries].filter(([key, { status }]) => key !== "schedule" && status !== "entered-in-error");
  const last = Number.MAX_SAFE_INTEGER;
  appointments.sort(([keyA, a], [keyB, b]) => (a.start ?? last) - (b.start ?? last) || (keyA < keyB ? -1 : 1));
  return { head, appointments };
}

/**
 * What an entry is at: its status, but that FHIR calls an appointment fulfilled as soon as its patient is being seen.
 * @param {Entry} entry
 * @returns {Status | "in_service"}
 */
export function stageOf({ status, ticket }) {
  return status === "fulfilled" && ticket?.state === "in_service" ? "in_service" : status;
}

/**
 * How far the day is.
 * @param {[id: string, entry: Entry][]} appointments
 */
export function tally(appointments) {
  const stages = appointments.map(([, entry]) => stageOf(entry));
  const here = stages.filter((stage) => stage === "in_service" || isHere(stage)).length;
  const over = stages.filter((stage) => stage !== "in_service" && isOver(stage)).length;
  return { all: stages.length, here, over };
}

/**
 * The one to look at: whoever is being seen or was called, else the first that is not over.
 * @param {[id: string, entry: Entry][]} appointments
 */
export function currentOf(appointments) {
  const seen = appointments.find(([, { ticket }]) => ticket?.state === "in_service") ?? appointments.find(([, { ticket }]) => ticket?.state === "called");
  return (seen ?? appointments.find(([, { status }]) => !isOver(status)))?.[0];
}

/**
 * The ticket that has something to tell beside the appointment: one that was called off or missed says it itself.
 * @param {{status: Status, ticket?: string}} appointment
 */
export function ticketToFollow({ status, ticket }) {
  return isOver(status) && status !== "fulfilled" ? undefined : ticket;
}

/**
 * Whether the ticket's state is what its holder wants to see, rather than the appointment's.
 * @param {Status} status
 * @param {string | undefined} state the ticket's
 */
export function ticketLeads(status, state) {
  return state !== undefined && (isOver(status) ? status === "fulfilled" && state === "in_service" : true);
}
