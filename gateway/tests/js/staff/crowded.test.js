// Staff's and patients' pages with as much as a large clinic has, on phones and with large text.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { Page, SCREEN } from "../helpers/browser.js";
import { BANDS } from "../helpers/busy-day.js";
import { browser, open, useBrowser } from "../helpers/fixtures.js";
import { StagedClinic } from "../helpers/staged-clinic.js";

const MINUTE_MS = 60_000;
const SIZES = {
  320: { width: 320, height: 640 },
  360: { width: 360, height: 780 },
  "844x390": { width: 844, height: 390 },
  "1024x768": { width: 1024, height: 768 },
};

useBrowser();

const startStage = async () => open(await StagedClinic.start());

/** @param {string} url @param {{width: number, height: number}} size */
const openPage = async (url, size) => open(await Page.open(browser, url, size));

/** Twice the text, as the setting of a browser for large text. @param {Page} page */
const enlarge = ({ page }) =>
  page.evaluate(() => {
    document.documentElement.style.fontSize = "200%";
  });

/** Fails if the page is wider than the screen, or texts lie over each other. @param {Page} screen */
async function assertTidy(screen) {
  const { page } = screen;
  const found = await page.evaluate(() => {
    const wide = document.documentElement.scrollWidth > innerWidth + 1;
    const over = [...document.querySelectorAll("tbody tr")].flatMap((row) => {
      const cells = [...row.children].filter((cell) => cell.getClientRects().length);
      const boxes = cells.map((cell) => {
        const range = document.createRange();
        range.selectNodeContents(cell);
        return range.getBoundingClientRect();
      });
      return boxes.flatMap((a, index) =>
        boxes
          .slice(index + 1)
          .filter(
            (b) =>
              a.width &&
              b.width &&
              a.left < b.right - 2 &&
              b.left < a.right - 2 &&
              a.top < b.bottom - 4 &&
              b.top < a.bottom - 4,
          )
          .map(() => row.textContent?.replace(/\s+/g, " ")),
      );
    });
    const out = [...document.querySelectorAll("h1, h2, h3, p, th, td, b, dd, dt, a, button")]
      .filter(
        (element) =>
          element.getClientRects().length && !element.closest(".unseen, .scrolls, thead"),
      )
      .filter((element) => element.getBoundingClientRect().right > innerWidth + 1)
      .map((element) => element.textContent);
    return { wide, over, out };
  });
  assert.deepEqual(found, { wide: false, over: [], out: [] });
  assert.deepEqual(await screen.brokenNames(), []);
}

/** A full day of one doctor, at its middle. */
function fullDay() {
  const now = Date.now();
  const first = now - 30.5 * 12 * MINUTE_MS;
  /** @type {Record<string, object>} */
  const entries = {
    schedule: {
      doctor: "Dre Marie-Antoinette Charbonneau-Vaillancourt",
      day: "2026-11-27",
      time_zone: "America/Toronto",
      delay_min: 0,
    },
  };
  for (let index = 0; index < 60; index++) {
    const start = first + index * 12 * MINUTE_MS;
    const status = index < 28 ? "fulfilled" : index < 32 ? "checked-in" : "booked";
    const label = index % 4 ? `P-${index}` : "Marie-Madeleine Desjardins-Beauchemin";
    const ticket = index < 32 ? { label: `A-${100 + index}`, state: "waiting" } : undefined;
    const state = index < 28 ? "completed" : index === 28 ? "in_service" : "waiting";
    entries[`harbour.${String(index).padStart(2, "0")}`] = {
      status: index === 28 ? "fulfilled" : status,
      start,
      end: start + 12 * MINUTE_MS,
      label,
      late: index === 33,
      ticket: ticket && { ...ticket, state },
    };
  }
  return entries;
}

