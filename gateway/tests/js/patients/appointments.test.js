// The pages of a schedule and of an appointment, and the start page, in Chromium against a staged
// server.

import assert from "node:assert/strict";
import { afterEach, beforeEach, describe, it } from "node:test";
import { Page, SCREEN } from "../helpers/browser.js";
import { busyDay } from "../helpers/busy-day.js";
import { Clinic, token } from "../helpers/clinic.js";
import { browser, open, useBrowser } from "../helpers/fixtures.js";
import { StagedClinic } from "../helpers/staged-clinic.js";
import { until } from "../helpers/until.js";

const SMALL = { width: 320, height: 640 };
const MINUTE_MS = 60_000;
/** 27 November 2026, 9:00 in Toronto, the zone of the browser. */
const NINE = Date.UTC(2026, 10, 27, 14);

/** @type {StagedClinic} */
let stage;

useBrowser();
beforeEach(async () => {
  stage = await StagedClinic.start();
});
afterEach(async () => {
  await stage.close();
});

/** @param {string} path @param {{width: number, height: number}} [viewport] */
async function openPage(path, viewport = SCREEN) {
  const page = await Page.open(browser, `${stage.url}/${path}`, viewport);
  open(page);
  return page;
}

describe("a doctor's schedule", () => {
  const CHANNEL = "schedule:harbour/dr-roy";
  const PATH = "schedule#token=doctor&schedule=harbour/dr-roy";
  const head = { doctor: "Dr. Roy", day: "2026-11-27", time_zone: "America/Toronto", delay_min: 0 };

  /** @param {number} slot @param {string} status @param {object} [more] */
  const entry = (slot, status, more) => ({
    status,
    start: NINE + slot * 20 * MINUTE_MS,
    end: NINE + (slot + 1) * 20 * MINUTE_MS,
    label: `P${slot}`,
    ...more,
  });

  it("shows times in the location's zone, statuses, tickets and delay", async () => {
    stage.show(CHANNEL, {
      schedule: { ...head, delay_min: 15, time_zone: "Europe/Paris" },
      "harbour.0": entry(0, "fulfilled", { ticket: { label: "A-007", state: "completed" } }),
      "harbour.1": entry(1, "fulfilled", { ticket: { label: "A-009", state: "in_service" } }),
      "harbour.2": entry(2, "booked", { late: true }),
      "harbour.3": entry(3, "cancelled", { reason: "Called off" }),
      "harbour.4": entry(4, "entered-in-error"),
      "harbour.5": { status: "waitlist", label: "P5" },
    });
    const page = await openPage(PATH);
    await page.shows("#doctor", "Dr. Roy");
    await page.shows("#day", "Friday, November 27");
    await page.shows("#delay", "About 15 min behind");
    await page.shows("#summary", "5 appointments: 2 to come, 1 here, 2 over");
    const rows = page.page.locator("#rows tr");
    const texts = (await rows.allInnerTexts()).map((text) => text.replace(/\s+/g, " ").trim());
    assert.deepEqual(texts, [
      "3:00 p.m. to 3:20 p.m. P0 Completed A-007 completed",
      "3:20 p.m. to 3:40 p.m. P1 Being seen A-009",
      "3:40 p.m. to 4:00 p.m. P2 Booked late",
      "4:00 p.m. to 4:20 p.m. P3 Cancelled Called off",
      "no time yet P5 On the waiting list",
    ]);
    assert.equal(await page.page.locator("[aria-current]").getAttribute("data-key"), "harbour.1");
    await page.shoot("schedule");
    assert.deepEqual(page.complaints, []);
  });

  it("changes in place without new elements or scrolling", async () => {
    const day = Object.fromEntries(
      Array.from({ length: 40 }, (_, slot) => [`harbour.${100 + slot}`, entry(slot, "booked")]),
    );
    stage.show(CHANNEL, { schedule: head, ...day });
    const page = await openPage(PATH);
    const row = page.page.locator("[data-key='harbour.125']");
    await row.scrollIntoViewIfNeeded();
    await row.evaluate((element) => {
      element.setAttribute("tabindex", "-1");
      /** @type {any} */ (element).focus({ preventScroll: true });
    });
    const before = await row.boundingBox();
    // One row above goes, one comes, and the row itself changes.
    stage.show(CHANNEL, {
      "harbour.101": undefined,
      "harbour.103b": entry(3, "booked"),
      "harbour.125": entry(25, "arrived"),
    });
    await page.shows("[data-key='harbour.125'] .word", "Arrived");
    assert.equal(await row.evaluate((element) => element === document.activeElement), true);
    assert.equal(await page.page.locator("#rows tr").count(), 40);
    assert.deepEqual(await row.boundingBox(), before);
    await page.shows("#status", "P25: Arrived");
  });

  it("fits a small phone with large text in both languages", async () => {
    stage.show(CHANNEL, {
      schedule: head,
      "harbour.1": entry(1, "checked-in", {
        late: true,
        ticket: { label: "A-009", state: "in_service" },
      }),
      "harbour.2": entry(2, "entered-in-error"),
    });
    const page = await openPage(PATH, SMALL);
    await page.page.getByRole("button", { name: "Français" }).click();
    await page.shows(
      "#rows",
      /9 h 20 à 9 h 40\s+P1\s+Inscrit\s+en retard\s+A-009\s+en consultation/,
    );
    // How many pixels the page, or a cell of the table, is too wide.
    const wide = () =>
      page.page.evaluate(() =>
        Math.max(
          ...[document.documentElement, ...document.querySelectorAll("#rows > tr > *")].map(
            (box) => box.scrollWidth - box.clientWidth,
          ),
        ),
      );
    assert.ok((await wide()) <= 0, "nothing stands out to the side");
    await page.page.evaluate("document.documentElement.style.fontSize = '200%'");
    assert.ok((await wide()) <= 0, "nor with large text");
    await page.page.goto(`${stage.url}/schedule#token=doctor&schedule=harbour/dr-nobody`);
    await page.shows("#note-title", "No appointments today");
    await page.page.goto(`${stage.url}/schedule#token=doctor`);
    await page.shows("#note-title", "Open the link you were given");
  });
});

