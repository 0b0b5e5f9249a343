// The set-up page in Chromium against a running binary: an admin sets a clinic up, two admins meet.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { differences } from "../../../web/setup/entry-form.js";
import {
  locationBody,
  locationValues,
  messagesBody,
  newId,
  pointBody,
  pointValues,
  settingsFault,
  slugOf,
} from "../../../web/setup/values.js";
import { contrast, paletteOf } from "../../../web/shared/look/colours.js";
import { assertAccessible } from "../helpers/accessibility.js";
import { Page, PHONE } from "../helpers/browser.js";
import { token } from "../helpers/clinic.js";
import { browser, clinic, open, useBrowser, useClinic } from "../helpers/fixtures.js";
import { until } from "../helpers/until.js";

/** @typedef {import("../helpers/clinic.js").Site} Site */

const DESK = { width: 1280, height: 900 };
const NARROW = { width: 320, height: 700 };
const LOGO =
  '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 9 9"><path d="M0 0h9v9H0z" fill="#0f62fe"/></svg>';

useClinic("--empty");
useBrowser();

/** @param {Site} site @param {{viewport?: typeof DESK, role?: "admin" | "reception"}} [more] */
async function openSetup(site, { viewport = DESK, role = "admin" } = {}) {
  const keys = new URLSearchParams({ token: site.token(role), location: site.location });
  const page = await Page.open(browser, `${clinic.url}/setup#${keys}`, viewport);
  open(page);
  await page.shows("#link", "Live");
  return page;
}

/** @param {Page} page @param {string} form */
const save = ({ page }, form) => page.locator(`${form} .save`).click();

describe("the values of a form", () => {
  const entry = {
    name: "Riverside",
    time_zone: "America/Toronto",
    languages: ["fr", "en"],
    call_order: /** @type {const} */ ("arrival"),
    timers: {
      absent_grace_s: 900,
      stale_s: 28_800,
      check_in_early_s: 1_800,
      no_show_s: 7_200,
      call_grace_s: 900,
      handover_s: 45,
      day_start_min: 245,
      day_ends_tickets: true,
    },
    bands: { waiting: [10, 20], wait_s: [1_800, 3_600] },
    edition: 7,
  };

  it("become the same settings again, with the fields that no form shows", () => {
    const { edition, ...settings } = entry;
    const body = locationBody(
      locationValues(/** @type {any} */ (entry)),
      /** @type {any} */ (entry),
    );
    assert.equal(edition, 7);
    assert.deepEqual(JSON.parse(JSON.stringify(body)), settings);
  });

  it("differ only where somebody has changed something", () => {
    const before = { name: "A", every: true };
    assert.deepEqual(differences(before, { name: "B", every: true, more: "" }), [
      ["name", "A", "B"],
    ]);
  });

  it("leave out messages without any text", () => {
    const values = { "0.fr": "", "0.en": "", "1.fr": "Bonjour", "1.en": "" };
    assert.deepEqual(messagesBody(values), { messages: [{ fr: "Bonjour" }] });
  });

  it("leave out the place of a check-in point unless somebody fills it in", () => {
    const settings = {
      name: "Hall",
      kind: /** @type {const} */ ("poster"),
      queues: ["north.general"],
      factor: /** @type {const} */ ("phone_end"),
      place: { latitude: 45.5, longitude: -73.6, radius_m: 200 },
    };
    const entry = { ...settings, rotation: 4, rotated_at: 9 };
    assert.deepEqual(pointBody(pointValues(entry)), settings);
    const anywhere = pointValues({ ...entry, place: undefined });
    assert.equal(pointBody(anywhere).place, undefined);
    assert.deepEqual(pointBody({ ...anywhere, radius_m: "100" }).place, { radius_m: 100 });
  });

  it("of a clinic are refused by name", () => {
    const good = { id: "north-2", time_zone: "America/Toronto", languages: "fr-CA, en" };
    const faultOf = (/** @type {object} */ change) => settingsFault({ ...good, ...change });
    assert.equal(faultOf({}), undefined);
    assert.equal(faultOf({ time_zone: "Etc/GMT+5" }), undefined);
    for (const id of ["", "North", "a b", "é", "x".repeat(41)])
      assert.equal(faultOf({ id }), "bad_id");
    for (const zone of ["", "Toronto", "+05:00"])
      assert.equal(faultOf({ time_zone: zone }), "bad_zone");
    for (const languages of [",", "français", "e", "en ".repeat(11)])
      assert.equal(faultOf({ languages }), "bad_languages");
    assert.equal(slugOf("Clinique Métro-Est, 2e étage"), "clinique-metro-est-2e-et");
    assert.equal(slugOf("क्लिनिक"), "");
  });

  it("give a new line an id of its own", () => {
    const taken = new Set(["north.blood-tests"]);
    assert.equal(newId("north", "Blood tests", taken), "north.blood-tests-2");
    assert.equal(newId("north", "Échographie", taken), "north.echographie");
    assert.equal(newId("north", "रक्त", taken), "north.x");
  });
});

