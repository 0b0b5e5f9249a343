// Stays connected to the server: opens a transport, folds the frames into views, and reports
// whether the views are up to date.

import { fold } from "./fold.js";
import { isRenewableLate, keepRenewed, mustRenew, newest } from "../credentials/renewal.js";
import { SocketTransport } from "./socket.js";
import { StreamTransport } from "./stream.js";

/** @typedef {import("./fold.js").View} View */

/**
 * - `connecting`: nothing has been received yet
 * - `live`: the views are what the server has
 * - `stale`: the connection seems open, but nothing has come since `since`
 * - `lost`: not connected since `since`; being repaired
 * - `refused`: the server refuses this page, and trying again would not help
 * - `ended`: the server has ended the channels
 * @typedef {{name: "connecting"} | {name: "live"} | {name: "stale" | "lost", since: number}
 *   | {name: "refused", code: string} | {name: "ended"}} ConnectionState
 */

/** @typedef {{token: string, channels: string[]}} Target */

/**
 * The events that a transport reports, and the values that it may read.
 * @typedef {object} Listener
 * @property {() => void} opened the connection was made, whatever the server says next
 * @property {() => void} active something came, although views may still be missing
 * @property {() => void} upToDate something came, and every frame before it was delivered
 * @property {(kind: import("./fold.js").Kind, frame: import("./fold.js").Frame) => boolean} frame
 *   delivers a frame; answers false for a gap
 * @property {(channel: string) => View | undefined} view the view of a channel so far
 * @property {(response: Response, askedAt: number) => void} clock a response with the server's time
 * @property {() => void} lost the connection broke, and the browser repairs it
 * @property {(how: {resume: boolean}) => void} failed the connection broke and must be reopened
 * @property {(code: string) => void} refused
 * @property {() => void} ended
 */

// The pause before each attempt is random between the first and a ceiling that doubles up to the
// last: a clinic's phones must not come back in step. A board waits at most 20 s after an outage.
const FIRST_PAUSE_MS = 500;
const LAST_PAUSE_MS = 20_000;

// A connection that lasted this long starts again with the shortest pause. After a shorter one
// pauses keep growing, because reconnecting evidently does not help.
const PROVEN_AFTER_MS = 10_000;

// A WebSocket comes first: over HTTP/1.1 a browser allows six connections to one host, and streams
// of other tabs may hold them all. After so many failed attempts to open one, a proxy probably lets
// none through, and a stream is tried. Until one of them has opened, both are tried in turn.
//
// Each tab has a connection of its own. Tabs of one browser may carry different tokens, browsers
// allow hundreds of sockets, and one costs the server a few KiB: sharing would save little.
const SOCKET_ATTEMPTS = 2;

/** Follows some channels for as long as the page is open. */
export class Connection {
  #target;
  #onView;
  #onState;
  #listener;
  /** @type {StreamTransport | SocketTransport} */
  #transport;
  /** @type {Map<string, View>} */
  #views = new Map();
  /** @type {ConnectionState} */
  #state = { name: "connecting" };
  #resume = true;
  /** Whether the present transport has opened once, and so passes every proxy on the way. */
  #proven = false;
  #renewNow;
  #open = false;
  #opening = false;
  #failures = 0;
  #upToDateAt = Date.now();
  #activeAt = Date.now();
  #liveSince = Infinity;
  #serverAheadMs = 0;
  #retryTimer = 0;
  /** Ends everything that waits once the connection is over. */
  #end = new AbortController();

