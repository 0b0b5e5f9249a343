// The actions of a patient on the own ticket: let others go first, leave the line, and come back
// after a missed call.

import { textsOf } from "../languages/all.js";
import { newKey } from "../shared/connection/commands.js";
import { byId, setText } from "../shared/look/page.js";
import { timeoutSignal } from "../shared/connection/timeout.js";

/** @typedef {import("../shared/visit/ticket.js").Ticket} Ticket */
/** @typedef {"leave" | "return" | "yield"} Action */

const actionTexts = textsOf("actions");

const TIMEOUT_MS = 10_000;

/**
 * The actions that a ticket in this state offers. A called patient goes to the room, and one who is
 * being seen asks there.
 * @param {string | undefined} state
 * @param {boolean} [mayYield] whether the location lets patients move back
 * @returns {Action[]}
 */
export function actionsOf(state, mayYield = false) {
  if (state === "absent") return ["return", "leave"];
  if (state === "waiting" && mayYield) return ["yield", "leave"];
  return state === "waiting" || state === "on_hold" || state === "called" ? ["leave"] : [];
}

export class TicketActions {
  #rerender;
  #token = "";
  #ticket = "";
  /** The action that the page asks about. @type {"leave" | "yield" | undefined} */
  #asking;
  #busy = false;
  /** The code of the last refusal. @type {string | undefined} */
  #failure;
  /** The action that was given and whose key is used again. @type {{action: Action, key: string} | undefined} */
  #given;

  /** @param {() => void} rerender called when the reader has chosen something */
  constructor(rerender) {
    this.#rerender = rerender;
    for (const action of /** @type {const} */ (["leave", "yield"])) {
      byId(`action-${action}`).addEventListener("click", () => {
        if (this.#asking === action) return void this._give(action);
        this._ask(action);
      });
    }
    byId("action-keep").addEventListener("click", () => this._ask(undefined));
    byId("action-return").addEventListener("click", () => void this._give("return"));
  }

  /** @param {string} token @param {string} ticket */
  use(token, ticket) {
    this.#token = token;
    this.#ticket = ticket;
  }

  /** @param {"leave" | "yield" | undefined} asking */
  _ask(asking) {
    const asked = this.#asking ?? "leave";
    this.#asking = asking;
    this.#failure = undefined;
    this.#rerender();
    byId(asking ? "action-keep" : `action-${asked}`).focus();
  }

  /**
   * @param {Ticket | undefined} ticket
   * @param {import("../shared/words/language.js").Language} language
   * @param {boolean} isLive without a connection nothing can be given
   */
  render(ticket, language, isLive) {
    const text = actionTexts[language];
    const places = ticket?.clinic.yield_places ?? 0;
    const offered = isLive ? actionsOf(ticket?.state, places > 0) : [];
    byId("actions").hidden = !offered.length;
    if (this.#asking && !offered.includes(this.#asking)) this.#asking = undefined;
    const asking = this.#asking;
    byId("action-question").hidden = byId("action-keep").hidden = !asking;
    for (const action of /** @type {const} */ (["leave", "yield", "return"])) {
      const isOther = asking !== undefined && asking !== action;
      byId(`action-${action}`).hidden = isOther || !offered.includes(action);
      byId(`action-${action}`).setAttribute("aria-disabled", String(this.#busy));
    }
    byId("action-failed").hidden = !this.#failure;
    const question = asking === "yield" ? text.yieldQuestion(places) : text.question;
    setText(byId("action-question"), question);
    setText(byId("action-keep"), text.keep);
    setText(byId("action-leave"), asking === "leave" ? text.confirm : text.leave);
    setText(byId("action-yield"), asking === "yield" ? text.yieldConfirm : text.yield);
    setText(byId("action-return"), text.back);
    const failure = this.#failure && (text.refusals[this.#failure] ?? text.failed);
    setText(byId("action-failed"), failure ?? "");
    const slip = /** @type {HTMLAnchorElement} */ (byId("slip"));
    slip.hidden = !offered.length;
    setText(slip, text.slip);
    const keys = new URLSearchParams({ token: this.#token, ticket: this.#ticket });
    slip.href = `slip?lang=${language}#${keys}`;
  }

  /** @param {Action} action */
  async _give(action) {
    if (this.#busy) return;
    this.#busy = true;
    this.#failure = undefined;
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
      if (!response.ok) {
        const problem = await response.json().catch(() => ({}));
        this.#failure = String(problem.code ?? response.status);
      }
      // The next command is another one; after a busy server it is the same.
      if (response.status < 500 && response.status !== 429) this.#given = undefined;
    } catch {
      this.#failure = "unreachable";
    }
    this.#busy = false;
    this.#asking = undefined;
    this.#rerender();
  }
}
