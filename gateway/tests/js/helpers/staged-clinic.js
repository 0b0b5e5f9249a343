// A server whose channels a test controls, by WebSocket and by stream: states of a location that a
// real one takes hours to reach, or reaches only when something breaks.

import { createServer } from "node:http";
import { servePage } from "./staged-run.js";
import { snapshotOf, StagedSockets } from "./staged-sockets.js";

/** @typedef {import("./staged-sockets.js").Entries} Entries */

export class StagedClinic {
  #server = createServer((request, response) => {
    this.#answer(request, response).catch((error) => response.destroy(error));
  });
  #sockets = new StagedSockets(this.#server);
  /** Requests below `/v1/`. @type {{line: string, body: string, bearer: string}[]} */
  heard = [];
  /** Answers by `METHOD path` below `/v1/`. @type {Map<string, {status?: number, json: object}>} */
  answers = new Map();

  /** The version of the pages' files, for each request of one. @type {() => string} */
  version = () => "";
  /** Requests for the version of a file. */
  versionsAsked = 0;

  static async start() {
    const stage = new StagedClinic();
    await new Promise((resolve) => stage.#server.listen(0, "127.0.0.1", () => resolve(undefined)));
    return stage;
  }

  get url() {
    const address = this.#server.address();
    return typeof address === "object" && address ? `http://127.0.0.1:${address.port}` : "";
  }

  /** Whether connections are accepted. Otherwise they end at once. */
  get reachable() {
    return this.#sockets.reachable;
  }

  set reachable(reachable) {
    this.#sockets.reachable = reachable;
  }

  /** Whether commands get replies. */
  get answering() {
    return this.#sockets.answering;
  }

  set answering(answering) {
    this.#sockets.answering = answering;
  }

  /** Every subscription, with the position it resumes from. */
  get subscribed() {
    return this.#sockets.subscribed;
  }

  set subscribed(subscribed) {
    this.#sockets.subscribed = subscribed;
  }

  /** Refuses every further subscription with this code. @param {string} code */
  refuse(code) {
    this.#sockets.refusal = code;
  }

  /**
   * Changes the entries of a channel, and publishes the change to sockets.
   * @param {string} channel
   * @param {Entries} changes an entry that is `undefined` is removed
   * @param {{lost?: boolean}} [how] lost: nobody is told
   */
  show(channel, changes, { lost = false } = {}) {
    const delta = this.#sockets.change(channel, changes);
    if (!lost) this.#sockets.publish(channel, delta);
  }

  /** Sets the whole state of a ticket's channel. @param {string} channel @param {object} state */
  state(channel, state) {
    const { channels } = this.#sockets;
    const version = (channels.get(channel)?.version ?? 0) + 1;
    const data = { at: Date.now(), ...state };
    channels.set(channel, { entries: {}, version, state: data });
    this.#sockets.publish(channel, data);
  }

  /** Ends every connection without a word, and accepts no new one. */
  cut() {
    this.reachable = false;
    this.#sockets.cut();
    this.#server.closeAllConnections();
  }

  close() {
    this.cut();
    return new Promise((resolve) => this.#server.close(resolve));
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
    if (!url.pathname.startsWith("/v1/")) {
      if (request.method === "HEAD") this.versionsAsked++;
      return servePage(url.pathname, response, this.version());
    }
    let body = "";
    for await (const part of request) body += part;
    const line = `${request.method} ${url.pathname.slice("/v1/".length)}`;
    this.heard.push({ line, body, bearer: request.headers.authorization ?? "" });
    const { status = 200, json } = this.answers.get(line) ?? this.#usual(line, body);
    response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(json));
  }

  /** @param {string} line @param {string} body */
  #usual(line, body) {
    // This clinic sends no alerts.
    if (/^GET tickets\/[^/]+\/alerts$/.test(line)) return { json: { public_key: null } };
    const known =
      line === "POST stream-tickets" &&
      JSON.parse(body).channels.every((/** @type {string} */ name) =>
        this.#sockets.channels.has(name),
      );
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
      const known = this.#sockets.channels.get(channel);
      if (!known) continue;
      const { version, state } = known;
      const frame = { channel, epoch: "1", offset: version, data: snapshotOf(known) };
      const event = state ? "state" : "snapshot";
      response.write(`id: 1.${version}\nevent: ${event}\ndata: ${JSON.stringify(frame)}\n\n`);
    }
  }
}
