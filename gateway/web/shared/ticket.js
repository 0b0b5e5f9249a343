// A ticket as its holder sees it while waiting and when called: what the ticket's page and the appointment's share.

import { Chime } from "./chime.js";
import { byId, keepScreenOn, setIcon, setText } from "./page.js";
import { waitFrom } from "./wait.js";
import { words } from "./texts.js";

/** @typedef {import("./page.js").Language} Language */

/**
 * @typedef {object} Ticket
 * @property {number} at
 * @property {string} label
 * @property {string} queue_name
 * @property {"open" | "paused" | "closed"} queue_state
 * @property {"waiting" | "called" | "in_service" | "on_hold" | "absent" | "completed" | "no_show" | "cancelled" | "left" | "transferred"} state
 * @property {number} [ahead]
 * @property {{from: number, to: number}} [estimate]
 * @property {{station: string, at: number, recalls: number}} [call]
 * @property {string} [reason]
 */

/** @typedef {keyof typeof words.en.patient.notes} Note */

// Vibration in ms: on, off, on …
const CALL_PATTERN = [400, 200, 400, 200, 800];

// The figures nearest the door are drawn; who stands behind them is a number.
const MOST_FIGURES = 6;

/** @type {Record<Note, string>} */
const noteIcons = {
  in_service: "heart", on_hold: "pause", absent: "info", completed: "check", no_show: "info",
  cancelled: "info", left: "arrow", transferred: "arrow", missing: "info", refused: "info", waiting_for_server: "unplugged",
};

/** @param {number} ms @param {Language} language */
export function clock(ms, language) {
  // The reader's own habits (12 or 24 hours) where they are of the language shown.
  const tags = [...navigator.languages.filter((tag) => tag.startsWith(language)), language];
  return new Intl.DateTimeFormat(tags, { hour: "numeric", minute: "2-digit" }).format(ms);
}

/**
 * What is said instead of a place in line, if anything.
 * @param {Ticket} ticket
 * @returns {Note | undefined}
 */
export function noteOfTicket({ state }) {
  return state === "waiting" || state === "called" ? undefined : state;
}

export class TicketParts {
  #rerender;
  #chime;
  #alerting = false;
  #drawnAhead = -1;
  #callTold = "";
  /** @type {Ticket | undefined} */
  #before;

