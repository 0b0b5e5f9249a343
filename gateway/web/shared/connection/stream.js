// Transport over server-sent events: passes every proxy, and the browser repairs short losses.

import { timeoutSignal } from "./timeout.js";

// After a resume the server may have nothing to send. A refusal comes in the first bytes, so a
// stream that stays open this long counts as live without waiting for the next beat.
const SETTLE_MS = 1_000;

const TICKET_TIMEOUT_MS = 10_000;

const KINDS = /** @type {const} */ (["snapshot", "delta", "state"]);

export class StreamTransport {
  // The server sends a beat every 15 s. One late beat makes the view stale. Two lost beats and some
  // slack reopen the stream, because a phone that changed networks gets no signal that its
  // connection died.
  staleAfterMs = 25_000;
  reopenAfterMs = 40_000;
  #target;
  #listener;
  /** @type {EventSource | undefined} */
  #source;
  #lastId = "";

  /**
   * @param {import("./connection.js").Target} target
   * @param {import("./connection.js").Listener} listener
   */
  constructor(target, listener) {
    this.#target = target;
    this.#listener = listener;
  }

  /** @param {boolean} resume whether to continue after the last event received */
  async open(resume) {
    if (!resume) this.#lastId = "";
    const ticket = await this._requestTicket();
    if (ticket) this._listen(ticket);
  }

  /** Goes on with a renewed token: a stream ends with the token that opened it. */
  async renew() {
    await this.open(true);
  }

  close() {
    this.#source?.close();
    this.#source = undefined;
  }

  /** A stream ticket opens one stream, because an `EventSource` cannot send the token itself. */
  async _requestTicket() {
    const askedAt = Date.now();
    const response = await fetch("v1/stream-tickets", {
      method: "POST",
      headers: {
        authorization: `Bearer ${this.#target.token}`,
        "content-type": "application/json",
      },
      body: JSON.stringify({ channels: this.#target.channels }),
      cache: "no-store",
      signal: timeoutSignal(TICKET_TIMEOUT_MS),
    });
    this.#listener.clock(response, askedAt);
    if (response.ok) return /** @type {string} */ ((await response.json()).ticket);
    const temporary = response.status >= 500 || [408, 425, 429].includes(response.status);
    if (temporary) throw new Error("the server is busy");
    const problem = await response.json().catch(() => ({}));
    this.#listener.refused(String(problem.code ?? response.status));
    return undefined;
  }

  /** @param {string} ticket */
  _listen(ticket) {
    const query = new URLSearchParams({ ticket });
    for (const channel of this.#target.channels) query.append("channel", channel);
    if (this.#lastId) query.set("last_event_id", this.#lastId);
    const source = new EventSource(`v1/stream?${query}`);
    this.close();
    this.#source = source;

    source.onopen = () => {
      this.#listener.opened();
      this.#listener.active();
      setTimeout(() => {
        const open = source === this.#source && source.readyState === EventSource.OPEN;
        if (open) this.#listener.upToDate();
      }, SETTLE_MS);
    };
    for (const kind of KINDS) {
      source.addEventListener(kind, (event) => {
        if (this.#listener.frame(kind, JSON.parse(event.data))) this._markReceived(event);
      });
    }
    source.addEventListener("beat", (event) => this._markReceived(event));
    // The server closes the stream. The browser opens it again unless this event says not to.
    source.addEventListener("end", (event) => {
      if (JSON.parse(event.data || "{}").retry === false) this.#listener.ended();
    });
    source.addEventListener("problem", (event) => this._onProblem(event));
    source.addEventListener("error", () => this._onDrop(source));
  }

  /** @param {MessageEvent} event */
  _markReceived(event) {
    if (event.lastEventId) this.#lastId = event.lastEventId;
    this.#listener.upToDate();
  }

  /** Handles a problem that the server reports. @param {MessageEvent} event */
  _onProblem(event) {
    const { code, retry } = JSON.parse(event.data);
    // A browser that reconnects by itself repeats a ticket that it has spent. Whether the token
    // still opens a stream is decided when the page asks for another ticket.
    const isSpent = code === "stream_ticket_invalid";
    if (retry === false && !isSpent) this.#listener.refused(String(code));
    // A server that does not reach our position in time sends a snapshot with the mark of a new
    // one.
    else this.#listener.failed({ resume: true });
  }

  /**
   * Handles a broken connection. While the browser reconnects by itself it repeats the URL with
   * `Last-Event-ID`, which the server accepts although the ticket is spent. After some answers the
   * browser gives up, and the page reconnects.
   * @param {EventSource} source
   */
  _onDrop(source) {
    if (source !== this.#source) return;
    if (source.readyState === EventSource.CLOSED) this.#listener.failed({ resume: true });
    else this.#listener.lost();
  }
}
