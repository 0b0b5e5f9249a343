// The dashboard in Chromium against a staged server.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { Page, SCREEN } from "../helpers/browser.js";
import { BANDS, busyDay } from "../helpers/busy-day.js";
import { Clinic } from "../helpers/clinic.js";
import { browser, open, useBrowser } from "../helpers/fixtures.js";
import { StagedClinic } from "../helpers/staged-clinic.js";
import { until } from "../helpers/until.js";

const CHANNEL = "load:harbour";
const WALL = { width: 1920, height: 1080 };
const NARROW = { width: 360, height: 780 };
const MINUTE_MS = 60_000;

/** @type {StagedClinic} */
let stage;

useBrowser();

/** @param {Record<string, any>} entries @param {{width: number, height: number}} [viewport] */
async function openDashboard(entries, viewport = WALL) {
  stage = open(await StagedClinic.start());
  stage.show(CHANNEL, entries);
  return open(
    await Page.open(browser, `${stage.url}/dashboard#token=staff&location=harbour`, viewport),
  );
}

/** The head of a load, as in `busyDay`. @param {object} [changes] */
const head = (changes) => ({ ...busyDay(Date.now()).load, ...changes });

/**
 * A moment that the page shows as this many minutes ago. Half a minute from both neighbours,
 * because a page knows the server's clock to a second only.
 * @param {number} minutes
 */
const minutesAgo = (minutes) => Date.now() - (minutes + 0.5) * MINUTE_MS;

/**
 * Moves the clock of the page forward. Its timers still fire.
 * @param {Page} page
 * @param {number} ms
 */
async function pass({ page }, ms) {
  await page.clock.install({ time: (await page.evaluate("Date.now()").then(Number)) + ms });
}