describe("the colour of a clinic", () => {
  it("becomes readable on every surface, in both schemes", () => {
    const surfaces = { light: ["#f5f4ef", "#ffffff"], dark: ["#0b1416", "#132124"] };
    for (const colour of ["#000000", "#ffffff", "#ffff00", "#0f62fe", "#808080", "#ff0000"]) {
      for (const scheme of /** @type {const} */ (["light", "dark"])) {
        const { brand, onBrand, soft, onSoft } = paletteOf(colour, scheme);
        for (const surface of surfaces[scheme]) assert.ok(contrast(brand, surface) >= 7);
        assert.ok(contrast(brand, onBrand) >= 7, `${colour} ${scheme}`);
        assert.ok(contrast(soft, onSoft) >= 7, `${colour} ${scheme}`);
      }
    }
  });
});

/**
 * Opens the page of a new clinic.
 * @param {string} bearer
 * @param {{viewport?: typeof DESK, id?: string}} [more]
 */
async function openCreation(bearer, { viewport = DESK, id } = {}) {
  const keys = new URLSearchParams(id ? { token: bearer, location: id } : { token: bearer });
  const page = await Page.open(browser, `${clinic.url}/setup#${keys}`, viewport);
  open(page);
  await page.shows("#creation-title", /./);
  return page;
}

