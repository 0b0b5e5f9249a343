// Clients of Socket.IO: the published one with a record of its events, and bare ones that send
// packets that the published one never sends.

import assert from "node:assert/strict";
import { once } from "node:events";
import { io } from "socket.io-client";
import WebSocket from "ws";
import { until } from "./until.js";
import { fold } from "../../../web/shared/connection/fold.js";

/** @typedef {import("../../../web/shared/connection/fold.js").View} View */
/** @typedef {import("socket.io-client").ManagerOptions} ManagerOptions */
/** @typedef {import("socket.io-client").SocketOptions} SocketOptions */
/** @typedef {import("../../../web/shared/connection/fold.js").Kind} Kind */
/** @typedef {{channel: string, type: Kind, epoch: string, version: number, data: any}} Event */
/** @typedef {{channel: string, epoch?: string | number, version?: number}} Wanted */

/** Names of the events that carry frames. */
const KINDS = ["ticket", "queue", "board", "run", "appointment", "schedule", "load"];

/** The published client, and everything that it received. */
export class App {
  /** @type {Event[]} */
  events = [];
  /** @type {{channel?: string, code: string, message: string, retry: boolean}[]} */
  errors = [];
  /** @type {{code: number, reason: string, reconnect: boolean}[]} */
  closes = [];
  /** Messages of refused connections. @type {string[]} */
  refusals = [];
  /** What the server says of a refused connection. @type {any[]} */
  refused = [];
  /** Why it was disconnected, each time. @type {string[]} */
  losses = [];
  connections = 0;
  /** @type {Map<string, Follower>} */
  #followers = new Map();

  /**
   * @param {string} url
   * @param {object | ((send: (auth: object) => void) => void)} auth
   * @param {Partial<ManagerOptions & SocketOptions>} [options]
   */
  constructor(url, auth, options) {
    // Tests reconnect often, so the usual pauses would only slow them down.
    const quick = { forceNew: true, reconnectionDelay: 10, reconnectionDelayMax: 100 };
    this.socket = io(url, { ...quick, ...options, auth });
    this.socket.on("connect", () => this.connections++);
    this.socket.on("connect_error", (/** @type {Error & {data?: any}} */ { message, data }) => {
      this.refusals.push(message);
      this.refused.push(data);
    });
    this.socket.on("disconnect", (reason) => this.losses.push(reason));
    this.socket.on("error", (error) => this.errors.push(error));
    this.socket.on("close", (close) => this.closes.push(close));
    for (const kind of KINDS) this.socket.on(kind, (event) => this.#hear(kind, event));
  }

  /** @param {string} kind @param {Event} event */
  #hear(kind, event) {
    assert.equal(event.channel.split(":")[0], kind);
    this.events.push(event);
    this.#followers.get(event.channel)?.take(event);
  }

  async connected() {
    await until("the client connects", () => this.connections > 0 && this.socket.connected);
    return this;
  }

  /** The transport in use. */
  get transport() {
    return this.socket.io.engine.transport.name;
  }

  /**
   * Sends an event and answers its acknowledgement.
   * @param {string} event
   * @param {...any} args
   * @returns {Promise<any>}
   */
  ask(event, ...args) {
    return this.socket.timeout(20_000).emitWithAck(event, ...args);
  }

  /** Folds what comes of a channel. @param {string} channel */
  watch(channel) {
    const follower = new Follower(channel);
    this.#followers.set(channel, follower);
    return follower;
  }

  /**
   * Subscribes, and folds what comes from then on.
   * @param {string} channel
   * @param {Omit<Wanted, "channel">} [since]
   */
  async follow(channel, since) {
    const follower = this.watch(channel);
    const start = await this.ask("subscribe", { channel, ...since });
    assert.equal(start.error, undefined, start.error?.code);
    if (start.data) follower.take(start);
    return Object.assign(follower, { start });
  }

  close() {
    this.socket.disconnect();
  }
}

