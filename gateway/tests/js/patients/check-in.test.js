// The pages of check-in points: a phone that scanned a poster, a kiosk, and the sheet of a poster.
// The server is a staged one.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { KeptAttempts, SEND_WITHIN_MS } from "../../../web/kiosk/kept.js";
import { assertAccessible } from "../helpers/accessibility.js";
import { Page, PHONE } from "../helpers/browser.js";
import { browser, open, useBrowser } from "../helpers/fixtures.js";
import { StagedClinic } from "../helpers/staged-clinic.js";

const SMALL = { width: 320, height: 640 };
const TABLET = { width: 1280, height: 800 };
const START = Date.parse("2026-11-27T14:30:00Z");
const opening = {
  location: {
    name: "Harbour Clinic",
    time_zone: "America/Toronto",
    languages: ["en-CA", "fr-CA", "hi"],
  },
  check_in_point: { name: "Main entrance", kind: "poster" },
  factor: "birth_year",
  digits: 4,
  asks_position: false,
  walk_in: [{ queue: "harbour.general", name: "General medicine" }],
};
const link = { path: "/patient#link=demo.harbour.t.mac", key: "demo.harbour.t.mac", code: "HK7QT" };
const booked = { booking: "HK7Q-T93M", start: START, doctor: "Dr. Roy", status: "booked" };
const checkedIn = { ...booked, outcome: "checked_in", label: "A-042", ticket: "harbour.t", link };

useBrowser();

/**
 * Opens a page of a point whose server gives these answers, in turn. `"lost"` is no answer.
 * @param {string} path
 * @param {{width: number, height: number}} viewport
 * @param {Record<string, (object | "lost")[]>} answers by the end of the address
 * @param {string} [credential] what the kiosk keeps
 */
async function openPoint(path, viewport, answers, credential) {
  const stage = await StagedClinic.start();
  open(stage);
  const page = await Page.open(browser, "about:blank", viewport);
  open(page);
  /** @type {{action: string, body: any, key: string | undefined, bearer: string | undefined}[]} */
  const sent = [];
  await page.page.route("**/v1/**", (route) => {
    const request = route.request();
    const address = new URL(request.url()).pathname;
    const action = Object.keys(answers).find((end) => address.endsWith(end)) ?? "";
    const body = request.postData() ? request.postDataJSON() : undefined;
    const headers = request.headers();
    sent.push({ action, body, key: headers["idempotency-key"], bearer: headers.authorization });
    const left = answers[action] ?? [];
    const answer = left.length > 1 ? left.shift() : left[0];
    if (!answer || answer === "lost") return route.abort();
    const { status = 200, text, ...json } = /** @type {any} */ (answer);
    return text ? route.fulfill({ status, body: text }) : route.fulfill({ status, json });
  });
  if (credential) {
    await page.page.addInitScript((token) => {
      localStorage.setItem("kiosk", JSON.stringify({ token, location: "harbour" }));
    }, credential);
  }
  await page.page.goto(`${stage.url}${path}`);
  return { page, sent };
}

/** @param {Page} page @param {string} selector @param {string} text */
async function press(page, selector, text) {
  for (const sign of text) {
    await page.page.locator(`${selector} button`, { hasText: new RegExp(`^${sign}$`) }).click();
  }
}