describe("a full schedule", () => {
  for (const [name, size] of Object.entries(SIZES)) {
    it(`is tidy and opens on the present at ${name}`, async () => {
      const stage = await startStage();
      stage.show("schedule:harbour/dr", fullDay());
      const page = await openPage(`${stage.url}/schedule#token=d&schedule=harbour/dr`, size);
      await page.shows("tr.current .ticket", /A-128/);
      const { top, bottom } = await page.page
        .locator("tr.current")
        .evaluate((row) => row.getBoundingClientRect());
      assert.ok(top >= 0 && bottom <= size.height, `the current row is at ${top}–${bottom}`);
      await assertTidy(page);
      await page.shoot(`schedule-full-${name}`);
      await enlarge(page);
      await assertTidy(page);
      await page.shoot(`schedule-full-${name}-large`);
      assert.deepEqual(page.complaints, []);
    });
  }

  it("counts those who still wait as a delay", async () => {
    const stage = await startStage();
    const { schedule } = fullDay();
    const start = Date.now() - 121 * MINUTE_MS;
    const entry = { status: "checked-in", start, label: "P1", ticket: { label: "A-1" } };
    stage.show("schedule:harbour/dr", {
      schedule,
      "harbour.1": { ...entry, ticket: { label: "A-1", state: "waiting" } },
    });
    const page = await openPage(`${stage.url}/schedule#token=d&schedule=harbour/dr`, SIZES[360]);
    await page.shows("#delay", /^About 120\smin behind$/);
    stage.show("schedule:harbour/dr", {
      "harbour.1": { ...entry, status: "booked", ticket: undefined },
    });
    await page.shows("#delay", "On time");
  });

  it("prints as a table, black on white", async () => {
    const stage = await startStage();
    stage.show("schedule:harbour/dr", fullDay());
    const page = await openPage(`${stage.url}/schedule#token=d&schedule=harbour/dr`, {
      width: 720,
      height: 1000,
    });
    await page.shows("tr.current .ticket", /A-128/);
    await page.page.emulateMedia({ media: "print", colorScheme: "dark" });
    assert.equal(await page.text("#languages"), "");
    assert.equal(await page.text("thead th"), "Time");
    const colour = await page.page.evaluate("getComputedStyle(document.body).color");
    assert.equal(colour, "rgb(0, 0, 0)");
    await assertTidy(page);
    await page.shoot("schedule-printed", { fullPage: true });
  });
});

/** 20 queues and 40 rooms. */
function largeClinic() {
  const now = Date.now();
  /** @type {Record<string, any>} */
  const entries = {
    load: {
      name: "Harbour Clinic",
      time_zone: "America/Toronto",
      day: "2026-11-27",
      waiting: 124,
      oldest: now - 67.5 * MINUTE_MS,
      median: now - 23.5 * MINUTE_MS,
      hour: [],
      appointments: { due: 14, late: 3, arrived: 6, fulfilled: 21, no_show: 2, cancelled: 3 },
      facts: { applied: 112, repeated: 4, stale: 2, overruled: 1 },
      bands: BANDS,
    },
  };
  for (let index = 0; index < 20; index++) {
    const wait = index % 5 === 4 ? undefined : index * 3.5 * MINUTE_MS;
    entries[`queue:harbour.q${index}`] = {
      name: index % 3 ? `Queue ${index}` : `Consultation externe de pédiatrie ${index}`,
      state: ["open", "open", "paused"][index % 3],
      waiting: wait === undefined ? 0 : 1 + (index % 7),
      priorities: index % 6 ? { 0: 3 } : { 0: 2, 5: 1 },
      oldest: wait === undefined ? undefined : now - wait,
      median: wait === undefined ? undefined : now - wait / 2,
      band: index === 7 ? 2 : 0,
    };
  }
  for (let index = 1; index <= 40; index++) {
    const state = ["idle", "busy", "busy", "closed"][index % 4];
    entries[`station:harbour.r${index}`] = {
      name: `Room ${index}`,
      state,
      with: state === "busy" ? [`A-${100 + index}`] : undefined,
      queue: "harbour.q1",
    };
  }
  return entries;
}

