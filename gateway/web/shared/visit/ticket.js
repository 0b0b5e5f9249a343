// Renders a ticket for its holder, on the page of the ticket and on the page of an appointment.

import { Chime } from "../sound/chime.js";
import { byId, keepScreenOn, newIcon, setIcon, setText } from "../look/page.js";
import { placeName } from "./place.js";
import { changeText } from "../words/times.js";
import { waitFrom } from "../words/wait.js";
import { textsOf } from "../../languages/all.js";

const ticketTexts = textsOf("ticket");

/** @typedef {import("../words/language.js").Language} Language */
/** @typedef {import("../schemas.js").TicketView} Ticket */
/** @typedef {keyof typeof ticketTexts.en.notes} Note */

// Vibration in ms: on, off, on …
const CALL_PATTERN = [400, 200, 400, 200, 800];

// Only the people nearest the door are drawn as figures; the others are a number.
const MOST_FIGURES = 6;

/** @type {Record<Note, string>} */
const noteIcons = {
  in_service: "heart",
  on_hold: "pause",
  absent: "info",
  leaving: "arrow",
  completed: "check",
  no_show: "info",
  cancelled: "info",
  left: "arrow",
  ended: "info",
  transferred: "arrow",
  missing: "info",
  origin: "info",
  refused: "info",
  expired: "info",
  outdated: "unplugged",
  unreachable: "unplugged",
};

// A place or a call could have changed long ago, so it is hidden. A board hides its calls after the
// same time.
const HIDE_AFTER_MS = 5 * 60_000;

/** States that may end at any time. @type {ReadonlySet<string>} */
const PASSING = new Set(["waiting", "called", "expected", "on_hold", "absent", "leaving"]);

/**
 * The note to show instead of a place in line, if any.
 * @param {Ticket} ticket
 * @param {number} [lossMs] since the connection was lost
 * @returns {Note | undefined}
 */
export function noteOfTicket({ state, reason }, lossMs = 0) {
  if (lossMs >= HIDE_AFTER_MS && PASSING.has(state)) return "outdated";
  // The clinic ended the ticket, for example with the service day; the patient did not leave.
  if (state === "left" && reason && reason in ticketTexts.en.ends) return "ended";
  return state === "waiting" || state === "called" || state === "expected" ? undefined : state;
}

export class TicketParts {
  #rerender;
  #chime;
  #alerting = false;
  #drawnAhead = -1;
  #announcedCall = "";
  /** @type {Ticket | undefined} */
  #before;

  /** @param {() => void} rerender called when the switch for the alert was moved */
  constructor(rerender) {
    this.#rerender = rerender;
    this.#chime = new Chime(rerender);
    byId("alert").addEventListener("click", () => this._toggleAlert());
  }

  /** Rings for a call, or a repeated call, if the reader has asked for it. @param {Ticket} next */
  update(next) {
    const before = this.#before;
    this.#before = next;
    const again =
      before?.call?.at !== next.call?.at || before?.call?.recalls !== next.call?.recalls;
    if (this.#alerting && next.state === "called" && (before?.state !== "called" || again)) {
      this.#chime.ring();
      navigator.vibrate?.(CALL_PATTERN);
    }
  }

