// Suspicious scans at the check-in points in the last day, for the desk. A flag is shown until a
// clerk marks it as seen.

import { byId, setText } from "../shared/look/page.js";
import { keepRows, within } from "../shared/look/rows.js";
import { timeoutSignal } from "../shared/connection/timeout.js";
import { timeText } from "../shared/words/times.js";

/** @typedef {{kind: "two_places" | "many_codes", check_in_point: string, at: number,
 *   times: number}} Flag */

// The server notices within minutes; each request is an entry of the audit.
const ASK_EVERY_MS = 60_000;
const TIMEOUT_MS = 8_000;

/**
 * The flags that nobody has seen, newest first.
 * @param {readonly Flag[]} flags
 * @param {number} seen the newest moment that was seen
 */
export function unseen(flags, seen) {
  return flags.filter(({ at }) => at > seen).sort((a, b) => b.at - a.at);
}

export class Flags {
  #location;
  #token;
  #onChange;
  /** @type {Flag[]} */
  #flags = [];
  /** Names of the check-in points. @type {Map<string, string>} */
  #names = new Map();
  #key;
  #seen = 0;

  /**
   * @param {string} location
   * @param {() => string} token
   * @param {() => void} onChange
   */
  constructor(location, token, onChange) {
    this.#location = location;
    this.#token = token;
    this.#onChange = onChange;
    this.#key = `console-flags:${location}`;
    try {
      this.#seen = Number(localStorage.getItem(this.#key)) || 0;
    } catch {
      // The browser was told to keep nothing.
    }
    byId("flags-seen").addEventListener("click", () => this._see());
    void this._follow();
  }

  _see() {
    this.#seen = Math.max(this.#seen, ...this.#flags.map(({ at }) => at));
    try {
      localStorage.setItem(this.#key, String(this.#seen));
    } catch {
      // The browser was told to keep nothing.
    }
    this.#onChange();
  }

  async _follow() {
    const location = encodeURIComponent(this.#location);
    const { status, body } = await this._read(`scans/flags?location=${location}`);
    // A role that may not see them never may.
    if (status === 403) return;
    if (status === 200) {
      this.#flags = body.flags;
      const points = this.#flags.map(({ check_in_point: point }) => point);
      if (points.some((point) => !this.#names.has(point))) await this._readNames(points);
      this.#onChange();
    }
    setTimeout(() => void this._follow(), ASK_EVERY_MS);
  }

  /** A point that was removed keeps its id. @param {readonly string[]} points */
  async _readNames(points) {
    const location = encodeURIComponent(this.#location);
    const { status, body } = await this._read(`check-in-points?location=${location}`);
    for (const point of points) this.#names.set(point, point);
    for (const { check_in_point: id, name } of status === 200 ? body.check_in_points : []) {
      this.#names.set(id, name);
    }
  }

  /** @param {string} path @returns {Promise<{status: number, body: any}>} */
  async _read(path) {
    try {
      const response = await fetch(`v1/${path}`, {
        headers: { authorization: `Bearer ${this.#token()}` },
        cache: "no-store",
        signal: timeoutSignal(TIMEOUT_MS),
      });
      return { status: response.status, body: await response.json() };
    } catch {
      return { status: 0, body: {} };
    }
  }

  /**
   * @param {import("../languages/all.js").Texts["console"]} text
   * @param {import("../shared/words/language.js").Language} language
   * @param {string} [zone]
   */
  render(text, language, zone) {
    const shown = unseen(this.#flags, this.#seen);
    byId("flags").hidden = !shown.length;
    setText(byId("flags-title"), text.flags);
    setText(byId("flags-hint"), text.flagsHint);
    setText(byId("flags-seen"), text.flagsSeen);
    keepRows(
      byId("flag-list"),
      "flag",
      shown.map((flag) => [`${flag.kind} ${flag.check_in_point} ${flag.at}`, flag]),
      (row, { kind, check_in_point: point, at, times }) => {
        const where = this.#names.get(point) ?? point;
        setText(within(row, "b"), `${timeText(at, language, zone)} · ${where}`);
        setText(within(row, "span"), text.flagKinds[kind](times));
      },
    );
  }
}
