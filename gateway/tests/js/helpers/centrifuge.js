// Clients of the Centrifugal protocol: the published one with a record of its frames, and a bare
// socket that sends messages that the published one never sends.

import assert from "node:assert/strict";
import { once } from "node:events";
import { Centrifuge } from "centrifuge";
import WebSocket from "ws";
import { until } from "./until.js";
import { fold } from "../../../web/shared/connection/fold.js";

/** @typedef {import("../../../web/shared/connection/fold.js").View} View */

/** @param {string} url */
export const socketUrl = (url) => `${url.replace("http", "ws")}/connection/websocket`;

/** The published client, and every line that its server sent. */
export class Client {
  /** @type {any[]} */
  lines = [];
  /** @type {string[]} */
  states = [];

  /**
   * @param {string} url
   * @param {Partial<import("centrifuge").Options>} options
   */
  constructor(url, options) {
    const { lines } = this;
    const Recording = class extends WebSocket {
      /** @param {string} address */
      constructor(address) {
        super(address);
        this.on("message", (frame) =>
          lines.push(
            ...String(frame)
              .split("\n")
              .map((line) => JSON.parse(line)),
          ),
        );
      }
    };
    // Tests reconnect often, so the usual pauses would only slow them down.
    const quick = {
      minReconnectDelay: 10,
      maxReconnectDelay: 100,
      minResubscribeDelay: 10,
      maxResubscribeDelay: 100,
    };
    this.centrifuge = new Centrifuge(socketUrl(url), {
      websocket: Recording,
      ...quick,
      ...options,
    });
    this.centrifuge.on("state", ({ newState }) => this.states.push(newState));
    this.centrifuge.connect();
  }

  /** @param {string} channel */
  follow(channel) {
    return new Follower(this, channel);
  }

  /** The subscribe results so far. */
  get starts() {
    return this.lines.filter((line) => line.subscribe).map((line) => line.subscribe);
  }

  close() {
    this.centrifuge.disconnect();
  }
}

/** One channel as a client sees it, folded like in the pages and checked at each step. */
export class Follower {
  /** @type {View | undefined} */
  held;
  /** Every state of a ticket's channel, in order. @type {any[]} */
  states = [];
  /** @type {import("centrifuge").SubscribedContext[]} */
  subscribed = [];
  /** @type {import("centrifuge").UnsubscribedContext | undefined} */
  unsubscribed;

  /** @param {Client} client @param {string} channel */
  constructor(client, channel) {
    this.channel = channel;
    this.subscription = client.centrifuge.newSubscription(channel);
    this.subscription.on("subscribed", (context) => {
      this.subscribed.push(context);
      const { epoch, offset } =
        context.streamPosition ?? assert.fail("a subscription has a position");
      // The server sends the whole state unless it could recover from the client's position.
      assert.equal(context.data === undefined, context.recovered);
      if (context.data) this.#take(epoch, offset, context.data);
    });
    this.subscription.on("publication", ({ data, offset = 0 }) => {
      assert.ok(this.held, "a publication comes after the subscription");
      assert.ok(offset > this.held.version, `${offset} comes after ${this.held.version}`);
      this.#take(data.epoch ?? String(this.held.epoch), offset, data);
    });
    this.subscription.on("unsubscribed", (context) => (this.unsubscribed = context));
    this.subscription.subscribe();
  }

  /** @param {string} epoch @param {number} offset @param {any} data */
  #take(epoch, offset, data) {
    const kind = data.entries ? "snapshot" : data.from === undefined ? "state" : "delta";
    const next = fold(this.held, kind, { channel: this.channel, epoch, offset, data });
    if (next === "gap" || next === "old")
      assert.fail(`${this.channel} at ${this.held?.version} got ${offset}: ${next}`);
    this.held = next;
    if (next.state) this.states.push(next.state);
  }

  /** The latest state of a ticket's channel. */
  get state() {
    return this.states.at(-1);
  }

  /** How many times it was subscribed, once it is for the `count`th time. @param {number} count */
  async started(count) {
    await until(
      `${this.channel.split(":")[0]} is subscribed`,
      () => this.subscribed.length >= count,
    );
    return this.subscribed[count - 1];
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
    assert.equal(this.held?.at, snapshot.at);
    assert.deepEqual(Object.fromEntries(this.held?.entries ?? []), snapshot.entries);
  }
}

/** A socket that sends exactly what a test wants. */
export class Socket {
  /** @type {any[]} */
  lines = [];
  /** @type {{code: number, reason: string} | undefined} */
  closed;
  #id = 0;

  /** @param {WebSocket} socket */
  constructor(socket) {
    this.socket = socket;
    socket.on("message", (frame) =>
      this.lines.push(
        ...String(frame)
          .split("\n")
          .map((line) => JSON.parse(line)),
      ),
    );
    socket.on("close", (code, reason) => (this.closed = { code, reason: String(reason) }));
  }

  /** @param {string} url */
  static async open(url) {
    const socket = new Socket(new WebSocket(socketUrl(url)));
    await once(socket.socket, "open");
    return socket;
  }

  /** @param {string} url @param {string} token */
  static async connect(url, token) {
    const socket = await Socket.open(url);
    const reply = await socket.ask({ connect: { token } });
    assert.ok(reply.connect, "the server takes the token");
    return socket;
  }

  /** Sends a command and answers its reply. @param {object} command */
  async ask(command) {
    const id = ++this.#id;
    this.socket.send(JSON.stringify({ id, ...command }));
    return until("a reply", () => this.lines.find((line) => line.id === id));
  }

  /** @param {string} channel */
  subscribe(channel) {
    return this.ask({ subscribe: { channel } });
  }

  /** The code and reason once the server has closed the socket. */
  async farewell() {
    return until("the server closes the socket", () => this.closed);
  }

  close() {
    this.socket.close();
  }
}
