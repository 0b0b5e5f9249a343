// A push service for tests. The model of web-push-testing checks the signature of each message and
// decrypts it; this server decides what the service answers, and keeps the headers.

import { once } from "node:events";
import { createServer } from "node:http";
import { createRequire } from "node:module";

const { PushApiModel } = createRequire(import.meta.url)("web-push-testing/src/PushApiModel.js");

/** @typedef {{kind: string, ticket: string, label: string, room?: string}} Message */
/** @typedef {{endpoint: string, keys: {p256dh: string, auth: string}}} Subscription */

export class PushService {
  #model = new PushApiModel();
  #server = createServer((request, response) => void this.#answer(request, response));
  /** The status of each answer; "hang" leaves requests without one. @type {number | "hang"} */
  answers = 201;
  /** Requests so far, with their headers. @type {import("node:http").IncomingHttpHeaders[]} */
  requests = [];
  /** Messages that were taken. @type {Message[]} */
  taken = [];

  static async start() {
    const service = new PushService();
    service.#server.listen(0, "127.0.0.1");
    await once(service.#server, "listening");
    service.#model.notifyUrl = `${service.url}/notify/`;
    return service;
  }

  get url() {
    const { port } = /** @type {import("node:net").AddressInfo} */ (this.#server.address());
    return `http://127.0.0.1:${port}`;
  }

  /**
   * What a browser's `pushManager.subscribe` answers.
   * @param {string} applicationServerKey in base64url
   * @returns {Promise<Subscription>}
   */
  async subscribe(applicationServerKey) {
    const made = await this.#model.subscribe({ userVisibleOnly: "true", applicationServerKey });
    return { endpoint: made.endpoint, keys: made.keys };
  }

  /**
   * @param {import("node:http").IncomingMessage} request
   * @param {import("node:http").ServerResponse} response
   */
  async #answer(request, response) {
    const parts = [];
    for await (const part of request) parts.push(part);
    const { headers, url = "" } = request;
    this.requests.push(headers);
    if (this.answers === "hang") return;
    if (this.answers !== 201) {
      response.writeHead(this.answers, { "retry-after": "1" }).end();
      return;
    }
    const name = url.slice("/notify/".length);
    const { authorization, ttl } = headers;
    const checked = { encoding: headers["content-encoding"], authorization, ttl };
    try {
      await this.#model.handleNotification(name, checked, Buffer.concat(parts));
      const { messages } = this.#model.getNotifications({ clientHash: name });
      this.taken.push(JSON.parse(messages.at(-1)));
      response.writeHead(201).end();
    } catch {
      response.writeHead(400).end();
    }
  }

  async close() {
    this.#server.closeAllConnections();
    this.#server.close();
    await once(this.#server, "close");
  }
}