describe("a new clinic", () => {
  it("is created with an id from its name, and opens", async () => {
    const setup = await openCreation(token("admin"));
    const { page } = setup;
    const field = (/** @type {string} */ name) => page.locator(`#creation-form [name=${name}]`);
    assert.equal(await field("time_zone").inputValue(), "America/Toronto");
    assert.equal(await field("languages").inputValue(), "en");
    await field("name").fill("Métro Clinic");
    assert.equal(await field("id").inputValue(), "metro-clinic");
    await field("id").fill("metro");
    await field("name").fill("Metro Clinic");
    assert.equal(await field("id").inputValue(), "metro", "a typed id stays");
    for (const [name, value, said] of /** @type {const} */ ([
      ["id", "Metro 1", /^The id may have up to 40 characters/],
      ["id", "metro", /./],
      ["time_zone", "Toronto", /^There is no such time zone/],
      ["time_zone", "America/Montreal", /./],
      ["languages", "English, French?", /^Languages are codes/],
    ])) {
      await field(name).fill(value);
      if (said.source === ".") continue;
      await save(setup, "#creation-form");
      await setup.shows("#creation-form .said", said);
    }
    await field("languages").fill("en, fr");
    await save(setup, "#creation-form");
    await setup.shows("#name", "Metro Clinic");
    await setup.shows("#link", "Live");
    assert.equal(await setup.text("#creation"), "");
    const made = await clinic.get("locations/metro");
    assert.deepEqual([made.time_zone, made.languages], ["America/Montreal", ["en", "fr"]]);
    assert.equal(new URL(page.url()).hash, "#location=metro", "the token is not shown");
    await page.reload();
    await setup.shows("#name", "Metro Clinic");
    // The page of a clinic has a link to create another one.
    await page.getByRole("link", { name: "New clinic" }).click();
    await setup.shows("#creation-title", "New clinic");
    await field("name").fill("Metro");
    await save(setup, "#creation-form");
    await setup.shows("#creation-form .said", /^A clinic with this id exists\. Choose another id/);
    assert.equal((await clinic.get("locations/metro")).name, "Metro Clinic");
    await setup.shoot("setup-new-clinic");
    const complaints = setup.complaints.filter((text) => !text.includes("409"));
    assert.deepEqual(complaints, []);
  });

  it("is offered in the page of one that does not exist", async () => {
    const setup = await openCreation(token("admin"), { id: "harbour-2" });
    await setup.shows("#note-title", "There is no clinic with this id");
    assert.equal(await setup.page.locator("#creation-form [name=id]").inputValue(), "harbour-2");
    await setup.page.locator("#creation-form [name=name]").fill("Harbour");
    await save(setup, "#creation-form");
    await setup.shows("#name", "Harbour");
    await setup.shows("#link", "Live");
  });

  it("is refused to an admin of other clinics, and to reception", async () => {
    for (const bearer of [
      token("admin", { locations: ["elsewhere"] }),
      token("reception", { locations: ["elsewhere"] }),
    ]) {
      const setup = await openCreation(bearer);
      await setup.page.locator("#creation-form [name=name]").fill("Not mine");
      await save(setup, "#creation-form");
      await setup.shows("#creation-form .said", /^Your sign-in may not create this clinic/);
    }
  });

  it("is accessible in three languages, light and dark, at 320 px and on a desk", async () => {
    for (const [viewport, language, colorScheme] of /** @type {const} */ ([
      [NARROW, "FR", "light"],
      [NARROW, "हि", "dark"],
      [DESK, "EN", "dark"],
    ])) {
      const setup = await openCreation(token("admin"), { viewport });
      const { page } = setup;
      await page.emulateMedia({ colorScheme });
      await page.locator("#languages button", { hasText: language }).click();
      await assertAccessible(page, `a new clinic ${language} ${colorScheme}`);
      const wide = await page.evaluate(
        () => document.documentElement.scrollWidth - document.documentElement.clientWidth,
      );
      assert.ok(wide <= 0, `${language} is ${wide} px too wide`);
      const file = `setup-new-clinic-${language === "हि" ? "hi" : language}-${colorScheme}`;
      await setup.shoot(file, { fullPage: true });
      assert.deepEqual(setup.complaints, []);
    }
  });
});

