// The WebSockets of a server whose channels a test controls.

import { WebSocketServer } from "ws";

/** @typedef {Record<string, any>} Entries */
/** @typedef {{entries: Entries, version: number, state?: any}} Channel */
/**
 * @typedef {object} Command
 * @property {number} id
 * @property {{token: string}} [connect]
 * @property {{channel: string, recover?: boolean, offset?: number}} [subscribe]
 * @property {object} [ping]
 */

export class StagedSockets {
  #sockets = new WebSocketServer({ noServer: true });
  /** @type {Map<string, Channel>} */
  channels = new Map();
  /** The channels of each socket. @type {Map<import("ws").WebSocket, Set<string>>} */
  #subscriptions = new Map();
  /** Whether connections are accepted. Otherwise they end at once. */
  reachable = true;
  /** Whether commands get replies. */
  answering = true;
  /** The code with which every subscription is refused. Empty: none is. */
  refusal = "";
  /**
   * Every subscription, with the position it resumes from.
   * @type {{channel: string, recover?: boolean, offset?: number}[]}
   */
  subscribed = [];

  /** @param {import("node:http").Server} server */
  constructor(server) {
    server.on("upgrade", (request, socket, head) => {
      if (!this.reachable || request.url !== "/connection/websocket") socket.destroy();
      else this.#sockets.handleUpgrade(request, socket, head, (it) => this.#greet(it));
    });
  }

  /**
   * Changes the entries of a channel.
   * @param {string} channel
   * @param {Entries} changes an entry that is `undefined` is removed
   */
  change(channel, changes) {
    const known = this.channels.get(channel) ?? { entries: {}, version: 0 };
    this.channels.set(channel, known);
    const from = known.version++;
    const remove = Object.keys(changes).filter((key) => changes[key] === undefined);
    const set = Object.fromEntries(
      Object.entries(changes).filter(([, entry]) => entry !== undefined),
    );
    Object.assign(known.entries, set);
    for (const key of remove) delete known.entries[key];
    return { from, to: known.version, at: Date.now(), set, remove };
  }

  /** @param {string} channel @param {object} data */
  publish(channel, data) {
    const offset = this.channels.get(channel)?.version;
    for (const [socket, channels] of this.#subscriptions) {
      if (channels.has(channel) && this.answering) {
        socket.send(JSON.stringify({ push: { channel, pub: { data, offset } } }));
      }
    }
  }

  /** Ends every connection without a word. */
  cut() {
    for (const socket of this.#subscriptions.keys()) socket.terminate();
  }

  /** @param {import("ws").WebSocket} socket */
  #greet(socket) {
    this.#subscriptions.set(socket, new Set());
    socket.on("close", () => this.#subscriptions.delete(socket));
    socket.on("message", (frame) => {
      const replies = String(frame)
        .split("\n")
        .map((line) => this.#reply(socket, JSON.parse(line)));
      if (this.answering) socket.send(replies.map((reply) => JSON.stringify(reply)).join("\n"));
    });
  }

  /** @param {import("ws").WebSocket} socket @param {Command} command */
  #reply(socket, { id, connect, subscribe }) {
    if (connect) {
      const session = { client: "c", version: "staged", expires: true, ttl: 3600 };
      return { id, connect: { ...session, ping: 25, pong: true } };
    }
    if (!subscribe) return { id, ping: {} };
    const { channel, recover, offset } = subscribe;
    this.subscribed.push({ channel, recover, offset });
    const known = this.refusal ? undefined : this.channels.get(channel);
    if (!known) return { id, error: { code: 102, message: this.refusal || "not_found" } };
    this.#subscriptions.get(socket)?.add(channel);
    const start = { recoverable: true, positioned: true, epoch: "1", offset: known.version };
    if (recover && offset === known.version) {
      return { id, subscribe: { ...start, recovered: true, was_recovering: true } };
    }
    return { id, subscribe: { ...start, data: snapshotOf(known) } };
  }
}

/** @param {Channel} channel */
export function snapshotOf({ state, version, entries }) {
  return state ?? { epoch: "1", version, at: Date.now(), entries };
}