describe("a patient's appointment", () => {
  const ID = "harbour.00000000000000000000000000000007";
  const [CHANNEL, TICKET] = [`appointment:${ID}`, `ticket:${ID}`];
  const PATH = `appointment#token=own&appointment=${ID}`;
  const booked = {
    appointment: ID,
    status: "booked",
    start: NINE,
    end: NINE + 20 * MINUTE_MS,
    doctor: "Dr. Roy",
    delay_min: 0,
    clinic: { name: "Harbour Clinic", time_zone: "America/Toronto" },
  };
  const place = {
    ticket: ID,
    label: "A-042",
    queue: "harbour.general",
    queue_name: "General medicine",
    queue_state: "open",
    issued_at: NINE,
    clinic: booked.clinic,
  };

  it("shows time, doctor, next step and delay", async () => {
    stage.show(CHANNEL, { appointment: booked });
    const page = await openPage(PATH, SMALL);
    await page.shows("#date", "Friday, November 27");
    await page.shows("#time", "9:00 a.m.");
    await page.shows("#until", "until 9:20 a.m.");
    await page.shows("#doctor", "with Dr. Roy");
    await page.shows(
      "#appointment-status",
      /^Booked\s+Please check in at the front desk when you arrive\.$/,
    );
    await page.shows("#delay", "");
    stage.show(CHANNEL, { appointment: { ...booked, delay_min: 20, late: true } });
    await page.shows("#delay", "Dr. Roy is about 20 min behind.");
    await page.shows("#status-text", /^It’s time\. Please check in/);
    await page.shoot("appointment");
    await page.page.getByRole("button", { name: "Français" }).click();
    await page.shows("#delay", "Dr. Roy a environ 20 min de retard.");
    await page.page.evaluate("document.documentElement.style.fontSize = '200%'");
    assert.ok(
      Number(await page.page.evaluate("document.documentElement.scrollWidth - innerWidth")) <= 0,
    );
    assert.deepEqual(page.complaints, []);
  });

  it("shows every time in the zone of the clinic", async () => {
    const clinic = { name: "Himalaya Clinic", time_zone: "Asia/Kolkata" };
    stage.show(CHANNEL, { appointment: { ...booked, start: NINE + 4 * 60 * MINUTE_MS, clinic } });
    const page = await openPage(PATH, SMALL);
    await page.shows("#clinic", "Himalaya Clinic");
    await page.shows("#date", "Friday, November 27");
    await page.shows("#time", /^11:30 p\.m\. (IST|GMT\+5:30)$/);
    stage.state(TICKET, {
      ...place,
      clinic,
      state: "called",
      call: { station: "Room 3", at: NINE, recalls: 0 },
    });
    stage.show(CHANNEL, {
      appointment: { ...booked, clinic, status: "checked-in", ticket: ID, ticket_label: "A-042" },
    });
    await page.shows("#called-at", /7:30 p\.m\. (IST|GMT\+5:30)/);
    assert.deepEqual(page.complaints, []);
  });

  it("shows the ticket from check-in to the end", async () => {
    stage.show(CHANNEL, { appointment: booked });
    const page = await openPage(PATH, SMALL);
    await page.shows("#status-title", "Booked");
    stage.state(TICKET, { ...place, state: "waiting", ahead: 2 });
    stage.show(CHANNEL, {
      appointment: { ...booked, status: "checked-in", ticket: ID, ticket_label: "A-042" },
    });
    await page.shows("#label", "A-042");
    await page.shows("#ahead", "2");
    await page.shows("#queue-name", "General medicine");
    await page.shows("#time", "9:00 a.m.");
    await page.shows("#link", "Live");
    assert.deepEqual(
      stage.subscribed.map(({ channel }) => channel),
      [CHANNEL, TICKET],
    );
    await page.shoot("appointment-waiting", { fullPage: true });
    stage.state(TICKET, {
      ...place,
      state: "called",
      call: { station: "Room 3", at: Date.now(), recalls: 0 },
    });
    await page.shows("#room", "Room 3");
    await page.shows("#content", "");
    await page.shoot("appointment-called");
    stage.state(TICKET, { ...place, state: "in_service" });
    stage.show(CHANNEL, {
      appointment: { ...booked, status: "fulfilled", ticket: ID, ticket_label: "A-042" },
    });
    await page.shows("#note-title", "You’re being seen");
    stage.state(TICKET, { ...place, state: "completed" });
    stage.show(CHANNEL, {
      appointment: { ...booked, status: "fulfilled", ticket: ID, ticket_label: "A-042" },
    });
    await page.shows("#status-title", "All done");
    await page.shows("#label", "");
    assert.deepEqual(page.complaints, []);
  });

  it("invites a patient who left the line to check in again", async () => {
    const left = { ...booked, ticket: ID, ticket_label: "A-042" };
    stage.state(TICKET, { ...place, state: "waiting", ahead: 2 });
    stage.show(CHANNEL, { appointment: { ...left, status: "checked-in" } });
    const page = await openPage(PATH, SMALL);
    await page.shows("#label", "A-042");
    stage.state(TICKET, { ...place, state: "left" });
    stage.show(CHANNEL, { appointment: left });
    await page.shows("#status-title", "Booked");
    await page.shows("#status-text", /^Please check in at the front desk/);
    const second = "riverside.9";
    stage.state(`ticket:${second}`, { ...place, label: "A-050", state: "waiting", ahead: 1 });
    stage.show(CHANNEL, {
      appointment: { ...booked, status: "checked-in", ticket: second, ticket_label: "A-050" },
    });
    await page.shows("#label", "A-050");
    await page.shows("#link", "Live");
    assert.deepEqual(page.complaints, []);
  });

  it("works without its ticket, which expires first", async () => {
    stage.show(CHANNEL, {
      appointment: { ...booked, status: "fulfilled", ticket: ID, ticket_label: "A-042" },
    });
    const page = await openPage(PATH, SMALL);
    await until("the ticket was asked for", () =>
      stage.subscribed.some(({ channel }) => channel === TICKET),
    );
    await page.shows("#status-title", "All done");
    await page.shows("#link", "Live");
  });

  it("links to the appointment that replaces it", async () => {
    const NEXT = ID.replace(/^\w+/, "hillside");
    stage.show(CHANNEL, {
      appointment: {
        ...booked,
        status: "cancelled",
        reason: "The clinic moves",
        successor: NEXT,
      },
    });
    const page = await openPage(PATH, SMALL);
    await page.shows("#appointment-status", /^This appointment has moved/);
    await page.shows("#appointment-reason", "Reason: The clinic moves");
    stage.show(`appointment:${NEXT}`, {
      appointment: { ...booked, appointment: NEXT, start: NINE + 60 * MINUTE_MS },
    });
    await page.page.getByRole("link", { name: "Open the new appointment" }).click();
    await page.shows("#time", "10:00 a.m.");
  });

  it("explains an incomplete or expired link", async () => {
    const page = await openPage("appointment#token=own", SMALL);
    await page.shows("#note-title", "Open the link to your appointment");
    await page.page.goto(`${stage.url}/appointment#token=own&appointment=harbour.8`);
    await page.shows("#note-title", "This link no longer works");
    assert.deepEqual(page.complaints, []);
  });
});