describe("the dashboard of a large clinic", () => {
  for (const [name, size] of Object.entries(SIZES)) {
    it(`is tidy at ${name}, the worst line first`, async () => {
      const stage = await startStage();
      stage.show("load:harbour", largeClinic());
      const page = await openPage(`${stage.url}/dashboard#token=s&location=harbour`, size);
      await page.shows("#figure-waiting b", "124");
      // Very long waits first, then the full line, then high waits.
      const names = await page.page.locator("#queues th").allInnerTexts();
      assert.deepEqual(names.slice(0, 3), [
        "Consultation externe de pédiatrie 18",
        "Queue 7",
        "Queue 17",
      ]);
      assert.match(names[19], /^Queue (4|14|19)$|9$/);
      await assertTidy(page);
      await page.shoot(`dashboard-large-${name}`, { fullPage: true });
      await enlarge(page);
      await assertTidy(page);
      await page.shoot(`dashboard-large-${name}-large`);
      assert.deepEqual(page.complaints, []);
    });
  }

  it("shows the lines and rooms that a filter asks for", async () => {
    const stage = await startStage();
    stage.show("load:harbour", largeClinic());
    const page = await openPage(`${stage.url}/dashboard#token=s&location=harbour`, SCREEN);
    const rows = () => page.page.locator("#queues tr").count();
    await page.shows("#figure-waiting b", "124");
    assert.equal(await rows(), 20);
    await page.page.locator("#queues-filter button[value=waiting]").click();
    assert.equal(await rows(), 16);
    await page.page.locator("#queues-filter button[value=high]").click();
    for (const mark of await page.page.locator("#queues tr").allInnerTexts())
      assert.match(mark, /high/);
    await page.page.locator("#stations-filter button[value=idle]").click();
    assert.equal(await page.page.locator("#stations li").count(), 10);
    assert.equal(
      await page.page.locator("#stations-filter [aria-pressed=true]").innerText(),
      "Free 10",
    );
  });
});

describe("a place that is five minutes old", () => {
  const ticket = {
    ticket: "harbour.t",
    label: "A-042",
    queue: "harbour.general",
    queue_name: "General medicine",
    queue_state: "open",
    state: "waiting",
    ahead: 3,
    issued_at: 1,
    clinic: { name: "Harbour Clinic", time_zone: "America/Toronto" },
  };

  it("is hidden from its patient, and comes back", async () => {
    const stage = await startStage();
    stage.state("ticket:harbour.t", ticket);
    const page = open(await Page.open(browser, "about:blank", SIZES[360]));
    await page.page.clock.install();
    await page.page.goto(`${stage.url}/patient#token=t&ticket=harbour.t`);
    await page.shows("#ahead", "3");
    stage.cut();
    await page.page.clock.runFor(4 * MINUTE_MS);
    await page.shows("#ahead", "3");
    await page.page.clock.runFor(2 * MINUTE_MS);
    await page.shows("#note-title", "Your place may have changed");
    assert.equal(await page.text("#ahead"), "");
    assert.equal(await page.text("#label"), "A-042");
    await page.shoot("patient-outdated");
    stage.reachable = true;
    // The browser says so when it finds a network again. Nobody waits for the rest of a pause.
    await page.page.evaluate(() => dispatchEvent(new Event("online")));
    await page.shows("#ahead", "3");
    assert.equal(await page.text("#note-title"), "");
  });

  it("is hidden on the page of an appointment too", async () => {
    const stage = await startStage();
    const start = Date.now() + 20 * MINUTE_MS;
    const appointment = { appointment: "harbour.7", status: "checked-in", start };
    const { clinic } = ticket;
    stage.show("appointment:harbour.7", {
      appointment: { ...appointment, ticket: "harbour.t", clinic },
    });
    stage.state("ticket:harbour.t", ticket);
    const page = open(await Page.open(browser, "about:blank", SIZES[360]));
    await page.page.clock.install();
    await page.page.goto(`${stage.url}/appointment#token=t&appointment=harbour.7`);
    await page.shows("#ahead", "3");
    stage.cut();
    await page.page.clock.runFor(6 * MINUTE_MS);
    await page.shows("#note-title", "Your place may have changed");
    assert.equal(await page.text("#ahead"), "");
    assert.notEqual(await page.text("#time"), "");
  });
});

describe("a link that has expired", () => {
  it("says so, and what to do", async () => {
    const stage = await startStage();
    stage.refuse("token_expired");
    const page = await openPage(`${stage.url}/patient#token=t&ticket=harbour.t`, SIZES[360]);
    await page.shows("#note-title", "This link has expired");
    await page.shows("#note-text", /front desk can give you a new one/);
    const staff = await openPage(`${stage.url}/dashboard#token=s&location=harbour`, SIZES[360]);
    await staff.shows("#note-title", "This link has expired");
    await staff.shows("#note-text", /can give you a new one/);
  });
});
