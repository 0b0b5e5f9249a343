// A server with one run that a test controls: states that a real run passes too quickly, or reaches
// only when something breaks. It serves the real pages and as much of `/v1` as they use.

import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import { StagedSockets } from "./staged-sockets.js";

export const RUN = `r_${"0a".repeat(8)}_${"1b".repeat(16)}`;
const FILE = `f_${"2c".repeat(16)}`;
const CHANNEL = `run:${RUN}`;
const PAGES = new URL("../../../web/", import.meta.url);
const KINDS = new Map([
  ["html", "text/html"],
  ["js", "text/javascript"],
  ["css", "text/css"],
  ["svg", "image/svg+xml"],
]);
const POLICY = "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/** @typedef {Record<string, any>} Entries */
/** @typedef {{status?: number, json?: object, text?: string}} Answer */

export class Stage {
  #server;
  #sockets;
  /**
   * Every request below `/v1/`, its method, path and query, and what it carried.
   * @type {{line: string, body: string, headers: import("node:http").IncomingHttpHeaders}[]}
   */
  heard = [];
  /**
   * Answers by `METHOD path` below `/v1/`, instead of the usual ones.
   * @type {Map<string, (body: string, url: URL) => Answer | Promise<Answer>>}
   */
  answers = new Map();

  constructor() {
    this.#server = createServer((request, response) => {
      this.#answer(request, response).catch((error) => response.destroy(error));
    });
    this.#sockets = new StagedSockets(this.#server);
    this.clear();
  }

  static async start() {
    const stage = new Stage();
    await new Promise((resolve) => stage.#server.listen(0, "127.0.0.1", () => resolve(undefined)));
    return stage;
  }

  get url() {
    const address = this.#server.address();
    return typeof address === "object" && address ? `http://127.0.0.1:${address.port}` : "";
  }

  close() {
    this.cut();
    this.#server.closeAllConnections();
    return new Promise((resolve) => this.#server.close(resolve));
  }

  /** Changes the run's view; an entry set to `undefined` is removed. @param {Entries} changes */
  show(changes) {
    this.#sockets.publish(CHANNEL, this.#sockets.change(CHANNEL, changes));
  }

  /** Whether connections get replies. @param {boolean} answering */
  set answering(answering) {
    this.#sockets.answering = answering;
  }

  /** Ends every connection. */
  cut() {
    this.#sockets.cut();
  }

  /** Resets everything for the next test. */
  clear() {
    this.cut();
    this.#sockets.channels.set(CHANNEL, { entries: {}, version: 0 });
    this.heard = [];
    this.answers.clear();
  }

  /**
   * @param {import("node:http").IncomingMessage} request
   * @param {import("node:http").ServerResponse} response
   */
  async #answer(request, response) {
    const url = new URL(request.url ?? "/", this.url);
    if (url.pathname === "/health/live") return void response.end("live\n");
    if (!url.pathname.startsWith("/v1/")) return servePage(url.pathname, response);
    const parts = [];
    for await (const part of request) parts.push(part);
    const body = Buffer.concat(parts).toString("latin1");
    const line = `${request.method} ${url.pathname.slice("/v1/".length)}`;
    this.heard.push({ line: `${line}${url.search}`, body, headers: request.headers });
    const answer = await (this.answers.get(line) ?? USUAL.get(line))?.(body, url);
    const { status = 200, json, text } = answer ?? { status: 404, json: { code: "not_found" } };
    response
      .writeHead(status, { "content-type": json ? "application/json" : "text/csv" })
      .end(json ? JSON.stringify(json) : text);
  }
}

/**
 * Serves a file of the pages like the gateway.
 * @param {string} path
 * @param {import("node:http").ServerResponse} response
 * @param {string} [version] of every file
 */
export async function servePage(path, response, version) {
  const page = path === "/" ? "start" : path.slice(1);
  const name = page.includes(".") ? page : `${page}/${page}.html`;
  const bytes = await readFile(new URL(name, PAGES)).catch(() => undefined);
  const kind = KINDS.get(name.split(".").pop() ?? "") ?? "text/plain";
  response
    .writeHead(bytes ? 200 : 404, {
      "content-type": `${kind}; charset=utf-8`,
      "content-security-policy": POLICY,
      ...(version && { etag: `"${version}"` }),
    })
    .end(bytes);
}

/** @type {[string, (body: string, url: URL) => Answer][]} */
const answers = [
  ["POST stream-tickets", () => ({ json: { ticket: "once" } })],
  ["POST files", () => ({ status: 201, json: { file: FILE } })],
  ["POST runs", () => ({ status: 202, json: { run: RUN, state: "queued" } })],
  ["GET runs", () => ({ json: { runs: [] } })],
  [
    "GET rules",
    () => ({
      json: {
        rules: [
          { id: "office-fee", name: { fr: "Frais de cabinet", en: "Office fees" }, enabled: true },
        ],
      },
    }),
  ],
  [
    "GET messages",
    (_body, url) => {
      const outcomes = MESSAGES[url.searchParams.get("language") ?? "fr"];
      return { json: { outcomes, words: { column: { paid: "Montant payé" } } } };
    },
  ],
  [`POST runs/${RUN}/cancel`, () => ({ json: {} })],
  [`POST runs/${RUN}/retry`, () => ({ json: {} })],
];
const USUAL = new Map(answers);

/** @type {Record<string, Record<string, string>>} */
const MESSAGES = {
  en: {
    office_fee_upgrade:
      "The number of patients ({seen}) allows {better} instead of {code}: a gain of {gain_cents}.",
  },
  fr: {
    office_fee_upgrade:
      "Le nombre de patients ({seen}) permet le {better} au lieu du {code} : gain de {gain_cents}.",
  },
};
