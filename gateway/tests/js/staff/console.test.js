// The console in Chromium against a running binary: two clerks, undo, transfer, a lost network.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { assertAccessible } from "../helpers/accessibility.js";
import { Page } from "../helpers/browser.js";
import { browser, clinic, open, useBrowser, useClinic } from "../helpers/fixtures.js";
import { Proxy } from "../helpers/proxy.js";
import { until } from "../helpers/until.js";

/** @typedef {import("../helpers/clinic.js").Site} Site */

const DESK = { width: 1280, height: 900 };
const TABLET = { width: 1024, height: 768 };

useClinic("--empty");
useBrowser();

/**
 * @param {Site} site
 * @param {string} [room] chosen by the clerk
 * @param {{url?: string, viewport?: {width: number, height: number}, clerk?: string}} [more]
 */
async function openConsole(site, room, { url = clinic.url, viewport = DESK, clerk } = {}) {
  const token = site.token("reception", clerk ? { subject: clerk } : {});
  const keys = new URLSearchParams({ token, location: site.location });
  const page = open(await Page.open(browser, `${url}/console#${keys}`, viewport));
  await page.shows("#link", "Live");
  if (room) await page.page.locator("#room").selectOption({ label: room });
  return page;
}

/** The row of a ticket. @param {Page} page @param {string} label */
const row = ({ page }, label) => page.locator(".ticket", { hasText: label });

/** @param {Page} page @param {string} label @param {RegExp} wanted */
async function shows(page, label, wanted) {
  let seen = "";
  await until(`${label} shows ${wanted}`, async () => {
    seen = (await row(page, label).count()) ? await row(page, label).innerText() : "";
    return wanted.test(seen);
  }).catch((error) => {
    throw new Error(`${error.message}, but ${JSON.stringify(seen)}`);
  });
}

/** A time zone in which the day lasts for these hours at least. @param {number} hours */
function zoneWithTime(hours) {
  return ["America/Toronto", "Asia/Kolkata", "Pacific/Auckland"].find((timeZone) => {
    const clock = new Intl.DateTimeFormat("en", { hour: "numeric", hourCycle: "h23", timeZone });
    return Number(clock.format()) + hours < 23;
  });
}

/** A promise and what resolves it. */
function latch() {
  /** @type {(value?: unknown) => void} */
  let resolve = () => {};
  return { promise: new Promise((settle) => (resolve = settle)), resolve: () => resolve() };
}