  /**
   * @param {object} options
   * @param {string} options.token
   * @param {string[]} options.channels
   * @param {(channel: string, view: View) => void} options.onView
   * @param {(state: ConnectionState) => void} options.onState
   */
  constructor({ token, channels, onView, onState }) {
    this.#target = { token: newest(token), channels };
    this.#onView = onView;
    this.#onState = onState;
    this.#listener = this._newListener();
    this.#transport = new SocketTransport(this.#target, this.#listener);
    const { signal } = this.#end;
    this.#renewNow = keepRenewed(this.#target, {
      first: token,
      now: () => this.now(),
      onRenewed: () => void this._renew(),
      onRefused: (code) => {
        if (this._awaitsToken) this._finish({ name: "refused", code });
      },
      signal,
    });
    const silence = setInterval(() => this._checkSilence(), 1_000);
    signal.addEventListener("abort", () => clearInterval(silence));
    // A phone that wakes up, or finds a network again, must not wait for the rest of a pause.
    addEventListener("online", () => this._reconnectNow(), { signal });
    addEventListener("pageshow", () => this._reconnectNow(), { signal });
    document.addEventListener("visibilitychange", () => this._reconnectNow(), { signal });
    void this._start();
  }

  /**
   * The server's clock in ms. Times from the server are compared with this, not with the device's.
   */
  now() {
    return Date.now() + this.#serverAheadMs;
  }

  /** Stops following. */
  close() {
    this._finish({ name: "ended" });
  }

  /** Whether nothing can be opened before the token is renewed. */
  get _awaitsToken() {
    return !this.#open && mustRenew(this.#target.token, this.now());
  }

  get _over() {
    return this.#state.name === "refused" || this.#state.name === "ended";
  }

  /** @returns {Listener} */
  _newListener() {
    return {
      opened: () => (this.#proven = true),
      active: () => (this.#activeAt = Date.now()),
      upToDate: () => this._markUpToDate(),
      frame: (kind, frame) => this._apply(kind, frame),
      view: (channel) => this.#views.get(channel),
      clock: (response, askedAt) => {
        const date = Date.parse(response.headers.get("date") ?? "");
        // `Date` counts whole seconds: half a second is its mean error.
        if (date) this.#serverAheadMs = date + 500 - (askedAt + Date.now()) / 2;
      },
      lost: () => this._markLost(Date.now()),
      failed: ({ resume }) => {
        if (!resume) this.#resume = false;
        this._reopen(Date.now());
      },
      refused: (code) => this._refuse(code),
      ended: () => this._finish({ name: "ended" }),
    };
  }

  async _start() {
    clearTimeout(this.#retryTimer);
    if (this.#opening || this._over) return;
    if (this._awaitsToken) {
      this._markLost(this.#upToDateAt);
      return this.#renewNow();
    }
    this.#opening = true;
    try {
      this.#open = true;
      this.#activeAt = Date.now();
      await this.#transport.open(this.#resume);
      this.#activeAt = Date.now();
    } catch {
      this._reopen(this.#upToDateAt);
    } finally {
      this.#opening = false;
    }
  }

  /** Goes on with a renewed token. A lost connection may have waited for it. */
  async _renew() {
    if (this.#opening || this._over) return;
    if (!this.#open) return this._start();
    try {
      await this.#transport.renew();
    } catch {
      this._reopen(this.#upToDateAt);
    }
  }

  /** @param {import("./fold.js").Kind} kind @param {import("./fold.js").Frame} frame */
  _apply(kind, frame) {
    const next = fold(this.#views.get(frame.channel), kind, frame);
    if (next === "gap") {
      // A step that does not fit needs the whole view. A view older than ours comes from a late
      // server: the next request sends our position.
      this.#resume = kind !== "delta";
      this._reopen(Date.now());
      return false;
    }
    if (next === "old") return true;
    this.#views.set(frame.channel, next);
    this.#onView(frame.channel, next);
    return true;
  }

  _markUpToDate() {
    // The last message may have ended the connection.
    if (this._over) return;
    this.#upToDateAt = this.#activeAt = Date.now();
    const complete = this.#target.channels.every((channel) => this.#views.has(channel));
    if (this.#state.name === "live" || !complete) return;
    this.#resume = true;
    this.#liveSince = Date.now();
    this._setState({ name: "live" });
  }

  /** @param {number} since */
  _reopen(since) {
    this.#transport.close();
    this.#open = false;
    if (this._over) return;
    if (Date.now() - this.#liveSince > PROVEN_AFTER_MS) this.#failures = 0;
    this._markLost(since);
    const ceiling = Math.min(LAST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** ++this.#failures);
    if (!this.#proven && this.#failures >= SOCKET_ATTEMPTS) {
      const isSocket = this.#transport instanceof SocketTransport;
      const Other = isSocket ? StreamTransport : SocketTransport;
      this.#transport = new Other(this.#target, this.#listener);
    }
    const pause = FIRST_PAUSE_MS + Math.random() * (ceiling - FIRST_PAUSE_MS);
    clearTimeout(this.#retryTimer);
    this.#retryTimer = setTimeout(() => this._start(), pause);
  }

  /** The first moment of a loss counts: further failures do not move it. @param {number} since */
  _markLost(since) {
    this.#liveSince = Infinity;
    if (this.#state.name === "lost") return;
    const { since: staleSince = since } = /** @type {{since?: number}} */ (this.#state);
    this._setState({ name: "lost", since: Math.min(since, staleSince) });
  }

  _checkSilence() {
    const now = Date.now();
    const silent = this.#open && !this.#opening;
    if (silent && now - this.#activeAt > this.#transport.reopenAfterMs) {
      this._reopen(this.#upToDateAt);
    } else if (
      this.#state.name === "live" &&
      now - this.#upToDateAt > this.#transport.staleAfterMs
    ) {
      this._setState({ name: "stale", since: this.#upToDateAt });
    }
  }

  _reconnectNow() {
    if (document.visibilityState === "hidden") return;
    this._checkSilence();
    if (!this.#open) void this._start();
  }

  /**
   * A display that slept past the end of its token is refused, and goes on with the next token.
   * @param {string} code
   */
  _refuse(code) {
    if (code === "token_expired" && isRenewableLate(this.#target.token)) {
      return this._reopen(this.#upToDateAt);
    }
    return this._finish({ name: "refused", code });
  }

  /** @param {ConnectionState} state */
  _finish(state) {
    this.#end.abort();
    this.#transport.close();
    this.#open = false;
    clearTimeout(this.#retryTimer);
    this._setState(state);
  }

  /** @param {ConnectionState} state */
  _setState(state) {
    this.#state = state;
    this.#onState(state);
  }
}
