// The page of figures: its model, and the page in Chromium against a running binary.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { describe, it } from "node:test";
import { chartsOf, daysOf, percentOf, serviceDay } from "../../../web/analytics/figures.js";
import { assertAccessible } from "../helpers/accessibility.js";
import { Page } from "../helpers/browser.js";
import { browser, clinic, open, useBrowser, useClinic } from "../helpers/fixtures.js";

/** @typedef {import("../helpers/clinic.js").Site} Site */

const DESK = { width: 1280, height: 900 };
const NARROW = { width: 320, height: 700 };
/** A sheet of letter paper within its margins. */
const PAPER = { width: 720, height: 960 };

useClinic("--empty");
useBrowser();

describe("the days of a period", () => {
  it("are service days of the clinic", () => {
    const night = Date.parse("2026-11-30T08:30:00Z"); // half past three in Toronto
    assert.equal(serviceDay(night, "America/Toronto", 240), "2026-11-29");
    assert.equal(serviceDay(night, "America/Toronto", 0), "2026-11-30");
  });

  it("end today, over the ends of months", () => {
    assert.deepEqual(daysOf("today", "2026-03-01"), ["2026-03-01", "2026-03-01"]);
    assert.deepEqual(daysOf("week", "2026-03-01"), ["2026-02-23", "2026-03-01"]);
    assert.deepEqual(daysOf("month", "2026-03-01"), ["2026-01-31", "2026-03-01"]);
  });
});

describe("charts", () => {
  const times = { count: 2, mean_s: 60, p50_s: 50, p90_s: 90, p95_s: 95 };
  const total = {
    arrived: 2,
    joined: 0,
    methods: { desk: 2, kiosk: 0 },
    wait: times,
    service: { count: 0 },
    ended: { completed: 1, left: 1 },
    abandoned: 1,
    kept: 3,
    missed: 1,
    lead_times: [
      { days: 0, kept: 3, missed: 1 },
      { days: 1, kept: 0, missed: 0 },
    ],
  };

  it("leave out what has no value", () => {
    const charts = chartsOf({ total, rows: [{ key: "x.general", ...total }] });
    assert.deepEqual(
      charts.map(({ name }) => name),
      ["arrivals", "waits", "abandoned", "leads", "methods"],
    );
    const [, waits, abandoned, leads, methods] = charts;
    assert.deepEqual(
      waits.series.map(({ values }) => values),
      [[50], [90]],
    );
    assert.deepEqual([abandoned.series[0].values, leads.series[0].values], [[50], [25]]);
    assert.deepEqual([leads.keys, methods.keys], [["0"], ["desk"]]);
    const nothing = { ...total, methods: {}, lead_times: [], missed: 0, kept: 0 };
    assert.deepEqual(chartsOf({ total: nothing, rows: [] }), []);
    assert.equal(percentOf(1, 0), undefined);
  });
});

/** A site on which three people came: one was seen, one left, one waits. */
async function busySite() {
  const site = await clinic.furnish();
  const [seen] = await site.issue(1);
  const [gone] = await site.issue(1);
  await site.issue(1, site.blood);
  await site.callNext();
  await clinic.order(`tickets/${seen.ticket}/start`);
  await clinic.order(`tickets/${seen.ticket}/complete`);
  await clinic.order(`tickets/${gone.ticket}/leave`);
  return site;
}

/** @param {Site} site @param {typeof DESK} [viewport] @param {"admin" | "doctor"} [role] */
async function openFigures(site, viewport = DESK, role = "admin") {
  const keys = new URLSearchParams({ token: site.token(role), location: site.location });
  return open(await Page.open(browser, `${clinic.url}/analytics#${keys}`, viewport));
}

describe("the page of figures", () => {
  it("shows totals, charts with tables, and other groups", async () => {
    const page = await openFigures(await busySite());
    await page.shows("#name", "Riverside Health Centre");
    await page.shows("#totals div:first-child dd", "3");
    await page.shows("#totals div:nth-child(5) dd", "50%");
    const arrivals = "[data-chart=arrivals]";
    assert.match(await page.text(`${arrivals} .bars`), /Blood tests\s+1\s+General medicine\s+2/);
    await page.page.locator(`${arrivals} summary`).click();
    await page.shows(`${arrivals} tbody tr:nth-child(2)`, /General medicine\s+2/);
    await page.page.locator("#group").selectOption("doctor");
    await page.shows(`${arrivals} tbody tr`, /Without an appointment\s+3/);
    await page.page.locator("#period").selectOption("month");
    await page.shows("#days", / to /);
    assert.deepEqual(page.complaints, []);
  });

  it("saves the rows as CSV", async () => {
    const site = await busySite();
    const page = await openFigures(site);
    await page.shows("#totals div:first-child dd", "3");
    const saving = page.page.waitForEvent("download");
    await page.page.locator("#export").click();
    const text = await readFile(await (await saving).path(), "utf8");
    assert.match(text, /^\ufeffqueue,arrived,/);
    assert.match(text, new RegExp(`${site.general},2,0,2,`));
  });

  it("is accessible in every language and on a narrow phone", async () => {
    const page = await openFigures(await busySite(), NARROW);
    await page.shows("#totals div:first-child dd", "3");
    for (const [language, colorScheme] of /** @type {const} */ ([
      ["fr", "dark"],
      ["hi", "light"],
      ["en", "light"],
    ])) {
      await page.page.emulateMedia({ colorScheme, reducedMotion: "reduce" });
      await page.page.locator(`#languages [lang=${language}]`).click();
      for (const summary of await page.page.locator("summary").all()) await summary.click();
      await assertAccessible(page.page, `figures in ${language}`);
      const wide = await page.page.evaluate(
        "document.documentElement.scrollWidth - document.documentElement.clientWidth",
      );
      assert.equal(wide, 0, `too wide in ${language}`);
      await page.shoot(`analytics-${language}-${colorScheme}`, { fullPage: true });
    }
    await page.page.setViewportSize(DESK);
    await page.shoot("analytics-desk", { fullPage: true });
  });

  it("prints its tables, and is then as it was", async () => {
    const page = await openFigures(await busySite(), PAPER);
    await page.shows("#totals div:first-child dd", "3");
    const table = page.page.locator("[data-chart=arrivals] table");
    assert.equal(await table.isVisible(), false);
    await page.page.evaluate(() => dispatchEvent(new Event("beforeprint")));
    await page.page.emulateMedia({ media: "print", colorScheme: "dark" });
    assert.equal(await table.isVisible(), true);
    assert.equal(await page.page.locator("#export").isVisible(), false);
    await page.shoot("analytics-print", { fullPage: true });
    await page.page.emulateMedia({ media: "screen" });
    await page.page.evaluate(() => dispatchEvent(new Event("afterprint")));
    assert.equal(await table.isVisible(), false);
  });

  it("says so to people who may not see it, and on a day without patients", async () => {
    const site = await clinic.furnish();
    const doctor = await openFigures(site, DESK, "doctor");
    await doctor.shows("#problem", "Only the front desk and administrators see these figures.");
    const page = await openFigures(site);
    await page.shows("#nothing", "Nothing happened in this period.");
    await assertAccessible(page.page, "no figures");
    const missing = open(await Page.open(browser, `${clinic.url}/analytics`, DESK));
    await missing.shows("#note-title", "Open the link you were given");
    await assertAccessible(missing.page, "figures without a link");
  });
});
