// A server that plays any channels by the test's word, over a socket: states of a location that a real one takes hours
// to reach, or reaches only when something breaks.

import { createServer } from "node:http";
import { WebSocketServer } from "ws";
import { servePage } from "./staged-run.js";

/** @typedef {Record<string, any>} Entries */
/** @typedef {{entries: Entries, version: number, state?: any}} Shown */
/** @typedef {{id: number, connect?: {token: string}, subscribe?: {channel: string, recover?: boolean, offset?: number}, ping?: object}} Command */

export class StagedClinic {
  #server = createServer((request, response) => {
    this.#answer(request, response).catch((error) => response.destroy(error));
  });
  #sockets = new WebSocketServer({ noServer: true });
  /** @type {Map<string, Shown>} */
  #shown = new Map();
  /** Who follows what. @type {Map<import("ws").WebSocket, Set<string>>} */
  #followers = new Map();
  /** Whether sockets may be opened; where not, connections end at once. */
  reachable = true;
  /** Whether what is sent is answered. */
  answering = true;
  /** What was subscribed to, with the position it was asked from. @type {{channel: string, recover?: boolean, offset?: number}[]} */
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
   * @param {string} channel
   * @param {Entries} changes an entry that is `undefined` is removed
   * @param {{lost?: boolean}} [how] lost: nobody is told of it
   */
  show(channel, changes, { lost = false } = {}) {
    const shown = this.#shown.get(channel) ?? { entries: {}, version: 0 };
    this.#shown.set(channel, shown);
    const from = shown.version++;
    const remove = Object.keys(changes).filter((key) => changes[key] === undefined);
    const set = Object.fromEntries(Object.entries(changes).filter(([, entry]) => entry !== undefined));
    Object.assign(shown.entries, set);
    for (const key of remove) delete shown.entries[key];
    if (!lost) this.#publish(channel, { from, to: shown.version, at: Date.now(), set, remove });
  }

  /** The whole state of a ticket. @param {string} channel @param {object} state */
  state(channel, state) {
    const shown = { entries: {}, version: (this.#shown.get(channel)?.version ?? 0) + 1, state: { at: Date.now(), ...state } };
    this.#shown.set(channel, shown);
    this.#publish(channel, shown.state);
  }

  /** Ends every connection without a word, and lets none be opened. */
  cut() {
    this.reachable = false;
    for (const socket of this.#followers.keys()) socket.terminate();
    this.#server.closeAllConnections();
  }

  close() {
    this.cut();
    return new Promise((resolve) => this.#server.close(resolve));
  }

  /** @param {string} channel @param {object} data */
  #publish(channel, data) {
    const offset = this.#shown.get(channel)?.version;
    for (const [socket, channels] of this.#followers) {
      if (channels.has(channel) && this.answering) socket.send(JSON.stringify({ push: { channel, pub: { data, offset } } }));
    }
  }

  /** @param {import("ws").WebSocket} socket */
  #greet(socket) {
    this.#followers.set(socket, new Set());
    socket.on("close", () => this.#followers.delete(socket));
    socket.on("message", (frame) => {
      const replies = String(frame).split("\n").map((line) => this.#reply(socket, JSON.parse(line)));
      if (this.answering) socket.send(replies.map((reply) => JSON.stringify(reply)).join("\n"));
    });
  }

  /** @param {import("ws").WebSocket} socket @param {Command} command */
  #reply(socket, { id, connect, subscribe }) {
    if (connect) return { id, connect: { client: "c", version: "staged", expires: true, ttl: 3600, ping: 25, pong: true } };
    if (!subscribe) return { id, ping: {} };
    const { channel, recover, offset } = subscribe;
    this.subscribed.push({ channel, recover, offset });
    const shown = this.#shown.get(channel);
    if (!shown) return { id, error: { code: 102, message: "not_found" } };
    this.#followers.get(socket)?.add(channel);
    const start = { recoverable: true, positioned: true, epoch: "1", offset: shown.version };
    if (recover && offset === shown.version) return { id, subscribe: { ...start, recovered: true, was_recovering: true } };
    const data = shown.state ?? { epoch: "1", version: shown.version, at: Date.now(), entries: shown.entries };
    return { id, subscribe: { ...start, data } };
  }

  /** @param {import("node:http").IncomingMessage} request @param {import("node:http").ServerResponse} response */
  async #answer(request, response) {
    const url = new URL(request.url ?? "/", this.url);
    if (!this.reachable) return void response.destroy();
    if (url.pathname === "/health/live") return void response.end("live\n");
    if (!url.pathname.startsWith("/v1/")) return servePage(url.pathname, response);
    let body = "";
    for await (const part of request) body += part;
    const line = `${request.method} ${url.pathname.slice("/v1/".length)}`;
    this.heard.push({ line, body, bearer: request.headers.authorization ?? "" });
    const { status = 200, json } = this.answers.get(line) ?? { status: 404, json: { code: "not_found" } };
    response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(json));
  }
}
