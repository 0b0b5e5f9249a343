// Transport over a WebSocket that speaks as much of the Centrifugal protocol as a page needs.

// After this silence the page pings the server. After the same silence again without an answer the
// view is stale, and after twice more the connection counts as dead.
const PING_AFTER_MS = 5_000;

const OPEN_TIMEOUT_MS = 10_000;

// Unsubscribe code for a position that is too old to resume from: ask for a snapshot at once.
const INSUFFICIENT_STATE = 2500;

/** @typedef {{data: any, offset: number}} Publication */

export class SocketTransport {
  staleAfterMs = 2 * PING_AFTER_MS;
  reopenAfterMs = 4 * PING_AFTER_MS;
  #target;
  #listener;
  /** @type {WebSocket | undefined} */
  #socket;
  #lastId = 0;
  /**
   * The channel of each command without a reply yet, or "" for connect and ping.
   * @type {Map<number, string>}
   */
  #pending = new Map();
  /**
   * The epoch of each channel, because publications do not repeat it.
   * @type {Map<string, string>}
   */
  #epochs = new Map();
  /** Channels that this connection has subscribed to. @type {Set<string>} */
  #subscribed = new Set();
  #pingTimer = 0;

  /**
   * @param {import("./connection.js").Target} target
   * @param {import("./connection.js").Listener} listener
   */
  constructor(target, listener) {
    this.#target = target;
    this.#listener = listener;
  }

  /** @param {boolean} resume whether to continue from the views so far */
  async open(resume) {
    this.close();
    const url = new URL("connection/websocket", document.baseURI);
    url.protocol = url.protocol.replace("http", "ws");
    const socket = new WebSocket(url);
    this.#socket = socket;
    this.#pending.clear();
    this.#subscribed.clear();
    const timeout = setTimeout(() => this._onClose(socket, 0), OPEN_TIMEOUT_MS);
    socket.onopen = () => {
      clearTimeout(timeout);
      this.#listener.opened();
      this._send({ connect: { token: this.#target.token } }, "");
      for (const channel of this.#target.channels) this._subscribe(channel, resume);
    };
    socket.onmessage = ({ data }) => {
      if (socket !== this.#socket) return;
      for (const line of String(data).split("\n")) this._receive(line);
    };
    socket.onclose = ({ code }) => {
      clearTimeout(timeout);
      this._onClose(socket, code);
    };
    // Every HTTP response carries the server's clock, a WebSocket does not. Without it the
    // device's own clock serves.
    const askedAt = Date.now();
    void fetch("health/live", { cache: "no-store" }).then(
      (response) => this.#listener.clock(response, askedAt),
      () => {},
    );
  }

  /** Goes on with a renewed token. */
  async renew() {
    if (this.#socket?.readyState !== WebSocket.OPEN) return;
    this._send({ refresh: { token: this.#target.token } }, "");
  }

  close() {
    clearTimeout(this.#pingTimer);
    const socket = this.#socket;
    this.#socket = undefined;
    socket?.close();
  }

  /** @param {object} command @param {string} channel */
  _send(command, channel) {
    this.#pending.set(++this.#lastId, channel);
    this.#socket?.send(JSON.stringify({ id: this.#lastId, ...command }));
  }

  /** @param {string} channel @param {boolean} resume */
  _subscribe(channel, resume) {
    const view = resume ? this.#listener.view(channel) : undefined;
    const since = view && { recover: true, epoch: String(view.epoch), offset: view.version };
    this._send({ subscribe: { channel, ...since } }, channel);
  }

  /** @param {string} line */
  _receive(line) {
    const message = JSON.parse(line);
    this.#listener.active();
    this._pingLater();
    if (message.push) this._onPush(message.push);
    else if (message.id) this._onReply(message);
    // An empty message is a ping, answered by the same.
    else this.#socket?.send("{}");
  }

  _pingLater() {
    clearTimeout(this.#pingTimer);
    this.#pingTimer = setTimeout(() => {
      if (this.#socket?.readyState === WebSocket.OPEN) this._send({ ping: {} }, "");
    }, PING_AFTER_MS);
  }

  /**
   * @param {{id: number, error?: {message: string, temporary?: boolean}, subscribe?: any}} reply
   */
  _onReply({ id, error, subscribe }) {
    const channel = this.#pending.get(id) ?? "";
    this.#pending.delete(id);
    if (error?.temporary) this.#listener.failed({ resume: true });
    else if (error) this.#listener.refused(error.message);
    else if (subscribe) this._onSubscribed(channel, subscribe);
    else this._markReceived();
  }

  /** Views are up to date once every channel is subscribed. */
  _markReceived() {
    if (this.#subscribed.size === this.#target.channels.length) this.#listener.upToDate();
  }

  /**
   * @param {string} channel
   * @param {{epoch: string, offset: number, data?: any, publications?: Publication[],
   *   was_recovering?: boolean}} start
   */
  _onSubscribed(channel, { epoch, offset, data, publications = [], was_recovering: reset }) {
    this.#epochs.set(channel, epoch);
    this.#subscribed.add(channel);
    // The server knows the position of this page. It sends an older state only when that position
    // was lost.
    if (data) this._deliver(channel, offset, data, reset);
    for (const missed of publications) this._deliver(channel, missed.offset, missed.data);
    this._markReceived();
  }

  /**
   * @param {{channel: string, pub?: Publication, unsubscribe?: {code: number}}} push
   */
  _onPush({ channel, pub, unsubscribe }) {
    if (pub) this._deliver(channel, pub.offset, pub.data);
    else if (unsubscribe?.code === INSUFFICIENT_STATE) this._subscribe(channel, false);
    else if (unsubscribe) this.#listener.refused(String(unsubscribe.code));
  }

  /** @param {string} channel @param {number} offset @param {any} data @param {boolean} [reset] */
  _deliver(channel, offset, data, reset) {
    const kind = data.entries ? "snapshot" : data.from === undefined ? "state" : "delta";
    const epoch = data.epoch ?? this.#epochs.get(channel);
    if (this.#listener.frame(kind, { channel, epoch, offset, reset, data })) this._markReceived();
  }

  /**
   * The protocol's close codes say whether to reconnect.
   * @param {WebSocket} socket
   * @param {number} code
   */
  _onClose(socket, code) {
    if (socket !== this.#socket) return;
    this.close();
    const final = (code >= 3500 && code < 4000) || (code >= 4500 && code < 5000);
    if (final) this.#listener.refused(String(code));
    else this.#listener.failed({ resume: true });
  }
}
