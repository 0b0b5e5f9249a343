// The JavaScript of the README and of the guide for apps, run as printed against the program.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { after, before, describe, it } from "node:test";
import { Centrifuge } from "centrifuge";
import { io } from "socket.io-client";
import { WebSocket } from "ws";
import { Clinic } from "../helpers/clinic.js";
import { until } from "../helpers/until.js";

/** The gateway in the addresses that the pages print. */
const PRINTED_ADDRESS = /(ws|http)s?:\/\/(localhost:8080|clinic\.example)/g;
/** The constructor of asynchronous functions, which has no global name. */
const AsyncFunction = Object.getPrototypeOf(async () => {}).constructor;

/** @type {Clinic} */
let clinic;
/** Clients of the snippets, which they do not end themselves. @type {{disconnect: () => void}[]} */
const clients = [];

before(async () => {
  clinic = await Clinic.start("--empty");
});
after(() => clinic?.stop());
after(() => clients.forEach((client) => client.disconnect()));

/** A client of Centrifugo with the WebSocket of a package, since Node 20 has none. */
class NodeCentrifuge extends Centrifuge {
  /** @param {string} url @param {object} options */
  constructor(url, options) {
    super(url, { ...options, websocket: WebSocket });
    clients.push(this);
  }
}

/** @type {typeof io} */
const keptIo = (...address) => {
  const socket = io(.../** @type {[string]} */ (/** @type {unknown} */ (address)));
  clients.push(socket);
  return socket;
};

/**
 * Runs the block of JavaScript that contains `word`, with the values that its text expects.
 * @param {string} page
 * @param {string} word
 * @param {import("../helpers/clinic.js").Site} site
 * @param {Record<string, unknown>} values
 */
async function runSnippet(page, word, site, values) {
  const text = await readFile(new URL(`../../../../${page}`, import.meta.url), "utf8");
  const blocks = [...text.matchAll(/```js\n(.*?)```/gs)].map(([, code]) => code);
  const snippet = blocks.find((code) => code.includes(word));
  assert.ok(snippet, `${page} has no snippet with ${word}`);
  const code = snippet
    .replace(/^import \{ \w+ \} from '[\w.-]+';$/gm, "")
    .replace(PRINTED_ADDRESS, (_, kind) => clinic.url.replace("http", kind))
    .replace("load:riverside", `load:${site.location}`);
  const names = { Centrifuge: NodeCentrifuge, io: keptIo, ...values };
  await new AsyncFunction(...Object.keys(names), code)(...Object.values(names));
}

describe("snippets", () => {
  for (const page of ["README.md", "docs/guides/embed-a-position.md"]) {
    it(`${page}: a page follows a ticket with centrifuge`, async () => {
      const site = await clinic.furnish();
      const [{ ticket }] = await site.issue(1);
      const token = site.token("patient", { tickets: [ticket] });
      /** @type {any[]} */
      const shown = [];
      const show = (/** @type {unknown} */ data) => shown.push(data);
      const getToken = async () => token;
      await runSnippet(page, "new Centrifuge", site, { token, getToken, ticket, show });
      await until("the snapshot is shown", () => shown.length > 0);
      await site.callNext();
      await until("the call is shown", () => JSON.stringify(shown.at(-1)).includes('"called"'));
    });
  }

  it("README.md: a page follows the load with socket.io-client", async () => {
    const site = await clinic.furnish();
    /** @type {string[]} */
    const kinds = [];
    const show = (/** @type {string} */ kind) => kinds.push(kind);
    await runSnippet("README.md", "io(", site, { token: site.token("reception"), show });
    await site.issue(1);
    await until("a change is shown", () => kinds.includes("delta"));
  });
});