describe("an appointment at a real location", () => {
  it("moves on phone, schedule and dashboard together", async () => {
    const clinic = await Clinic.start("--empty");
    try {
      const site = await clinic.furnish();
      const at = (/** @type {number} */ ms) => new Date(ms).toISOString();
      const fact = {
        location: site.location,
        key: "4711",
        status: "booked",
        start: at(Date.now() + MINUTE_MS),
        end: at(Date.now() + 20 * MINUTE_MS),
        doctor: { id: "dr-roy", name: "Dr. Roy" },
        queue: site.general,
        label: "S.G.",
      };
      const source = token("source", { subject: "his" });
      const { appointment } = await clinic.order("appointments", { ...fact, version: 1 }, source);
      const link = (/** @type {string} */ page, /** @type {Record<string, string>} */ keys) =>
        `${clinic.url}/${page}#${new URLSearchParams(keys)}`;
      /** @param {string} url */
      const visit = async (url, viewport = SCREEN) => {
        const page = await Page.open(browser, url, viewport);
        open(page);
        return page;
      };
      const own = await visit(
        link("appointment", {
          token: token("patient", { appointments: [appointment] }),
          appointment,
        }),
        SMALL,
      );
      const list = await visit(
        link("schedule", {
          token: site.token("doctor", { doctor: "dr-roy" }),
          schedule: `${site.location}/dr-roy`,
        }),
      );
      const dashboard = await visit(
        link("dashboard", { token: site.token("doctor"), location: site.location }),
      );
      await own.shows("#status-title", "Booked");
      await list.shows("#rows", /S\.G\.\s+Booked/);
      await dashboard.shows("#appointments", /^Due\s+1\s/);

      const { label } = await clinic.order("check-ins", { appointment }, site.token("reception"));
      await own.shows("#label", label);
      await own.shows("#ahead-text", "You’re next");
      await list.shows("#rows", new RegExp(`S\\.G\\.\\s+Checked in\\s+${label} waiting`));
      await dashboard.shows("#appointments", /^Due\s+0\s.*Arrived\s+1\s/s);
      const { ticket } = await site.callNext();
      await own.shows("#room", "Room 1");
      await list.shows("#rows", new RegExp(`${label} called`));
      await dashboard.shows("#stations", new RegExp(`Room 1\\s+In use\\s+with ${label}`));
      await clinic.order(`tickets/${ticket}/start`);
      await own.shows("#note-title", "You’re being seen");
      await list.shows("#rows", /S\.G\.\s+Being seen/);
      await clinic.order(`tickets/${ticket}/complete`);
      await own.shows("#status-title", "All done");
      await list.shows("#rows", /S\.G\.\s+Completed/);
      await dashboard.shows("#appointments", /Completed\s+1\s/);
      assert.deepEqual([...own.complaints, ...list.complaints, ...dashboard.complaints], []);
    } finally {
      await clinic.stop();
    }
  });
});

