// A WebSocket that speaks as much of the Centrifugal protocol as a page needs. A browser allows few HTTP connections
// to one host, and each stream holds one: pages that are opened side by side follow by socket.

/** @typedef {import("./fold.js").Frame} Frame */

// Of silence we ask whether the server is still there; without an answer the same silence again means doubt, and
// twice more that the connection is dead.
const ASK_AFTER_MS = 5_000;

const OPEN_TIMEOUT_MS = 10_000;

// Unsubscribed because what we hold is too old: a snapshot is asked for at once.
const INSUFFICIENT_STATE = 2500;

export class Socket {
  doubtAfterMs = 2 * ASK_AFTER_MS;
  reopenAfterMs = 4 * ASK_AFTER_MS;
  #token;
  #channels;
  #ears;
  /** @type {WebSocket | undefined} */
  #socket;
  #id = 0;
  /** What the replies to come are about: a channel, or "" for the connect. @type {Map<number, string>} */
  #asked = new Map();
  /** The epoch of each channel: publications do not repeat it. @type {Map<string, string>} */
  #epochs = new Map();
  /** Channels that this connection follows by now. @type {Set<string>} */
  #begun = new Set();
  #askTimer = 0;

  /** @param {import("./connection.js").Wish} wish @param {import("./connection.js").Ears} ears */
  constructor({ token, channels }, ears) {
    this.#token = token;
    this.#channels = channels;
    this.#ears = ears;
  }

  /** @param {boolean} resume whether to go on from what is held */
  async open(resume) {
    this.close();
    const url = new URL("connection/websocket", document.baseURI);
    url.protocol = url.protocol.replace("http", "ws");
    const socket = new WebSocket(url);
    this.#socket = socket;
    this.#asked.clear();
    this.#begun.clear();
    const late = setTimeout(() => this.#drop(socket, 0), OPEN_TIMEOUT_MS);
    socket.onopen = () => {
      clearTimeout(late);
      this.#ears.opened();
      this.#send({ connect: { token: this.#token } }, "");
      for (const channel of this.#channels) this.#subscribe(channel, resume);
    };
    socket.onmessage = ({ data }) => {
      if (socket === this.#socket) for (const line of String(data).split("\n")) this.#hear(line);
    };
    socket.onclose = ({ code }) => {
      clearTimeout(late);
      this.#drop(socket, code);
    };
    // The clock of the server stands on every answer but a socket's. Without it the screen's own serves.
    const asked = Date.now();
    void fetch("health/live", { cache: "no-store" }).then((response) => this.#ears.date(response, asked), () => {});
  }

  close() {
    clearTimeout(this.#askTimer);
    const socket = this.#socket;
    this.#socket = undefined;
    socket?.close();
  }

  /** @param {object} command @param {string} about */
  #send(command, about) {
    this.#asked.set(++this.#id, about);
    this.#socket?.send(JSON.stringify({ id: this.#id, ...command }));
  }

  /** @param {string} channel @param {boolean} resume */
  #subscribe(channel, resume) {
    const held = resume ? this.#ears.held(channel) : undefined;
    const since = held && { recover: true, epoch: String(held.epoch), offset: held.version };
    this.#send({ subscribe: { channel, ...since } }, channel);
  }

  /** @param {string} line */
  #hear(line) {
    const said = JSON.parse(line);
    this.#ears.stirred();
    this.#askSoon();
    if (said.push) this.#push(said.push);
    else if (said.id) this.#reply(said);
    else this.#socket?.send("{}"); // a ping, answered by the same
  }

  #askSoon() {
    clearTimeout(this.#askTimer);
    this.#askTimer = setTimeout(() => this.#socket?.readyState === WebSocket.OPEN && this.#send({ ping: {} }, ""), ASK_AFTER_MS);
  }

  /** @param {{id: number, error?: {message: string, temporary?: boolean}, subscribe?: any}} reply */
  #reply({ id, error, subscribe }) {
    const channel = this.#asked.get(id) ?? "";
    this.#asked.delete(id);
    if (error?.temporary) this.#ears.failed({ resume: true });
    else if (error) this.#ears.refused(error.message);
    else if (subscribe) this.#begin(channel, subscribe);
    else this.#heard();
  }

  /** What is held is fresh once every channel has begun. */
  #heard() {
    if (this.#begun.size === this.#channels.length) this.#ears.heard();
  }

  /** @param {string} channel @param {{epoch: string, offset: number, data?: any, publications?: {data: any, offset: number}[]}} start */
  #begin(channel, { epoch, offset, data, publications = [] }) {
    this.#epochs.set(channel, epoch);
    this.#begun.add(channel);
    if (data) this.#take(channel, offset, data);
    for (const missed of publications) this.#take(channel, missed.offset, missed.data);
    this.#heard();
  }

  /** @param {{channel: string, pub?: {data: any, offset: number}, unsubscribe?: {code: number}}} push */
  #push({ channel, pub, unsubscribe }) {
    if (pub) this.#take(channel, pub.offset, pub.data);
    else if (unsubscribe?.code === INSUFFICIENT_STATE) this.#subscribe(channel, false);
    else if (unsubscribe) this.#ears.refused(String(unsubscribe.code));
  }

  /** @param {string} channel @param {number} offset @param {any} data */
  #take(channel, offset, data) {
    const kind = data.entries ? "snapshot" : data.from === undefined ? "state" : "delta";
    const epoch = data.epoch ?? this.#epochs.get(channel);
    if (this.#ears.take(kind, { channel, epoch, offset, data })) this.#heard();
  }

  /** The protocol's numbers say whether to come back. @param {WebSocket} socket @param {number} code */
  #drop(socket, code) {
    if (socket !== this.#socket) return;
    this.close();
    if ((code >= 3500 && code < 4000) || (code >= 4500 && code < 5000)) this.#ears.refused(String(code));
    else this.#ears.failed({ resume: true });
  }
}
