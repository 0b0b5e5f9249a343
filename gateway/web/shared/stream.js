// The stream of events over plain HTTP: goes through every proxy, and the browser repairs short losses by itself.

/** @typedef {import("./fold.js").Frame} Frame */

// After a resume the server may have nothing to send. A refusal comes in the first bytes, so a
// stream that stayed open this long is taken as live without waiting for the next beat.
const SETTLE_MS = 1_000;

const ASK_TIMEOUT_MS = 10_000;

const KINDS = /** @type {const} */ (["snapshot", "delta", "state"]);

export class Stream {
  // The server sends a beat every 15 s. One late beat makes us doubt, two lost beats and some slack
  // make us reconnect: a phone that changed networks is never told that its old connection died.
  doubtAfterMs = 25_000;
  reopenAfterMs = 40_000;
  #token;
  #channels;
  #ears;
  /** @type {EventSource | undefined} */
  #source;
  #lastId = "";

  /** @param {import("./connection.js").Wish} wish @param {import("./connection.js").Ears} ears */
  constructor({ token, channels }, ears) {
    this.#token = token;
    this.#channels = channels;
    this.#ears = ears;
  }

  /** @param {boolean} resume whether to go on from what was heard */
  async open(resume) {
    if (!resume) this.#lastId = "";
    const ticket = await this.#askTicket();
    if (ticket) this.#listen(ticket);
  }

  close() {
    this.#source?.close();
    this.#source = undefined;
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
    this.#ears.date(response, asked);
    if (response.ok) return /** @type {string} */ ((await response.json()).ticket);
    const passing = response.status >= 500 || [408, 425, 429].includes(response.status);
    if (passing) throw new Error("the server is busy");
    const problem = await response.json().catch(() => ({}));
    this.#ears.refused(String(problem.code ?? response.status));
    return undefined;
  }

  /** @param {string} ticket */
  #listen(ticket) {
    const query = new URLSearchParams({ ticket });
    for (const channel of this.#channels) query.append("channel", channel);
    if (this.#lastId) query.set("last_event_id", this.#lastId);
    const source = new EventSource(`v1/stream?${query}`);
    this.close();
    this.#source = source;

    source.onopen = () => {
      this.#ears.stirred();
      setTimeout(() => source === this.#source && source.readyState === EventSource.OPEN && this.#ears.heard(), SETTLE_MS);
    };
    for (const kind of KINDS) {
      source.addEventListener(kind, (event) => {
        if (!this.#ears.take(kind, JSON.parse(event.data))) return;
        this.#heard(event);
      });
    }
    source.addEventListener("beat", (event) => this.#heard(event));
    // The server closes the stream; unless it says for good, the browser opens it again.
    source.addEventListener("end", (event) => JSON.parse(event.data || "{}").retry === false && this.#ears.ended());
    // The browser's own failures and the server's `event: error` arrive under the same name.
    source.addEventListener("error", (event) => (event instanceof MessageEvent ? this.#fail(event) : this.#drop(source)));
  }

  /** @param {MessageEvent} event */
  #heard(event) {
    if (event.lastEventId) this.#lastId = event.lastEventId;
    this.#ears.heard();
  }

  /** The server's own word that something is wrong. @param {MessageEvent} event */
  #fail(event) {
    const { code, retry } = JSON.parse(event.data);
    if (retry === false) this.#ears.refused(String(code));
    // Whatever it disliked may be our position: start from a snapshot.
    else this.#ears.failed({ resume: false });
  }

  /**
   * While the browser tries again by itself it repeats the URL with `Last-Event-ID`, which the
   * server honours although the ticket is spent. After some answers it gives up: then it is our turn.
   * @param {EventSource} source
   */
  #drop(source) {
    if (source !== this.#source) return;
    if (source.readyState === EventSource.CLOSED) this.#ears.failed({ resume: true });
    else this.#ears.lost();
  }
}
