// The requests of a check-in point: a phone sends the code of a poster, a kiosk its credential.

import { timeoutSignal } from "../connection/timeout.js";

const TIMEOUT_MS = 10_000;

/** @typedef {"birth_year" | "birth_date" | "phone_end" | "none"} Factor */
/** @typedef {{path: string, key: string, code: string | null}} Link */
/**
 * @typedef {{location: {name: string, time_zone: string, languages: string[]},
 *   check_in_point: {name: string, kind: "poster" | "kiosk"}, factor: Factor, digits: number,
 *   asks_position: boolean, walk_in: {queue: string, name: string}[]}} Opened
 */
/** @typedef {{code: string, told: string}} Told */
/**
 * @typedef {{booking?: string, outcome?: string, code?: string, label?: string, link?: Link,
 *   ticket?: string, start?: number | null, doctor?: string | null, status?: string}} Result
 */
/** @typedef {{latitude: number, longitude: number, accuracy_m: number}} Position */

/** The requests of one check-in point: with the code of a poster, or with the token of a kiosk. */
export class Scan {
  /** @param {{point?: string, bearer?: {token: string}}} by */
  constructor({ point, bearer }) {
    this.point = point;
    this.bearer = bearer;
  }

  /** @returns {Promise<Opened | {refused: string}>} */
  open() {
    return this._post("open", {});
  }

  /** @param {Told[]} bookings @returns {Promise<{appointments: Result[]} | {refused: string}>} */
  find(bookings) {
    return this._post("find", { bookings });
  }

  /**
   * @param {Told[]} bookings
   * @param {string} key makes a repeated attempt do nothing more
   * @param {Position} [position]
   * @returns {Promise<{results: Result[]} | {refused: string}>}
   */
  checkIn(bookings, key, position) {
    return this._post("check-in", { bookings, position }, key);
  }

  /**
   * @param {string} queue
   * @param {string} key
   * @param {Position} [position]
   * @returns {Promise<Result | {refused: string}>}
   */
  walkIn(queue, key, position) {
    return this._post("walk-in", { queue, position }, key);
  }

  /**
   * Answers the code of a refusal, and throws while the server cannot be reached.
   * @param {string} action @param {object} body @param {string} [key]
   * @returns {Promise<any>}
   */
  async _post(action, body, key) {
    /** @type {Record<string, string>} */
    const headers = { "content-type": "application/json" };
    if (this.bearer) headers.authorization = `Bearer ${this.bearer.token}`;
    if (key) headers["idempotency-key"] = key;
    const response = await fetch(`v1/scans/${action}`, {
      method: "POST",
      headers,
      body: JSON.stringify({ point: this.point, ...body }),
      cache: "no-store",
      signal: timeoutSignal(TIMEOUT_MS),
    });
    if (response.ok) return await response.json();
    if (response.status >= 500) throw new Error("the server is busy");
    const problem = await response.json().catch(() => ({}));
    return { refused: String(problem.code ?? response.status) };
  }
}

/** A key that no other attempt has. */
export function newKey() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** Whether a result has a ticket: issued now, or by an earlier check-in. @param {Result} result */
export function hasTicket(result) {
  return Boolean(result.link && result.label);
}
