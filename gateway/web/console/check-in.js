// Checks a patient with an appointment in: the clerk chooses the doctor and the appointment.
// Outside the window of check-in, the clerk gives a reason, which stays in the line and the audit.

import { timeoutSignal } from "../shared/connection/timeout.js";
import { timeText } from "../shared/words/times.js";
import { ask } from "./dialogs.js";

/** @typedef {import("../shared/connection/commands.js").Answer} Answer */
/** @typedef {import("../shared/schemas.js").ScheduleEntry} Entry */
/** @typedef {import("../languages/all.js").Texts["console"]} Texts */
/** @typedef {{id: string, name: string}} Doctor */
/**
 * @typedef {object} Place
 * @property {string} location
 * @property {string} token
 * @property {Texts} text
 * @property {import("../shared/words/language.js").Language} language
 * @property {string} [zone]
 * @property {readonly Doctor[]} doctors
 * @property {(path: string, body: object) => Promise<Answer>} send
 * @property {() => boolean} readOnly
 */

const TIMEOUT_MS = 8_000;
/** The refusals that a reason overrides. */
const OUTSIDE = new Set(["too_early", "appointment_expired", "appointment_over"]);
/** Statuses that can be checked in. A patient who missed the appointment may have come later. */
const OPEN = new Set(["proposed", "pending", "waitlist", "booked", "arrived", "noshow"]);

/**
 * The appointments of a schedule that can be checked in, by time.
 * @param {Record<string, any>} entries
 * @returns {[id: string, entry: Entry][]}
 */
export function openOf(entries) {
  return Object.entries(entries)
    .filter(([key, { status }]) => key !== "schedule" && OPEN.has(status))
    .sort(([, a], [, b]) => (a.start ?? Infinity) - (b.start ?? Infinity));
}

/**
 * Leads the clerk through a check-in.
 * @param {Place} place
 * @returns {Promise<Answer | undefined>} nothing when the clerk gave up or there is nobody
 */
export async function checkIn({ location, token, text, language, zone, doctors, send, readOnly }) {
  const title = text.checkIn;
  const doctor = await choose(
    title,
    text.asks.doctor,
    doctors.map(({ id, name }) => [id, name]),
    text,
  );
  if (!doctor) return undefined;
  const due = openOf(await scheduleOf(location, doctor, token));
  if (!due.length) return { code: "no_appointment" };
  const appointment = await choose(
    title,
    text.asks.appointment,
    due.map(([id, { start, label, status }]) => {
      const time = start === undefined ? "" : timeText(start, language, zone);
      const missed = status === "noshow" ? text.missed : "";
      return [id, [time, label, missed].filter(Boolean).join(" · ")];
    }),
    text,
  );
  // The connection may have been lost while the clerk was asked.
  if (!appointment || readOnly()) return undefined;
  const answer = await send("check-ins", { appointment });
  if (!("code" in answer) || !OUTSIDE.has(answer.code)) return answer;
  const question = text.override(text.refusals[answer.code] ?? "");
  const why = await ask({ title, question, required: true }, text);
  if (!why || readOnly()) return answer;
  return send("check-ins", { appointment, override_reason: why.text });
}

/**
 * @param {string} title
 * @param {string} question
 * @param {[string, string][]} choices
 * @param {Texts} text
 */
async function choose(title, question, choices, text) {
  const answer = await ask({ title, question, choices, chosen: choices[0]?.[0] }, text);
  return answer?.choice;
}

/** @param {string} location @param {string} doctor @param {string} token */
async function scheduleOf(location, doctor, token) {
  const path = `v1/schedules/${encodeURIComponent(location)}/${encodeURIComponent(doctor)}`;
  try {
    const response = await fetch(path, {
      headers: { authorization: `Bearer ${token}` },
      cache: "no-store",
      signal: timeoutSignal(TIMEOUT_MS),
    });
    const { entries = {} } = await response.json();
    return entries;
  } catch {
    return {};
  }
}
