// The one module that knows how to stay connected: it opens a way to the server, folds what arrives into views,
// and says honestly whether what it holds is still fresh.

import { fold } from "./fold.js";
import { Socket } from "./socket.js";
import { Stream } from "./stream.js";

/** @typedef {import("./fold.js").Held} Held */

/**
 * - `connecting`: nothing has been heard yet
 * - `live`: what is held is what the server has
 * - `stale`: the connection seems open, but nothing came since `since`
 * - `lost`: not connected since `since`; being repaired
 * - `refused`: the server will not have us, and trying again would not help
 * - `ended`: the server has said all there is to say
 * @typedef {{name: "connecting"} | {name: "live"} | {name: "stale" | "lost", since: number}
 *   | {name: "refused", code: string} | {name: "ended"}} Link
 */

/** @typedef {{token: string, channels: string[]}} Wish */

/**
 * What a way to the server tells.
 * @typedef {object} Ears
 * @property {() => void} opened a connection was made, whatever it is then told
 * @property {() => void} stirred something came, which need not mean that we hold everything
 * @property {() => void} heard something came, and all before it was taken
 * @property {(kind: import("./fold.js").Kind, frame: import("./fold.js").Frame) => boolean} take whether it was no gap
 * @property {(channel: string) => Held | undefined} held
 * @property {(response: Response, asked: number) => void} date what it says of the server's clock
 * @property {() => void} lost and being repaired without us
 * @property {(how: {resume: boolean}) => void} failed
 * @property {(code: string) => void} refused
 * @property {() => void} ended
 */

// Pauses between attempts are random between the first and a ceiling that doubles up to the last:
// a clinic's phones must not come back in step, and a board may wait at most 20 s after an outage.
const FIRST_PAUSE_MS = 500;
const LAST_PAUSE_MS = 20_000;

// A connection that lived this long earns a quick first attempt again; a shorter life means that
// reconnecting does not help, and the pauses keep growing.
const PROVEN_AFTER_MS = 10_000;

// A socket that could not be opened so often meets a proxy that lets none through: the stream may pass.
const SOCKET_ATTEMPTS = 2;

/** Follows some channels for as long as the page lives. */
export class Wire {
  #wish;
  #onView;
  #onLink;
  #ears;
  /** @type {Stream | Socket} */
  #way;
  /** @type {Map<string, Held>} */
  #held = new Map();
  /** @type {Link} */
  #link = { name: "connecting" };
  #resume = true;
  #mayFallBack;
  #open = false;
  #opening = false;
  #failures = 0;
  #heardAt = Date.now();
  #quietSince = Date.now();
  #liveSince = Infinity;
  #serverAheadMs = 0;
  #retryTimer = 0;

