// Check-in in Chromium against a running binary: a phone that scanned a poster, and a kiosk.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { assertAccessible } from "../helpers/accessibility.js";
import { Page, PHONE } from "../helpers/browser.js";
import { browser, clinic, open, useBrowser, useClinic } from "../helpers/fixtures.js";
import { until } from "../helpers/until.js";

/** @typedef {import("../helpers/clinic.js").Site} Site */

const TABLET = { width: 1280, height: 800 };
const MINUTE_MS = 60_000;

let keys = 0;

useClinic("--empty");
useBrowser();

/** A location whose pages are in English. */
async function furnish() {
  const site = await clinic.furnish();
  await clinic.ask("PUT", `locations/${site.location}`, {
    name: "Harbour Clinic",
    time_zone: "America/Toronto",
    languages: ["en"],
  });
  return site;
}

/**
 * Reports an appointment of somebody who was born in 1980, and answers the code for the patient.
 * @param {Site} site
 * @param {{in?: number, person?: string, doctor?: string}} [more] minutes until its start
 * @returns {Promise<string>}
 */
async function book(site, { in: minutes = 10, person, doctor = "Dr. Roy" } = {}) {
  const start = Date.now() + minutes * MINUTE_MS;
  const answer = await clinic.ask(
    "POST",
    "appointments",
    {
      location: site.location,
      key: `booking-${++keys}`,
      version: 1,
      status: "booked",
      start: new Date(start).toISOString(),
      end: new Date(start + 20 * MINUTE_MS).toISOString(),
      queue: site.general,
      doctor: { id: "dr-roy", name: doctor },
      check_in: { birth_year: "1980", person },
    },
    site.token("source", { subject: "his" }),
  );
  return answer.booking_code;
}

/** The page that a phone opens after a scan. @param {Site} site */
async function scan(site) {
  const point = `${site.location}.entrance`;
  await clinic.ask("PUT", `check-in-points/${point}`, {
    name: "Main entrance",
    kind: "poster",
    queues: [site.blood],
  });
  const { path } = await clinic.get(`check-in-points/${point}`);
  const page = await Page.open(browser, `${clinic.url}${path}`, PHONE);
  open(page);
  await page.shows("#clinic", "Harbour Clinic");
  return page;
}

/** @param {Page} page @param {string} code @param {string} [year] */
async function identify({ page }, code, year = "1980") {
  await page.locator("[name=code]").fill(code);
  await page.locator("[name=told]").fill(year);
  await page.locator("#send").click();
}

describe("a phone that scanned a poster", () => {
  it("checks in, and follows the ticket", async () => {
    const site = await furnish();
    const code = await book(site);
    const page = await scan(site);
    await identify(page, code, "1979");
    await page.shows("#problem", /No appointment was found/);
    await identify(page, code);
    await page.shows(".number", "A-001");
    await assertAccessible(page.page, "checked in at a real clinic");
    await page.shoot("scan-checked-in");
    await page.page.locator(".follow").click();
    await page.shows("#label", "A-001");
    await page.shows("#ahead-text", "You’re next");
    await page.shoot("scan-ticket");
    await site.callNext();
    await page.shows("#room", "Room 1");
    // The booking code of a patient who is checked in leads to that patient’s ticket.
    const again = await scan(site);
    await identify(again, code);
    await again.shows(".number", "A-001");
  });

  it("offers all appointments of a person, and checks the chosen ones in", async () => {
    const site = await furnish();
    const code = await book(site, { person: "chart-7" });
    await book(site, { in: 20, person: "chart-7", doctor: "Dr. Ng" });
    const page = await scan(site);
    await identify(page, code);
    await page.shows("#choice-list", /Dr\. \w+[^]*Dr\. \w+/);
    await page.page.locator("#choice-send").click();
    await page.shows("#results", /A-001[^]*A-002/);
    await page.shoot("scan-two", { fullPage: true });
  });

  it("says that it is too early, or the wrong location, and what to do", async () => {
    const [site, other] = [await furnish(), await furnish()];
    const [later, elsewhere] = [await book(site, { in: 180 }), await book(other)];
    const page = await scan(site);
    await identify(page, later);
    await page.shows("main", /too early to check in/);
    await page.shoot("scan-too-early");
    const second = await scan(site);
    await identify(second, elsewhere);
    await second.shows("main", /another location|at another/);
    await second.shoot("scan-wrong-location");
    const { entries } = await clinic.get(`queues/${site.general}`);
    assert.deepEqual(Object.keys(entries), ["queue"], "nobody is in line");
  });

  it("takes a ticket without an appointment", async () => {
    const site = await furnish();
    const page = await scan(site);
    await page.page.locator("#walk-in-queues button").first().click();
    await page.shows(".number", "B-001");
  });
});

describe("a kiosk of a running clinic", () => {
  /** @param {Page} page @param {string} text */
  async function type({ page }, text) {
    for (const sign of text.replace(/\W/g, "")) {
      await page.locator("#keys button", { hasText: new RegExp(`^${sign}$`) }).click();
    }
    await page.locator("#next").click();
  }

  /** A paired kiosk. @param {Site} site */
  async function openKiosk(site) {
    const point = `${site.location}.hall`;
    await clinic.ask("PUT", `check-in-points/${point}`, { name: "Hall", kind: "kiosk" });
    const kiosk = await Page.open(browser, `${clinic.url}/kiosk`, TABLET);
    open(kiosk);
    await kiosk.shows("#pairing-code", /^[\w-]{6,}$/);
    const code = await kiosk.text("#pairing-code");
    await clinic.ask("POST", `displays/pairings/${encodeURIComponent(code)}/approve`, {
      location: site.location,
      name: "Tablet",
      check_in_point: point,
    });
    await kiosk.shows("#begin", "Touch to begin");
    return kiosk;
  }

  it("checks in by touch", async () => {
    const site = await furnish();
    const code = await book(site);
    const kiosk = await openKiosk(site);
    await kiosk.page.locator("#begin").click();
    await type(kiosk, code);
    await type(kiosk, "1980");
    await kiosk.shows(".number", "A-001");
    await kiosk.page.locator("#done").click();
    await kiosk.shows("#begin", "Touch to begin");
    assert.deepEqual(kiosk.complaints, []);
  });

  it("keeps an attempt over a lost network, and sends it once", async () => {
    const site = await furnish();
    const code = await book(site);
    const kiosk = await openKiosk(site);
    await kiosk.page.context().setOffline(true);
    await kiosk.page.locator("#begin").click();
    await type(kiosk, code);
    await type(kiosk, "1980");
    await kiosk.shows("#kept-list", /waiting/);
    await kiosk.shoot("kiosk-offline");
    await kiosk.page.context().setOffline(false);
    await kiosk.shows("#kept-list", /You’re checked in Your number A-001/);
    await kiosk.shoot("kiosk-back");
    const line = async () => Object.keys((await clinic.get(`queues/${site.general}`)).entries);
    await until("one person is in line", async () => (await line()).length === 2);
  });
});
