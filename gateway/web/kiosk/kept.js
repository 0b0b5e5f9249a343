// Attempts to check in that a kiosk could not send: kept with their time and their key, sent when
// the network is back, and shown with their results.

/** @typedef {import("../shared/visit/scan.js").Told} Told */
/** @typedef {import("../shared/visit/scan.js").Result} Result */
/** @typedef {{at: number, key: string, bookings: Told[]}} Attempt */
/** @typedef {{at: number, ends: string, outcome: "waiting" | "lost" | Result}} Shown */

const PLACE = "kiosk-attempts";
/** As long as a patient waits. An older attempt is not sent: its patient went to the desk. */
export const SEND_WITHIN_MS = 30 * 60_000;
/** Most attempts that are kept: more than people wait at a kiosk. The oldest one is dropped. */
const MOST = 20;
/** How long an outcome is shown. */
const SHOW_MS = 10 * 60_000;

export class KeptAttempts {
  /** @type {Attempt[]} */
  #waiting = [];
  /** @type {(Shown & {since: number})[]} */
  #ended = [];

  constructor() {
    try {
      this.#waiting = JSON.parse(localStorage.getItem(PLACE) ?? "[]");
    } catch {
      // Nothing was kept.
    }
  }

  /** @param {Attempt} attempt */
  keep(attempt) {
    this.#waiting.push(attempt);
    while (this.#waiting.length > MOST)
      this._end(/** @type {Attempt} */ (this.#waiting.shift()), "lost");
    this._store();
  }

  /**
   * Sends what waits, oldest first, until the network fails again.
   * @param {(attempt: Attempt) => Promise<Result[]>} send throws without a network
   * @param {number} now
   */
  async sendAll(send, now) {
    while (this.#waiting.length) {
      const attempt = this.#waiting[0];
      if (now - attempt.at > SEND_WITHIN_MS) {
        this._end(attempt, "lost");
      } else {
        const results = await send(attempt);
        for (const result of results) this._end(attempt, result);
      }
      this.#waiting.shift();
      this._store();
    }
  }

  /** @param {number} now @returns {Shown[]} */
  shown(now) {
    this.#ended = this.#ended.filter(({ since }) => now - since < SHOW_MS);
    const waiting = this.#waiting.map((attempt) => ({
      at: attempt.at,
      ends: endOf(attempt.bookings[0]?.code ?? ""),
      outcome: /** @type {const} */ ("waiting"),
    }));
    return [...waiting, ...this.#ended];
  }

  get isEmpty() {
    return !this.#waiting.length;
  }

  /** @param {Attempt} attempt @param {"lost" | Result} outcome */
  _end(attempt, outcome) {
    const code = attempt.bookings[0]?.code ?? "";
    this.#ended.push({ at: attempt.at, ends: endOf(code), outcome, since: Date.now() });
    this.#ended = this.#ended.slice(-MOST);
  }

  _store() {
    try {
      localStorage.setItem(PLACE, JSON.stringify(this.#waiting));
    } catch {
      // They are kept until the page is closed.
    }
  }
}

/** The end of a code: its patient knows it, and nobody else can use it. @param {string} code */
function endOf(code) {
  return code.slice(-2);
}
