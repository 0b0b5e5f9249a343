// A server whose channels a test controls, by WebSocket and by stream: states of a location that a
// real one takes hours to reach, or reaches only when something breaks.

import { createServer } from "node:http";
import { WebSocketServer } from "ws";
import { servePage } from "./staged-run.js";

/** @typedef {Record<string, any>} Entries */
/** @typedef {{entries: Entries, version: number, state?: any}} Channel */
/**
 * @typedef {object} Command
 * @property {number} id
 * @property {{token: string}} [connect]
 * @property {{channel: string, recover?: boolean, offset?: number}} [subscribe]
 * @property {object} [ping]
 */

export class StagedClinic {
  #server = createServer((request, response) => {
    this.#answer(request, response).catch((error) => response.destroy(error));
  });
  #sockets = new WebSocketServer({ noServer: true });
  /** @type {Map<string, Channel>} */
  #channels = new Map();
  /** The channels of each socket. @type {Map<import("ws").WebSocket, Set<string>>} */
  #subscriptions = new Map();
  /** Whether connections are accepted. Otherwise they end at once. */
  reachable = true;
  /** Whether commands get replies. */
  answering = true;
  /**
   * Every subscription, with the position it resumes from.
   * @type {{channel: string, recover?: boolean, offset?: number}[]}
   */
  subscribed = [];
  /** Requests below `/v1/`. @type {{line: string, body: string, bearer: string}[]} */
  heard = [];
  /** Answers by `METHOD path` below `/v1/`. @type {Map<string, {status?: number, json: object}>} */
  answers = new Map();

  static async start() {
    const stage = new StagedClinic();
    stage.#server.on("upgrade", (request, socket, head) => {
      if (!stage.reachable || request.url !== "/connection/websocket") socket.destroy();
      else stage.#sockets.handleUpgrade(request, socket, head, (it) => stage.#greet(it));
    });
    await new Promise((resolve) => stage.#server.listen(0, "127.0.0.1", () => resolve(undefined)));
    return stage;
  }

  get url() {
    const address = this.#server.address();
    return typeof address === "object" && address ? `http://127.0.0.1:${address.port}` : "";
  }

  /**
   * Changes the entries of a channel, and publishes the change to sockets.
   * @param {string} channel
   * @param {Entries} changes an entry that is `undefined` is removed
   * @param {{lost?: boolean}} [how] lost: nobody is told
   */
  show(channel, changes, { lost = false } = {}) {
    const known = this.#channels.get(channel) ?? { entries: {}, version: 0 };
    this.#channels.set(channel, known);
    const from = known.version++;
    const remove = Object.keys(changes).filter((key) => changes[key] === undefined);
    const set = Object.fromEntries(
      Object.entries(changes).filter(([, entry]) => entry !== undefined),
    );
    Object.assign(known.entries, set);
    for (const key of remove) delete known.entries[key];
    if (!lost) this.#publish(channel, { from, to: known.version, at: Date.now(), set, remove });
  }

  /** Sets the whole state of a ticket's channel. @param {string} channel @param {object} state */
  state(channel, state) {
    const version = (this.#channels.get(channel)?.version ?? 0) + 1;
    const data = { at: Date.now(), ...state };
    this.#channels.set(channel, { entries: {}, version, state: data });
    this.#publish(channel, data);
  }

  /** Ends every connection without a word, and accepts no new one. */
  cut() {
    this.reachable = false;
    for (const socket of this.#subscriptions.keys()) socket.terminate();
    this.#server.closeAllConnections();
  }

  close() {
    this.cut();
    return new Promise((resolve) => this.#server.close(resolve));
  }

  /** @param {string} channel @param {object} data */
  #publish(channel, data) {
    const offset = this.#channels.get(channel)?.version;
    for (const [socket, channels] of this.#subscriptions) {
      if (channels.has(channel) && this.answering) {
        socket.send(JSON.stringify({ push: { channel, pub: { data, offset } } }));
      }
    }
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
    const known = this.#channels.get(channel);
    if (!known) return { id, error: { code: 102, message: "not_found" } };
    this.#subscriptions.get(socket)?.add(channel);
    const start = { recoverable: true, positioned: true, epoch: "1", offset: known.version };
    if (recover && offset === known.version) {
      return { id, subscribe: { ...start, recovered: true, was_recovering: true } };
    }
    return { id, subscribe: { ...start, data: snapshotOf(known) } };
  }

  /**
   * @param {import("node:http").IncomingMessage} request
   * @param {import("node:http").ServerResponse} response
   */
  async #answer(request, response) {
    const url = new URL(request.url ?? "/", this.url);
    if (!this.reachable) return void response.destroy();
    if (url.pathname === "/health/live") return void response.end("live\n");
    if (url.pathname === "/v1/stream") return this.#stream(url.searchParams, response);
    if (!url.pathname.startsWith("/v1/")) return servePage(url.pathname, response);
    let body = "";
    for await (const part of request) body += part;
    const line = `${request.method} ${url.pathname.slice("/v1/".length)}`;
    this.heard.push({ line, body, bearer: request.headers.authorization ?? "" });
    const { status = 200, json } = this.answers.get(line) ?? this.#usual(line, body);
    response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(json));
  }

  /** @param {string} line @param {string} body */
  #usual(line, body) {
    const known =
      line === "POST stream-tickets" &&
      JSON.parse(body).channels.every((/** @type {string} */ name) => this.#channels.has(name));
    return known ? { json: { ticket: "once" } } : { status: 404, json: { code: "not_found" } };
  }

  /**
   * Sends the present views, and then keeps the stream open in silence.
   * @param {URLSearchParams} query
   * @param {import("node:http").ServerResponse} response
   */
  #stream(query, response) {
    response.writeHead(200, { "content-type": "text/event-stream", "cache-control": "no-store" });
    if (!this.answering) return void response.flushHeaders();
    for (const channel of query.getAll("channel")) {
      const known = this.#channels.get(channel);
      if (!known) continue;
      const { version, state } = known;
      const frame = { channel, epoch: "1", offset: version, data: snapshotOf(known) };
      const event = state ? "state" : "snapshot";
      response.write(`id: 1.${version}\nevent: ${event}\ndata: ${JSON.stringify(frame)}\n\n`);
    }
  }
}

/** @param {Channel} channel */
function snapshotOf({ state, version, entries }) {
  return state ?? { epoch: "1", version, at: Date.now(), entries };
}
