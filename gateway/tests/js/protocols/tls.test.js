// Published clients over TLS: HTTP/2, WebSockets, streams and Socket.IO, and Chromium.
//
// Node.js reads the authority that it trusts at its start, so the tests run in a second process.

import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import http2 from "node:http2";
import { connect as connectTcp } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { launch, Page, SCREEN } from "../helpers/browser.js";
import { Client } from "../helpers/centrifuge.js";
import { Clinic } from "../helpers/clinic.js";
import { Curl } from "../helpers/curl.js";
import { App } from "../helpers/socketio.js";
import { until } from "../helpers/until.js";

/** The directory of the certificates, in the second process. */
const certificates = process.env.CLINICWIRE_TLS_TEST;

/** Makes an authority and a certificate for this machine. @param {string} directory */
function makeCertificate(directory) {
  const run = (/** @type {string[]} */ ...args) =>
    execFileSync("openssl", args, { cwd: directory, stdio: ["ignore", "ignore", "pipe"] });
  const key = ["req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj"];
  run(...key, "/CN=Test authority", "-keyout", "ca.key", "-x509", "-days", "2", "-out", "ca.pem");
  run(...key, "/CN=localhost", "-keyout", "node.key", "-out", "node.csr");
  writeFileSync(join(directory, "names"), "subjectAltName=DNS:localhost,IP:127.0.0.1\n");
  const signer = ["-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2"];
  run("x509", "-req", "-in", "node.csr", ...signer, "-extfile", "names", "-out", "node.pem");
}

if (!certificates) {
  it("clients that trust the authority are served over TLS", () => {
    const directory = mkdtempSync(join(tmpdir(), "clinicwire-tls-"));
    try {
      makeCertificate(directory);
      const { NODE_TEST_CONTEXT: _, ...environment } = process.env;
      const file = join(directory, "ca.pem");
      const inner = spawnSync(process.execPath, [fileURLToPath(import.meta.url)], {
        env: {
          ...environment,
          CLINICWIRE_TLS_TEST: directory,
          NODE_EXTRA_CA_CERTS: file,
          CURL_CA_BUNDLE: file,
        },
        encoding: "utf8",
      });
      assert.equal(inner.status, 0, inner.stdout + inner.stderr);
    } finally {
      rmSync(directory, { recursive: true });
    }
  });
} else {
  describe("over TLS", () => clients(certificates));
}

/** @param {string} directory */
function clients(directory) {
  /** @type {Clinic} */
  let clinic;
  /** @type {{close: () => unknown}[]} */
  const opened = [];
  /** @template {{close: () => unknown}} T @param {T} it @returns {T} */
  const open = (it) => (opened.push(it), it);

  before(async () => {
    const [certificate, key] = [join(directory, "node.pem"), join(directory, "node.key")];
    clinic = await Clinic.start("--empty", "--tls-cert", certificate, "--tls-key", key);
  });
  after(async () => {
    await Promise.all(opened.map((it) => it.close()));
    await clinic?.stop();
  });

  it("Node.js speaks HTTP/2, many requests at once, with HSTS", async () => {
    const site = await clinic.furnish();
    const session = open(http2.connect(clinic.url));
    const ask = (/** @type {string} */ path) =>
      new Promise((resolve, reject) => {
        const request = session.request({
          ":path": path,
          authorization: `Bearer ${site.token("reception")}`,
        });
        /** @type {any} */
        let head;
        request.on("response", (headers) => (head = headers));
        request
          .on("error", reject)
          .on("end", () => resolve(head))
          .resume();
      });
    const answers = await Promise.all(
      Array.from({ length: 50 }, () => ask(`/v1/boards/${site.location}`)),
    );
    for (const head of answers) {
      assert.equal(head[":status"], 200);
      assert.match(head["strict-transport-security"], /^max-age=/);
      assert.equal(head["x-content-type-options"], "nosniff");
    }
    assert.equal((await ask("/connection/websocket"))[":status"], 426);
  });

  it("the Centrifugal client follows a queue over a WebSocket", async () => {
    const site = await clinic.furnish();
    const client = open(new Client(clinic.url, { token: site.token("reception") }));
    const queue = client.follow(`queue:${site.general}`);
    await until("the snapshot", () => queue.held);
    await site.issue(3);
    await until("the tickets", () => queue.held?.entries?.size === 4);
  });

  for (const transports of /** @type {("polling" | "websocket")[][]} */ ([
    ["websocket"],
    ["polling"],
    ["polling", "websocket"],
  ])) {
    it(`the Socket.IO client is served by ${transports.join(" and ")}`, async () => {
      const site = await clinic.furnish();
      const app = open(new App(clinic.url, { token: site.token("reception") }, { transports }));
      const answer = await app.ask("subscribe", { channel: `queue:${site.general}` });
      assert.equal(answer.error, undefined, JSON.stringify(answer));
    });
  }

  it("curl reads a stream of events over HTTP/2", async () => {
    const site = await clinic.furnish();
    const url = await clinic.streamUrl(site.token("reception"), [`queue:${site.general}`]);
    const stream = open(new Curl(url));
    await stream.heard(1);
    assert.match(stream.text, /^HTTP\/2 200/);
    await site.issue(3);
    await stream.heard(2);
    const second = open(new Curl(url));
    assert.equal((await second.end()).at(-1)?.event, "problem", "one stream for a ticket");
  });

  it("Chromium follows a board over HTTP/2", async () => {
    const site = await clinic.furnish();
    // Chromium has its own list of authorities.
    const browser = open(await launch("--ignore-certificate-errors"));
    const keys = new URLSearchParams({ token: site.token("display"), location: site.location });
    const board = await Page.open(browser, "about:blank", SCREEN);
    // A WebSocket has a connection of its own, of HTTP/1.1. The streams of SSE share the others'.
    await board.page.routeWebSocket(/./, (socket) => socket.close({ code: 1011 }));
    await board.page.goto(`${clinic.url}/board#${keys}`);
    await until("events of the stream", () => board.heard.length > 0);
    const protocols = await board.page.evaluate(() =>
      [...performance.getEntriesByType("navigation"), ...performance.getEntriesByType("resource")]
        .map((entry) => entry.toJSON().nextHopProtocol)
        .filter(Boolean),
    );
    assert.deepEqual([...new Set(protocols)], ["h2"]);
  });

  it("a client without TLS is turned away, and others are served", async () => {
    const { hostname, port } = new URL(clinic.url);
    const plain = connectTcp(Number(port), hostname);
    plain.write("GET / HTTP/1.1\r\nhost: localhost\r\n\r\n");
    const answer = [];
    for await (const bytes of plain) answer.push(bytes);
    assert.doesNotMatch(Buffer.concat(answer).toString("latin1"), /HTTP/);
    assert.equal((await fetch(`${clinic.url}/health/live`)).status, 200);
  });
}
