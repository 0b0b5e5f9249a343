// The one module that knows the stream: it trades the token for a stream ticket, listens, folds what
// arrives into views, and says honestly whether what it holds is still fresh.

/**
 * What is held of one channel. `entries` is a keyed view (queue, board); `state` is the whole small
 * state of a ticket. A new object for every change, so that a page may keep the one before.
 * @typedef {object} Held
 * @property {bigint} epoch
 * @property {number} version
 * @property {number} at time of the last record in it, ms since the Unix epoch, by the server's clock
 * @property {ReadonlyMap<string, any>} [entries]
 * @property {any} [state]
 */

/** @typedef {{channel: string, epoch: string, offset: number, data: any}} Frame */

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

// The server sends a beat every 15 s. One late beat makes us doubt, two lost beats and some slack
// make us reconnect: a phone that changed networks is never told that its old connection died.
const DOUBT_AFTER_MS = 25_000;
const REOPEN_AFTER_MS = 40_000;

// Pauses between attempts are random between the first and a ceiling that doubles up to the last:
// a clinic's phones must not come back in step, and a board may wait at most 20 s after an outage.
const FIRST_PAUSE_MS = 500;
const LAST_PAUSE_MS = 20_000;

// A connection that lived this long earns a quick first attempt again; a shorter life means that
// reconnecting does not help, and the pauses keep growing.
const PROVEN_AFTER_MS = 10_000;

// After a resume the server may have nothing to send. A refusal comes in the first bytes, so a
// stream that stayed open this long is taken as live without waiting for the next beat.
const SETTLE_MS = 1_000;

const ASK_TIMEOUT_MS = 10_000;

/**
 * Folds one frame into what is held: the new state, or `old` when it brings nothing, or `gap` when
 * something between was missed and only a new snapshot helps.
 * @param {Held | undefined} held
 * @param {"snapshot" | "delta" | "state"} kind
 * @param {Frame} frame
 * @returns {Held | "old" | "gap"}
 */
export function fold(held, kind, { epoch: epochText, offset, data }) {
  const epoch = BigInt(epochText);
  if (kind === "delta") return foldDelta(held, epoch, data);
  const version = kind === "snapshot" ? data.version : offset;
  if (held && (epoch < held.epoch || (epoch === held.epoch && version < held.version))) {
    // Something older than what was shown already. Never show it; ask again instead.
    return "gap";
  }
  if (kind === "state") return { epoch, version, at: data.at, state: data };
  return { epoch, version, at: data.at, entries: new Map(Object.entries(data.entries)) };
}

/**
 * @param {Held | undefined} held
 * @param {bigint} epoch
 * @param {{from: number, to: number, at: number, set?: Record<string, any>, remove?: string[]}} delta
 * @returns {Held | "old" | "gap"}
 */
function foldDelta(held, epoch, { from, to, at, set = {}, remove = [] }) {
  if (!held?.entries || epoch > held.epoch) return "gap";
  if (epoch < held.epoch || to <= held.version) return "old";
  if (from > held.version) return "gap";
  const entries = new Map(held.entries);
  for (const key of remove) entries.delete(key);
  for (const [key, entry] of Object.entries(set)) entries.set(key, entry);
  return { epoch, version: to, at, entries };
}

/** Asking for a stream ticket failed in a way that a second attempt would not change. */
class Refused extends Error {
  /** @param {string} code */
  constructor(code) {
    super("the server refused");
    this.code = code;
  }
}

