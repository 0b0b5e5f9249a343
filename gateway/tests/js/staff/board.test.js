// The board at the sizes of real screens, with more queues, calls and longer names than fit.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { Page, SCREEN } from "../helpers/browser.js";
import { browser, open, useBrowser } from "../helpers/fixtures.js";
import { StagedClinic } from "../helpers/staged-clinic.js";
import { until } from "../helpers/until.js";

const SIZES = {
  "1024x768": { width: 1024, height: 768 },
  "1280x720": SCREEN,
  "1280x900": { width: 1280, height: 900 },
  "1080x1920": { width: 1080, height: 1920 },
  "3840x2160": { width: 3840, height: 2160 },
};
const LONG = "Consultation externe de pédiatrie et d’allergologie";
const PATH = "board#token=d&location=harbour&night=off";

useBrowser();

const startStage = async () => open(await StagedClinic.start());

/**
 * @param {StagedClinic} stage
 * @param {{width: number, height: number}} [size]
 * @param {string} [path]
 */
const openBoard = async (stage, size = SCREEN, path = PATH) =>
  open(await Page.open(browser, `${stage.url}/${path}`, size));

/** Loads the page again, with timers that the test moves. @param {Page} page @param {number} [time] */
async function underClock({ page }, time = Date.now()) {
  await page.clock.install({ time });
  await page.reload();
}

const head = {
  name: "Centre de santé communautaire de la Rivière-des-Prairies",
  time_zone: "America/Toronto",
  languages: ["fr", "en"],
  messages: [{ fr: "Le port du masque est obligatoire dans les salles d’attente. Merci!" }],
};

/** @param {number} number @param {object} [more] */
const call = (number, more) => ({
  label: `A-${String(number).padStart(3, "0")}`,
  station: number % 5 ? `Room ${number}` : `${LONG}, salle ${number}`,
  at: Date.now() - 90_000 - number,
  recalls: 0,
  current: true,
  ...more,
});

/** 12 queues, 40 rooms with a call each, and people on the way elsewhere. */
function fullHouse() {
  /** @type {Record<string, object>} */
  const entries = { board: head };
  for (let index = 0; index < 12; index++) {
    const name = index % 3 ? `Queue ${index}` : `${LONG} ${index}`;
    const state = index % 4 ? "open" : "paused";
    entries[`queue:q${index}`] = { name, state, waiting: 7 * index };
  }
  for (let index = 1; index <= 40; index++) entries[`call:1/${index}`] = call(index);
  for (let index = 41; index <= 46; index++)
    entries[`call:1/${index}`] = call(index, { current: false });
  for (let index = 0; index < 5; index++)
    entries[`move:1/${index}`] = { label: `B-00${index}`, to: "north-community-health-centre" };
  return entries;
}

/** The texts that their boxes cut, or that lie outside of the screen. @param {Page} page */
const cutTexts = ({ page }) =>
  page.evaluate(() => {
    const seen = [...document.querySelectorAll("li span, li b, h1, h2, #clock, #date, #message")];
    const boxes = [...document.querySelectorAll("#board, .calls, .aside, .aside ul, .aside ol")];
    return seen
      .filter((element) => element.getClientRects().length > 0)
      .filter((element) => {
        const { left, right, top, bottom } = element.getBoundingClientRect();
        const box = boxes.findLast((box) => box.contains(element)) ?? document.body;
        const room = box.getBoundingClientRect();
        const inside =
          left >= room.left - 1 &&
          right <= room.right + 1 &&
          top >= room.top - 1 &&
          bottom <= room.bottom + 1;
        const { overflow } = getComputedStyle(element);
        const cut =
          overflow !== "visible" &&
          (element.scrollWidth > element.clientWidth + 1 ||
            element.scrollHeight > element.clientHeight + 1);
        return !inside || cut;
      })
      .map((element) => `${element.className || element.tagName}: ${element.textContent}`);
  });

