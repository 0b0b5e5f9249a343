// The links of pages in Chromium: tokens leave the address bar, a ticket's own link opens it, and a
// proxy that changes addresses is named as the fault.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { assertAccessible } from "../helpers/accessibility.js";
import { Page, PHONE, SCREEN } from "../helpers/browser.js";
import { browser, clinic, open, useBrowser, useClinic } from "../helpers/fixtures.js";
import { Proxy } from "../helpers/proxy.js";
import { until } from "../helpers/until.js";

/** @typedef {import("../helpers/clinic.js").Site} Site */

useClinic("--empty");
useBrowser();

/**
 * Opens a page with such a link.
 * @param {string} page
 * @param {Record<string, string>} keys
 * @param {string} [url]
 */
async function openPage(page, keys, url = clinic.url) {
  const size = page === "board" ? SCREEN : PHONE;
  return open(await Page.open(browser, `${url}/${page}#${new URLSearchParams(keys)}`, size));
}

describe("a page's token", () => {
  /**
   * Each page with its link, and a text that it shows only with the token.
   * @type {[string, (site: Site, ticket: string) => Record<string, string>, string][]}
   */
  const PAGES = [
    [
      "patient",
      (site, ticket) => ({ token: site.token("patient", { tickets: [ticket] }), ticket }),
      "#label",
    ],
    ["board", (site) => ({ token: site.token("display"), location: site.location }), "#queues"],
    [
      "dashboard",
      (site) => ({ token: site.token("reception"), location: site.location }),
      "#figures",
    ],
    ["runs", (site) => ({ token: site.token("editor") }), "#intake-title"],
    ["", (site) => ({ display: site.token("display"), location: site.location }), "#board-links"],
  ];
  for (const [name, keys, shown] of PAGES) {
    it(`leaves the address bar of ${name || "the start page"} and survives a reload`, async () => {
      const site = await clinic.furnish();
      const [{ ticket }] = await site.issue(1);
      const page = await openPage(name, keys(site, ticket));
      await page.shows(shown, /./);
      for (const when of ["at first", "after a reload"]) {
        const address = page.page.url();
        assert.ok(!address.includes("eyJ"), `${when}: ${address}`);
        await page.page.reload();
        await page.shows(shown, /./);
      }
      assert.deepEqual(page.complaints, []);
    });
  }

  it("is not found by another tab", async () => {
    const site = await clinic.furnish();
    const keys = { token: site.token("display"), location: site.location };
    const page = await openPage("board", keys);
    await page.shows("#queues", /./);
    const other = new Page(await page.page.context().newPage());
    await other.page.goto(page.page.url());
    await other.shows("#instead-text", /^This screen needs a new link/);
  });

  it("follows to another link in the same tab, and back", async () => {
    const site = await clinic.furnish();
    const [first, second] = await site.issue(2);
    /** @param {{ticket: string}} ticket */
    const keys = ({ ticket }) => ({ token: site.token("patient", { tickets: [ticket] }), ticket });
    const page = await openPage("patient", keys(first));
    await page.shows("#label", first.label);
    const link = `#${new URLSearchParams(keys(second))}`;
    await page.page.evaluate(`location.hash = ${JSON.stringify(link)}`);
    await page.shows("#label", second.label);
    assert.ok(!page.page.url().includes("eyJ"));
    await page.page.goBack();
    await page.shows("#label", first.label);
  });
});

describe("a ticket's own link", () => {
  it("opens the ticket, stays in the address bar and ends with it", async () => {
    const site = await clinic.furnish();
    const issued = await clinic.ask("POST", `queues/${site.general}/tickets`, {});
    const { path, code } = issued.link;
    assert.match(code, /^[2-9A-Z]{5}-[2-9A-Z]{5}$/);
    const page = open(await Page.open(browser, `${clinic.url}${path}`, PHONE));
    await page.shows("#label", issued.result.label);
    await page.shows("#ahead-text", "You’re next");
    await page.page.reload();
    await page.shows("#label", issued.result.label);
    assert.ok(page.page.url().endsWith(path), page.page.url());
    await clinic.order(`tickets/${issued.result.ticket}/call`, { station: site.room1 });
    await page.shows("#your-turn", "It’s your turn");
    assert.deepEqual(page.complaints, []);
  });

  it("is refused when it is wrong", async () => {
    const page = await openPage("patient", { link: "demo.nowhere.AAAA" });
    await page.shows("#note-title", "This link no longer works");
  });
});