/** Follows some channels for as long as the page lives. */
export class Wire {
  #token;
  #channels;
  #onView;
  #onLink;
  /** @type {Map<string, Held>} */
  #held = new Map();
  /** @type {Link} */
  #link = { name: "connecting" };
  /** @type {EventSource | undefined} */
  #source;
  #lastId = "";
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
   */
  constructor({ token, channels, onView, onLink }) {
    this.#token = token;
    this.#channels = channels;
    this.#onView = onView;
    this.#onLink = onLink;
    setInterval(() => this.#watch(), 1_000);
    // A phone that wakes up, or finds a network again, should not sit out the rest of a pause.
    addEventListener("online", () => this.#hurry());
    addEventListener("pageshow", () => this.#hurry());
    document.addEventListener("visibilitychange", () => this.#hurry());
    void this.#open();
  }

  /** The server's clock, in ms: moments on the wire are compared with this, not with the phone's. */
  now() {
    return Date.now() + this.#serverAheadMs;
  }

  get #final() {
    return this.#link.name === "refused" || this.#link.name === "ended";
  }

  async #open() {
    clearTimeout(this.#retryTimer);
    if (this.#opening || this.#final) return;
    this.#opening = true;
    try {
      this.#listen(await this.#askTicket());
    } catch (error) {
      if (error instanceof Refused) this.#finish({ name: "refused", code: error.code });
      else this.#reopen(this.#heardAt);
    } finally {
      this.#opening = false;
    }
  }

  /** A stream ticket is good for one opening, because an `EventSource` cannot send the token itself. */
  async #askTicket() {
    const asked = Date.now();
    const response = await fetch("v1/stream-tickets", {
      method: "POST",
      headers: { authorization: `Bearer ${this.#token}`, "content-type": "application/json" },
      body: JSON.stringify({ channels: this.#channels }),
      cache: "no-store",
      signal: AbortSignal.timeout(ASK_TIMEOUT_MS),
    });
    const date = Date.parse(response.headers.get("date") ?? "");
    // `Date` counts whole seconds: half a second is its mean error.
    if (date) this.#serverAheadMs = date + 500 - (asked + Date.now()) / 2;
    if (response.ok) return /** @type {string} */ ((await response.json()).ticket);
    const passing = response.status >= 500 || [408, 425, 429].includes(response.status);
    if (passing) throw new Error("the server is busy");
    const problem = await response.json().catch(() => ({}));
    throw new Refused(String(problem.code ?? response.status));
  }

  /** @param {string} ticket */
  #listen(ticket) {
    const query = new URLSearchParams({ ticket });
    for (const channel of this.#channels) query.append("channel", channel);
    if (this.#lastId) query.set("last_event_id", this.#lastId);
    const source = new EventSource(`v1/stream?${query}`);
    this.#source?.close();
    this.#source = source;
    this.#quietSince = Date.now();

    source.onopen = () => {
      this.#quietSince = Date.now();
      setTimeout(() => source === this.#source && source.readyState === EventSource.OPEN && this.#heard(), SETTLE_MS);
    };
    for (const kind of /** @type {const} */ (["snapshot", "delta", "state"])) {
      source.addEventListener(kind, (event) => this.#take(kind, event));
    }
    source.addEventListener("beat", (event) => this.#heard(event));
    source.addEventListener("end", (event) => this.#end(event));
    // The browser's own failures and the server's `event: error` arrive under the same name.
    source.addEventListener("error", (event) => (event instanceof MessageEvent ? this.#fail(event) : this.#drop(source)));
  }

  /**
   * @param {"snapshot" | "delta" | "state"} kind
   * @param {MessageEvent} event
   */
  #take(kind, event) {
    /** @type {Frame} */
    const frame = JSON.parse(event.data);
    const next = fold(this.#held.get(frame.channel), kind, frame);
    if (next === "gap") {
      this.#lastId = "";
      this.#reopen(Date.now());
      return;
    }
    if (next !== "old") this.#held.set(frame.channel, next);
    this.#heard(event);
    if (next !== "old") this.#onView(frame.channel, next);
  }

  /** @param {MessageEvent} [event] */
  #heard(event) {
    this.#heardAt = this.#quietSince = Date.now();
    if (event?.lastEventId) this.#lastId = event.lastEventId;
    if (this.#link.name !== "live" && this.#channels.every((channel) => this.#held.has(channel))) {
      this.#liveSince = Date.now();
      this.#tell({ name: "live" });
    }
  }

  /** The server's own word that something is wrong. @param {MessageEvent} event */
  #fail(event) {
    const { code, retry } = JSON.parse(event.data);
    // Whatever it disliked may be our position: start from a snapshot.
    this.#lastId = "";
    if (retry === false) this.#finish({ name: "refused", code: String(code) });
    else this.#reopen(Date.now());
  }

  /** The server closes the stream; unless it says for good, the browser opens it again. @param {MessageEvent} event */
  #end(event) {
    if (JSON.parse(event.data || "{}").retry === false) this.#finish({ name: "ended" });
  }

  /**
   * While the browser tries again by itself it repeats the URL with `Last-Event-ID`, which the
   * server honours although the ticket is spent. After some answers it gives up: then it is our turn.
   * @param {EventSource} source
   */
  #drop(source) {
    if (source !== this.#source) return;
    if (source.readyState === EventSource.CLOSED) this.#reopen(Date.now());
    else this.#lose(Date.now());
  }

  /** @param {number} since */
  #reopen(since) {
    this.#source?.close();
    this.#source = undefined;
    if (Date.now() - this.#liveSince > PROVEN_AFTER_MS) this.#failures = 0;
    this.#lose(since);
    const ceiling = Math.min(LAST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** ++this.#failures);
    const pause = FIRST_PAUSE_MS + Math.random() * (ceiling - FIRST_PAUSE_MS);
    clearTimeout(this.#retryTimer);
    this.#retryTimer = setTimeout(() => this.#open(), pause);
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
    if (this.#source && now - this.#quietSince > REOPEN_AFTER_MS) this.#reopen(this.#heardAt);
    else if (this.#link.name === "live" && now - this.#heardAt > DOUBT_AFTER_MS) {
      this.#tell({ name: "stale", since: this.#heardAt });
    }
  }

  #hurry() {
    if (document.visibilityState === "hidden") return;
    this.#watch();
    if (!this.#source) void this.#open();
  }

  /** @param {Link} link */
  #finish(link) {
    this.#source?.close();
    this.#source = undefined;
    this.#tell(link);
  }

  /** @param {Link} link */
  #tell(link) {
    this.#link = link;
    this.#onLink(link);
  }
}