describe("an appointment that is reported at another location", () => {
  it("moves there, in any order of its facts, and the old link says so", async () => {
    const clinic = await Clinic.start("--empty");
    try {
      const old = await clinic.furnish("river-side");
      const now = await clinic.furnish("hill-side");
      const source = token("source", { subject: "his" });
      const start = Date.now() + 10 * MINUTE_MS;
      /** @param {import("../helpers/clinic.js").Site} site @param {number} version */
      const tell = (site, version) => {
        const fact = {
          location: site.location,
          key: "4711",
          version,
          status: "booked",
          start: new Date(start).toISOString(),
          end: new Date(start + 20 * MINUTE_MS).toISOString(),
          queue: site.general,
        };
        return clinic.order("appointments", fact, source);
      };
      const { appointment } = await tell(old, 1);
      const { ticket } = await clinic.order("check-ins", { appointment });
      const keys = new URLSearchParams({
        token: token("patient", { appointments: [appointment] }),
        appointment,
      });
      const page = await Page.open(browser, `${clinic.url}/appointment#${keys}`, SMALL);
      open(page);
      await page.shows("#label", "A-001");
      const there = await tell(now, 2);
      await page.shows("#status-title", "This appointment has moved to Hill side");
      await page.shows("#status-text", /ask the clinic for your new link/);
      assert.equal(await page.page.locator("#moved").isVisible(), false);
      await page.shoot("appointment-moved");
      const ended = await clinic.get(`tickets/${ticket}`);
      assert.deepEqual([ended.state, ended.reason], ["cancelled", "moved"]);
      // A late fact of the old location, and a repeated one of the new location, change nothing.
      await tell(old, 1);
      await tell(now, 2);
      const read = (/** @type {string} */ id) => clinic.get(`appointments/${id}`);
      assert.equal((await read(there.appointment)).entries.appointment.status, "booked");
      assert.equal(
        (await read(appointment)).entries.appointment.successor,
        there.appointment,
        "the old location knows where it went",
      );
      await clinic.order("check-ins", { appointment: there.appointment });
      // The source brings it back.
      await tell(old, 3);
      await until("it is at the old location again", async () => {
        const { entries } = await read(there.appointment);
        return entries.appointment.successor === appointment;
      });
      assert.equal((await read(appointment)).entries.appointment.status, "booked");
      await page.shows("#status-title", "Booked");
    } finally {
      await clinic.stop();
    }
  });
});

