// Accessibility of every page in every state, in both languages and in light and dark colours.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { assertAccessible } from "../helpers/accessibility.js";
import { Page, SCREEN } from "../helpers/browser.js";
import { busyDay } from "../helpers/busy-day.js";
import { Clinic } from "../helpers/clinic.js";
import { browser, open, useBrowser } from "../helpers/fixtures.js";
import { StagedClinic } from "../helpers/staged-clinic.js";
import { RUN, Stage } from "../helpers/staged-run.js";

const MINUTE_MS = 60_000;
const NARROW = { width: 360, height: 780 };

useBrowser();

const startStage = async () => open(await StagedClinic.start());

/** @param {string} url @param {{width: number, height: number}} [viewport] */
const openPage = async (url, viewport = NARROW) => open(await Page.open(browser, url, viewport));

/**
 * Checks the present state in both languages and colour schemes, and takes pictures for people.
 * @param {Page} page
 * @param {string} state
 */
async function check(page, state) {
  const { page: browserPage } = page;
  const english = browserPage.locator("#languages [lang=en]");
  const french = browserPage.locator("#languages [lang=fr]");
  const hindi = browserPage.locator("#languages [lang=hi]");
  const name = `state-${state.replaceAll(" ", "-")}`;
  await browserPage.emulateMedia({ colorScheme: "dark", reducedMotion: "reduce" });
  if (await french.count()) await french.click();
  await assertAccessible(browserPage, `${state}, dark`);
  await page.shoot(`${name}-dark`, { fullPage: true });
  if (await hindi.count()) {
    await hindi.click();
    await assertAccessible(browserPage, `${state}, Hindi`);
    await page.shoot(`${name}-hi`, { fullPage: true });
  }
  // English comes last, so that the next step finds English texts.
  await browserPage.emulateMedia({ colorScheme: "light", reducedMotion: "reduce" });
  if (await english.count()) await english.click();
  await assertAccessible(browserPage, `${state}, light`);
  await page.shoot(name, { fullPage: true });
}

/** Lets the page believe that so much time has passed. @param {Page} page @param {number} ms */
async function pass({ page }, ms) {
  await page.clock.install({ time: (await page.evaluate("Date.now()").then(Number)) + ms });
}

/**
 * Cuts the connection of a page and waits until the page shows a banner.
 * @param {StagedClinic | Stage} stage
 * @param {Page} page
 */
async function disconnect(stage, page) {
  await page.page.context().setOffline(true);
  stage.cut();
  await pass(page, MINUTE_MS);
  await page.shows("#banner", /\d/);
}

/**
 * Visits every state. One that fails does not hide the others.
 * @template T
 * @param {Record<string, T>} states
 * @param {(name: string, state: T, number: number) => Promise<void>} visit
 */
async function visitEach(states, visit) {
  /** @type {string[]} */
  const problems = [];
  for (const [number, [name, state]] of Object.entries(states).entries())
    await visit(name, state, number).catch((error) => problems.push(`${name}: ${error}`));
  assert.deepEqual(problems, []);
}

const ticket = {
  ticket: "harbour.t",
  label: "A-042",
  queue: "harbour.general",
  queue_name: "General medicine",
  queue_state: "open",
  state: "waiting",
  issued_at: 1,
  clinic: { name: "Harbour Clinic", time_zone: "America/Toronto" },
};
const now = Date.now();
const estimate = { from: now + 20 * MINUTE_MS, to: now + 40 * MINUTE_MS };
const call = { station: "Room 3", at: now, recalls: 1 };
const endings = ["completed", "no_show", "cancelled", "left", "transferred"];

describe("a ticket's page is accessible", () => {
  const PATH = "patient#token=t&ticket=harbour.t";
  /** @type {Record<string, object>} */
  const states = {
    waiting: { ahead: 9, estimate },
    next: { ahead: 0 },
    paused: { ahead: 2, queue_state: "paused" },
    closed: { ahead: 2, queue_state: "closed" },
    called: { state: "called", call },
    leaving: { state: "leaving", moving_to: "hill-side.lab" },
  };
  for (const state of ["in_service", "on_hold", "absent", ...endings]) {
    states[state] = { state, reason: "The room is being cleaned" };
  }
  it("in every state", async () => {
    const stage = await startStage();
    stage.state("ticket:harbour.t", { ...ticket, ...states.waiting });
    const page = await openPage(`${stage.url}/${PATH}`);
    await visitEach(states, async (name, state, number) => {
      // The label shows that the page has the state.
      const label = `A-${number}`;
      stage.state("ticket:harbour.t", { ...ticket, ...state, label });
      await page.shows("#label", label);
      await check(page, `patient ${name}`);
    });
  });

  it("while connecting and when disconnected", async () => {
    const stage = await startStage();
    stage.state("ticket:harbour.t", { ...ticket, ...states.waiting });
    stage.answering = false;
    const connecting = await openPage(`${stage.url}/${PATH}`);
    await connecting.shows("#link", "Connecting…");
    await check(connecting, "patient connecting");
    stage.answering = true;
    const page = await openPage(`${stage.url}/${PATH}`);
    await page.shows("#label", "A-042");
    await disconnect(stage, page);
    await check(page, "patient disconnected");
  });

  it("with an incomplete link and when refused", async () => {
    const stage = await startStage();
    const missing = await openPage(`${stage.url}/patient`);
    await missing.shows("#note-title", "Open the link from your ticket");
    await check(missing, "patient missing");
    const refused = await openPage(`${stage.url}/${PATH}`);
    await refused.shows("#note-title", "This link no longer works");
    await check(refused, "patient refused");
  });
});

