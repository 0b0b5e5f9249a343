// Chromium's `EventSource` through an nginx whose proxy has only default settings: it buffers
// answers, and it speaks HTTP/1.0 to the gateway with its own `Host`.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { it } from "node:test";
import { Page, SCREEN } from "../helpers/browser.js";
import { browser, clinic, open, useBrowser, useClinic } from "../helpers/fixtures.js";
import { Proxy } from "../helpers/proxy.js";
import { until } from "../helpers/until.js";
import { fold } from "../../../web/shared/connection/fold.js";

/** With the directory of Debian's package, which only root has in `PATH`. */
const PATH = `${process.env.PATH}:/usr/sbin`;

useBrowser();
useClinic("--empty");

/** A port that nothing uses. */
async function freePort() {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = /** @type {import("node:net").AddressInfo} */ (server.address());
  server.close();
  await once(server, "close");
  return port;
}

/** Starts nginx in a directory of its own. @param {string} upstream */
async function startNginx(upstream) {
  const directory = await mkdtemp(join(tmpdir(), "clinicwire-nginx-"));
  const port = await freePort();
  // Everything outside of `server` only keeps nginx inside of its directory.
  const paths = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
  await writeFile(
    join(directory, "nginx.conf"),
    `pid nginx.pid;
    events {}
    http {
      access_log off;
      ${paths.map((name) => `${name}_temp_path ${name};`).join("\n")}
      server {
        listen 127.0.0.1:${port};
        location / { proxy_pass ${upstream}; }
      }
    }`,
  );
  const foreground = "daemon off; master_process off;";
  const options = ["-p", directory, "-c", "nginx.conf", "-e", "stderr", "-g", foreground];
  const env = { ...process.env, PATH };
  const child = spawn("nginx", options, { env, stdio: ["ignore", "ignore", "pipe"] });
  let log = "";
  child.stderr.on("data", (text) => (log += text));
  const kill = () => child.kill("SIGKILL");
  process.once("exit", kill);
  const url = `http://127.0.0.1:${port}`;
  open({
    close: async () => {
      process.off("exit", kill);
      if (child.exitCode === null && child.kill("SIGKILL")) await once(child, "exit");
      await rm(directory, { recursive: true });
    },
  });
  await until("nginx serves", () => {
    assert.equal(child.exitCode, null, log);
    return fetch(`${url}/health/live`).then(
      ({ ok }) => ok,
      () => false,
    );
  });
  return url;
}

it("EventSource follows a queue through nginx with default settings", async () => {
  const proxy = open(await Proxy.to(clinic.url));
  const url = await startNginx(proxy.url);
  const site = await clinic.furnish();
  const stream = new URL(
    await clinic.streamUrl(site.token("reception"), [`queue:${site.general}`]),
  );
  const screen = open(await Page.open(browser, `${url}/health/live`, SCREEN));
  /** @type {import("playwright-core").Request[]} */
  const requests = [];
  screen.page.on("request", (request) => requests.push(request));
  // A browser may close a stream that no script can reach.
  await screen.page.evaluate(
    (path) => void Object.assign(globalThis, { source: new EventSource(path) }),
    `${stream.pathname}${stream.search}`,
  );

  /**
   * Waits for one more event, and folds all of them. The line has an entry for the queue itself.
   * @param {number} count of events
   */
  async function expect(count) {
    const frames = () => screen.heard.map((data) => JSON.parse(data)).filter(({ data }) => data);
    await until(`event ${count}`, () => frames().length >= count);
    /** @type {import("../../../web/shared/connection/fold.js").View | undefined} */
    let view;
    for (const [index, frame] of frames().entries()) {
      const next = fold(view, index ? "delta" : "snapshot", frame);
      if (next === "gap" || next === "old") assert.fail(`event ${index} folds to ${next}`);
      view = next;
    }
    assert.deepEqual([frames().length, view?.entries?.size], [count, count]);
  }

  await expect(1);
  // nginx would keep each of these until its buffer is full.
  for (const count of [2, 3, 4]) {
    await site.issue(1);
    await expect(count);
  }

  proxy.cut();
  // The browser waits for a second at least. To an error of nginx it would never come back.
  proxy.mend(clinic.url);
  await site.issue(1);
  await expect(5);
  const lastIds = await Promise.all(requests.map((it) => it.headerValue("last-event-id")));
  assert.equal(lastIds.length, 2);
  assert.match(lastIds[1] ?? "", /^\d+\.\d+:/);
  await site.issue(1);
  await expect(6);
});
