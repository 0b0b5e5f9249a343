// The page of a phone without the clinic, or without a link. The server is a staged one.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { Page } from "../helpers/browser.js";
import { browser, open, useBrowser } from "../helpers/fixtures.js";
import { StagedClinic } from "../helpers/staged-clinic.js";

const SMALL = { width: 320, height: 640 };
const KEYS = "token=t&ticket=harbour.t";
const ticket = {
  ticket: "harbour.t",
  label: "A-042",
  queue: "harbour.general",
  queue_name: "General medicine",
  queue_state: "open",
  state: "waiting",
  ahead: 3,
  issued_at: 1_800_000_000_000,
  clinic: { name: "Harbour Clinic", time_zone: "America/Toronto", address: "1 Pier Road" },
};

useBrowser();

async function start() {
  const stage = await StagedClinic.start();
  open(stage);
  const page = await Page.open(browser, "about:blank", SMALL);
  open(page);
  return { stage, page };
}

describe("the slip of a ticket", () => {
  it("says what to do with a link that opens nothing", async () => {
    const { stage, page } = await start();
    await page.page.goto(`${stage.url}/slip`);
    await page.shows("#note-title", "Open the link from your ticket");
    assert.ok(await page.page.locator("#slip").isHidden());
  });
});

describe("the last state of a ticket", () => {
  it("is shown with its age without the clinic, and goes with the ticket", async () => {
    const { stage, page } = await start();
    stage.state("ticket:harbour.t", ticket);
    const url = `${stage.url}/patient#${KEYS}`;
    await page.page.goto(url);
    await page.shows("#label", "A-042");
    const kept = () => page.page.evaluate(() => localStorage.getItem("last-ticket"));
    const before = await kept();
    assert.ok(before && !before.includes("token"), "no token is kept");

    const later = await Page.open(browser, "about:blank", SMALL);
    open(later);
    await later.page.goto(stage.url);
    // The state was last fresh three minutes ago.
    await later.page.evaluate((text) => {
      const last = JSON.parse(text);
      localStorage.setItem("last-ticket", JSON.stringify({ ...last, at: last.at - 180_000 }));
    }, before);
    await later.page.route("**/v1/**", (route) => route.abort());
    await later.page.routeWebSocket(/./, (socket) => socket.close({ code: 1011 }));
    await later.page.goto(url);
    await later.shows("#label", "A-042");
    await later.shows("#banner-text", /Connection lost 3 min ago/);
    await later.shoot("patient-last-state");

    const again = await Page.open(browser, "about:blank", SMALL);
    open(again);
    stage.state("ticket:harbour.t", { ...ticket, state: "completed" });
    await again.page.goto(stage.url);
    await again.page.evaluate((text) => localStorage.setItem("last-ticket", text), before);
    await again.page.goto(url);
    await again.shows("#note-title", "All done");
    assert.equal(await again.page.evaluate(() => localStorage.getItem("last-ticket")), null);
  });
});
