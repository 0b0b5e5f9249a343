// Screens on walls load newer pages by themselves, and never again and again.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { Page, SCREEN } from "../helpers/browser.js";
import { browser, open, useBrowser } from "../helpers/fixtures.js";
import { StagedClinic } from "../helpers/staged-clinic.js";
import { until } from "../helpers/until.js";

const MINUTE_MS = 60_000;
const SCRIPT = "/shared/connection/new-version.js";
/** A document without scripts of its own. With the one that a test adds, a look is two requests. */
const IMAGE = "shared/look/logo.svg";
const REQUESTS = 2;
/** So many looks take longer than loading again, after which nothing would look any more. */
const MANY = 30;

useBrowser();

/** A document at a server whose files have version one. */
async function openDocument() {
  const stage = open(await StagedClinic.start());
  stage.version = () => "one";
  const { page } = open(await Page.open(browser, `${stage.url}/${IMAGE}`, SCREEN));
  let loads = 0;
  page.on("load", () => loads++);
  return {
    stage,
    page,
    /** How often the document has loaded again. */
    loads: () => loads,
    /** The document looks for newer versions all the time, and loads them while it is not busy. */
    follow: () =>
      page.evaluate(async (script) => {
        const { reloadOnNewVersion } = await import(script);
        reloadOnNewVersion(() => !("busy" in globalThis), { everyMs: 20, againMs: 10 });
      }, SCRIPT),
    /** Waits for so many looks. @param {number} looks */
    async looked(looks) {
      const before = stage.versionsAsked;
      await until("it looked", () => stage.versionsAsked >= before + looks * REQUESTS);
    },
  };
}

describe("a page that looks for newer versions", () => {
  it("loads again once, for a version that it has found twice", async () => {
    const { stage, follow, loads, looked } = await openDocument();
    await follow();
    await looked(MANY);
    assert.equal(loads(), 0);
    stage.version = () => "two";
    await until("it loads again", () => loads() === 1);
    await follow();
    await looked(MANY);
    assert.equal(loads(), 1);
  });

  it("does not load again for nodes that answer with another one each time", async () => {
    const { stage, follow, loads, looked } = await openDocument();
    let answers = 0;
    stage.version = () => `version ${answers++}`;
    await follow();
    await looked(MANY);
    assert.equal(loads(), 0);
  });

  it("waits for a good moment", async () => {
    const { stage, page, follow, loads, looked } = await openDocument();
    await page.evaluate("globalThis.busy = true");
    await follow();
    await looked(1);
    stage.version = () => "two";
    await looked(MANY);
    assert.equal(loads(), 0);
    await page.evaluate("delete globalThis.busy");
    await until("it loads again", () => loads() === 1);
  });
});

describe("a board", () => {
  it("loads a newer version", async () => {
    const { stage, page, loads } = await openDocument();
    const board = { name: "Harbour Clinic", languages: ["en"], messages: [] };
    stage.show("board:harbour", { board });
    await page.clock.install();
    await page.goto(`${stage.url}/board#token=d&location=harbour`);
    const name = page.locator("#name", { hasText: "Harbour Clinic" });
    await name.waitFor();
    await until("it knows its own version", () => stage.versionsAsked > 0);
    stage.version = () => "two";
    await until("it loads again", async () => {
      if (loads() < 2) await page.clock.fastForward(MINUTE_MS);
      return loads() === 2;
    });
    await name.waitFor();
  });
});
