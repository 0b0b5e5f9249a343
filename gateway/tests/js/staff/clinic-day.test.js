// A clinic's day from empty, in real browsers on the real program: set up, check-in by scan, kiosk
// and desk, two clerks, a doctor, a phone without network, a refused move, and the end of the day.

import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { assertAccessible } from "../helpers/accessibility.js";
import { launch, Page, PHONE } from "../helpers/browser.js";
import { Clinic, token } from "../helpers/clinic.js";
import { Proxy } from "../helpers/proxy.js";
import { until } from "../helpers/until.js";

const DESK = { width: 1280, height: 900 };
const TABLET = { width: 1024, height: 768 };
const SMALL = { width: 360, height: 740 };
const HERE = "harbour";
const QUEUE = `${HERE}.general-medicine`;
const SCANS = 8;
const KIOSK = 5;
const AT_DESK = 7;
const MINUTE_MS = 60_000;

/** @type {Clinic} */
let clinic;
/** @type {import("playwright-core").Browser} */
let browser;
/** @type {Page[]} */
const pages = [];

before(async () => {
  clinic = await Clinic.start("--empty");
  browser = await launch();
});
after(async () => {
  await clinic?.stop();
  await browser?.close();
});

const admin = token("admin");
const reception = (/** @type {string} */ name) =>
  token("reception", { subject: name, locations: [HERE] });
const doctor = token("doctor", { locations: [HERE], queues: [QUEUE] });
const source = token("source", { subject: "his" });

/** Hours that the clinic is behind UTC: it is six in the morning there, so that a day can end. */
const WEST = (new Date().getUTCHours() + 24 - 6) % 24;
/** `Etc/GMT+5` is five hours behind UTC. */
const ZONE = WEST <= 12 ? `Etc/GMT+${WEST}` : `Etc/GMT-${24 - WEST}`;

/** The clinic's clock. @param {Date} at */
const clockOf = (at) =>
  `${String((at.getUTCHours() + 24 - WEST) % 24).padStart(2, "0")}:` +
  String(at.getUTCMinutes()).padStart(2, "0");

/**
 * @param {string} path
 * @param {{width: number, height: number}} viewport
 * @param {Record<string, string>} [keys]
 * @param {string} [url]
 */
async function open(path, viewport, keys, url = clinic.url) {
  const hash = keys ? `#${new URLSearchParams(keys)}` : "";
  const page = await Page.open(browser, `${url}${path}${hash}`, viewport);
  pages.push(page);
  return page;
}

/** @param {Page} page @param {string} text */
async function touch({ page }, text) {
  for (const sign of text) {
    await page.locator("#keys button", { hasText: new RegExp(`^${sign}$`) }).click();
  }
}

/** The first appointment. */
let visit = "";

/** Books appointments of today, and answers their codes. @param {number} count */
async function book(count) {
  const codes = [];
  for (let number = 1; number <= count; number++) {
    const start = new Date(Date.now() + (10 + number) * MINUTE_MS).toISOString();
    const end = new Date(Date.now() + (20 + number) * MINUTE_MS).toISOString();
    const report = {
      location: HERE,
      key: `visit-${number}`,
      version: 1,
      status: "booked",
      start,
      end,
      doctor: { id: "dr-roy", name: "Dr. Roy" },
      queue: QUEUE,
      check_in: { birth_year: "1980" },
    };
    const { result, booking_code } = await clinic.ask("POST", "appointments", report, source);
    visit ||= result.appointment;
    codes.push(booking_code);
  }
  return codes;
}

const setupKeys = { token: admin, location: HERE };

/**
 * Creates a clinic in the browser, in the page of a link without one.
 * @param {string} name
 */
async function create(name) {
  const setup = await open("/setup", DESK, { token: admin });
  const { page } = setup;
  await setup.shows("#creation-title", "New clinic");
  await page.locator("#creation-form [name=name]").fill(name);
  await page.locator("#creation-form [name=address]").fill("1 Pier Road");
  await page.locator("#creation-form [name=time_zone]").fill(ZONE);
  await page.locator("#creation-form [name=languages]").fill("fr, en, hi");
  // The clock of the clinic's zone shows the morning: a day that starts at 11:59 began yesterday
  // and goes on.
  await page.locator("#creation-form [name=day_start_min]").fill("11:59");
  await page.locator("#creation-form .save").click();
  await setup.shows("#link", "Live");
  await setup.shows("#name", name);
  return setup;
}

/** Makes a line. @param {Page} setup @param {string} name @param {string} prefix */
async function makeLine(setup, name, prefix) {
  await setup.page.locator("#queue-form [name=name]").fill(name);
  await setup.page.locator("#queue-form [name=prefix]").fill(prefix);
  await setup.page.locator("#queue-form .save").click();
  await setup.shows("#queue-list", new RegExp(`${name} · closed`));
}