describe("the start page of a demo", () => {
  const tokens = {
    patient: "p",
    display: "d",
    reception: "r",
    doctor: "dr",
    appointment: "a",
    viewer: "v",
    editor: "e",
  };
  const demo = {
    tokens,
    location: "harbour",
    tickets: ["harbour.1", "harbour.2"],
    queues: ["harbour.general", "harbour.blood"],
    stations: ["harbour.room-1", "harbour.room-3"],
    schedule: "harbour/dr-roy",
    appointments: ["harbour.7"],
  };

  /** @param {object} [changes] */
  async function openStart(changes) {
    const now = Date.now();
    stage.answers.set("GET demo", { json: { ...demo, ...changes } });
    stage.show("load:harbour", busyDay(now));
    stage.show("board:harbour", {
      "queue:harbour.general": { name: "General medicine", state: "open", waiting: 16 },
      "call:1": { label: "A-041", station: "Room 1", at: now, recalls: 0, current: true },
    });
    stage.state("ticket:harbour.1", {
      label: "B-020",
      queue: "harbour.blood",
      state: "waiting",
      ahead: 1,
    });
    stage.state("ticket:harbour.2", {
      label: "A-050",
      queue: "harbour.general",
      state: "waiting",
      ahead: 9,
    });
    stage.show("schedule:harbour/dr-roy", {
      schedule: {
        doctor: "Dr. Roy",
        day: "2026-11-27",
        time_zone: "America/Toronto",
        delay_min: 10,
      },
      "harbour.6": { status: "fulfilled", start: NINE, end: NINE + 1, label: "M.T." },
      "harbour.7": {
        status: "booked",
        start: NINE + 20 * MINUTE_MS,
        end: NINE + 40 * MINUTE_MS,
        label: "S.G.",
        late: true,
      },
    });
    stage.show("appointment:harbour.7", {
      appointment: {
        appointment: "harbour.7",
        status: "booked",
        start: NINE + 20 * MINUTE_MS,
        delay_min: 0,
        clinic: { name: "Harbour Clinic", time_zone: "America/Toronto" },
      },
    });
    return openPage("");
  }

  it("links to every page with a live picture", async () => {
    const page = await openStart();
    await page.shows("#patient-label", "B-020");
    await page.shows("#board-waiting", "16 waiting now");
    await page.shows("#dashboard-wait", "longest wait 1 h 07");
    await page.shows("#schedule-doctor", "Dr. Roy, 10 min behind");
    await page.shows("#appointment-time", "9:20 a.m.");
    const links = await page.page
      .locator("main .button[href]")
      .evaluateAll((all) =>
        all.map((link) => link.getAttribute("href")?.replace(/^http.*[/]/, "")),
      );
    assert.deepEqual(links, [
      "console#token=r&location=harbour",
      "patient#token=p&ticket=harbour.1",
      "appointment#token=a&appointment=harbour.7",
      "board#token=d&location=harbour",
      "dashboard#token=dr&location=harbour",
      "schedule#token=dr&schedule=harbour%2Fdr-roy",
      "runs#token=e",
    ]);
    await page.shoot("start-staged", { fullPage: true });
    assert.deepEqual(page.complaints, []);
  });

  it("calls the next ticket to a free room", async () => {
    const page = await openStart();
    await page.shows("#patient-label", "B-020");
    const suggested = async () =>
      [
        await page.page.locator("#call-queue").inputValue(),
        await page.page.locator("#call-station").inputValue(),
      ].join(" to ");
    await until(
      "a line and a room are suggested",
      async () => (await suggested()) === "harbour.blood to harbour.room-3",
    );
    stage.answers.set("POST queues/harbour.blood/call-next", {
      json: { outcome: "applied", result: { ticket: "harbour.1", label: "B-020" } },
    });
    await page.page.getByRole("button", { name: "Call next" }).click();
    await page.shows(
      "#outcome",
      "B-020 was called to Room 3. See the phone, the screen and the dashboard.",
    );
    assert.deepEqual(stage.heard.at(-1), {
      line: "POST queues/harbour.blood/call-next",
      body: '{"station":"harbour.room-3"}',
      bearer: "Bearer r",
    });
    await page.page.locator("#call-queue").selectOption("harbour.general");
    stage.answers.set("POST queues/harbour.general/call-next", {
      status: 409,
      json: { code: "queue_empty" },
    });
    await page.page.getByRole("button", { name: "Call next" }).click();
    await page.shows("#outcome", /^Nobody is waiting in that line/);
  });

  it("checks in an appointment that is due", async () => {
    const page = await openStart();
    await page.shows("#check-in-appointment", /^9:20 a\.m\. S\.G\. \(late\)$/);
    stage.answers.set("POST check-ins", {
      json: { outcome: "applied", result: { ticket: "harbour.7", label: "A-051" } },
    });
    await page.page.getByRole("button", { name: "Check in" }).click();
    await page.shows("#outcome", /^Checked in with ticket A-051/);
    assert.deepEqual(stage.heard.at(-1), {
      line: "POST check-ins",
      body: '{"appointment":"harbour.7"}',
      bearer: "Bearer r",
    });
    stage.show("schedule:harbour/dr-roy", {
      "harbour.7": {
        status: "checked-in",
        start: NINE,
        label: "S.G.",
        ticket: { label: "A-051", state: "waiting" },
      },
    });
    await page.shows("#check-in", "");
  });

  it("offers only the pages that the demo has", async () => {
    const { patient, display } = tokens;
    const page = await openStart({
      tokens: { patient, display },
      schedule: null,
      appointments: undefined,
      queues: undefined,
    });
    await page.shows("#board-waiting", "16 waiting now");
    for (const id of [
      "#desk",
      "#dashboard-links",
      "#schedule-links",
      "#appointment-links",
      "#claims-links",
    ])
      await page.shows(id, "");
    assert.deepEqual(page.complaints, []);
  });
});
