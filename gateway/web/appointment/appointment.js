// The page of a patient's appointment: status, time, delay, and the place in line after check-in.

import { applyBrand } from "../shared/look/brand.js";
import { delayNow, isOver, ticketLeads, ticketToFollow } from "../shared/visit/appointments.js";
import { byId, setIcon, setText } from "../shared/look/page.js";
import { placeName } from "../shared/visit/place.js";
import { Shell } from "../shared/look/shell.js";
import {
  noteOfTicket,
  placeSentence,
  renderNote,
  textsOfNote,
  TicketParts,
} from "../shared/visit/ticket.js";
import { changeText, dateText, zonedTimeText } from "../shared/words/times.js";
import { textsOf } from "../languages/all.js";

const connectionTexts = textsOf("connection");
const ownTexts = textsOf("appointment");

/** @typedef {import("../shared/visit/ticket.js").Ticket} Ticket */
/** @typedef {import("../shared/schemas.js").AppointmentView} Appointment */

/** @type {Appointment | undefined} */
let appointment;
/** @type {Ticket | undefined} */
let ticket;
let changedAt = 0;
/** The appointment's own ticket, which is followed beside it. @type {string | undefined} */
let ownTicket;
/** Whether the followed ticket continues the appointment's own ticket at another location. */
let movedOn = false;
/** @type {import("../shared/connection/connection.js").Connection | undefined} */
let ticketConnection;
let announced = "";

const parts = new TicketParts(render);
const shell = new Shell(ownTexts, render);
const appointmentId = shell.link.get("appointment");

function render() {
  const { text, language } = shell;
  const { changedAt: changed, asOf } = connectionTexts[language];
  const zone = appointment?.clinic.time_zone;
  shell.filled = appointment !== undefined;
  document.title = text.title;
  shell.renderFrame(
    shell.lossMs === undefined
      ? changed(changeText(changedAt, shell.shownNow, language, zone))
      : asOf(zonedTimeText(shell.shownNow, language, zone)),
  );
  const shown = shell.note ? undefined : appointment;
  const place = shown && ticketLeads(shown.status, ticket?.state, movedOn) ? ticket : undefined;
  const root = document.documentElement;
  const note = place && noteOfTicket(place, shell.lossMs);
  root.dataset.state = note === "outdated" ? note : (place?.state ?? "none");
  root.dataset.status = shown?.status ?? "none";
  root.dataset.over = String(Boolean(shown && isOver(shown.status)));
  setText(byId("queue-name"), place?.queue_name ?? text.title);
  const clinic = (place ?? shown)?.clinic;
  setText(byId("clinic"), clinic?.name ?? "");
  setText(byId("address"), clinic?.address ?? "");
  applyBrand(clinic?.branding);
  if (shown) renderAppointment(shown);
  parts.render(place, language, shell.shownNow, note);
  if (place && note) {
    byId("note").hidden = false;
    renderNote(note, language, place);
  }
  announce(shown, place);
}

/** @param {Appointment} shown */
function renderAppointment(shown) {
  const { text, language } = shell;
  const { status, start, end, doctor, delay_min: behind = 0, reason, successor } = shown;
  const { waiting_since: waitingSince } = shown;
  const delay = delayNow(behind, [{ status, start, ticket }], shell.shownNow, waitingSince);
  const zone = shown.clinic.time_zone;
  setText(byId("date"), start === undefined ? "" : dateText(start, language, zone));
  byId("time").classList.toggle("none", start === undefined);
  setText(byId("time"), start === undefined ? text.noTime : zonedTimeText(start, language, zone));
  const until = isOver(status) || end === undefined ? "" : zonedTimeText(end, language, zone);
  setText(byId("until"), until && text.until(until));
  byId("doctor").hidden = !doctor;
  setText(byId("doctor"), doctor ? text.withDoctor(doctor) : "");
  renderStatus(shown);
  byId("delay").hidden = !delay || isOver(status);
  setText(byId("delay-text"), text.delay(doctor, delay));
  byId("appointment-reason").hidden = !reason;
  setText(byId("appointment-reason"), reason ? text.reason(reason) : "");
  byId("moved").hidden = !opens(successor);
  setText(byId("moved-link"), text.openMoved);
  const token = shell.link.get("token") ?? "";
  const query = new URLSearchParams({ token, appointment: successor ?? "" });
  /** @type {HTMLAnchorElement} */ (byId("moved-link")).href = `appointment#${query}`;
}