describe("a page behind a proxy that replaces the host", () => {
  const TITLE = "This address isn’t set up yet";

  for (const name of ["patient", "board", "dashboard", "runs"]) {
    it(`says so on ${name} in both languages, and how to mend it`, async () => {
      const site = await clinic.furnish();
      const [{ ticket }] = await site.issue(1);
      const proxy = open(await Proxy.to(clinic.url));
      proxy.host = "inside.example";
      const run = "r_0000000000000000_00000000000000000000000000000000";
      const { location } = site;
      /** @type {Record<string, Record<string, string>>} */
      const links = {
        patient: { token: site.token("patient", { tickets: [ticket] }), ticket },
        board: { token: site.token("display"), location },
        dashboard: { token: site.token("reception"), location },
        runs: { token: site.token("editor"), run },
      };
      const page = await openPage(name, links[name], proxy.url);
      const [title, text] =
        name === "board" ? ["#instead h2", "#instead p"] : ["#note-title", "#note-text"];
      await page.shows(title, TITLE);
      await page.shows(text, new RegExp(`--origin ${proxy.url}`));
      await assertAccessible(page.page, `${name} behind such a proxy`);
      await page.shoot(`${name}-origin`);
      const french = page.page.locator("#languages [lang=fr]");
      if (await french.count()) {
        await french.click();
        await page.shows(title, "Cette adresse n’est pas encore configurée");
      }
    });
  }
});

describe("the banner of a crossing", () => {
  /**
   * A token that says that it crosses. The server does not accept it: the page shows the banner
   * for what the token says.
   */
  function crossingToken() {
    const body = {
      crossed: true,
      role: "super_admin",
      tenant: "north",
      expires: Date.now() + 900_000,
    };
    return `e30.${Buffer.from(JSON.stringify(body)).toString("base64url")}.x`;
  }

  for (const name of ["patient", "board", "runs", "dashboard", ""]) {
    it(`is shown on ${name || "the start page"}`, async () => {
      const key = name ? "token" : "display";
      const keys = { [key]: crossingToken(), location: "riverside", ticket: "riverside.t" };
      const page = await openPage(name, keys);
      await until("the banner is there", async () => {
        const text = await page.page.locator("body > .banner").first().innerText();
        return /You are viewing north as a super admin/.test(text);
      });
      await assertAccessible(page.page, `${name} in a crossing`);
      if (name === "board") {
        const { y = 0, height = 0 } = (await page.page.locator("#board").boundingBox()) ?? {};
        // Against burn-in a board moves by some pixels.
        assert.ok(y + height < SCREEN.height + 5, `the board ends at ${y + height}`);
      }
      await page.shoot(`crossing-${name || "start"}`);
    });
  }
});

describe("a pairing", () => {
  it("gives a screen the board of its location", async () => {
    const site = await clinic.furnish();
    const begun = await clinic.ask("POST", "displays/pairings", {});
    await clinic.ask("POST", `displays/pairings/${begun.code}/approve`, {
      location: site.location,
      name: "Entrance",
    });
    const { secret } = begun;
    const path = `displays/pairings/${begun.code}/credential`;
    const got = await clinic.ask("POST", path, { secret });
    const keys = { token: got.token, location: got.location };
    const page = await openPage("board", keys);
    await page.shows("#queues", /./);
    const listed = await clinic.ask("GET", `displays?location=${site.location}`);
    assert.deepEqual(
      listed.displays.map((/** @type {{name: string}} */ { name }) => name),
      ["Entrance"],
    );
  });

  it("survives a restart of the browser, and ends when staff remove the screen", async () => {
    const site = await clinic.furnish();
    const first = await openPage("board", {});
    await first.shows("#code", /^[0-9A-Z]{3,}/);
    await assertAccessible(first.page, "board with a code");
    await first.shoot("board-pairing");
    const code = await first.text("#code");
    const { display } = await clinic.ask("POST", `displays/pairings/${code}/approve`, {
      location: site.location,
      name: "Hall",
    });
    await first.shows("#queues", /General medicine/);
    // Another page of the same browser has no session, as after a restart.
    const restarted = new Page(await first.page.context().newPage());
    await first.page.close();
    await restarted.page.goto(`${clinic.url}/board`);
    await restarted.shows("#queues", /General medicine/);
    assert.equal(await restarted.text("#code"), "");
    await clinic.ask("DELETE", `displays/${display}`);
    await restarted.shows("#code", /^[0-9A-Z]{3,}/);
    assert.notEqual(await restarted.text("#code"), code);
  });
});