  /**
   * @param {Ticket | undefined} ticket
   * @param {Language} language
   * @param {number} now the moment that the page shows
   * @param {Note} [note] shown instead of the place in line
   */
  render(ticket, language, now, note) {
    const text = ticketTexts[language];
    const waiting = ticket?.state === "waiting" && !note;
    const called = ticket?.state === "called" && !note;
    byId("ticket").hidden = !ticket;
    byId("waiting").hidden = byId("overtaking").hidden = byId("alert").hidden = !waiting;
    byId("called").hidden = !called;
    setText(byId("ticket-caption"), text.yourTicket);
    setText(byId("label"), ticket?.label ?? "");
    if (ticket && waiting) this._renderWaiting(ticket, language, now);
    if (ticket && called) renderCalled(ticket, language, now);
    byId("alert").setAttribute("aria-checked", String(this.#alerting));
    setText(byId("alert-text"), text.alert);
    setText(byId("alert-hint"), text.alertHint);
    this._announceCall(ticket, language);
  }

  /** @param {Ticket} ticket @param {Language} language @param {number} now */
  _renderWaiting(ticket, language, now) {
    const { label, ahead = 0, estimate, no_estimate: noEstimate } = ticket;
    const text = ticketTexts[language];
    setText(byId("ahead"), ahead ? String(ahead) : "");
    setText(byId("ahead-text"), ahead ? text.ahead(ahead) : text.next);
    byId("ahead-hint").hidden = ahead > 0;
    setText(byId("ahead-hint"), text.nextHint);
    this._drawLine(ahead);
    setText(byId("wait-caption"), text.wait);
    const wait = estimate
      ? text.waitText(waitFrom(estimate, now))
      : text.noWait[noEstimate ?? "not_started"];
    setText(byId("wait"), wait);
    const notice = noticeOfLine(ticket, language);
    byId("queue-notice").hidden = !notice;
    setText(byId("queue-notice-text"), notice);
    setText(byId("overtaking"), text.overtaking);
    document.title = ahead ? `${label} · ${ahead} ${text.ahead(ahead)}` : `${label} · ${text.next}`;
  }

  /** Draws the line as figures: the reader at its end, the door in front. @param {number} ahead */
  _drawLine(ahead) {
    if (ahead === this.#drawnAhead) return;
    const moved = this.#drawnAhead > ahead;
    this.#drawnAhead = ahead;
    const shown = ahead > MOST_FIGURES ? MOST_FIGURES - 1 : ahead;
    /** @type {Element[]} */
    const parts = [newIcon("person", "you")];
    if (ahead > shown) {
      const more = document.createElement("span");
      more.textContent = `+${ahead - shown}`;
      parts.push(more);
    }
    for (let index = 0; index < shown; index++) parts.push(newIcon("person"));
    parts.push(newIcon("door", "door"));
    const line = byId("line");
    line.replaceChildren(...parts);
    line.classList.toggle("moved", moved);
  }

  /**
   * Screen readers interrupt for the reader's own call, and for nothing else.
   * @param {Ticket | undefined} ticket
   * @param {Language} language
   */
  _announceCall(ticket, language) {
    const text = ticketTexts[language];
    const call = ticket?.state === "called" ? ticket.call : undefined;
    const key = call ? `${call.at}/${call.recalls}/${language}` : "";
    if (key === this.#announcedCall) return;
    this.#announcedCall = key;
    byId("call-alert").textContent = call ? `${text.yourTurn}. ${text.goTo}: ${call.station}` : "";
  }

  async _toggleAlert() {
    this.#alerting = !this.#alerting;
    if (this.#alerting) {
      navigator.vibrate?.(100);
      keepScreenOn();
      await this.#chime.start();
    } else {
      await this.#chime.stop();
    }
    this.#rerender();
  }
}

/**
 * A note about the line for the reader, or an empty text.
 * @param {Ticket} ticket
 * @param {Language} language
 */
function noticeOfLine({ queue_state: queueState, queue_message: message, no_estimate }, language) {
  const text = ticketTexts[language];
  if (queueState === "paused") return [text.paused, message].filter(Boolean).join(" ");
  if (queueState === "closed") return text.closed;
  return no_estimate === "no_open_station" ? text.noRoom : "";
}

/**
 * @param {Ticket} ticket
 * @param {Language} language
 * @param {number} now
 */
function renderCalled({ label, call, clinic }, language, now) {
  const text = ticketTexts[language];
  const room = call?.station ?? "";
  setText(byId("your-turn"), text.yourTurn);
  setText(byId("go-to"), call ? text.goTo : "");
  setText(byId("room"), room);
  const longest = Math.max(4, ...room.split(/\s+/).map((word) => word.length));
  byId("room").style.setProperty("--longest", String(longest));
  const calledAt = call?.recalls ? text.recalledAt : text.calledAt;
  const zone = clinic.time_zone;
  const time = call ? changeText(call.at, now, language, zone) : "";
  setText(byId("called-at"), call ? calledAt(time) : "");
  document.title = [room, text.yourTurn, label].filter(Boolean).join(" · ");
}

/**
 * The title of a note, and what it means for the patient.
 * @param {Note} note
 * @param {Language} language
 * @param {Ticket} [ticket]
 */
export function textsOfNote(note, language, ticket) {
  const text = ticketTexts[language];
  const [title, meaning] = text.notes[note];
  const place = note === "leaving" && ticket?.moving_to;
  return [place ? text.movingTo(placeName(place)) : title, meaning];
}

/** @param {Note} note @param {Language} language @param {Ticket} [ticket] */
export function renderNote(note, language, ticket) {
  const text = ticketTexts[language];
  const [title, meaning] = textsOfNote(note, language, ticket);
  const reason = ticket?.reason;
  setIcon(byId("note-icon"), noteIcons[note]);
  setText(byId("note-title"), title);
  setText(byId("note-text"), meaning);
  byId("note-reason").hidden = !reason;
  setText(byId("note-reason"), reason ? (text.ends[reason] ?? text.reason(reason)) : "");
}

/**
 * The sentence about a place in line that screen readers announce politely.
 * @param {Ticket} ticket
 * @param {Language} language
 */
export function placeSentence(ticket, language) {
  const { ahead = 0 } = ticket;
  const text = ticketTexts[language];
  const place = ahead ? `${ahead} ${text.ahead(ahead)}.` : `${text.next}. ${text.nextHint}`;
  return `${place} ${noticeOfLine(ticket, language)}`.trim();
}