/** @param {Appointment} shown */
function renderStatus(shown) {
  const { text } = shell;
  const { status, late, successor, moving_to: movingTo, ticket: ticketId } = shown;
  const [title, meaning] = statusTexts(shown);
  const moves = successor ?? movingTo;
  setIcon(byId("appointment-status"), moves ? "arrow" : statusIcon(status));
  setText(byId("status-title"), title);
  let sentence = meaning;
  if (ticketId && !ticket && status === "checked-in") sentence = text.ticketSoon;
  if (late && !isOver(status)) sentence = text.late;
  setText(byId("status-text"), sentence);
}

/**
 * Whether the token of this page opens the appointment at the other location. It does when that one
 * continues this one under the same digits, and not when the source booked it there by itself.
 * @param {string} [successor]
 */
function opens(successor) {
  return Boolean(successor) && successor?.split(".")[1] === appointmentId?.split(".")[1];
}

/** A title, and what it means for the patient. @param {Appointment} shown */
function statusTexts({ status, successor, moving_to: movingTo }) {
  const { text } = shell;
  if (successor) return text.moved(placeName(successor), opens(successor));
  return movingTo ? text.moving(placeName(movingTo)) : text.statuses[status];
}

/** @param {Appointment["status"]} status */
function statusIcon(status) {
  if (status === "fulfilled" || status === "checked-in" || status === "arrived") return "check";
  return isOver(status) ? "info" : "calendar";
}

/** @param {Appointment | undefined} shown @param {Ticket | undefined} place */
function announce(shown, place) {
  const { text, language } = shell;
  const lines = ["status-title", "status-text", ...(byId("delay").hidden ? [] : ["delay-text"])];
  let sentence = shown ? lines.map((id) => byId(id).textContent).join(" ") : "";
  const note = place && noteOfTicket(place, shell.lossMs);
  if (place) {
    sentence = note
      ? textsOfNote(note, language, place).join(". ")
      : placeSentence(place, language);
  }
  if (shell.note) sentence = shell.noteTexts(shell.note).join(". ");
  if (sentence === announced) return;
  announced = sentence;
  byId("status").textContent = sentence;
}

/** @param {import("../shared/connection/fold.js").View} view */
function updateAppointment(view) {
  appointment = view.entries?.get("appointment");
  shell.offerLanguages(appointment?.clinic.languages);
  changedAt = Math.max(changedAt, view.at);
  // The token of an appointment opens its tickets too: after a check-in the page follows both.
  const ticketId = appointment && ticketToFollow(appointment);
  if (ticketId && ticketId !== ownTicket) {
    ownTicket = ticketId;
    ticket = undefined;
    movedOn = false;
    followTicket(ticketId);
  }
  render();
}

/** @param {string} id */
function followTicket(id) {
  ticketConnection?.close();
  ticketConnection = shell.followSecond(`ticket:${id}`, updateTicket);
}

/** @param {import("../shared/connection/fold.js").View} view */
function updateTicket(view) {
  const next = /** @type {Ticket} */ (view.state);
  ticket = next;
  changedAt = Math.max(changedAt, view.at);
  parts.update(next);
  if (next.successor) {
    movedOn = true;
    followTicket(next.successor);
  }
  render();
}

function start() {
  shell.follow(appointmentId ? `appointment:${appointmentId}` : undefined, updateAppointment);
  // Ages and waits change without a message.
  setInterval(render, 1_000);
}

start();
