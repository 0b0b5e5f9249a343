// Reads a stream of server-sent events with `curl -N`.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { until } from "./until.js";

/**
 * One event: its fields, and its parsed data.
 * @typedef {{event: string, id?: string, data: any}} Event
 */

/** A request that stays open until the server or the test ends it. */
export class Curl {
  #process;
  #text = "";
  /** The exit status, once curl ended by itself. @type {number | null | undefined} */
  ended;

  /**
   * @param {string} url
   * @param {string} [lastEventId]
   */
  constructor(url, lastEventId) {
    const resume = lastEventId ? ["--header", `Last-Event-ID: ${lastEventId}`] : [];
    this.#process = spawn(
      "curl",
      ["--no-buffer", "--silent", "--show-error", "--include", ...resume, url],
      { stdio: ["ignore", "pipe", "inherit"] },
    );
    this.#process.stdout.setEncoding("utf8").on("data", (text) => (this.#text += text));
    this.#process.on("close", (status) => (this.ended = status));
  }

  /** The lines of the response head, and the body so far. @returns {[string[], string]} */
  get #parts() {
    const end = this.#text.indexOf("\r\n\r\n");
    return end < 0 ? [[], ""] : [this.#text.slice(0, end).split("\r\n"), this.#text.slice(end + 4)];
  }

  /** The status of the response, once it has arrived. */
  async status() {
    const head = await until("a response", () => this.#parts[0]?.[0]);
    return Number(head.split(" ")[1]);
  }

  /** @param {string} name lower case */
  header(name) {
    return this.#parts[0]
      .find((line) => line.toLowerCase().startsWith(`${name}:`))
      ?.slice(name.length + 1)
      .trim();
  }

  /** The raw response so far. */
  get text() {
    return this.#text;
  }

  /** The complete events so far, without beats. @returns {Event[]} */
  get events() {
    const blocks = this.#parts[1].split("\n\n").slice(0, -1);
    return blocks.map(readEvent).filter((event) => event !== undefined);
  }

  /** Every event so far, once there are `count`. @param {number} count */
  async heard(count) {
    await until(`${count} events`, () => this.events.length >= count);
    return this.events;
  }

  /** Waits until the server has ended the response. */
  async end() {
    await until("the response ends", () => this.ended !== undefined);
    return this.events;
  }

  async close() {
    if (this.ended !== undefined) return;
    const closed = once(this.#process, "close");
    this.#process.kill();
    await closed;
  }
}

/** @param {string} block @returns {Event | undefined} */
function readEvent(block) {
  const fields = new Map(
    block.split("\n").map((line) => {
      const colon = line.indexOf(":");
      return [line.slice(0, colon), line.slice(colon + 1).trimStart()];
    }),
  );
  const event = fields.get("event");
  // Beats, comments and `retry` fields carry no event.
  if (!event || event === "beat") return undefined;
  return { event, id: fields.get("id"), data: JSON.parse(fields.get("data") ?? "null") };
}
