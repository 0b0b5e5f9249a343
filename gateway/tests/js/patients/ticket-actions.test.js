// The actions of a patient on the page of the ticket, and the page behind a short code. The server
// is a staged one.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { actionsOf } from "../../../web/patient/actions.js";
import { assertAccessible } from "../helpers/accessibility.js";
import { Page } from "../helpers/browser.js";
import { browser, open, useBrowser } from "../helpers/fixtures.js";
import { StagedClinic } from "../helpers/staged-clinic.js";
import { until } from "../helpers/until.js";

const SMALL = { width: 320, height: 640 };
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

useBrowser();

/**
 * Opens the page of the ticket in a state, and keeps the commands that it gives.
 * @param {string} state
 * @param {string} hash
 * @param {string} [query]
 */
async function openTicket(state, hash, query = "") {
  const stage = await StagedClinic.start();
  open(stage);
  stage.state("ticket:harbour.t", { ...ticket, state });
  const page = await Page.open(browser, "about:blank", SMALL);
  open(page);
  /** @type {{action: string, key: string | undefined}[]} */
  const given = [];
  /** @type {unknown[]} */
  const exchanged = [];
  const answers = [503, 200];
  await page.page.route("**/v1/tickets/**", (route) => {
    const request = route.request();
    if (request.method() === "GET") return route.fulfill({ json: { public_key: null } });
    const action = new URL(request.url()).pathname.split("/").pop() ?? "";
    given.push({ action, key: request.headers()["idempotency-key"] });
    return route.fulfill({ status: answers.shift() ?? 200, json: {} });
  });
  await page.page.route("**/v1/ticket-links/exchange", (route) => {
    exchanged.push(route.request().postDataJSON());
    return route.fulfill({ json: { token: "t", ticket: "harbour.t" } });
  });
  await page.page.goto(`${stage.url}/patient${query}#${hash}`);
  return { page, given, exchanged };
}

const OWN = "token=t&ticket=harbour.t";

describe("the page of a ticket", () => {
  it("opens a short code", async () => {
    const { page, exchanged } = await openTicket("waiting", "code=HK7QT-93MXR");
    await page.shows("#label", "A-042");
    assert.deepEqual(exchanged, [{ code: "HK7QT-93MXR" }]);
  });

  it("asks before the patient leaves, and gives a failed command again by its key", async () => {
    const { page, given } = await openTicket("waiting", OWN);
    const leave = page.page.locator("#action-leave");
    await leave.click();
    await page.shows("#action-question", /Give up your place/);
    await assertAccessible(page.page, "leaving");
    await page.shoot("patient-leaving");
    await page.page.locator("#action-keep").click();
    await page.shows("#action-leave", "I’m leaving");
    assert.equal(given.length, 0);
    await leave.click();
    await leave.click();
    await page.shows("#action-failed", /try again/);
    await leave.click();
    await leave.click();
    await until("the command is given again", () => given.length === 2);
    assert.deepEqual(given[0], given[1]);
    assert.equal(given[0]?.action, "leave");
  });

  it("lets a patient who missed the call come back", async () => {
    const { page, given } = await openTicket("absent", OWN, "?lang=fr");
    await page.shows("#action-return", "Je suis de retour");
    await assertAccessible(page.page, "absent");
    await page.page.evaluate(() => {
      document.documentElement.style.fontSize = "200%";
    });
    const wide = await page.page.evaluate(() => document.documentElement.scrollWidth > innerWidth);
    assert.ok(!wide, "the page is wider than the screen");
    await page.shoot("patient-absent");
    await page.page.locator("#action-return").click();
    await until("the command is given", () => given.length === 1);
    assert.equal(given[0]?.action, "return");
  });

  it("offers what the state allows", () => {
    assert.deepEqual(actionsOf("absent"), ["return", "leave"]);
    assert.deepEqual(actionsOf("waiting", true), ["yield", "leave"]);
    assert.deepEqual(actionsOf("called", true), ["leave"]);
    for (const state of ["waiting", "called", "on_hold"]) {
      assert.deepEqual(actionsOf(state), ["leave"], state);
    }
    for (const state of ["in_service", "completed", "left", undefined]) {
      assert.deepEqual(actionsOf(state), [], state);
    }
  });
});
