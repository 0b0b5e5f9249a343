// The start page in each language, without a demo, and with large text.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { describe, it } from "node:test";
import { TEXTS } from "../../../web/languages/all.js";
import { assertAccessible } from "../helpers/accessibility.js";
import { Page, PHONE, SCREEN } from "../helpers/browser.js";
import { browser, open, useBrowser } from "../helpers/fixtures.js";
import { StagedClinic } from "../helpers/staged-clinic.js";

useBrowser();

describe("the start page", () => {
  it("has every sentence in every language", async () => {
    const html = await readFile(new URL("../../../web/start/start.html", import.meta.url), "utf8");
    const found = [...html.matchAll(/data-text="([^"]+)"[^>]*>([^<]*)</g)];
    const written = found.map(([, key, text]) => [key, text.replace(/\s+/g, " ").trim()]);
    assert.equal(new Set(written.map(([key]) => key)).size, written.length, "each key once");
    // The English sentences are in the HTML as well: the page speaks without scripts.
    assert.deepEqual(TEXTS.en.start.sentences, Object.fromEntries(written));
    for (const { start } of Object.values(TEXTS))
      assert.deepEqual(Object.keys(start.sentences).sort(), written.map(([key]) => key).sort());
  });

  it("speaks French, and leads to every page on a node without a demo", async () => {
    const stage = open(await StagedClinic.start());
    const page = open(await Page.open(browser, `${stage.url}/?lang=fr`, SCREEN));
    await page.shows("h1", "Chacun, à la clinique, sait ce qui vient ensuite.");
    await page.shows("#no-demo", /un lien ou un code/);
    await page.shows("#board-link", "Ouvrir l’écran");
    for (const name of ["patient", "appointment", "board", "dashboard", "schedule", "console"])
      assert.equal(await page.page.locator(`#${name}-link`).getAttribute("href"), name);
    assert.equal(await page.page.locator("#claims-link").getAttribute("href"), "runs");
    await assertAccessible(page.page, "start page in French without a demo");
    await page.shoot("start-fr-bare", { fullPage: true });
    await page.page.locator("#languages [lang=en]").click();
    await page.shows("h1", "Everyone in the clinic knows what comes next.");
    await page.shows("#board-link", "Open the screen");
  });

  it("shows live cards in the reader's language", async () => {
    const stage = open(await StagedClinic.start());
    stage.state("ticket:harbour.t", { label: "A-042", state: "waiting", ahead: 3, queue: "q" });
    const queue = { name: "General medicine", state: "open", waiting: 3 };
    stage.show("board:harbour", { board: { name: "Harbour" }, "queue:q": queue });
    const keys = "patient=p&ticket=harbour.t&display=d&location=harbour";
    const page = open(await Page.open(browser, `${stage.url}/#${keys}`, PHONE));
    await page.shows("#patient-state", "3 ahead");
    await page.shows("#board-waiting", "3 waiting now");
    await page.page.locator("#languages [lang=fr]").click();
    await page.shows("#patient-state", "3 devant");
    await page.shows("#board-waiting", "3 en attente");
    assert.deepEqual(
      page.complaints.filter((text) => !/404/.test(text)),
      [],
    );
  });

  for (const width of [320, 390, 844]) {
    it(`is not wider than a screen of ${width} px with large text`, async () => {
      const stage = open(await StagedClinic.start());
      const size = { width, height: 640 };
      const page = open(await Page.open(browser, `${stage.url}/?lang=fr`, size));
      await page.shows("#no-demo", /./);
      await page.page.evaluate(() => {
        document.documentElement.style.fontSize = "200%";
      });
      const found = await page.page.evaluate(() =>
        [...document.querySelectorAll("h1, h2, h3, p, a, button")]
          .filter((element) => element.getClientRects().length)
          .filter((element) => element.getBoundingClientRect().right > innerWidth + 1)
          .map((element) => element.textContent?.trim()),
      );
      await page.shoot(`start-large-${width}`, { fullPage: true });
      assert.deepEqual(found, []);
      const wide = await page.page.evaluate("document.documentElement.scrollWidth - innerWidth");
      assert.ok(Number(wide) <= 0);
    });
  }
});
