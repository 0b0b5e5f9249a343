// The explorer of the API: lists the operations of the served document, and sends them.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { assertAccessible } from "../helpers/accessibility.js";
import { launch, Page } from "../helpers/browser.js";
import { Clinic, token } from "../helpers/clinic.js";

const NARROW = { width: 320, height: 780 };

/** @type {import("playwright-core").Browser} */
let browser;
/** @type {Clinic} */
let clinic;

before(async () => {
  browser = await launch();
  clinic = await Clinic.start("--empty");
});
after(async () => {
  await browser?.close();
  await clinic?.stop();
});

test("explorer finds an operation, sends it, and shows the answer", async () => {
  await clinic.ask("PUT", "locations/harbour", {
    name: "Harbour Clinic",
    time_zone: "UTC",
    languages: ["en"],
  });
  const page = await Page.open(browser, `${clinic.url}/api#token=${token("admin")}`, NARROW);
  const shown = page.page;
  await page.shows("#count", /^Operations: \d{3}$/);
  await shown.fill("#filter", "get settings of a location");
  await page.shows("#count", "Operations: 1");
  await shown.click(".operation:visible summary");
  await shown.fill("#readLocation-location", "harbour");
  await shown.click(".operation[open] button");
  await page.shows(".operation[open] h3", /^200 · request [0-9a-f]{32}$/);
  await page.shows(".operation[open] pre", /Harbour Clinic/);
  for (const colorScheme of /** @type {const} */ (["dark", "light"])) {
    await shown.emulateMedia({ colorScheme });
    await assertAccessible(shown, `explorer, ${colorScheme}`);
    await page.shoot(`api-${colorScheme}`, { fullPage: true });
  }
  const overflow = await shown.evaluate(
    "document.documentElement.scrollWidth - document.documentElement.clientWidth",
  );
  assert.equal(overflow, 0, "nothing is cut off at 320 px");
  await page.close();
});

test("a change of the settings is sent with the example as its body", async () => {
  const page = await Page.open(browser, `${clinic.url}/api#token=${token("admin")}`, NARROW);
  const shown = page.page;
  await page.shows("#count", /^Operations: /);
  await shown.fill("#filter", "put create a queue");
  await shown.click(".operation:visible summary");
  await shown.fill("#configureQueue-queue", "harbour.general");
  const body = JSON.parse(await shown.inputValue("#configureQueue-body"));
  assert.deepEqual(Object.keys(body).sort(), ["name", "prefix"]);
  await shown.fill("#configureQueue-body", '{"name": "General", "prefix": "general"}');
  await shown.click(".operation[open] button");
  await page.shows(".operation[open] pre", /prefix: 1 to 4 of the characters A to Z/);
  await page.close();
});

test("explorer loads nothing from elsewhere", async () => {
  const page = await Page.open(browser, `${clinic.url}/api#token=${token("admin")}`, NARROW);
  /** @type {string[]} */
  const urls = [];
  page.page.on("request", (request) => urls.push(request.url()));
  await page.page.reload();
  await page.shows("#count", /^Operations: /);
  assert.ok(urls.includes(`${clinic.url}/v1/openapi.json`));
  assert.deepEqual(
    urls.filter((url) => !url.startsWith(clinic.url)),
    [],
  );
  await page.close();
});