describe("the dashboard", () => {
  it("shows how busy the day is", async () => {
    const page = await openDashboard(busyDay(Date.now()));
    await page.shows("#name", "Harbour Clinic");
    await page.shows("#figure-waiting", /^Waiting\s+24\s+in all lines$/);
    await page.shows(
      "#figure-longest",
      /^Longest wait\s+1\sh\s07\s+very high\s+since \d+:\d\d [ap]\.m\.$/,
    );
    await page.shows("#figure-median", /^Median wait\s+23\smin/);
    await page.shows("#figure-called", /^Called\s+\d+\s+in the last hour$/);
    const rows = page.page.getByRole("row");
    for (const row of [
      /General medicine Open 16 very high 1\surgent \(level\s9\), 2\surgent \(level\s5\), 13\sroutine 1\sh\s07 very high 31\smin/,
      /Blood tests Open 8 high 8\sroutine 34\smin high 12\smin/,
      /Vaccination Paused 0/,
      /Pharmacy Closed 0/,
    ])
      assert.equal(
        await rows
          .filter({ hasText: "" })
          .and(page.page.getByRole("row", { name: row }))
          .count(),
        1,
        String(row),
      );
    await page.shows("#stations", /Room 1\s+In use\s+with A-041\s+General medicine/);
    await page.shows("#stations", /Room 3\s+Free\s+General medicine\s+Room 4\s+Closed/);
    await page.shows("#stations-busy", "3 of 5 open rooms in use");
    await page.shows(
      "#appointments",
      /^Due\s+14\s+Late \(of those due\)\s+3\s+Arrived\s+6\s+Completed\s+21\s+No-shows\s+2\s+Cancelled\s+3$/,
    );
    await page.shows(
      "#facts",
      /^119 updates received .*; 7 ignored in whole or in part \(4 already known, 2 out of date, 1 overridden/,
    );
    await page.shows("#link", "Live");
    assert.deepEqual(page.complaints, []);
  });

  it("draws the day, and shows it as a table", async () => {
    const page = await openDashboard(busyDay(Date.now()));
    await page.shows("#curve-summary", "106 people arrived, 81 served, 85 appointments booked.");
    assert.equal(await page.page.locator("#curve .arrived").count(), 23);
    assert.equal(await page.page.locator("#curve .served").count(), 22);
    assert.equal(await page.page.locator("#curve .booked").count(), 1);
    assert.equal(await page.page.locator("#curve .now-text").textContent(), "now");
    const drawing = page.page.getByRole("img", { name: "Today by quarter hour" });
    assert.equal(await drawing.count(), 1);
    await page.page.getByText("Show as a table").click();
    assert.equal(await page.page.locator("#quarters tr").count(), 32);
    await page.shows(
      "#quarters tr:nth-child(4)",
      /^\d+:\d\d [ap]\.m\. to \d+:\d\d [ap]\.m\.\s+8\s+5\s+4\s+0\s+4$/,
    );
  });

  it("updates once a second and shows the last value", async () => {
    const page = await openDashboard({ load: head({ waiting: 1 }) });
    await page.shows("#figure-waiting b", "1");
    const { clock } = page.page;
    await clock.install();
    await clock.pauseAt(Date.now() + 60_000);
    await page.page.evaluate(`globalThis.moves = 0; new MutationObserver(() => moves++)
      .observe(document.querySelector("#figure-waiting b"),
        { childList: true, characterData: true, subtree: true })`);
    let passed = 0;
    const pass = async (/** @type {number} */ ms) => {
      passed += ms;
      await clock.runFor(ms);
      return page.text("#figure-waiting b");
    };
    for (const last of [30, 60]) {
      for (let waiting = last - 28; waiting <= last; waiting++)
        stage.show(CHANNEL, { load: head({ waiting }) });
      // The first changes come long after the page was drawn, the others within the next second.
      if (last === 60) assert.equal(await pass(900), "30");
      await until("the last value is shown", async () => (await pass(10)) === String(last));
    }
    const moves = Number(await page.page.evaluate("moves"));
    assert.ok(moves <= 1 + passed / 1_000, `it moved ${moves} times in ${passed} ms`);
  });

  it("grows waits and bands without messages", async () => {
    const seconds = BANDS.wait_s[0];
    const page = await openDashboard({
      load: head({ oldest: Date.now() - seconds * 1000 + 4_000 }),
    });
    await page.shows("#figure-longest b", "29 min");
    await page.shows("#figure-longest", /30\smin\s+high/);
  });

  it("freezes on request and counts hidden changes", async () => {
    const page = await openDashboard(busyDay(Date.now()));
    await page.shows("#figure-waiting b", "24");
    const pause = page.page.getByRole("button", { name: "Pause" });
    await pause.focus();
    await page.page.keyboard.press("Space");
    await page.shows("#frozen", /^Paused at .* Nothing has changed since\.$/);
    stage.show(CHANNEL, {
      load: head({ waiting: 27 }),
      "queue:harbour.pharmacy": { name: "Pharmacy", state: "open", waiting: 3, band: 0 },
    });
    await page.shows(
      "#frozen",
      /^Paused at .* Figures are frozen\. Since then, 2 entries have changed\. Waiting is now 27, not 24\.$/,
    );
    await page.shows("#figure-waiting b", "24");
    await page.shows("#queues", /Pharmacy\s+Closed/);
    await page.shoot("dashboard-paused");
    await page.page.keyboard.press("Space");
    await page.shows("#figure-waiting b", "27");
    await page.shows("#frozen", "");
    await page.shows("#queues", /Pharmacy\s+Open\s+3/);
  });

  it("shows a loss, turns grey, then resumes", async () => {
    const page = await openDashboard({ load: head({ oldest: minutesAgo(10) }) });
    await page.shows("#link", "Live");
    stage.cut();
    await page.shows("#link", "Reconnecting…");
    await page.shows("#banner", "");
    await page.shows("#said-connection", "");
    await pass(page, 12_000);
    await page.shows("#said-connection", "Not connected");
    await page.shows(
      "#banner",
      /^Connection lost 1\d\ss ago\. This page may be out of date; we keep trying\.$/,
    );
    assert.equal(await page.page.locator(".doubtful").count(), 0);
    await pass(page, 20 * MINUTE_MS);
    await page.shows("#banner", /^Connection lost 20\smin ago/);
    // Icons are part of the document by now: a change needs no server.
    await page.page.locator("#pause").click();
    const icon = await page.page.locator("#pause use").getAttribute("href");
    assert.equal(icon, "#icon-play");
    assert.ok(await page.page.locator(String(icon)).count());
    await page.page.locator("#pause").click();
    assert.equal(await page.page.locator(".doubtful").count(), 1);
    // A wait does not grow without news.
    await page.shows("#figure-longest b", "10 min");
    await page.shoot("dashboard-disconnected");

    stage.subscribed = [];
    stage.reachable = true;
    await page.page.evaluate("dispatchEvent(new Event('online'))");
    await page.shows("#banner", "");
    await page.shows("#link", "Live");
    await page.shows("#said-connection", "Live");
    assert.deepEqual(stage.subscribed, [{ channel: CHANNEL, recover: true, offset: 1 }]);
    stage.show(CHANNEL, { load: head({ waiting: 31 }) });
    await page.shows("#figure-waiting b", "31");
  });

  it("reloads after a gap", async () => {
    const page = await openDashboard({ load: head({ waiting: 1 }) });
    await page.shows("#figure-waiting b", "1");
    stage.show(
      CHANNEL,
      { "queue:harbour.blood": { name: "Blood tests", state: "open", waiting: 2, band: 0 } },
      { lost: true },
    );
    stage.show(CHANNEL, { load: head({ waiting: 3 }) });
    await page.shows("#queues", /^Blood tests\s+Open\s+2/);
    await page.shows("#figure-waiting b", "3");
    await page.shows("#link", "Live");
    assert.deepEqual(stage.subscribed.at(-1), {
      channel: CHANNEL,
      recover: undefined,
      offset: undefined,
    });
  });

  it("announces figures at most once a minute", async () => {
    const page = await openDashboard({
      load: head({ waiting: 1, oldest: minutesAgo(5) }),
    });
    await page.shows("#status", "1 person is waiting, longest wait 5 min.");
    stage.show(CHANNEL, { load: head({ waiting: 2 }) });
    await page.shows("#figure-waiting b", "2");
    await page.shows("#status", "1 person is waiting, longest wait 5 min.");
    await pass(page, MINUTE_MS + 1_000);
    await page.shows("#status", /^2 people are waiting/);
  });

  it("reports a silent connection", async () => {
    const page = await openDashboard({ load: head() });
    await page.shows("#link", "Live");
    stage.answering = false;
    await pass(page, 12_000);
    await page.shows(
      "#banner",
      /^No news for 1\d\ss\. This page may be out of date; we keep trying\.$/,
    );
  });

  it("switches to French and keeps the link", async () => {
    const page = await openDashboard(busyDay(Date.now()));
    await page.page.getByRole("button", { name: "Français" }).click();
    await page.shows(
      "#figure-longest",
      /^Attente la plus longue\s+1\sh\s07\s+très élevé\s+depuis \d+ h \d\d$/,
    );
    await page.shows("#queues", /Ouverte\s+16\s+très élevé/);
    // The token has left the address bar, and a reload of the tab still has it.
    assert.match(page.page.url(), /\?lang=fr#location=harbour$/);
    await page.page.reload();
    await page.shows("#queues", /Ouverte\s+16\s+très élevé/);
  });

  for (const { width, height } of [NARROW, { width: 768, height: 1024 }, SCREEN, WALL]) {
    for (const scheme of /** @type {const} */ (["light", "dark"])) {
      it(`fits ${width} px in ${scheme} colours, with large text too`, async () => {
        const page = await openDashboard(busyDay(Date.now()), { width, height });
        await page.page.emulateMedia({ colorScheme: scheme, reducedMotion: "reduce" });
        await page.shows("#figure-waiting b", "24");
        // How many pixels the page, or the content of a card, is too wide.
        const wide = () =>
          page.page.evaluate(() =>
            Math.max(
              ...[document.documentElement, ...document.querySelectorAll("#content .card")].map(
                (box) => box.scrollWidth - box.clientWidth,
              ),
            ),
          );
        for (const language of ["fr", "hi", "en"]) {
          await page.page.locator(`#languages [lang=${language}]`).click();
          assert.ok((await wide()) <= 0, `nothing stands out to the side in ${language}`);
        }
        await page.shoot(`dashboard-${width}-${scheme}`, { fullPage: true });
        await page.page.evaluate("document.documentElement.style.fontSize = '200%'");
        assert.ok((await wide()) <= 0, "nor with large text");
        assert.deepEqual(page.complaints, []);
      });
    }
  }

  it("explains an incomplete or refused link", async () => {
    const page = await openDashboard({ load: head() });
    await page.page.goto(`${stage.url}/dashboard#token=staff`);
    await page.shows("#note-title", "Open the link you were given");
    await page.page.goto(`${stage.url}/dashboard#token=staff&location=elsewhere`);
    await page.shows("#note-title", "This link doesn’t work here");
    await page.shows("#content", "");
  });
});

describe("the dashboard of a real location", () => {
  it("falls back to a stream without WebSockets", async () => {
    const clinic = await Clinic.start("--empty");
    open({ close: () => clinic.stop() });
    const site = await clinic.furnish();
    await site.issue(2);
    const keys = new URLSearchParams({ token: site.token("reception"), location: site.location });
    const page = open(await Page.open(browser, "about:blank", WALL));
    await page.page.addInitScript(
      `WebSocket = class {
        constructor() { setTimeout(() => this.onclose?.({ code: 1006 })); }
        close() {}
      }`,
    );
    await page.page.goto(`${clinic.url}/dashboard#${keys}`);
    await page.shows("#figure-waiting b", "2");
    assert.ok(page.heard.length > 0, "a stream was heard");
    const called = await site.callNext();
    await page.shows("#figure-waiting b", "1");
    await page.shows("#figure-called b", "1");
    await page.shows("#stations", new RegExp(`Room 1\\s+In use\\s+with ${called.label}`));
    await until("the queue shows it too", async () =>
      /General medicine\s+Open\s+1/.test(await page.text("#queues")),
    );
    assert.deepEqual(page.complaints, []);
  });
});