  /** @param {() => void} rerender called when the switch for the alert has another position */
  constructor(rerender) {
    this.#rerender = rerender;
    this.#chime = new Chime(rerender);
    byId("alert").addEventListener("click", () => this.#toggleAlert());
  }

  /** Rings when the ticket is called, or called again, for whoever asked for it. @param {Ticket} next */
  take(next) {
    const before = this.#before;
    this.#before = next;
    const again = before?.call?.at !== next.call?.at || before?.call?.recalls !== next.call?.recalls;
    if (this.#alerting && next.state === "called" && (before?.state !== "called" || again)) {
      this.#chime.ring();
      navigator.vibrate?.(CALL_PATTERN);
    }
  }

  /** @param {Ticket | undefined} ticket @param {Language} language @param {number} now the moment the page speaks of */
  render(ticket, language, now) {
    const text = words[language].patient;
    byId("ticket").hidden = !ticket;
    byId("waiting").hidden = byId("overtaking").hidden = byId("alert").hidden = ticket?.state !== "waiting";
    byId("called").hidden = ticket?.state !== "called";
    setText(byId("ticket-caption"), text.yourTicket);
    setText(byId("label"), ticket?.label ?? "");
    if (ticket?.state === "waiting") this.#renderWaiting(ticket, language, now);
    if (ticket?.state === "called") renderCalled(ticket, language);
    byId("alert").setAttribute("aria-checked", String(this.#alerting));
    setText(byId("alert-text"), text.alert);
    setText(byId("alert-hint"), text.alertHint);
    this.#alertOfCall(ticket, language);
  }

  /** @param {Ticket} ticket @param {Language} language @param {number} now */
  #renderWaiting({ label, ahead = 0, estimate, queue_state: queueState }, language, now) {
    const text = words[language].patient;
    setText(byId("ahead"), ahead ? String(ahead) : "");
    setText(byId("ahead-text"), ahead ? text.ahead(ahead) : text.next);
    byId("ahead-hint").hidden = ahead > 0;
    setText(byId("ahead-hint"), text.nextHint);
    this.#drawLine(ahead);
    setText(byId("wait-caption"), text.wait);
    const wait = estimate ? text.waitText(waitFrom(estimate, now)) : text.noWait;
    setText(byId("wait"), queueState === "paused" ? text.onceResumed : wait);
    byId("queue-notice").hidden = queueState === "open";
    setText(byId("queue-notice-text"), queueState === "paused" ? text.paused : text.closed);
    setText(byId("overtaking"), text.overtaking);
    document.title = ahead ? `${label} · ${ahead} ${text.ahead(ahead)}` : `${label} · ${text.next}`;
  }

  /** The line as figures: you at its end, the door ahead of everyone. @param {number} ahead */
  #drawLine(ahead) {
    if (ahead === this.#drawnAhead) return;
    const moved = this.#drawnAhead > ahead;
    this.#drawnAhead = ahead;
    const shown = ahead > MOST_FIGURES ? MOST_FIGURES - 1 : ahead;
    const parts = [figure("person", "you")];
    if (ahead > shown) {
      const more = document.createElement("span");
      more.textContent = `+${ahead - shown}`;
      parts.push(more);
    }
    for (let index = 0; index < shown; index++) parts.push(figure("person", "other"));
    parts.push(figure("door", "door"));
    const line = byId("line");
    line.replaceChildren(...parts);
    line.classList.toggle("moved", moved);
  }

  /** Of all that screen readers hear only the own call interrupts. @param {Ticket | undefined} ticket @param {Language} language */
  #alertOfCall(ticket, language) {
    const text = words[language].patient;
    const call = ticket?.state === "called" ? ticket.call : undefined;
    const told = call ? `${call.at}/${call.recalls}/${language}` : "";
    if (told === this.#callTold) return;
    this.#callTold = told;
    byId("call-alert").textContent = call ? `${text.yourTurn}. ${text.goTo}: ${call.station}` : "";
  }

  async #toggleAlert() {
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

/** @param {string} symbol @param {string} kind @returns {Element} */
function figure(symbol, kind) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("class", `icon ${kind}`);
  svg.append(document.createElementNS("http://www.w3.org/2000/svg", "use"));
  setIcon(svg, symbol);
  return svg;
}

/** @param {Ticket} ticket @param {Language} language */
function renderCalled({ label, call }, language) {
  const text = words[language].patient;
  setText(byId("your-turn"), text.yourTurn);
  setText(byId("go-to"), call ? text.goTo : "");
  setText(byId("room"), call?.station ?? "");
  byId("room").style.setProperty("--longest", String(Math.max(4, ...(call?.station ?? "").split(/\s+/).map((word) => word.length))));
  setText(byId("called-at"), call ? (call.recalls ? text.recalledAt : text.calledAt)(clock(call.at, language)) : "");
  document.title = [call?.station, text.yourTurn, label].filter(Boolean).join(" · ");
}

/** @param {Note} note @param {Language} language @param {string} [reason] */
export function renderNote(note, language, reason) {
  const text = words[language].patient;
  setIcon(byId("note-icon"), noteIcons[note]);
  setText(byId("note-title"), text.notes[note][0]);
  setText(byId("note-text"), text.notes[note][1]);
  byId("note-reason").hidden = !reason;
  setText(byId("note-reason"), reason ? text.reason(reason) : "");
}

/**
 * What screen readers hear of a place in line, politely.
 * @param {Ticket} ticket
 * @param {Language} language
 */
export function placeSentence({ ahead = 0, queue_state: queueState }, language) {
  const text = words[language].patient;
  const place = ahead ? `${ahead} ${text.ahead(ahead)}` : `${text.next}. ${text.nextHint}`;
  return queueState === "open" ? place : `${place}. ${queueState === "paused" ? text.paused : text.closed}`;
}