  /**
   * @param {object} options
   * @param {string} options.token
   * @param {string[]} options.channels
   * @param {(channel: string, held: Held) => void} options.onView
   * @param {(link: Link) => void} options.onLink
   * @param {"stream" | "socket"} [options.by]
   */
  constructor({ token, channels, onView, onLink, by = "stream" }) {
    this.#wish = { token, channels };
    this.#onView = onView;
    this.#onLink = onLink;
    this.#ears = this.#listening();
    this.#way = new (by === "socket" ? Socket : Stream)(this.#wish, this.#ears);
    this.#mayFallBack = by === "socket";
    setInterval(() => this.#watch(), 1_000);
    // A phone that wakes up, or finds a network again, should not sit out the rest of a pause.
    addEventListener("online", () => this.#hurry());
    addEventListener("pageshow", () => this.#hurry());
    document.addEventListener("visibilitychange", () => this.#hurry());
    void this.#start();
  }

  /** The server's clock, in ms: moments on the wire are compared with this, not with the phone's. */
  now() {
    return Date.now() + this.#serverAheadMs;
  }

  get #final() {
    return this.#link.name === "refused" || this.#link.name === "ended";
  }

  /** @returns {Ears} */
  #listening() {
    return {
      opened: () => (this.#mayFallBack = false),
      stirred: () => (this.#quietSince = Date.now()),
      heard: () => this.#heard(),
      take: (kind, frame) => this.#take(kind, frame),
      held: (channel) => this.#held.get(channel),
      date: (response, asked) => {
        const date = Date.parse(response.headers.get("date") ?? "");
        // `Date` counts whole seconds: half a second is its mean error.
        if (date) this.#serverAheadMs = date + 500 - (asked + Date.now()) / 2;
      },
      lost: () => this.#lose(Date.now()),
      failed: ({ resume }) => {
        if (!resume) this.#resume = false;
        this.#reopen(Date.now());
      },
      refused: (code) => this.#finish({ name: "refused", code }),
      ended: () => this.#finish({ name: "ended" }),
    };
  }

  async #start() {
    clearTimeout(this.#retryTimer);
    if (this.#opening || this.#final) return;
    this.#opening = true;
    try {
      this.#open = true;
      this.#quietSince = Date.now();
      await this.#way.open(this.#resume);
      this.#quietSince = Date.now();
    } catch {
      this.#reopen(this.#heardAt);
    } finally {
      this.#opening = false;
    }
  }

  /** @param {import("./fold.js").Kind} kind @param {import("./fold.js").Frame} frame */
  #take(kind, frame) {
    const next = fold(this.#held.get(frame.channel), kind, frame);
    if (next === "gap") {
      this.#resume = false;
      this.#reopen(Date.now());
      return false;
    }
    if (next === "old") return true;
    this.#held.set(frame.channel, next);
    this.#onView(frame.channel, next);
    return true;
  }

  #heard() {
    this.#heardAt = this.#quietSince = Date.now();
    if (this.#link.name !== "live" && this.#wish.channels.every((channel) => this.#held.has(channel))) {
      this.#resume = true;
      this.#liveSince = Date.now();
      this.#tell({ name: "live" });
    }
  }

  /** @param {number} since */
  #reopen(since) {
    this.#way.close();
    this.#open = false;
    if (this.#final) return;
    if (Date.now() - this.#liveSince > PROVEN_AFTER_MS) this.#failures = 0;
    this.#lose(since);
    const ceiling = Math.min(LAST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** ++this.#failures);
    if (this.#mayFallBack && this.#failures >= SOCKET_ATTEMPTS) {
      this.#mayFallBack = false;
      this.#way = new Stream(this.#wish, this.#ears);
    }
    const pause = FIRST_PAUSE_MS + Math.random() * (ceiling - FIRST_PAUSE_MS);
    clearTimeout(this.#retryTimer);
    this.#retryTimer = setTimeout(() => this.#start(), pause);
  }

  /** The first moment of a loss counts: further failures do not make it younger. @param {number} since */
  #lose(since) {
    this.#liveSince = Infinity;
    if (this.#link.name === "lost") return;
    const { since: doubted = since } = /** @type {{since?: number}} */ (this.#link);
    this.#tell({ name: "lost", since: Math.min(since, doubted) });
  }

  #watch() {
    const now = Date.now();
    if (this.#open && !this.#opening && now - this.#quietSince > this.#way.reopenAfterMs) this.#reopen(this.#heardAt);
    else if (this.#link.name === "live" && now - this.#heardAt > this.#way.doubtAfterMs) {
      this.#tell({ name: "stale", since: this.#heardAt });
    }
  }

  #hurry() {
    if (document.visibilityState === "hidden") return;
    this.#watch();
    if (!this.#open) void this.#start();
  }

  /** @param {Link} link */
  #finish(link) {
    this.#way.close();
    this.#open = false;
    clearTimeout(this.#retryTimer);
    this.#tell(link);
  }

  /** @param {Link} link */
  #tell(link) {
    this.#link = link;
    this.#onLink(link);
  }
}