describe("an appointment's page is accessible", () => {
  const PATH = "appointment#token=a&appointment=harbour.7";
  const booked = {
    appointment: "harbour.7",
    status: "booked",
    start: now,
    end: now + 20 * MINUTE_MS,
    doctor: "Dr. Roy",
    delay_min: 0,
    clinic: ticket.clinic,
  };
  /** @type {Record<string, object>} */
  const states = {
    "no time": { status: "waitlist", start: undefined, end: undefined },
    late: { late: true, delay_min: 15 },
    moved: { successor: "hill.8" },
    moving: { moving_to: "hill-side" },
    cancelled: { status: "cancelled", reason: "The doctor is ill" },
  };
  const rest = [
    "proposed",
    "pending",
    "booked",
    "arrived",
    "fulfilled",
    "noshow",
    "entered-in-error",
  ];
  for (const status of rest) states[status] = { status };
  it("in every state", async () => {
    const stage = await startStage();
    stage.show("appointment:harbour.7", { appointment: booked });
    const page = await openPage(`${stage.url}/${PATH}`);
    await visitEach(states, async (name, state, number) => {
      // The doctor shows that the page has the state.
      const doctor = `Dr. ${number}`;
      stage.show("appointment:harbour.7", { appointment: { ...booked, ...state, doctor } });
      await page.shows("#doctor", new RegExp(`${doctor}$`));
      await check(page, `appointment ${name}`);
    });
  });

  it("with a ticket, waiting and called", async () => {
    const stage = await startStage();
    const appointment = { ...booked, status: "checked-in", ticket: "harbour.t" };
    stage.show("appointment:harbour.7", { appointment });
    stage.state("ticket:harbour.t", { ...ticket, ahead: 2, estimate });
    const page = await openPage(`${stage.url}/${PATH}`);
    await page.shows("#ahead", "2");
    await check(page, "appointment waiting");
    stage.state("ticket:harbour.t", { ...ticket, state: "called", call });
    await page.shows("#room", "Room 3");
    await check(page, "appointment called");
    stage.state("ticket:harbour.t", { ...ticket, state: "in_service" });
    await page.shows("#note-title", "You’re being seen");
    await check(page, "appointment being seen");
    stage.state("ticket:harbour.t", { ...ticket, ...{ state: "leaving", moving_to: "hill.lab" } });
    await page.shows("#note-title", "You’re being moved to Hill");
    await check(page, "appointment leaving");
  });

  it("with an incomplete link and when refused", async () => {
    const stage = await startStage();
    const missing = await openPage(`${stage.url}/appointment`);
    await missing.shows("#note-title", "Open the link to your appointment");
    await check(missing, "appointment missing");
    const refused = await openPage(`${stage.url}/${PATH}`);
    await refused.shows("#note-title", "This link no longer works");
    await check(refused, "appointment refused");
  });
});

describe("the board is accessible", () => {
  const PATH = "board#token=d&location=harbour";
  const board = {
    name: "Harbour Clinic",
    languages: ["fr", "en"],
    messages: [{ en: "Wash your hands." }],
  };
  const queue = { name: "General medicine", state: "open", waiting: 3 };
  const one = { label: "A-041", station: "Room 1", at: now, recalls: 1, current: true };

  it("with calls, without calls, and when disconnected", async () => {
    const stage = await startStage();
    stage.show("board:harbour", {
      board,
      "queue:a": queue,
      "queue:b": { ...queue, state: "paused" },
    });
    const page = await openPage(`${stage.url}/${PATH}`, SCREEN);
    await page.shows("#nobody", /No one/);
    await check(page, "board empty");
    const calls = { "call:1": one, "call:2": { ...one, label: "B-007", current: false } };
    const moves = {
      "move:1/A-050": { label: "A-050", to: "hill-side" },
      "move:1/A-051": { label: "A-051", to: "north-community-health-centre" },
    };
    stage.show("board:harbour", { ...calls, ...moves });
    const busy = await openPage(`${stage.url}/${PATH}`, SCREEN);
    await busy.shows("#calls .label", "A-041");
    await check(busy, "board");
    await disconnect(stage, busy);
    await check(busy, "board disconnected");
    await pass(busy, 6 * MINUTE_MS);
    await busy.shows("#instead", /not up to date/);
    await check(busy, "board hidden");
  });

  it("on a phone, with an incomplete link", async () => {
    const stage = await startStage();
    const page = await openPage(`${stage.url}/board`);
    await page.shows("#instead", /needs a new link/);
    await check(page, "board missing");
  });
});