/** Waits until rows read from right to left: the room is left of its label. @param {Page} page */
async function underRtl({ page }) {
  await until("rows read from right to left", () =>
    page.evaluate(() => {
      const [label, room] = ["label", "room"].map((name) =>
        /** @type {Element} */ (
          document.querySelector(`#calls li:first-child .${name}`)
        ).getBoundingClientRect(),
      );
      return room.top >= label.bottom || room.right <= label.left + 1;
    }),
  );
}

describe("a board with more than fits", () => {
  for (const [name, size] of Object.entries(SIZES)) {
    it(`cuts nothing at ${name}`, async () => {
      const stage = await startStage();
      stage.show("board:harbour", fullHouse());
      const page = await openBoard(stage, size);
      await page.shows("#calls li:first-child .label", /^A-/);
      await page.shoot(`board-full-${name}`);
      assert.deepEqual(await cutTexts(page), []);
      // The next page has other texts.
      await underClock(page, Date.now() + 8_000);
      await page.shows("#calls li:first-child .label", /^A-/);
      assert.deepEqual(await cutTexts(page), []);
      await page.shoot(`board-full-${name}-next`);
      assert.deepEqual(page.complaints, []);
    });
  }

  for (const [name, size] of Object.entries(SIZES)) {
    it(`cuts nothing at ${name} from right to left`, async () => {
      const stage = await startStage();
      stage.show("board:harbour", fullHouse());
      const page = await openBoard(stage, size);
      await page.shows("#calls li:first-child .label", /^A-/);
      // No language of the pages is written from right to left yet, so the test sets the direction.
      await page.page.evaluate(() => (document.body.dir = "rtl"));
      await underRtl(page);
      assert.deepEqual(await cutTexts(page), []);
      await page.shoot(`board-rtl-${name}`);
    });
  }

  it("shows every call, queue and move within a minute or two", async () => {
    const stage = await startStage();
    stage.show("board:harbour", fullHouse());
    const page = await openBoard(stage);
    await page.shows("#calls li:first-child .label", /^A-/);
    await underClock(page);
    const seen = new Set();
    for (let turn = 0; turn < 12; turn++) {
      await page.page.clock.runFor(8_000);
      const shown = await page.page
        .locator("#calls .label, #queues li:visible > :first-child, #moves li:visible")
        .allInnerTexts();
      for (const text of shown) seen.add(text.split("\n")[0]);
    }
    for (let index = 1; index <= 40; index++) assert.ok(seen.has(call(index).label), `${index}`);
    for (const name of ["Queue 1", "Queue 11", `${LONG} 9`, "B-000", "B-004"])
      assert.ok(seen.has(name), name);
  });
});