/** One channel as a client sees it, folded like in the pages and checked at each step. */
export class Follower {
  /** @type {View | undefined} */
  held;
  /** Every state of a ticket's channel, in order. @type {any[]} */
  states = [];
  /** The kinds of received events, in order. @type {Kind[]} */
  types = [];

  /** @param {string} channel */
  constructor(channel) {
    this.channel = channel;
  }

  /** @param {Event} event */
  take({ type, epoch, version, data }) {
    const next = fold(this.held, type, { channel: this.channel, epoch, offset: version, data });
    if (next === "gap" || next === "old")
      assert.fail(`at ${this.held?.version} came ${type} ${version}: ${next}`);
    this.held = next;
    this.types.push(type);
    if (next.state) this.states.push(next.state);
  }

  /** The latest state of a ticket's channel. */
  get state() {
    return this.states.at(-1);
  }

  /** The position that a client sends to resume. */
  get position() {
    const { epoch, version } = this.held ?? assert.fail("nothing has come yet");
    return { epoch: String(epoch), version };
  }

  /**
   * Waits until what is held is as new as the server's snapshot, and compares the two.
   * @param {() => Promise<import("./clinic.js").Snapshot>} load
   */
  async agreesWith(load) {
    const snapshot = await until("the view is as new as the snapshot", async () => {
      const snapshot = await load();
      return this.held?.version === snapshot.version && snapshot;
    });
    assert.equal(String(this.held?.epoch), snapshot.epoch);
    assert.deepEqual(Object.fromEntries(this.held?.entries ?? []), snapshot.entries);
  }
}

/** A WebSocket that sends exactly the packets that a test wants. */
export class Bare {
  /** @type {string[]} */
  packets = [];
  closed = false;

  /** @param {WebSocket} socket */
  constructor(socket) {
    this.socket = socket;
    socket.on("message", (packet) => this.packets.push(String(packet)));
    socket.on("close", () => (this.closed = true));
    socket.on("error", () => {});
  }

  /** @param {string} url */
  static async open(url) {
    const bare = new Bare(
      new WebSocket(`${url.replace("http", "ws")}/socket.io/?EIO=4&transport=websocket`),
    );
    await once(bare.socket, "open");
    return bare;
  }

  /** @param {string} url @param {object} auth */
  static async connect(url, auth) {
    const bare = await Bare.open(url);
    bare.send(`40${JSON.stringify(auth)}`);
    await bare.heard((packet) => packet.startsWith("40"));
    return bare;
  }

  /** @param {string | Buffer} packet */
  send(packet) {
    this.socket.send(packet);
  }

  /** The first packet of that kind. @param {(packet: string) => boolean} is */
  heard(is) {
    return until("a packet", () => this.packets.find(is));
  }

  close() {
    this.socket.terminate();
  }
}

/** A long-polling session that polls exactly when a test wants. */
export class Poller {
  #url;

  /** @param {string} url of the session */
  constructor(url) {
    this.#url = url;
  }

  /** @param {string} url @param {object} auth */
  static async connect(url, auth) {
    const base = `${url}/socket.io/?EIO=4&transport=polling`;
    const open = await (await fetch(base)).text();
    const poller = new Poller(`${base}&sid=${JSON.parse(open.slice(1)).sid}`);
    assert.equal((await poller.post(`40${JSON.stringify(auth)}`)).status, 200);
    return poller;
  }

  /** @param {string} packets */
  post(packets) {
    return fetch(this.#url, {
      method: "POST",
      headers: { "content-type": "text/plain;charset=UTF-8" },
      body: packets,
    });
  }

  get() {
    return fetch(this.#url);
  }

  /**
   * Polls, and answers pings, until a packet of that kind comes.
   * @param {(packet: string) => boolean} is
   */
  async until(is) {
    for (;;) {
      const answer = await this.get();
      assert.equal(answer.status, 200, "the session is still there");
      const packets = (await answer.text()).split("\x1e");
      if (packets.includes("2")) await this.post("3");
      const found = packets.find(is);
      if (found) return found;
    }
  }
}
