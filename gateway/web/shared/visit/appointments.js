// The meaning of a schedule and an appointment at a moment. Pure, so that tests need no browser.

/** @typedef {import("../schemas.js").AppointmentStatus} Status */
/** @typedef {import("../schemas.js").TicketState} TicketState */
/** @typedef {import("../schemas.js").ScheduleHead} Head */
/** @typedef {import("../schemas.js").ScheduleEntry} Entry */

/** Statuses after which nothing more is expected. @type {ReadonlySet<Status>} */
const ENDS = new Set(["fulfilled", "cancelled", "noshow", "entered-in-error"]);
/** Statuses of a patient who is at the clinic. @type {ReadonlySet<Status>} */
const HERE = new Set(["arrived", "checked-in"]);

/** States of a ticket whose holder does not wait for a room. @type {ReadonlySet<string>} */
const BUSY = new Set(["in_service", "leaving", "absent"]);

/** States of a ticket after which its patient may check in again, while the appointment is open. */
const LEFT_EARLY = new Set(["left", "cancelled"]);

/** @param {Status} status */
export const isOver = (status) => ENDS.has(status);

/** @param {Status} status */
export const isHere = (status) => HERE.has(status);

/**
 * Reads the view of a schedule. Appointments are sorted by time, those without a time last, then by
 * key, so that rows of the same time never swap places. Appointments entered in error are left out.
 * @param {ReadonlyMap<string, any>} entries
 * @returns {{head: Head, appointments: [id: string, entry: Entry][]} | undefined}
 */
export function readSchedule(entries) {
  const head = entries.get("schedule");
  if (!head) return undefined;
  /** @type {[string, Entry][]} */
  const appointments = [...entries].filter(
    ([key, { status }]) => key !== "schedule" && status !== "entered-in-error",
  );
  const last = Number.MAX_SAFE_INTEGER;
  appointments.sort(
    ([keyA, a], [keyB, b]) => (a.start ?? last) - (b.start ?? last) || (keyA < keyB ? -1 : 1),
  );
  return { head, appointments };
}

/**
 * The stage of an appointment: its status, except that FHIR calls an appointment fulfilled as soon
 * as its patient is being seen.
 * @param {Entry} entry
 * @returns {Status | "in_service"}
 */
export function stageOf({ status, ticket }) {
  return status === "fulfilled" && ticket?.state === "in_service" ? "in_service" : status;
}

/**
 * Counts the appointments of a day by how far they are.
 * @param {[id: string, entry: Entry][]} appointments
 */
export function tally(appointments) {
  const stages = appointments.map(([, entry]) => stageOf(entry));
  const here = stages.filter((stage) => stage === "in_service" || isHere(stage)).length;
  const over = stages.filter((stage) => stage !== "in_service" && isOver(stage)).length;
  return { all: stages.length, here, over };
}

/**
 * The appointment to look at: the one being seen, else the one called, else the first that is not
 * over.
 * @param {[id: string, entry: Entry][]} appointments
 */
export function currentOf(appointments) {
  const inState = (/** @type {string} */ state) =>
    appointments.find(([, { ticket }]) => ticket?.state === state);
  const current =
    inState("in_service") ??
    inState("called") ??
    appointments.find(([, { status }]) => !isOver(status));
  return current?.[0];
}

const MINUTE_MS = 60_000;
// As the server's steps: a delay is never known to the minute.
const STEP_MIN = 5;

/**
 * The delay of the clinic: that of the last start, or more if a patient who is here still waits
 * after the start of the appointment.
 * @param {number} behind minutes, as of the last start
 * @param {{status: Status, start?: number, ticket?: {state?: TicketState}}[]} appointments
 * @param {number} now ms
 * @param {number} [waitingSince] the start of the doctor's first appointment whose patient waits, for
 *   a page that does not know the others
 */
export function delayNow(behind, appointments, now, waitingSince = now) {
  const waits = appointments
    .filter(({ status, ticket }) => isHere(status) && !BUSY.has(ticket?.state ?? "waiting"))
    .map(({ start = now }) => start);
  const late = (/** @type {number} */ start) =>
    Math.floor((now - start) / MINUTE_MS / STEP_MIN) * STEP_MIN;
  return Math.max(behind, late(waitingSince), ...waits.map(late));
}

/**
 * The ticket to follow beside the appointment. A cancelled or missed appointment needs none.
 * @param {{status: Status, ticket?: string}} appointment
 */
export function ticketToFollow({ status, ticket }) {
  return isOver(status) && status !== "fulfilled" ? undefined : ticket;
}

/**
 * Whether the page of an appointment shows the ticket's state first, rather than the appointment's.
 * @param {Status} status
 * @param {string | undefined} state of the ticket
 * @param {boolean} [movedOn] whether it continues, at another location, the appointment's ticket
 */
export function ticketLeads(status, state, movedOn = false) {
  if (state === undefined) return false;
  if (movedOn && status === "fulfilled") return !LEFT_EARLY.has(state);
  return isOver(status) ? status === "fulfilled" && state === "in_service" : !LEFT_EARLY.has(state);
}