describe("a call on the board", () => {
  it("stays ten seconds although its visit starts at once", async () => {
    const stage = await startStage();
    stage.show("board:harbour", { board: head });
    const page = await openBoard(stage);
    await page.shows("#nobody", /./);
    const quick = call(7, { at: Date.now() });
    stage.show("board:harbour", { "call:1/7": quick });
    await page.shows("#calls .label", "A-007");
    stage.show("board:harbour", { "call:1/7": { ...quick, current: false } });
    await new Promise((resolve) => setTimeout(resolve, 2_000));
    await page.shows("#calls .label", "A-007");
    assert.equal(await page.text("#recent"), "");
    await page.shows("#recent", /A-007/);
    assert.equal(await page.text("#calls .label"), "");
  });

  it("is large from its first moment, when nobody was called before", async () => {
    const stage = await startStage();
    const languages = ["fr", "en", "hi"];
    stage.show("board:harbour", { board: { ...head, messages: [], languages } });
    const page = await openBoard(stage, SIZES["1280x900"]);
    // The clock of the page is replaced, so that no tick draws the page again.
    await underClock(page);
    await page.shows("#nobody", /./);
    stage.show("board:harbour", { "call:1/7": call(7, { at: Date.now() }) });
    await page.shows("#calls .label", "A-007");
    const height = await page.page
      .locator("#calls .label span")
      .evaluate((text) => text.getBoundingClientRect().height);
    assert.ok(height >= SCREEN.height / 10, `the label is ${height} px high`);
  });

  it("goes at once when it is taken back", async () => {
    const stage = await startStage();
    stage.show("board:harbour", { board: head, "call:1/7": call(7, { at: Date.now() }) });
    const page = await openBoard(stage);
    await page.shows("#calls .label", "A-007");
    stage.show("board:harbour", { "call:1/7": undefined });
    await page.shows("#calls", "");
  });

  it("that is new leads every page", async () => {
    const stage = await startStage();
    stage.show("board:harbour", fullHouse());
    const page = await openBoard(stage);
    await page.shows("#calls li:first-child .label", /^A-/);
    for (const number of [90, 91])
      stage.show("board:harbour", { [`call:1/${number}`]: call(number, { at: Date.now() }) });
    await page.shows("#calls li:nth-child(2).fresh .label", /A-09[01]/);
    await page.shows("#calls li:nth-child(1).fresh .label", /A-09[01]/);
    await page.shoot("board-two-new");
  });

  it("is read aloud twice in each language, one call after the other", async () => {
    const stage = await startStage();
    stage.show("board:harbour", { board: head });
    const page = open(await Page.open(browser, "about:blank", SCREEN));
    await page.page.addInitScript(() => {
      /** @type {string[]} */
      const said = [];
      const speech = {
        getVoices: () => [{ lang: "fr-CA" }, { lang: "en-US" }],
        cancel: () => {},
        /** @param {any} utterance */
        speak: (utterance) => {
          said.push(`${utterance.lang} ${utterance.text}`);
          setTimeout(() => utterance.onend(), 5);
        },
      };
      Object.defineProperty(globalThis, "speechSynthesis", { value: speech });
      Object.assign(globalThis, {
        said,
        SpeechSynthesisUtterance: class {
          lang = "";
          voice = null;
          /** @param {string} text */
          constructor(text) {
            this.text = text;
          }
        },
      });
    });
    await page.page.goto(`${stage.url}/${PATH}`);
    await page.shows("#nobody", /./);
    await page.page.locator("#sound").click();
    const at = Date.now();
    stage.show("board:harbour", {
      "call:1/7": { label: "A-007", station: "Salle 3", at, recalls: 0, current: true },
      "call:1/8": { label: "B-010", station: "Salle 4", at: at + 1, recalls: 0, current: true },
    });
    const said = () => page.page.evaluate(() => /** @type {any} */ (globalThis).said);
    await until("both calls are read", async () => (await said()).length >= 8);
    const seven = [
      "fr-CA Billet A 7. Présentez-vous ici\u00a0: Salle 3.",
      "en-US Ticket A 7. Please go to Salle 3.",
    ];
    assert.deepEqual((await said()).slice(0, 5), [
      ...seven,
      ...seven,
      "fr-CA Billet B 10. Présentez-vous ici\u00a0: Salle 4.",
    ]);
  });
});

describe("the screen of a board", () => {
  it("is dim at night, and bright for a call", async () => {
    const stage = await startStage();
    stage.show("board:harbour", { board: head });
    const page = await openBoard(stage, SCREEN, `${PATH}&night=0-24`.replace("&night=off", ""));
    await page.shows("#nobody", /./);
    const isDim = () => page.page.evaluate("document.documentElement.classList.contains('night')");
    assert.equal(await isDim(), true);
    await page.shoot("board-night");
    stage.show("board:harbour", { "call:1/7": call(7, { at: Date.now() }) });
    await page.shows("#calls .fresh .label", "A-007");
    assert.equal(await isDim(), false);
  });

  it("comes back by itself after it was refused", async () => {
    const stage = await startStage();
    stage.refuse("token_expired");
    stage.show("board:harbour", { board: head });
    const page = await openBoard(stage);
    await page.shows("#instead", /a besoin d’un nouveau lien|needs a new link/);
    await underClock(page);
    await page.shows("#instead", /a besoin d’un nouveau lien|needs a new link/);
    stage.refuse("");
    await page.page.clock.runFor(61_000);
    await page.shows("#nobody", /./);
  });
});
