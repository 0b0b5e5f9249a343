// The clerk's work: the lines as they are shown, and the steps that the clerk takes in them. Knows
// nothing of the document.

import { newest } from "../shared/credentials/renewal.js";
import { sendCommand } from "../shared/connection/commands.js";
import { readLine } from "./lines.js";
import { confirm, pendingOf, rollBack, stillPending } from "./pending.js";

/** @typedef {import("../shared/connection/fold.js").View} View */
/** @typedef {import("../shared/connection/commands.js").Answer} Answer */
/** @typedef {import("./lines.js").Action} Action */
/** @typedef {import("./lines.js").Ticket} Ticket */
/** @typedef {{id: string, name: string}} Room */

export class Desk {
  /** The views of the queues, by the queue's id. @type {Map<string, View>} */
  views = new Map();
  /** @type {readonly import("./pending.js").Pending[]} */
  #pending = [];
  #lastStep = 0;
  #token;
  #onChange;

  /** @param {string} token @param {() => void} onChange called when the lines are shown anew */
  constructor(token, onChange) {
    this.#token = token;
    this.#onChange = onChange;
  }

  /** @param {string} queue @param {View} view */
  update(queue, view) {
    this.views.set(queue, view);
    this.#pending = stillPending(this.#pending, this.views, Date.now());
    this.#onChange();
  }

  /** The lines in the order of the ids given. @param {readonly string[]} queues */
  lines(queues) {
    this.#pending = stillPending(this.#pending, this.views, Date.now());
    return queues.flatMap((queue) => {
      const view = this.views.get(queue);
      return (view && readLine(queue, view, this.#pending)) ?? [];
    });
  }

  /**
   * Takes a step with a ticket: shows it at once, and takes it back when it is refused.
   * @param {Action} action
   * @param {Ticket} ticket
   * @param {{station?: string, queue?: string, priority?: number, reason?: string,
   *   force?: boolean}} [body]
   * @param {Room} [room] that calls
   */
  async step(action, ticket, body = {}, room) {
    const id = ++this.#lastStep;
    const base = this.views.get(ticket.queue)?.entries?.get(ticket.id);
    const { priority } = body;
    const now = Date.now();
    const step = base && pendingOf({ id, action, ticket, base, now, room: room?.name, priority });
    if (step) this.#pending = [...this.#pending, step];
    this.#onChange();
    const answer = await this.send(`tickets/${encodeURIComponent(ticket.id)}/${action}`, body);
    this._settle(id, answer);
    return answer;
  }

  /**
   * Calls the first of a queue, or of all queues of the room.
   * @param {Room} room
   * @param {Ticket | undefined} first who is probably called, and is shown so
   * @param {string} [queue]
   * @param {boolean} [force] marks who is still called to the room as absent
   */
  async callNext(room, first, queue, force = false) {
    const id = ++this.#lastStep;
    const base = first && this.views.get(first.queue)?.entries?.get(first.id);
    const now = Date.now();
    const step =
      base && pendingOf({ id, action: "call", ticket: first, base, now, room: room.name });
    if (step) this.#pending = [...this.#pending, step];
    this.#onChange();
    const answer = queue
      ? await this.send(`queues/${encodeURIComponent(queue)}/call-next`, {
          station: room.id,
          force,
        })
      : await this.send(`stations/${encodeURIComponent(room.id)}/call-next`, { force });
    // Another clerk may have called the first: then the server chose the second.
    const other = "applied" in answer && answer.applied.result?.ticket !== first?.id;
    this._settle(id, other ? { code: "" } : answer);
    return answer;
  }

  /** @param {string} path @param {object} [body] */
  send(path, body = {}) {
    return sendCommand(newest(this.#token), path, body);
  }

  /** @param {number} id @param {Answer} answer */
  _settle(id, answer) {
    this.#pending =
      "applied" in answer
        ? confirm(this.#pending, id, answer.applied, this.views)
        : rollBack(this.#pending, id);
    this.#onChange();
  }
}