describe("the dashboard is accessible", () => {
  const PATH = "dashboard#token=staff&location=harbour";

  it("on a busy day, paused, and when disconnected", async () => {
    const stage = await startStage();
    stage.show("load:harbour", busyDay(now));
    const page = await openPage(`${stage.url}/${PATH}`, SCREEN);
    await page.shows("#figure-waiting b", "24");
    await page.page.locator("summary").click();
    await check(page, "dashboard");
    await page.page.locator("#pause").click();
    await page.shows("#frozen", /^Paused/);
    await check(page, "dashboard paused");
    await disconnect(stage, page);
    await check(page, "dashboard disconnected");
  });

  it("at a location without lines, rooms or people", async () => {
    const stage = await startStage();
    const { load } = busyDay(now);
    const zero = { due: 0, late: 0, arrived: 0, fulfilled: 0, no_show: 0, cancelled: 0 };
    const facts = { applied: 0, repeated: 0, stale: 0, overruled: 0 };
    const empty = { ...load, waiting: 0, oldest: undefined, median: undefined, hour: [] };
    stage.show("load:harbour", { load: { ...empty, appointments: zero, facts } });
    const page = await openPage(`${stage.url}/${PATH}`);
    await page.shows("#figure-waiting b", "0");
    await check(page, "dashboard empty");
  });

  it("with an incomplete link and when refused", async () => {
    const stage = await startStage();
    const missing = await openPage(`${stage.url}/dashboard`);
    await missing.shows("#note-title", "Open the link you were given");
    await check(missing, "dashboard missing");
    const refused = await openPage(`${stage.url}/${PATH}`);
    await refused.shows("#note-title", "This link doesn’t work here");
    await check(refused, "dashboard refused");
  });
});

describe("a schedule is accessible", () => {
  const PATH = "schedule#token=doctor&schedule=harbour/dr-roy";
  const schedule = {
    doctor: "Dr. Roy",
    day: "2026-11-27",
    time_zone: "Europe/Paris",
    delay_min: 10,
  };

  it("with appointments of every status, and when disconnected", async () => {
    const stage = await startStage();
    const statuses = ["booked", "arrived", "checked-in", "fulfilled", "cancelled", "noshow"];
    /** @type {[string, object][]} */
    const entries = statuses.map((status, index) => [
      `harbour.${index}`,
      { status, start: now + index * MINUTE_MS, label: `P${index}`, late: index === 0 },
    ]);
    entries.push(["harbour.9", { status: "pending" }]);
    const called = { status: "checked-in", start: now, ticket: { label: "A-1", state: "called" } };
    entries.push(["harbour.8", called]);
    entries.push(["harbour.7", { ...called, ticket: { label: "A-2", state: "leaving" } }]);
    stage.show("schedule:harbour/dr-roy", { schedule, ...Object.fromEntries(entries) });
    const page = await openPage(`${stage.url}/${PATH}`);
    await page.shows("#doctor", "Dr. Roy");
    await check(page, "schedule");
    await disconnect(stage, page);
    await check(page, "schedule disconnected");
  });

  it("without appointments and with an incomplete link", async () => {
    const stage = await startStage();
    const refused = await openPage(`${stage.url}/${PATH}`);
    await refused.shows("#note-title", "No appointments today");
    await check(refused, "schedule of a doctor without appointments");
    stage.show("schedule:harbour/dr-roy", { schedule });
    const empty = await openPage(`${stage.url}/${PATH}`);
    await empty.shows("#nobody", "No appointments on this day.");
    await check(empty, "schedule empty");
    const missing = await openPage(`${stage.url}/schedule`);
    await missing.shows("#note-title", "Open the link you were given");
    await check(missing, "schedule missing");
  });
});