describe("the page of a poster's code", () => {
  const path = "/check-in#point=demo.harbour.entrance.17.mac";

  it("checks one appointment in at once, and leads to the ticket", async () => {
    const { page, sent } = await openPoint(path, SMALL, {
      "scans/open": [opening],
      "scans/find": [{ appointments: [booked] }],
      "scans/check-in": [{ results: [checkedIn] }],
    });
    await page.shows("#clinic", "Harbour Clinic");
    await assertAccessible(page.page, "the form");
    await page.shoot("check-in-form", { fullPage: true });
    await page.page.locator("[name=code]").fill("hk7qt93m");
    await page.page.locator("[name=told]").fill("1980");
    await page.page.locator("#send").click();
    await page.shows(".number", "A-042");
    await assertAccessible(page.page, "checked in");
    await page.shoot("check-in-done", { fullPage: true });
    const href = await page.page.locator(".follow").getAttribute("href");
    assert.equal(href, "patient#link=demo.harbour.t.mac");
    const given = sent.find(({ action }) => action === "scans/check-in");
    assert.deepEqual(given?.body.bookings, [{ code: "hk7qt93m", told: "1980" }]);
    assert.equal(given?.body.point, "demo.harbour.entrance.17.mac");
    assert.ok((given?.key?.length ?? 0) >= 16);
    assert.deepEqual(page.complaints, []);
  });

  it("lets a family choose among several appointments", async () => {
    const second = { ...booked, booking: "CDFH-2345", start: START + 3_600_000, doctor: "Dr. Ng" };
    const { page, sent } = await openPoint(path, PHONE, {
      "scans/open": [opening],
      "scans/find": [{ appointments: [booked, second] }],
      "scans/check-in": [{ results: [checkedIn] }],
    });
    await page.page.locator("#add").click();
    assert.equal(await page.page.locator("fieldset").count(), 2);
    await page.page.locator("[name=code]").first().fill("HK7Q-T93M");
    await page.page.locator("[name=told]").first().fill("1980");
    await page.page.locator("#send").click();
    await page.shows("#choice-list", /9:30 a\.m\. · Dr\. Roy\s+10:30 a\.m\. · Dr\. Ng/);
    await assertAccessible(page.page, "the choice");
    await page.shoot("check-in-choice");
    await page.page.locator("#choice-list input").last().uncheck();
    await page.page.locator("#choice-send").click();
    await page.shows(".number", "A-042");
    const given = sent.find(({ action }) => action === "scans/check-in");
    assert.deepEqual(given?.body.bookings, [{ code: "HK7Q-T93M", told: "1980" }]);
  });

  it("says what a refusal means, and what to do next", async () => {
    const refused = { booking: "HK7Q", outcome: "refused", code: "no_appointment_found" };
    const { page } = await openPoint(path, SMALL, {
      "scans/open": [opening],
      "scans/find": [{ appointments: [refused] }, "lost"],
    });
    await page.page.locator("[name=code]").fill("HK7Q-T93X");
    await page.page.locator("#send").click();
    await page.shows("#problem", /No appointment was found.*ask at the front desk/);
    await assertAccessible(page.page, "refused");
    await page.page.locator("#send").click();
    await page.shows("#problem", /no connection/);
    assert.equal(await page.page.locator("[name=code]").inputValue(), "HK7Q-T93X");
  });

  it("leads to the entrance when the code was replaced", async () => {
    const { page } = await openPoint(path, SMALL, {
      "scans/open": [{ status: 410, code: "qr_expired" }],
    });
    await page.shows("#problem", /isn’t valid any more/);
    assert.equal(await page.page.locator("#form").isVisible(), false);
  });
});