describe("the console", () => {
  it("calls, starts and completes by keyboard, and a second clerk sees it", async () => {
    const site = await clinic.furnish();
    await site.issue(3);
    const [one, two] = [await openConsole(site, "Room 1"), await openConsole(site, "Room 2")];
    await one.page.locator("body").press("n");
    await shows(two, "A-001", /called, Room 1/);
    await one.shows("#toast", "A-001 was called to Room 1.");
    await one.shows("#selected-title", "A-001");
    await one.page.keyboard.press("s");
    await shows(two, "A-001", /being seen, Room 1/);
    await one.page.keyboard.press("d");
    await until("it has left the line", async () => !(await row(two, "A-001").count()));
    // The end is undone from where it was given.
    await one.shows("#selected-text", /no longer in line/);
    await one.page.keyboard.press("u");
    await shows(two, "A-001", /being seen, Room 1/);
    await one.page.keyboard.press("d");
    await until("it has left again", async () => !(await row(two, "A-001").count()));
    // The room is remembered.
    await one.page.reload();
    await one.shows("#link", "Live");
    assert.equal(await one.page.locator("#room").inputValue(), site.room1);
    assert.deepEqual(one.complaints, []);
    assert.deepEqual(two.complaints, []);
  });

  it("keeps the steps that are pressed while a call is under way", async () => {
    const site = await clinic.furnish();
    await site.issue(2);
    const page = await openConsole(site, "Room 1");
    const { promise: held, resolve: release } = latch();
    await page.page.route("**/call-next", async (route) => {
      await held;
      await route.continue();
    });
    await row(page, "A-002").click();
    const { keyboard } = page.page;
    await keyboard.press("n");
    await keyboard.press("s");
    release();
    await shows(page, "A-001", /being seen, Room 1/);
    assert.equal(await row(page, "A-002").locator(".what").innerText(), "");
    assert.deepEqual(page.complaints, []);
  });

  it("tells the slower of two clerks who call the same ticket", async () => {
    const site = await clinic.furnish();
    const [ticket] = await site.issue(2);
    const page = await openConsole(site, "Room 2");
    const { promise: held, resolve: release } = latch();
    await page.page.route("**/call", async (route) => {
      await held;
      await route.continue();
    });
    await row(page, "A-001").click();
    await page.page.keyboard.press("c");
    await shows(page, "A-001", /called, sending…/);
    await clinic.order(`tickets/${ticket.ticket}/call`, { station: site.room1 });
    await shows(page, "A-001", /called, Room 1/);
    release();
    await page.shows("#toast", /^A-001: Somebody else was faster/);
    await shows(page, "A-001", /called, Room 1/);
  });

  it("rolls a refused step back", async () => {
    const site = await clinic.furnish();
    await site.issue(2);
    await site.callNext();
    const page = await openConsole(site, "Room 1");
    await row(page, "A-002").click();
    await page.page.keyboard.press("c");
    // The clerk is asked whether the patient who is still called counts as absent, and declines.
    await page.shows("#ask-label", /^A-001 is still called to your room/);
    await page.page.locator("#ask-cancel").click();
    await page.shows("#toast", /^A-002: Somebody is still called to your room/);
    assert.equal(await row(page, "A-002").locator(".what").innerText(), "");
  });

  it("calls although somebody is still called, after a confirmation", async () => {
    const site = await clinic.furnish();
    await site.issue(2);
    await site.callNext();
    const page = await openConsole(site, "Room 1");
    await page.page.locator("body").press("n");
    await page.shows("#ask-label", /^A-001 is still called to your room/);
    await page.page.locator("#ask-ok").click();
    await shows(page, "A-002", /called, Room 1/);
    await shows(page, "A-001", /absent/);
  });

  it("shows appointments as far as the clinic allows, reasons and pauses", async () => {
    const site = await clinic.furnish();
    const minutes = (/** @type {number} */ ahead) =>
      new Date(Date.now() + ahead * 60_000).toISOString();
    const source = site.token("source", { subject: "his", locations: undefined });
    const fact = {
      location: site.location,
      key: "k-1",
      version: 1,
      status: "booked",
      start: minutes(-1),
      end: minutes(20),
      queue: site.general,
      label: "A. B.",
      doctor: { id: "dr-roy", name: "Dr. Roy" },
    };
    const { appointment } = await clinic.order("appointments", fact, source);
    const { label } = await clinic.order("check-ins", { appointment });
    const page = await openConsole(site, "Room 1");
    await shows(page, label, /\d:\d\d.*Dr\. Roy/s);
    assert.ok(!(await row(page, label).innerText()).includes("A. B."));
    await clinic.ask("PUT", `locations/${site.location}/privacy`, {
      lines: { start: false, doctor: false, name: true },
    });
    await until("only the initials are shown", async () =>
      /A\. B\.$/.test(await row(page, label).locator(".what").innerText()),
    );
    await row(page, label).click();
    await page.page.keyboard.press("p");
    await page.page.locator("#ask-choice").selectOption("7");
    await page.page.locator("#ask-text").fill("Chest pain");
    await page.page.locator("#ask-ok").click();
    await shows(page, label, /priority 7: Chest pain/);
    await page.page.keyboard.press("z");
    await page.page.locator("#ask-text").fill("Back at 10:15");
    await page.page.locator("#ask-ok").click();
    await page.shows(`[data-key="${site.general}"] .state`, "paused: Back at 10:15 · 1 waiting");
    await assertAccessible(page.page, "console with an appointment");
    await page.shoot("console-appointment");
    assert.deepEqual(page.complaints, []);
  });

  it("checks in by appointment, outside the usual time with a reason", async () => {
    // An appointment in three hours is one of today only where the day lasts that long.
    const site = await clinic.furnish(undefined, zoneWithTime(3));
    const source = site.token("source", { subject: "his" });
    const start = Date.now() + 3 * 3_600_000;
    await clinic.order(
      "appointments",
      {
        location: site.location,
        key: "later",
        version: 1,
        status: "booked",
        start: new Date(start).toISOString(),
        end: new Date(start + 1_200_000).toISOString(),
        queue: site.general,
        label: "A. B.",
        doctor: { id: "dr-roy", name: "Dr. Roy" },
      },
      source,
    );
    const page = await openConsole(site, "Room 1");
    await page.shows("#check-in-text", "Check in by appointment");
    await page.page.keyboard.press("e");
    await page.shows("#ask-label", "With which doctor?");
    await page.page.locator("#ask-ok").click();
    await page.shows("#ask-label", "Which appointment?");
    await page.page.locator("#ask-ok").click();
    await page.shows("#ask-label", /^Check-in for this appointment has not begun/);
    await assertAccessible(page.page, "console that asks for a reason");
    await page.shoot("console-override");
    await page.page.locator("#ask-ok").click();
    assert.equal(await page.page.locator("#ask").isVisible(), true, "the reason is required");
    await page.page.locator("#ask-text").fill("Came from far");
    await page.page.locator("#ask-ok").click();
    await page.shows("#toast", "Checked in: A-001.");
    await shows(page, "A-001", /checked in outside the usual time: Came from far/);
    const audit = async () =>
      (await clinic.get("audit?action=check-in.create")).entries.map(
        (/** @type {{reason?: string}} */ { reason }) => reason,
      );
    await until("the reason is in the audit", async () =>
      (await audit()).includes("Came from far"),
    );
    await page.shoot("console-overridden");
  });

  it("shows suspicious scans until they were seen", async () => {
    const site = await clinic.furnish();
    const point = `${site.location}.entrance`;
    await clinic.ask("PUT", `check-in-points/${point}`, { name: "Main entrance", kind: "poster" });
    const { path } = await clinic.get(`check-in-points/${point}`);
    const code = path.slice("/c/".length);
    for (let number = 0; number < 7; number++) {
      const bookings = [{ code: `HK7QT93${number}`, told: "1980" }];
      await fetch(`${clinic.url}/v1/scans/find`, {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify({ point: code, bookings }),
      });
    }
    const page = await openConsole(site, "Room 1");
    await page.shows("#flag-list", /Main entrance\s+many wrong codes from one device/);
    await assertAccessible(page.page, "console with suspicious scans");
    await page.shoot("console-flags");
    await page.page.locator("#flags-seen").click();
    await until("they are gone", async () => !(await page.page.locator("#flags").isVisible()));
    await page.page.reload();
    await page.shows("#link", "Live");
    assert.equal(await page.page.locator("#flags").isVisible(), false);
  });

  it("undoes, transfers, prioritises and reorders", async () => {
    const site = await clinic.furnish();
    await site.issue(3);
    const page = await openConsole(site, "Room 1");
    const { keyboard } = page.page;
    const order = () => page.page.locator(`[data-key="${site.general}"] .ticket b`).allInnerTexts();
    await row(page, "A-001").click();
    await keyboard.press("a");
    await keyboard.press("x");
    await until("A-001 is a no-show", async () => !(await row(page, "A-001").count()));
    await row(page, "A-002").click();
    await keyboard.press("c");
    await shows(page, "A-002", /called, Room 1/);
    await keyboard.press("u");
    await until("the call is undone", async () =>
      /^A-002\s+\d+\s(s|min)$/.test(await row(page, "A-002").innerText()),
    );
    await keyboard.press("Alt+ArrowDown");
    await until("it moved", async () => (await order()).join() === "A-003,A-002");
    await keyboard.press("p");
    await page.page.locator("#ask-choice").selectOption("7");
    await page.page.locator("#ask-ok").click();
    await shows(page, "A-002", /priority 7/);
    await until("it is first", async () => (await order()).join() === "A-002,A-003");
    await keyboard.press("t");
    await page.page.locator("#ask-ok").click();
    const blood = page.page.locator(`[data-key="${site.blood}"]`);
    await until("it is in the other line", async () => /A-002/.test(await blood.innerText()));
    await page.page.locator(`[data-key="${site.general}"] .ticket`).first().click();
    await keyboard.press("h");
    await page.page.locator("#ask-text").fill("X-ray first");
    await page.page.locator("#ask-text").press("Enter");
    await shows(page, "A-003", /on hold, X-ray first/);
    await keyboard.press("b");
    await until("it is back", async () => !/on hold/.test(await row(page, "A-003").innerText()));
    assert.deepEqual(page.complaints, []);
  });

  it("takes every other step by keyboard too, from the choice of the room on", async () => {
    const site = await clinic.furnish();
    await site.issue(2);
    const page = await openConsole(site);
    const { keyboard } = page.page;
    await shows(page, "A-002", /./);
    // A call without a chosen room asks for the room.
    await keyboard.press("n");
    await page.shows("#toast", /room/i);
    await keyboard.type("Room 1");
    await page.page.locator("#room").blur();
    await keyboard.press("n");
    await shows(page, "A-001", /called, Room 1/);
    await keyboard.press("r");
    await page.shows("#toast", /^A-001: Call again/);
    await keyboard.press("a");
    await shows(page, "A-001", /absent/i);
    await keyboard.press("b");
    await until("A-001 is back", async () =>
      /^A-001\s+\d+\s(s|min)$/.test(await row(page, "A-001").innerText()),
    );
    await keyboard.press("j");
    await page.shows("#selected-title", "A-002");
    await keyboard.press("ArrowUp");
    await page.shows("#selected-title", "A-001");
    await keyboard.press("Delete");
    await page.page.locator("#ask-text").press("Enter");
    await until("A-001 is cancelled", async () => !(await row(page, "A-001").count()));
    await keyboard.press("u");
    await until("A-001 is in line again", () => row(page, "A-001").count());
    const room = async () => {
      const { entries } = await clinic.get(`locations/${site.location}/stations`);
      return entries.find((/** @type {any} */ { station }) => station === site.room1).open;
    };
    const toggle = await page.text("#room-toggle");
    await keyboard.press("m");
    await until("the room is closed", async () => !(await room()));
    await page.shows("#room-toggle", /^Open room/);
    await keyboard.press("m");
    await until("the room is open again", room);
    await page.shows("#room-toggle", toggle);
    await keyboard.press("e");
    await page.shows("#toast", /./);
    assert.deepEqual(page.complaints, []);
  });

  it("issues, finds, pauses and closes", async () => {
    const site = await clinic.furnish();
    const page = await openConsole(site, "Room 1");
    const { keyboard } = page.page;
    const line = page.page.locator(`[data-key="${site.general}"]`);
    await line.getByRole("button", { name: "New ticket" }).click();
    await page.shows("#toast", "Ticket A-001 was issued.");
    await shows(page, "A-001", /\d\ss/);
    await keyboard.press("/");
    await keyboard.type("a1");
    await keyboard.press("Enter");
    await page.shows("#selected-title", "A-001");
    await keyboard.press("z");
    await page.page.locator("#ask-ok").click();
    await until("paused", async () => /paused · 1 waiting/.test(await line.innerText()));
    await keyboard.press("z");
    await keyboard.press("?");
    await page.shows("#sheet-title", "Keyboard shortcuts");
    await assertAccessible(page.page, "console sheet");
    await page.shoot("console-sheet");
    await keyboard.press("Escape");
    await until("open again", async () => /open · 1 waiting/.test(await line.innerText()));
    await keyboard.press("o");
    await until("closed", async () => /closed · 1 waiting/.test(await line.innerText()));
    await keyboard.press("i");
    await page.shows("#toast", "The line is closed. Open it first.");
  });

  it("changes the order by dragging", async () => {
    const site = await clinic.furnish();
    await site.issue(3);
    const page = await openConsole(site);
    await row(page, "A-003").dragTo(row(page, "A-001"));
    const order = () => page.page.locator(".ticket b").allInnerTexts();
    await until("it moved", async () => (await order()).join() === "A-003,A-001,A-002");
    await page.shows("#toast", "A-003 has a new place in line.");
  });

  it("changes the order by a finger on the grip, and scrolls by one beside it", async () => {
    const site = await clinic.furnish();
    await site.issue(20);
    const page = await openConsole(site, undefined, { viewport: TABLET });
    const devtools = await page.page.context().newCDPSession(page.page);
    await devtools.send("Emulation.setTouchEmulationEnabled", { enabled: true });
    await shows(page, "A-020", /./);
    const first = async () =>
      (await page.page.locator(".ticket b").allInnerTexts()).slice(0, 4).join();
    /** @param {string} label @param {string} within */
    const middle = async (label, within) => {
      const box = await row(page, label).locator(within).boundingBox();
      assert.ok(box);
      return { x: box.x + box.width / 2, y: box.y + box.height / 2 };
    };
    /** @param {{x: number, y: number}} from @param {{x: number, y: number}} to */
    const drag = async (from, to) => {
      /** @param {"touchStart" | "touchMove" | "touchEnd"} type @param {object[]} touchPoints */
      const touch = (type, ...touchPoints) =>
        devtools.send("Input.dispatchTouchEvent", /** @type {any} */ ({ type, touchPoints }));
      await touch("touchStart", from);
      for (let part = 1; part <= 5; part++) {
        const between = (/** @type {"x" | "y"} */ axis) =>
          from[axis] + ((to[axis] - from[axis]) * part) / 5;
        await touch("touchMove", { x: between("x"), y: between("y") });
      }
      await touch("touchEnd");
    };
    await drag(await middle("A-004", ".grip"), await middle("A-002", ".grip"));
    await until("A-004 moved", async () => (await first()) === "A-001,A-004,A-002,A-003");
    assert.equal(await page.page.evaluate("scrollY"), 0);
    await drag(await middle("A-008", "b"), await middle("A-001", "b"));
    await until("the page scrolled", () => page.page.evaluate("scrollY > 0"));
    assert.equal(await first(), "A-001,A-004,A-002,A-003");
    assert.deepEqual(page.complaints, []);
  });

  it("shows a doctor the lines of the token, and works there", async () => {
    const site = await clinic.furnish();
    await site.issue(1);
    const { location } = site;
    const keys = new URLSearchParams({ token: site.token("doctor"), location });
    const page = open(await Page.open(browser, `${clinic.url}/console#${keys}`, TABLET));
    await shows(page, "A-001", /\d\ss/);
    assert.deepEqual(await page.page.locator(".line h2").allInnerTexts(), ["General medicine"]);
    await page.page.locator("#room").selectOption({ label: "Room 1" });
    await page.page.getByRole("button", { name: "Next, General medicine" }).click();
    await shows(page, "A-001", /called, Room 1/);
    await page.page.keyboard.press("s");
    await shows(page, "A-001", /being seen, Room 1/);
    assert.deepEqual(page.complaints, []);
  });

  it("is read-only while disconnected, and says since when", async () => {
    const site = await clinic.furnish();
    await site.issue(2);
    const proxy = open(await Proxy.to(clinic.url));
    const page = await openConsole(site, "Room 1", { url: proxy.url });
    await row(page, "A-001").click();
    proxy.cut();
    await page.shows("#offline", /^Not connected since \d+:\d\d:\d\d [ap]\.m\.: you can read/);
    const since = await page.text("#offline");
    assert.ok(await page.page.locator("#call-next").isDisabled());
    await page.page.keyboard.press("c");
    await page.page.keyboard.press("n");
    await site.callNext(site.room2);
    assert.equal(await page.text("#offline"), since);
    await assertAccessible(page.page, "console read-only");
    await page.shoot("console-offline");
    proxy.mend(clinic.url);
    await shows(page, "A-001", /called, Room 2/);
    await page.shows("#offline", "");
    assert.ok(await page.page.locator("#call-next").isEnabled());
  });

  it("is accessible in both languages, light and dark, on a desk and a tablet", async () => {
    const site = await clinic.furnish();
    await site.issue(9);
    await site.issue(4, site.blood);
    await site.callNext(site.room2);
    const called = await site.callNext();
    await clinic.order(`tickets/${called.ticket}/start`);
    const fourth = (await clinic.get(`queues/${site.general}`)).entries;
    const [hold, urgent] = ["A-004", "A-007"].map(
      (label) => Object.keys(fourth).find((id) => fourth[id].label === label) ?? "",
    );
    await clinic.order(`tickets/${hold}/hold`, { reason: "X-ray first" });
    await clinic.order(`tickets/${urgent}/prioritise`, { priority: 7 });
    await clinic.order(`queues/${site.blood}/pause`);
    for (const [name, viewport] of Object.entries({ desk: DESK, tablet: TABLET })) {
      const page = await openConsole(site, "Room 1", { viewport });
      await row(page, "A-007").click();
      for (const [language, colorScheme] of /** @type {const} */ ([
        ["FR", "dark"],
        ["EN", "light"],
      ])) {
        await page.page.emulateMedia({ colorScheme, reducedMotion: "reduce" });
        await page.page.getByRole("button", { name: language }).first().click();
        await assertAccessible(page.page, `console ${name} ${language} ${colorScheme}`);
        await page.shoot(`console-${name}-${language}-${colorScheme}`);
        const wide = await page.page.evaluate(
          "document.documentElement.scrollWidth - document.documentElement.clientWidth",
        );
        assert.equal(wide, 0, `${name} in ${language} is wider than the screen`);
      }
      assert.deepEqual(page.complaints, []);
    }
  });
});
