// The patient's phone on a real gateway: letting others go first, the printed slip, and a page that
// opens without a network.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { assertAccessible } from "../helpers/accessibility.js";
import { Page } from "../helpers/browser.js";
import { browser, clinic, open, useBrowser, useClinic } from "../helpers/fixtures.js";
import { until } from "../helpers/until.js";

const SMALL = { width: 320, height: 640 };

useClinic();
useBrowser();

/** @param {string} url */
async function openPage(url) {
  const page = await Page.open(browser, url, SMALL);
  open(page);
  return page;
}

/** A location with three people in line, and the link of the first. */
async function threeInLine() {
  const site = await clinic.furnish();
  const [{ ticket: first }] = await site.issue(3);
  const link = /** @type {any} */ (await clinic.get(`tickets/${first}/link`));
  return { site, first, link };
}

describe("the phone of a patient", () => {
  it("lets others go first after a question", async () => {
    const { link } = await threeInLine();
    const page = await openPage(`${clinic.url}${link.path}`);
    await page.shows("#ahead-text", /next/);
    await page.page.locator("#action-yield").click();
    await page.shows("#action-question", /up to 3 people/);
    await assertAccessible(page.page, "letting others go first");
    await page.shoot("patient-yield", { fullPage: true });
    await page.page.locator("#action-yield").click();
    await page.shows("#ahead", "2");
    await page.page.locator("#action-yield").click();
    await page.page.locator("#action-yield").click();
    await page.shows("#action-failed", /Nobody is waiting behind you/);
  });

  it("sounds and vibrates at each call, once its holder has asked for it", async () => {
    const { site, first, link } = await threeInLine();
    const page = await openPage("about:blank");
    await page.page.addInitScript(() => {
      const here = /** @type {any} */ (globalThis);
      here.felt = [];
      navigator.vibrate = (pattern) => here.felt.push([pattern].flat().length) > 0;
      const { start } = OscillatorNode.prototype;
      here.tones = 0;
      OscillatorNode.prototype.start = function (when) {
        here.tones++;
        start.call(this, when);
      };
    });
    await page.page.goto(`${clinic.url}${link.path}`);
    await page.shows("#link", "Live");
    const noticed = () =>
      page.page.evaluate(() => {
        const { felt, tones } = /** @type {any} */ (globalThis);
        return { felt, tones };
      });
    assert.deepEqual(await noticed(), { felt: [], tones: 0 });
    await page.page.locator("#alert").click();
    // Switching the sound on plays it once: two notes of two tones.
    await until("it is on", async () => (await noticed()).tones === 4);
    await site.callNext();
    await page.shows("#room", "Room 1");
    assert.deepEqual(await noticed(), { felt: [1, 5], tones: 8 });
    await clinic.order(`tickets/${first}/recall`);
    await until("the second call is heard", async () => (await noticed()).tones === 12);
    assert.deepEqual((await noticed()).felt, [1, 5, 5]);
    await clinic.order(`tickets/${first}/start`);
    await page.shows("#note-title", "You’re being seen");
    assert.equal((await noticed()).tones, 12, "nothing sounds after the call");
  });

  it("prints a slip with the code that opens the ticket", async () => {
    const { site, first, link } = await threeInLine();
    const keys = new URLSearchParams({ token: site.token("reception"), ticket: first });
    const page = await openPage(`${clinic.url}/slip#${keys}`);
    await page.shows("#label", /^A-\d{3}$/);
    await page.shows("#code", link.code);
    await page.shows("#site", /\/t\/$/);
    assert.equal(await page.page.locator("#qr svg").count(), 1);
    await assertAccessible(page.page, "slip");
    await page.shoot("slip");
    for (const [paper, most] of /** @type {const} */ ([
      ["58", 48],
      ["80", 72],
    ])) {
      await page.page.locator("#paper").selectOption(paper);
      await page.page.emulateMedia({ media: "print" });
      const width = await page.page
        .locator("#slip")
        .evaluate((slip) => slip.getBoundingClientRect().width);
      assert.ok(width <= (most * 96) / 25.4 + 1, `${paper} mm: ${width} px`);
      assert.ok(await page.page.locator("#controls").isHidden());
      await page.shoot(`slip-${paper}`);
      await page.page.emulateMedia({ media: "screen" });
    }
  });

  it("opens without a network, and says since when its state is old", async () => {
    const { link } = await threeInLine();
    const page = await openPage(`${clinic.url}${link.path}`);
    await page.shows("#label", /^A-\d{3}$/);
    await page.page.evaluate(() => navigator.serviceWorker.ready.then(() => undefined));
    const kept = await page.page.evaluate(async () => {
      const names = await caches.keys();
      const requests = await Promise.all(
        names.map(async (name) => (await caches.open(name)).keys()),
      );
      return { names, urls: requests.flat().map(({ url }) => url) };
    });
    const shells = kept.names.filter((name) => name !== "clinicwire-alerts");
    assert.match(shells.join(), /^clinicwire-shell-[0-9a-f]{32}$/);
    assert.ok(kept.urls.some((url) => url.endsWith("/patient")));
    assert.ok(!kept.urls.some((url) => /\/v1\/|#|link=|token=/.test(url)), "no answer and no key");

    await page.page.context().setOffline(true);
    await page.page.reload();
    await page.shows("#label", /^A-\d{3}$/);
    await page.shows("#banner-text", /Connection lost/);
    assert.ok(await page.page.locator("#actions").isHidden(), "nothing can be given offline");
    await page.shoot("patient-offline");

    await page.page.context().setOffline(false);
    await page.page.reload();
    await page.shows("#link", "Live");
  });

  it("has a manifest and icons", async () => {
    const read = async (/** @type {string} */ path) => fetch(`${clinic.url}/${path}`);
    const answer = await read("patient/app.webmanifest");
    assert.equal(answer.headers.get("content-type"), "application/manifest+json");
    const manifest = await answer.json();
    for (const { src, type } of manifest.icons) {
      const icon = await fetch(new URL(src, `${clinic.url}/patient/app.webmanifest`));
      assert.deepEqual([icon.status, icon.headers.get("content-type")], [200, type]);
    }
    assert.match(await (await read("service-worker.js")).text(), /"version":"[0-9a-f]{32}"/);
  });
});