describe("a kiosk", () => {
  const kiosk = { ...opening, check_in_point: { name: "Hall", kind: "kiosk" } };

  it("is paired by its code", async () => {
    const pairing = { status: 201, code: "HK7Q-T93M", secret: "s", poll_s: 0.05 };
    const { page } = await openPoint("/kiosk", TABLET, {
      "displays/pairings": [pairing],
      "/credential": [
        { status: 202, state: "waiting" },
        { token: "t.t.t", location: "harbour" },
      ],
      "scans/open": [kiosk],
    });
    await page.shows("#begin", "Touch to begin");
    const kept = await page.page.evaluate(() => localStorage.getItem("kiosk"));
    assert.deepEqual(JSON.parse(kept ?? ""), { token: "t.t.t", location: "harbour" });
  });

  it("checks in by touch alone, and is ready for the next person", async () => {
    const { page, sent } = await openPoint(
      "/kiosk?idle=1500",
      TABLET,
      {
        "scans/open": [kiosk],
        "scans/find": [{ appointments: [booked] }],
        "scans/check-in": [{ results: [checkedIn] }],
      },
      "t.t.t",
    );
    await page.shows("#begin", "Touch to begin");
    await assertAccessible(page.page, "the start");
    await page.shoot("kiosk-start");
    await page.page.locator("#begin").click();
    await press(page, "#keys", "HK7QT93M");
    await page.shows("#typed", "HK7QT93M");
    await page.shoot("kiosk-code");
    const box = await page.page.locator("#keys button").first().boundingBox();
    assert.ok(box && box.width >= 64 && box.height >= 64, "targets are large");
    await page.page.locator("#next").click();
    await press(page, "#keys", "1980");
    await page.shoot("kiosk-factor");
    await page.page.locator("#next").click();
    await page.shows(".number", "A-042");
    await page.shoot("kiosk-done");
    const given = sent.find(({ action }) => action === "scans/check-in");
    assert.equal(given?.bearer, "Bearer t.t.t");
    assert.equal(given?.body.point, undefined);
    await page.shows("#begin", "Touch to begin");
    const left = await page.page.evaluate(() => document.body.textContent);
    assert.ok(!left?.includes("A-042") && !left?.includes("HK7QT93M"), "nothing is left behind");
    assert.deepEqual(page.complaints, []);
  });

  it("keeps an attempt without a network, and shows its result", async () => {
    const { page, sent } = await openPoint(
      "/kiosk",
      TABLET,
      {
        "scans/open": [kiosk],
        "scans/find": ["lost"],
        "scans/check-in": ["lost", { results: [checkedIn] }],
      },
      "t.t.t",
    );
    await page.page.locator("#begin").click();
    await press(page, "#keys", "HK7QT93M");
    await page.page.locator("#next").click();
    await press(page, "#keys", "1980");
    await page.page.locator("#next").click();
    await page.shows("#problem", /Your check-in of .* is saved/);
    await page.shows("#kept-list", /code …3M: waiting/);
    await page.shoot("kiosk-kept");
    for (let again = 0; again < 2; again += 1) {
      await page.page.evaluate(() => dispatchEvent(new Event("online")));
    }
    await page.shows("#kept-list", /code …3M: You’re checked in Your number A-042/);
    const keys = sent.filter(({ action }) => action === "scans/check-in").map(({ key }) => key);
    assert.equal(new Set(keys).size, 1, "the attempt keeps its key");
  });

  it("does not send an attempt whose patient has gone to the desk", async () => {
    const kept = new KeptAttempts();
    kept.keep({ at: 0, key: "k", bookings: [{ code: "HK7QT93M", told: "1980" }] });
    await kept.sendAll(() => assert.fail("it is too old"), SEND_WITHIN_MS + 1);
    assert.deepEqual(
      kept.shown(Date.now()).map(({ ends, outcome }) => [ends, outcome]),
      [["3M", "lost"]],
    );
  });
});

describe("the sheet of a poster", () => {
  it("has the code, and instructions in each language of the location", async () => {
    const svg =
      '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 9 9"><path d="M0 0h9v9h-9z"/></svg>';
    const { page } = await openPoint("/poster#token=t&point=harbour.entrance", TABLET, {
      "check-in-points/harbour.entrance": [{ name: "Main entrance" }],
      "locations/harbour": [opening.location],
      "code.svg": [{ text: svg }],
    });
    await page.shows("h1", "Harbour Clinic");
    await page.shows("#languages-list", /Check in here[^]*Inscrivez-vous ici[^]*यहाँ चेक-इन/);
    await assertAccessible(page.page, "the sheet");
    await page.page.emulateMedia({ media: "print" });
    await page.shoot("poster", { fullPage: true });
    assert.deepEqual(page.complaints, []);
  });
});
