// The appointment's page: its status and time, what the doctor's delay makes of them, and after the check-in the place in line.

import { texts } from "./texts.js";
import { isOver, ticketLeads, ticketToFollow } from "../shared/appointments.js";
import { byId, setIcon, setText } from "../shared/page.js";
import { Shell } from "../shared/shell.js";
import { clock, noteOfTicket, placeSentence, renderNote, TicketParts } from "../shared/ticket.js";
import { words } from "../shared/texts.js";

/** @typedef {import("../shared/ticket.js").Ticket} Ticket */
/** @typedef {{appointment: string, status: import("./texts.js").Status, start?: number, end?: number, late?: boolean,
 *   doctor?: string, delay_min: number, ticket?: string, ticket_label?: string, reason?: string, successor?: string}} Appointment */

/** @type {Appointment | undefined} */
let appointment;
/** @type {Ticket | undefined} */
let ticket;
let changedAt = 0;
/** The ticket that is followed beside the appointment. @type {string | undefined} */
let followed;
let announced = "";

const pageTexts = {
  fr: { ...texts.fr, title: texts.fr.own.title },
  en: { ...texts.en, title: texts.en.own.title },
};
const parts = new TicketParts(render);
const shell = new Shell(pageTexts, render);
const asked = shell.asked.get("appointment");

function render() {
  const { text, language } = shell;
  shell.filled = appointment !== undefined;
  const known = shell.lossMs === undefined ? words[language].patient.changedAt(clock(changedAt, language)) : words[language].patient.asOf(clock(shell.shownNow, language));
  document.title = text.own.title;
  shell.renderFrame(known);
  const shown = shell.note ? undefined : appointment;
  const place = shown && ticketLeads(shown.status, ticket?.state) ? ticket : undefined;
  const root = document.documentElement;
  root.dataset.state = place?.state ?? "none";
  root.dataset.status = shown?.status ?? "none";
  root.dataset.over = String(Boolean(shown && isOver(shown.status)));
  setText(byId("queue-name"), place?.queue_name ?? text.own.title);
  if (shown) renderAppointment(shown);
  parts.render(place, language, shell.shownNow);
  const note = place && noteOfTicket(place);
  if (place && note) {
    byId("note").hidden = false;
    renderNote(note, language, place.reason);
  }
  announce(shown, place);
}

/** @param {Appointment} shown */
function renderAppointment({ status, start, end, late = false, doctor, delay_min: delay, reason, successor, ticket: own }) {
  const { text } = shell;
  setText(byId("date"), start === undefined ? "" : text.date(start));
  byId("time").classList.toggle("none", start === undefined);
  setText(byId("time"), start === undefined ? text.own.noTime : text.time(start));
  setText(byId("until"), end === undefined || isOver(status) ? "" : text.own.until(text.time(end)));
  byId("doctor").hidden = !doctor;
  setText(byId("doctor"), doctor ? text.own.withDoctor(doctor) : "");
  const [title, more] = successor ? text.own.moved : text.own.statuses[status];
  setIcon(byId("appointment-status"), successor ? "arrow" : status === "fulfilled" || status === "checked-in" || status === "arrived" ? "check" : isOver(status) ? "info" : "calendar");
  setText(byId("status-title"), title);
  setText(byId("status-text"), late && !isOver(status) ? text.own.late : own && !ticket && !isOver(status) ? text.own.ticketSoon : more);
  byId("delay").hidden = !delay || isOver(status);
  setText(byId("delay-text"), text.own.delay(doctor, delay));
  byId("appointment-reason").hidden = !reason;
  setText(byId("appointment-reason"), reason ? text.own.reason(reason) : "");
  byId("moved").hidden = !successor;
  setText(byId("moved-link"), text.own.openMoved);
  // The same key may be good there too; if it is not, that page says so.
  const keys = new URLSearchParams({ token: shell.asked.get("token") ?? "", appointment: successor ?? "" });
  /** @type {HTMLAnchorElement} */ (byId("moved-link")).href = `appointment#${keys}`;
}

/** @param {Appointment | undefined} shown @param {Ticket | undefined} place */
function announce(shown, place) {
  const { text, language } = shell;
  let sentence = shown ? [byId("status-title").textContent, byId("status-text").textContent, byId("delay").hidden ? "" : byId("delay-text").textContent].filter(Boolean).join(" ") : "";
  const note = place && noteOfTicket(place);
  if (place) sentence = note ? words[language].patient.notes[note].join(". ") : placeSentence(place, language);
  if (shell.note) sentence = text.notes[shell.note].join(". ");
  if (!byId("banner").hidden) sentence = words[language].patient.notConnected;
  if (sentence === announced) return;
  announced = sentence;
  byId("status").textContent = sentence;
}

/** @param {import("../shared/fold.js").Held} held */
function take(held) {
  appointment = held.entries?.get("appointment");
  changedAt = Math.max(changedAt, held.at);
  // The appointment's key opens its ticket too: from the check-in on both are followed.
  const own = appointment && ticketToFollow(appointment);
  if (own && own !== followed) {
    followed = own;
    shell.followBeside(`ticket:${own}`, takeTicket);
  }
  render();
}

/** @param {import("../shared/fold.js").Held} held */
function takeTicket(held) {
  const next = /** @type {Ticket} */ (held.state);
  ticket = next;
  changedAt = Math.max(changedAt, held.at);
  parts.take(next);
  render();
}

function start() {
  shell.follow(asked ? `appointment:${asked}` : undefined, take);
  // Ages and waits move by themselves.
  setInterval(render, 1_000);
}

start();
