// What a patient can do with the own ticket: leave the line, and come back after a missed call.

import { timeoutSignal } from "../shared/timeout.js";
import { newKey } from "../shared/commands.js";
import { byId, setText } from "../shared/page.js";
import { textsOf } from "../languages/all.js";

const actionTexts = textsOf("actions");

/** @typedef {import("../shared/ticket.js").Ticket} Ticket */
/** @typedef {"leave" | "return"} Action */

const TIMEOUT_MS = 10_000;

/**
 * The action that a ticket in this state offers. A called patient goes to the room, and one who is
 * being seen asks there.
 * @param {string | undefined} state
 * @returns {Action[]}
 */
export function actionsOf(state) {
  if (state === "absent") return ["return", "leave"];
  return state === "waiting" || state === "on_hold" || state === "called" ? ["leave"] : [];
}

export class TicketActions {
  #rerender;
  #token = "";
  #ticket = "";
  #asking = false;
  #busy = false;
  #failed = false;
  /** The action that was given and whose key is used again. @type {{action: Action, key: string} | undefined} */
  #given;

  /** @param {() => void} rerender called when the reader has chosen something */
  constructor(rerender) {
    this.#rerender = rerender;
    byId("action-leave").addEventListener("click", () => {
      if (this.#asking) return void this.#give("leave");
      this.#ask(true);
    });
    byId("action-keep").addEventListener("click", () => this.#ask(false));
    byId("action-return").addEventListener("click", () => void this.#give("return"));
  }

  /** @param {string} token @param {string} ticket */
  use(token, ticket) {
    this.#token = token;
    this.#ticket = ticket;
  }

  /** @param {boolean} asking whether the page asks if the patient really leaves */
  #ask(asking) {
    this.#asking = asking;
    this.#failed = false;
    this.#rerender();
    byId(asking ? "action-keep" : "action-leave").focus();
  }

  /**
   * @param {Ticket | undefined} ticket
   * @param {import("../shared/language.js").Language} language
   * @param {boolean} isLive without a connection nothing can be given
   */
  render(ticket, language, isLive) {
    const text = actionTexts[language];
    const offered = isLive ? actionsOf(ticket?.state) : [];
    byId("actions").hidden = !offered.length;
    if (!offered.includes("leave")) this.#asking = false;
    const asking = this.#asking;
    byId("action-question").hidden = byId("action-keep").hidden = !asking;
    byId("action-leave").hidden = !offered.includes("leave");
    byId("action-return").hidden = asking || !offered.includes("return");
    byId("action-failed").hidden = !this.#failed;
    setText(byId("action-question"), text.question);
    setText(byId("action-keep"), text.keep);
    setText(byId("action-leave"), asking ? text.confirm : text.leave);
    setText(byId("action-return"), text.back);
    setText(byId("action-failed"), this.#failed ? text.failed : "");
    const slip = /** @type {HTMLAnchorElement} */ (byId("slip"));
    slip.hidden = !offered.length;
    setText(slip, text.slip);
    const keys = new URLSearchParams({ token: this.#token, ticket: this.#ticket });
    slip.href = `slip?lang=${language}#${keys}`;
    for (const id of ["action-leave", "action-return"]) {
      byId(id).setAttribute("aria-disabled", String(this.#busy));
    }
  }

  /** @param {Action} action */
  async #give(action) {
    if (this.#busy) return;
    this.#busy = true;
    this.#failed = false;
    // A second try after a lost answer is the same command.
    if (this.#given?.action !== action) this.#given = { action, key: newKey() };
    const { key } = this.#given;
    this.#rerender();
    try {
      const response = await fetch(`v1/tickets/${this.#ticket}/${action}`, {
        method: "POST",
        headers: { authorization: `Bearer ${this.#token}`, "idempotency-key": key },
        signal: timeoutSignal(TIMEOUT_MS),
      });
      this.#failed = !response.ok;
      // The next command is another one; after a busy server it is the same.
      if (response.status < 500 && response.status !== 429) this.#given = undefined;
    } catch {
      this.#failed = true;
    }
    this.#busy = this.#asking = false;
    this.#rerender();
  }
}
