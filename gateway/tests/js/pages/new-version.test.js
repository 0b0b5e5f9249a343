// Screens on walls load newer pages by themselves, and never again and again.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { Page, SCREEN } from "../helpers/browser.js";
import { browser, open, useBrowser } from "../helpers/fixtures.js";
import { StagedClinic } from "../helpers/staged-clinic.js";
import { until } from "../helpers/until.js";

const MINUTE_MS = 60_000;
const LOOK_EVERY_MS = 10 * MINUTE_MS;

useBrowser();

/** A board whose timers the test moves, and a way to let it look for newer files. */
async function openBoard() {
  const stage = open(await StagedClinic.start());
  stage.version = () => "one";
  const board = { name: "Harbour Clinic", languages: ["en"], messages: [] };
  stage.show("board:harbour", { board });
  const page = open(await Page.open(browser, `${stage.url}/health/live`, SCREEN));
  await page.page.clock.install();
  let loads = 0;
  page.page.on("load", () => loads++);
  await page.page.goto(`${stage.url}/board#token=d&location=harbour`);
  await page.shows("#name", "Harbour Clinic");
  /** One look asks for the version of every file. */
  const files = async () =>
    1 +
    (await page.page.evaluate(() => {
      const names = performance.getEntriesByType("resource").map(({ name }) => name);
      return new Set(names.filter((name) => /\.(js|css)$/.test(name))).size;
    }));
  const each = await files();
  const looks = () => Math.floor(stage.versionsAsked / each);
  await until("the page looked at its own version", () => looks() === 1);
  /**
   * Lets time pass until the condition holds: the next timer may not be put yet.
   * @param {string} what
   * @param {() => boolean} condition
   * @param {number} [stepMs]
   */
  const pass = (what, condition, stepMs = MINUTE_MS) =>
    until(what, async () => {
      if (!condition()) await page.page.clock.fastForward(stepMs);
      return condition();
    });
  return { stage, page, loads: () => loads, looks, pass };
}

describe("a board", () => {
  it("loads a newer version once, when it has found it twice", async () => {
    const { stage, page, loads, looks, pass } = await openBoard();
    stage.version = () => "two";
    await pass("it loaded again", () => loads() === 2);
    assert.ok(looks() >= 3);
    await page.shows("#name", "Harbour Clinic");
    // The new page finds its own version from now on.
    const before = looks();
    await pass("it looked three times more", () => looks() >= before + 3, LOOK_EVERY_MS);
    assert.equal(loads(), 2);
  });

  it("never loads again for nodes or proxies that answer with another version each time", async () => {
    const { stage, loads, looks, pass } = await openBoard();
    let answers = 0;
    stage.version = () => `version ${answers++}`;
    await pass("it looked four times more", () => looks() >= 5);
    assert.equal(loads(), 1);
  });

  it("shows a new call to its end before", async () => {
    const { stage, page, loads, looks, pass } = await openBoard();
    stage.version = () => "two";
    await pass("it found the newer version", () => looks() === 2);
    const at = await page.page.evaluate("Date.now()");
    const call = { label: "A-041", station: "Room 1", at, recalls: 0, current: true };
    stage.show("board:harbour", { "call:1": call });
    await page.shows("#calls .fresh .label", "A-041");
    // The clock stands still, and the page asks again as soon as it is told that it may.
    await page.page.clock.setFixedTime(at);
    await pass("it looked while the call is new", () => looks() >= 3);
    assert.equal(loads(), 1);
    await page.page.clock.setFixedTime(Number(at) + MINUTE_MS);
    await pass("it loaded again", () => loads() === 2);
  });
});