describe("the claims page is accessible", () => {
  const head = { name: "september.csv", bytes: 4_812_345, requested_at: now, attempt: 1 };
  const counts = { error: 12, warning: 1, optimisation: 3, pass: 480 };
  const progress = { phase: "reading", permille: 412, rows_done: 41_234, rows_per_s: 52_310 };
  const finding = { row: 3, rule: "office-fee", severity: "error", outcome: "x", cents: 3240 };
  const summary = {
    rows: 500,
    rows_unreadable: 1,
    counts,
    at_risk_cents: 388_800,
    to_gain_cents: 3240,
    took_ms: 21,
    stored: 3,
  };
  const failure = {
    code: "file_not_an_export",
    params: { column: "code", line: 1 },
    retryable: true,
  };
  /** @type {Record<string, {run: object, [key: string]: object}>} */
  const states = {
    queued: { run: { ...head, state: "queued", ahead: 3 } },
    running: {
      run: { ...head, state: "running" },
      progress,
      counts,
      "rule:office-fee": { ...counts, took_us: 730 },
      "finding:001": finding,
    },
    finished: { run: { ...head, state: "completed", summary }, "rule:office-fee": counts },
    failed: { run: { ...head, state: "failed", failure } },
    cancelled: { run: { ...head, state: "cancelled" }, "finding:001": finding },
  };
  const none = Object.fromEntries(Object.keys(states.running).map((key) => [key, undefined]));

  const startRun = async () => {
    const stage = open(await Stage.start());
    const found = { findings: [finding], next: "more" };
    stage.answers.set(`GET runs/${RUN}/findings`, () => ({ json: found }));
    stage.show(states.running);
    const page = await openPage(`${stage.url}/runs#token=t&run=${RUN}`, SCREEN);
    await page.shows("#run-name", "september.csv");
    return { stage, page };
  };

  it("for a run in every state", async () => {
    const { stage, page } = await startRun();
    await visitEach(states, async (state, entries) => {
      // The name shows that the page has the state.
      const name = `${state}.csv`;
      stage.show({ ...none, ...entries, run: { ...entries.run, name } });
      await page.shows("#run-name", name);
      await check(page, `runs ${state}`);
    });
  });

  it("for a run when disconnected", async () => {
    const { stage, page } = await startRun();
    await disconnect(stage, page);
    await check(page, "runs disconnected");
  });

  it("before a file is chosen, with and without recent checks", async () => {
    const stage = open(await Stage.start());
    const empty = await openPage(`${stage.url}/runs#token=t`, SCREEN);
    await empty.shows("#recent-none", "No checks yet.");
    await check(empty, "runs start empty");
    const listed = { ...head, run: RUN, state: "completed", summary };
    stage.answers.set("GET runs", () => ({ json: { runs: [listed], next: "more" } }));
    const page = await openPage(`${stage.url}/runs#token=t`);
    await page.shows("#recent-list", /september/);
    await check(page, "runs start");
    stage.answers.set("POST files", () => ({ status: 413, json: { code: "too_large" } }));
    const file = { name: "big.csv", mimeType: "text/csv", buffer: Buffer.from("x") };
    await page.page.locator("#choose").setInputFiles(file);
    await page.shows("#intake-problem", /larger than allowed/);
    await check(page, "runs problem");
  });

  it("while opening, with an incomplete link, and when refused", async () => {
    const stage = open(await Stage.start());
    stage.answering = false;
    const opening = await openPage(`${stage.url}/runs#token=t&run=${RUN}`);
    await check(opening, "runs opening");
    stage.answering = true;
    const missing = await openPage(`${stage.url}/runs`);
    await missing.shows("#note-title", "Open the link you were given");
    await check(missing, "runs missing");
    stage.answers.set("GET runs", () => ({ status: 401, json: { code: "token_expired" } }));
    const expired = await openPage(`${stage.url}/runs#token=t`);
    await expired.shows("#note-title", "This link doesn’t open claims checks");
    await check(expired, "runs expired");
  });
});

describe("the start page and the page for unknown addresses are accessible", () => {
  it("in a demo and without one", async () => {
    const demo = await Clinic.start("--speed", "60");
    open({ close: () => demo.stop() });
    for (const viewport of [SCREEN, NARROW]) {
      const page = await openPage(demo.url, viewport);
      await page.shows("#board-waiting", /waiting now$/);
      await page.page.locator("#terminal summary").click();
      await check(page, `start ${viewport.width}`);
    }
    const stage = await startStage();
    await check(await openPage(stage.url), "start without demo");
    for (const viewport of [SCREEN, NARROW]) {
      const page = await openPage(`${demo.url}/pateint/typo`, viewport);
      await page.shows("h1", "There is no page at this address");
      await check(page, `not found ${viewport.width}`);
    }
  });
});
