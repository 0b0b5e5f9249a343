// The receiver that the guide of webhooks shows, with events of a running clinic.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { dirname, join } from "node:path";
import test, { after, before } from "node:test";
import { fileURLToPath } from "node:url";

import { Clinic } from "../helpers/clinic.js";
import { until } from "../helpers/until.js";

const HERE = dirname(fileURLToPath(import.meta.url));
const GUIDE = join(HERE, "../../../../docs/guides/webhooks.md");

/** @type {Clinic} */
let clinic;

before(async () => {
  clinic = await Clinic.start("--empty", "--webhook-network", "127.0.0.0/8");
});

after(() => clinic.stop());

/** A port that is free now. */
async function freePort() {
  const server = createServer().listen(0, "127.0.0.1");
  await new Promise((resolve) => server.once("listening", resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  assert.ok(address && typeof address === "object");
  return address.port;
}

/**
 * Runs the snippet of the guide as the receiver of a new webhook.
 * @param {import("node:test").TestContext} t
 * @param {object} [settings]
 */
async function receive(t, settings = {}) {
  const port = await freePort();
  const created = await clinic.ask("POST", "webhooks", {
    url: `http://127.0.0.1:${port}/clinicwire`,
    ...settings,
  });
  const snippet = /```js\n(.*?)```/su.exec(await readFile(GUIDE, "utf8"))?.[1];
  assert.ok(snippet, "the guide has a snippet");
  // In this folder, so that the package is found.
  const directory = await mkdtemp(join(HERE, "../node_modules/.receiver-"));
  const file = join(directory, "receiver.mjs");
  await writeFile(file, snippet);
  const env = { ...process.env, PORT: String(port), WEBHOOK_SECRET: created.secret };
  const child = spawn(process.execPath, [file], { env, stdio: ["ignore", "pipe", "inherit"] });
  let text = "";
  child.stdout.on("data", (more) => (text += more));
  t.after(async () => {
    child.kill("SIGKILL");
    await rm(directory, { recursive: true });
  });
  const heard = () => text.split("\n").filter(Boolean);
  // Any answer shows that it listens: a GET has no signature.
  const listens = () => fetch(`http://127.0.0.1:${port}/`).then(Boolean, () => false);
  await until("the receiver listens", listens);
  return { webhook: created.webhook, secret: created.secret, port, heard };
}

test("receiver of the guide verifies a test and the events of a visit", async (t) => {
  const { webhook, secret, port, heard } = await receive(t);
  assert.match(secret, /^whsec_/u);
  await clinic.order(`webhooks/${webhook}/test`);
  await until("the receiver has the test", () => heard().length >= 1);
  assert.match(heard()[0], /^webhook\.test e_[0-9a-f]{32}$/u);

  const site = await clinic.furnish();
  const [{ ticket }] = await site.issue(1);
  await clinic.order(`tickets/${ticket}/call`, { station: site.room1 });
  await clinic.order(`tickets/${ticket}/start`);
  await clinic.order(`tickets/${ticket}/complete`);
  const types = () => heard().map((line) => line.split(" ")[0]);
  const expected = [
    "ticket.called",
    "ticket.ended",
    "ticket.issued",
    "ticket.started",
    "turn.near",
    "visit.completed",
    "webhook.test",
  ];
  await until("the receiver has every event", () => heard().length >= expected.length);
  assert.deepEqual(types().sort(), expected);

  const forged = await fetch(`http://127.0.0.1:${port}/`, {
    method: "POST",
    headers: {
      "webhook-id": "e_1",
      "webhook-timestamp": String(Math.floor(Date.now() / 1000)),
      "webhook-signature": "v1,AAAA",
    },
    body: "{}",
  });
  assert.equal(forged.status, 400);
});

test("list of deliveries shows the attempts of a filtered webhook", async (t) => {
  const { webhook, heard } = await receive(t, { events: ["ticket.called"] });
  const site = await clinic.furnish();
  const [{ ticket }] = await site.issue(1);
  await clinic.order(`tickets/${ticket}/call`, { station: site.room1 });
  await until("the receiver has the call", () => heard().length >= 1);
  const sent = async () =>
    (await clinic.get(`webhooks/${webhook}/deliveries?state=sent`)).deliveries;
  await until("the list has the call", async () => (await sent()).length === 1);
  const [{ type, attempts }] = await sent();
  assert.equal(type, "ticket.called");
  assert.equal(attempts[attempts.length - 1].status, 204);
});

test("rotated secret signs beside the old one", async (t) => {
  const { webhook, secret, heard } = await receive(t);
  const rotated = await clinic.ask("POST", `webhooks/${webhook}/rotate`, { keep_s: 600 });
  assert.notEqual(rotated.secret, secret);
  await clinic.order(`webhooks/${webhook}/test`);
  // The receiver knows only the old secret.
  await until("the receiver has the test", () => heard().length >= 1);
});