/** The code of an unpaired screen. @param {Page} screen */
const pairingCode = (screen) =>
  until("the screen shows its code", async () => {
    const text = await screen.page.locator("body").innerText();
    return /\b[0-9A-Z]{4}-[0-9A-Z]{4}\b/.exec(text)?.[0];
  });
/** @type {Page} */
let board;
/** @type {Page} */
let kiosk;

describe("a day of a clinic", () => {
  it("begins with an admin who sets it up and pairs a screen and a kiosk", async () => {
    const setup = await create("Harbour");
    const { page } = setup;
    await page.locator("#location-form [name=name]").fill("Harbour Clinic");
    await page.locator("#location-form .save").click();
    await setup.shows("#name", "Harbour Clinic");
    await makeLine(setup, "General medicine", "A");
    await page.getByRole("button", { name: "Open, General medicine" }).click();
    await setup.shows("#queue-list", /General medicine · open/);
    for (const name of ["Room 1", "Room 2"]) {
      await page.locator("#room-form [name=name]").fill(name);
      await page.locator("#room-form .save").click();
      await setup.shows("#room-list", new RegExp(name));
    }
    for (const [name, kind] of [
      ["Entrance", "poster"],
      ["Hall", "kiosk"],
    ]) {
      await page.locator("#point-form [name=name]").fill(name);
      await page.locator("#point-form [name=kind]").selectOption(kind);
      await page.locator("#point-form").getByLabel("General medicine").check();
      await page.locator("#point-form .save").click();
      await setup.shows("#point-list", new RegExp(`${name} ·`));
    }
    board = await open("/board", DESK);
    kiosk = await open("/kiosk", DESK);
    for (const [screen, name, purpose] of /** @type {const} */ ([
      [board, "Waiting room", "A screen with the calls"],
      [kiosk, "Kiosk", "Kiosk “Hall”"],
    ])) {
      await page.locator("#pair-form [name=code]").fill(await pairingCode(screen));
      await page.locator("#pair-form [name=name]").fill(name);
      await page.locator("#pair-point").selectOption({ label: purpose });
      await page.locator("#pair-form .save").click();
      await setup.shows("#display-list", new RegExp(name));
    }
    await board.shows("body", /Harbour Clinic/);
    await kiosk.shows("#begin", /./);
    assert.deepEqual(setup.complaints, []);
  });

  it("checks twenty patients in by scan, kiosk and desk", async () => {
    const codes = await book(SCANS + KIOSK);
    const list = await clinic.ask("GET", `check-in-points?location=${HERE}`);
    const { path } = list.check_in_points.find((/** @type {any} */ one) => one.kind === "poster");
    const scan = await open(path, SMALL);
    for (const code of codes.slice(0, SCANS)) {
      await scan.page.locator("[name=code]").fill(code);
      await scan.page.locator("[name=told]").fill("1980");
      await scan.page.locator("#send").click();
      await scan.shows(".number", /^A-\d{3}$/);
      await scan.page.reload();
    }
    for (const code of codes.slice(SCANS)) {
      await kiosk.page.locator("#begin").click();
      await touch(kiosk, code.replace("-", ""));
      await kiosk.page.locator("#next").click();
      await touch(kiosk, "1980");
      await kiosk.page.locator("#next").click();
      await kiosk.shows(".number", /^A-\d{3}$/);
      await kiosk.page.locator("#done").click();
    }
    const desk = await openConsole("ana", "Room 1");
    for (let number = 1; number <= AT_DESK; number++) {
      await desk.page.keyboard.press("i");
      const label = `A-${String(SCANS + KIOSK + number).padStart(3, "0")}`;
      await until("the ticket is listed", () =>
        desk.page.locator(".ticket", { hasText: label }).count(),
      );
    }
    assert.equal(await desk.page.locator(".ticket").count(), SCANS + KIOSK + AT_DESK);
  });

  it("lets two clerks race, and a doctor call", async () => {
    const [ana, ben] = [await openConsole("ana", "Room 1"), await openConsole("ben", "Room 2")];
    await Promise.all([ana.page.keyboard.press("n"), ben.page.keyboard.press("n")]);
    await until("both called another person", async () => {
      const { entries } = await clinic.get(`queues/${QUEUE}`, reception("ana"));
      const called = Object.values(entries).filter(({ state }) => state === "called");
      return called.length === 2 && new Set(called.map(({ station }) => station)).size === 2;
    });
    await board.shows("body", /Room 1[^]*Room 2|Room 2[^]*Room 1/);
    for (const clerk of [ana, ben]) {
      await clerk.page.keyboard.press("s");
      await until("the patient is seen", async () =>
        /being seen/.test(await clerk.page.locator("#selected-text").innerText()),
      );
      await clerk.page.keyboard.press("d");
      await clerk.shows("#selected-text", /no longer in line/);
    }
    const roy = await open("/console", TABLET, { token: doctor, location: HERE });
    await roy.shows("#link", "Live");
    await roy.page.locator("#room").selectOption({ label: "Room 2" });
    await roy.page.locator("body").press("n");
    await roy.shows("#toast", /was called to Room 2/);
    assert.deepEqual([...ana.complaints, ...ben.complaints, ...roy.complaints], []);
  });

  it("keeps a patient on the phone up to date over a lost network", async () => {
    const { ticket, label } = await last();
    const { path } = /** @type {any} */ (await clinic.get(`tickets/${ticket}/link`));
    const proxy = await Proxy.to(clinic.url);
    const phone = await open(path, PHONE, undefined, proxy.url);
    await phone.shows("#label", label);
    await phone.shows("#link", "Live");
    proxy.cut();
    await phone.shows("#link", /Reconnecting|Not connected/);
    await clinic.order(`tickets/${ticket}/call`, { station: `${HERE}.room-1` }, reception("ana"));
    proxy.mend(clinic.url);
    await phone.shows("#room", "Room 1");
    await phone.shoot("day-phone-called");
    await clinic.order(`tickets/${ticket}/start`, {}, reception("ana"));
    await clinic.order(`tickets/${ticket}/complete`, {}, reception("ana"));
    await phone.shows("#note-title", "All done");
    await phone.close();
    await proxy.close();
  });

  it("keeps the place of somebody whom another location refuses", async () => {
    await makeLine(await create("North"), "Lab", "L");
    const { ticket, label } = await last();
    const { path } = /** @type {any} */ (await clinic.get(`tickets/${ticket}/link`));
    const phone = await open(path, PHONE);
    await phone.shows("#label", label);
    const ahead = await phone.text("#ahead");
    // The line of the other location is closed.
    await clinic.ask("POST", `tickets/${ticket}/transfer`, { queue: "north.lab" });
    await until("the move is refused", async () => {
      const { entries } = await clinic.get(`queues/${QUEUE}`, reception("ana"));
      return entries[ticket]?.state === "waiting";
    });
    await phone.shows("#ahead", ahead);
    assert.deepEqual(phone.complaints, []);
    await phone.close();
  });

  it("looks right on phone, tablet and desktop, light and dark, in three languages", async () => {
    const { ticket } = await last();
    const { path } = /** @type {any} */ (await clinic.get(`tickets/${ticket}/link`));
    const [address, hash] = path.split("#");
    const visitor = token("patient", { appointments: [visit] });
    const work = { token: reception("ana"), location: HERE };
    const poster = { token: admin, point: `${HERE}.entrance` };
    const points = await clinic.ask("GET", `check-in-points?location=${HERE}`);
    const entrance = points.check_in_points.find((/** @type {any} */ one) => one.path).path;
    /** @type {[string, string, string][]} page, address, and what shows that it is there */
    const all = [
      ["patient", `${address}?lang=L#${hash}`, "#label"],
      [
        "board",
        `/board?lang=L#${new URLSearchParams({ token: token("display", { locations: [HERE] }), location: HERE })}`,
        "main",
      ],
      ["console", `/console?lang=L#${new URLSearchParams(work)}`, ".ticket"],
      ["setup", `/setup?lang=L#${new URLSearchParams(setupKeys)}`, "#queue-list li"],
      ["dashboard", `/dashboard?lang=L#${new URLSearchParams(work)}`, "main"],
      [
        "schedule",
        `/schedule?lang=L#${new URLSearchParams({ token: reception("ana"), schedule: `${HERE}/dr-roy` })}`,
        "main",
      ],
      [
        "appointment",
        `/appointment?lang=L#${new URLSearchParams({ token: visitor, appointment: visit })}`,
        "main",
      ],
      ["check-in", `/check-in?lang=L#point=${entrance.slice("/c/".length)}`, "#send"],
      [
        "slip",
        `/slip?lang=L#${new URLSearchParams({ token: reception("ana"), ticket })}`,
        "#label",
      ],
      ["poster", `/poster?lang=L#${new URLSearchParams(poster)}`, "h1"],
      ["start", "/?lang=L", "main"],
    ];
    /** @type {[string, {width: number, height: number}, "light" | "dark", string][]} */
    const views = [
      ["phone", SMALL, "light", "fr"],
      ["phone", SMALL, "dark", "hi"],
      ["tablet", TABLET, "dark", "en"],
      ["desktop", DESK, "light", "hi"],
    ];
    /** @type {string[]} */
    const problems = [];
    await Promise.all(
      views.map(async ([size, viewport, colorScheme, language]) => {
        const shown = await open("/health/live", viewport);
        shown.page.on("response", (response) => {
          const { pathname } = new URL(response.url());
          // This clinic has no demo, of which the start page asks, and plain text has no icon.
          const isAbsent = ["/v1/demo", "/favicon.ico"].includes(pathname);
          if (!response.ok() && !isAbsent && response.status() !== 304)
            problems.push(`${size} ${language}: ${response.status()} of ${pathname}`);
        });
        await shown.page.emulateMedia({ colorScheme });
        for (const [name, address, selector] of all) {
          // A page that differs in its fragment alone would not be loaded.
          await shown.page.goto("about:blank");
          await shown.page.goto(`${clinic.url}${address.replace("lang=L", `lang=${language}`)}`);
          await shown.page.locator(selector).first().waitFor();
          await until(`${name} is drawn`, async () => (await shown.text("body")).length > 20);
          const state = `${name} ${size} ${colorScheme} ${language}`;
          await assertAccessible(shown.page, state).catch((error) => problems.push(`${error}`));
          const wide = await shown.page.evaluate(
            () => document.documentElement.scrollWidth - document.documentElement.clientWidth,
          );
          if (wide > 0) problems.push(`${state} is ${wide} px too wide`);
          const broken = await shown.brokenNames();
          if (broken.length) problems.push(`${state} breaks ${broken.join()}`);
          const file = `day-${name}-${size}-${colorScheme}-${language}`;
          await shown.shoot(file, { fullPage: size === "phone" });
        }
        const complaints = shown.complaints.filter((text) => !text.startsWith("Failed to load"));
        problems.push(...complaints.map((complaint) => `${size} ${language}: ${complaint}`));
        await shown.close();
      }),
    );
    assert.deepEqual(problems, []);
  });

  it("ends, and the next one begins with the first number", async () => {
    const { ticket } = await last();
    const { path } = /** @type {any} */ (await clinic.get(`tickets/${ticket}/link`));
    const phone = await open(path, PHONE);
    await phone.shows("#ahead-text", /./);
    const desk = await openConsole("ana", "Room 1");
    assert.notEqual(await desk.page.locator(".ticket").count(), 0);
    const setup = await open("/setup", DESK, setupKeys);
    await setup.shows("#link", "Live");
    // The day ends at the next full minute that is at least three seconds away, so that the minute
    // does not begin while the setting is stored.
    const end = new Date(Date.now() + 3_000 + MINUTE_MS);
    await setup.page.locator("#location-form [name=day_start_min]").fill(clockOf(end));
    await setup.page.locator("#location-form .save").click();
    await setup.shows("#location-form .said", "Saved.");
    await until("the ticket ends", async () => (await phone.text("#note-title")) !== "", 90_000);
    await phone.shows("#note-title", "This ticket has ended");
    await phone.shoot("day-phone-ended");
    await until("nobody is in line", async () => !(await desk.page.locator(".ticket").count()));
    await desk.shoot("day-console-ended");
    await until(
      "the board shows no call of the day",
      async () => !/A-\d/.test((await board.text("#calls")) + (await board.text("#recent"))),
    );
    await board.shoot("day-board-ended");
    const { entries } = await clinic.get(`queues/${QUEUE}`, reception("ana"));
    assert.deepEqual(Object.keys(entries), ["queue"], "nobody is left in line");
    await desk.page.keyboard.press("i");
    await desk.shows("#toast", /A-001/);
    await desk.page.keyboard.press("n");
    await desk.shows("#toast", /A-001 was called to Room 1/);
    await board.shows("body", /A-001[^]*Room 1/);
    await board.shoot("day-board-next");
    const shown = [board, kiosk, phone, desk, setup];
    assert.deepEqual(
      shown.flatMap(({ complaints }) => complaints),
      [],
    );
  });
});

/** @param {string} clerk @param {string} room */
async function openConsole(clerk, room) {
  const page = await open("/console", DESK, { token: reception(clerk), location: HERE });
  await page.shows("#link", "Live");
  await page.page.locator("#room").selectOption({ label: room });
  await page.page.locator("#room").blur();
  return page;
}

/** The last person in line. @returns {Promise<{ticket: string, label: string}>} */
async function last() {
  const { entries } = await clinic.get(`queues/${QUEUE}`, reception("ana"));
  const waiting = Object.entries(entries).filter(([, { state }]) => state === "waiting");
  const [ticket, { label }] = /** @type {[string, any]} */ (
    waiting.sort(([, one], [, two]) => one.label.localeCompare(two.label)).at(-1)
  );
  return { ticket, label };
}