describe("the set-up page", () => {
  it("makes lines and rooms, and puts the lines in order", async () => {
    const site = await clinic.furnish();
    const { page } = await openSetup(site);
    await page.locator("#queue-form [name=name]").fill("X-ray");
    await page.locator("#queue-form [name=prefix]").fill("x");
    await page.locator("#queue-form .save").click();
    const names = () => page.locator("#queue-list > li > .state b").allInnerTexts();
    await until("the line is listed", async () => (await names()).includes("X-ray · closed"));
    await page.getByRole("button", { name: "Open, X-ray" }).click();
    await until("the line is open", async () => (await names()).includes("X-ray · open"));
    await page.getByRole("button", { name: "Up, X-ray" }).click();
    await until(
      "the order changes",
      async () =>
        (await names()).join() === "Blood tests · open,X-ray · open,General medicine · open",
    );
    await page.locator("#room-form [name=name]").fill("Room 9");
    await page.locator("#room-form [name=every]").uncheck();
    await page.locator("#room-form").getByLabel("X-ray").check();
    await page.locator("#room-form .save").click();
    const { entries } = await clinic.get(`locations/${site.location}/stations`);
    await until("the room is made", async () => {
      const now = await clinic.get(`locations/${site.location}/stations`);
      const made = now.entries.find((/** @type {any} */ room) => room.name === "Room 9");
      return made?.queues.join() === `${site.location}.x-ray`;
    });
    assert.equal(entries.length >= 2, true);
  });

  it("removes a line, whose people go to another one, and a room that nobody is in", async () => {
    const site = await clinic.furnish();
    const [{ ticket }] = await site.issue(1);
    await site.callNext();
    const setup = await openSetup(site);
    const { page } = setup;
    await page.getByRole("button", { name: "Remove, Room 1" }).click();
    await page.getByRole("button", { name: "Yes, remove it, Room 1" }).click();
    const room = `[data-key="${site.room1}"]`;
    await setup.shows(`${room} .problem`, /^Somebody is called to this room or is in it/);
    await page.getByRole("button", { name: "Remove, General medicine" }).click();
    const row = `[data-key="${site.general}"]`;
    await page.getByRole("button", { name: "Yes, remove it, General medicine" }).click();
    await setup.shows(`${row} .problem`, "People are in this line. Choose where they go.");
    await setup.shoot("setup-remove-line");
    await page.locator(`${row} .removal select`).selectOption({ label: "Blood tests" });
    await page.getByRole("button", { name: "Yes, remove it, General medicine" }).click();
    await until("the line is gone", async () => !(await page.locator(row).count()));
    const { entries } = await clinic.get(`queues/${site.blood}`);
    assert.ok(ticket in entries, "the person is in the other line");
    await clinic.order(`tickets/${ticket}/start`);
    await clinic.order(`tickets/${ticket}/complete`);
    await page.getByRole("button", { name: "Remove, Room 1" }).click();
    await page.getByRole("button", { name: "Yes, remove it, Room 1" }).click();
    await until("the room is gone", async () => !(await page.locator(room).count()));
    assert.deepEqual(
      setup.complaints.filter((text) => !text.includes("409")),
      [],
    );
  });

  it("makes a check-in point, prints its sheet, and ends its code", async () => {
    const site = await clinic.furnish();
    const setup = await openSetup(site);
    const { page } = setup;
    await page.locator("#point-form [name=name]").fill("Main entrance");
    await page.locator("#point-form").getByLabel("Blood tests").check();
    await page.locator("#point-form [name=latitude]").fill("45.5017");
    await page.locator("#point-form .save").click();
    await setup.shows("#point-form .said", /^One of the values is not possible|^This was not/);
    await page.locator("#point-form [name=longitude]").fill("-73.5673");
    await page.locator("#point-form [name=radius_m]").fill("200");
    await page.locator("#point-form .save").click();
    await setup.shows("#point-list b", "Main entrance · Poster with a code");
    const path = `check-in-points/${site.location}.main-entrance`;
    const made = await clinic.get(path);
    assert.deepEqual(made.place, { latitude: 45.5017, longitude: -73.5673, radius_m: 200 });
    assert.deepEqual([made.queues, made.factor], [[site.blood], "birth_year"]);
    await page.locator("#point-list [name=name]").fill("North entrance");
    await save(setup, "#point-list form");
    await setup.shows("#point-list b", /^North entrance/);
    const [sheet] = await Promise.all([
      page.context().waitForEvent("page"),
      page.getByRole("link", { name: "Print the sheet, North entrance" }).click(),
    ]);
    await sheet.locator("#code svg").waitFor();
    assert.equal(await sheet.locator("#point").innerText(), "North entrance");
    await sheet.close();
    await page.getByRole("button", { name: "New code, North entrance" }).click();
    await page.locator("#point-list .rotate").click();
    await until("the code is new", async () => (await clinic.get(path)).path !== made.path);
    await page.locator("#point-list .revoke").click();
    await page.locator("#point-list .revoke").click();
    await setup.shows("#point-list .hint", "Out of use: nobody can check in here");
    assert.equal(await page.locator("#point-list .sheet").isVisible(), false);
    await page.locator("#points").scrollIntoViewIfNeeded();
    await setup.shoot("setup-points", { fullPage: true });
    await assertAccessible(page, "setup with a check-in point");
    await page.getByRole("button", { name: "Use again, with a new code" }).click();
    await setup.shows("#point-list .hint", /^Its code is from/);
    await page.locator("#point-list .remove").click();
    await page.locator("#point-list .remove").click();
    await until("the point is gone", async () => !(await page.locator("#point-list li").count()));
  });

  it("pairs a kiosk with its check-in point", async () => {
    const site = await clinic.furnish();
    const setup = await openSetup(site);
    const { page } = setup;
    await page.locator("#point-form [name=name]").fill("Hall");
    await page.locator("#point-form [name=kind]").selectOption("kiosk");
    await page.locator("#point-form .save").click();
    await setup.shows("#point-list b", "Hall · Kiosk");
    const kiosk = await Page.open(browser, `${clinic.url}/kiosk`, DESK);
    open(kiosk);
    await kiosk.shows("#pairing-code", /^[\w-]{6,}$/);
    await page.locator("#pair-form [name=code]").fill(await kiosk.text("#pairing-code"));
    await page.locator("#pair-form [name=name]").fill("Tablet in the hall");
    await page.locator("#pair-point").selectOption({ label: "Kiosk “Hall”" });
    await save(setup, "#pair-form");
    await setup.shows("#display-list .hint", /Kiosk “Hall”$/);
    await kiosk.shows("#begin", "Touchez pour commencer");
    // The browser of a kiosk that restarts is not paired again.
    await kiosk.page.reload();
    await kiosk.shows("#begin", "Touchez pour commencer");
  });

  it("tells the slower of two admins what the other one changed", async () => {
    const site = await clinic.furnish();
    const one = await openSetup(site);
    await one.page.locator("#location-form [name=name]").fill("Riverside North");
    const place = await clinic.get(`locations/${site.location}`);
    await clinic.ask("PUT", `locations/${site.location}`, {
      name: place.name,
      time_zone: "America/Vancouver",
      languages: ["en"],
      edition: place.edition,
    });
    const conflict = "#location-form .conflict";
    await one.shows(`${conflict} li:first-child`, "Time zone: America/Toronto → America/Vancouver");
    await one.shoot("setup-conflict");
    // Saving waits for the decision.
    await save(one, "#location-form");
    assert.equal((await clinic.get(`locations/${site.location}`)).name, place.name);
    await one.page.locator(`${conflict} .theirs`).click();
    assert.equal(
      await one.page.locator("#location-form [name=time_zone]").inputValue(),
      "America/Vancouver",
    );
    await one.page.locator("#location-form [name=address]").fill("12 River Street");
    await save(one, "#location-form");
    await one.shows("#location-form .said", "Saved.");
    const now = await clinic.get(`locations/${site.location}`);
    assert.deepEqual([now.address, now.time_zone], ["12 River Street", "America/Vancouver"]);
  });

  it("changes privacy, messages, colour and logo, and patients see them", async () => {
    const site = await clinic.furnish();
    const [{ ticket }] = await site.issue(1);
    const setup = await openSetup(site);
    const { page } = setup;
    await page.locator('[name="boards.waiting"]').uncheck();
    await save(setup, "#privacy-form");
    await setup.shows("#privacy-form .said", "Saved.");
    await page.locator('[name="0.fr"]').fill("Vaccins à la salle 4");
    await page.locator('[name="0.en"]').fill("Flu shots in room 4");
    await save(setup, "#messages-form");
    await setup.shows("#messages-form .said", "Saved.");
    await page.locator("#branding-form [name=name]").fill("River Health");
    await page.locator("[name=coloured]").check();
    await page.locator("#branding-form [name=colour]").fill("#ffcc00");
    await setup.shows("#contrast", /^Light: your colour has only 1\.5:1/);
    const upload = (/** @type {string} */ text) =>
      page.locator("#logo-file").setInputFiles({
        name: "logo.svg",
        mimeType: "image/svg+xml",
        buffer: Buffer.from(text),
      });
    await upload(LOGO.replace("<path", "<script>alert(1)</script><path"));
    await setup.shows("#branding-form .said", /^Choose a PNG, or an SVG without scripts or links/);
    await upload(LOGO);
    await until("the logo is stored", () => page.locator("#logo-shown").isVisible());
    await save(setup, "#branding-form");
    await setup.shows("#branding-form .said", "Saved.");
    const { logo } = await clinic.get(`locations/${site.location}/branding`);
    const picture = await fetch(`${clinic.url}/logos/${logo}`);
    assert.equal(picture.headers.get("content-type"), "image/svg+xml");
    assert.match(picture.headers.get("content-security-policy") ?? "", /sandbox/);
    assert.equal(await picture.text(), LOGO);
    // A patient and a board show all of it.
    const keys = new URLSearchParams({
      token: site.token("patient", { tickets: [ticket] }),
      ticket,
    });
    const phone = await Page.open(browser, `${clinic.url}/patient#${keys}`, PHONE);
    open(phone);
    await phone.shows("#organisation", "River Health");
    assert.equal(await phone.page.locator("img.mark").getAttribute("src"), `logos/${logo}`);
    const brand = await phone.page.evaluate(() =>
      document.documentElement.style.getPropertyValue("--brand"),
    );
    assert.equal(brand, paletteOf("#ffcc00", "light").brand);
    await assertAccessible(phone.page, "patient with a brand");
    await phone.shoot("patient-branded");
    const board = new URLSearchParams({ token: site.token("display"), location: site.location });
    const wall = await Page.open(browser, `${clinic.url}/board#${board}`, DESK);
    open(wall);
    await wall.shows("#message", /Vaccins à la salle 4|Flu shots in room 4/);
    await wall.shows("#queues", /^Blood tests\s+General medicine$/);
    await assertAccessible(wall.page, "board with a brand");
    await wall.shoot("board-branded");
    assert.deepEqual([...phone.complaints, ...wall.complaints], []);
  });

  it("pairs, renames and removes a screen", async () => {
    const site = await clinic.furnish();
    const setup = await openSetup(site);
    const { page } = setup;
    const { code } = await clinic.ask("POST", "displays/pairings", {});
    await page.locator("#pair-form [name=code]").fill(code);
    await page.locator("#pair-form [name=name]").fill("Hall");
    await save(setup, "#pair-form");
    await setup.shows("#display-list b", "Hall");
    await page.locator("#display-list [name=name]").fill("Main hall");
    await save(setup, "#display-list form");
    await setup.shows("#display-list b", "Main hall");
    await page.locator(".unpair").click();
    await page.getByRole("button", { name: "Yes, remove it, Main hall" }).click();
    await until(
      "the screen is gone",
      async () => !(await page.locator("#display-list li").count()),
    );
    assert.deepEqual(setup.complaints, []);
  });

  it("is refused what only an admin may change", async () => {
    const site = await clinic.furnish();
    const setup = await openSetup(site, { role: "reception" });
    await setup.page.locator("#location-form [name=name]").fill("Mine");
    await save(setup, "#location-form");
    await setup.shows("#location-form .said", "Your role may not change this.");
  });

  it("is accessible in both languages, light and dark, on a desk and at 320 px", async () => {
    const site = await clinic.furnish();
    for (const [name, viewport] of /** @type {const} */ ([
      ["desk", DESK],
      ["narrow", NARROW],
    ])) {
      const setup = await openSetup(site, { viewport });
      for (const [language, colorScheme] of /** @type {const} */ ([
        ["EN", "light"],
        ["FR", "dark"],
      ])) {
        await setup.page.emulateMedia({ colorScheme });
        await setup.page.locator("#languages button", { hasText: language }).click();
        await assertAccessible(setup.page, `setup ${name} ${language} ${colorScheme}`);
        const wide = await setup.page.evaluate(
          () => document.documentElement.scrollWidth - document.documentElement.clientWidth,
        );
        assert.ok(wide <= 0, `${name} ${language} is ${wide} px too wide`);
        await setup.shoot(`setup-${name}-${language}-${colorScheme}`, { fullPage: true });
      }
      assert.deepEqual(setup.complaints, []);
    }
  });
});
