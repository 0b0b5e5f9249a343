// Rules of the pages' texts: one word for one thing, and the spaces of French punctuation.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { describe, it } from "node:test";
import { TEXTS } from "../../../web/languages/all.js";
import { hourText, timeText } from "../../../web/shared/words/times.js";

const LANGUAGES = new URL("../../../web/languages/", import.meta.url);

/** Second words for things that have one, by language. */
const SECOND_WORDS = {
  en: [/never came/i, /set aside/i, /at the desk\b(?<!front desk)/i],
  fr: [
    // A check-in is an "inscription"; "enregistrer" is to save.
    /s’enregistr|point d’enregistrement/i,
    /scann|numéris/i, // balayer
    /suspend/i, // en pause
    /associer/i, // jumeler
  ],
  hi: [/कतार/, /कर्मचारी/, /प्रतीक्षालय/, /मशीन/, /अनुपस्थित/, /काउंटर पर/, /की अपॉइंटमेंट/],
};

/** All plain texts below `value`. @param {unknown} value @returns {string[]} */
function plainTexts(value) {
  if (typeof value === "string") return [value];
  return value && typeof value === "object" ? Object.values(value).flatMap(plainTexts) : [];
}

describe("the texts of pages", () => {
  for (const [language, words] of Object.entries(SECOND_WORDS)) {
    it(`use one word for one thing in ${language}`, async () => {
      const lines = (await readFile(new URL(`${language}.js`, LANGUAGES), "utf8")).split("\n");
      for (const [index, line] of lines.entries()) {
        const found = words.find((word) => word.test(line));
        assert.equal(found, undefined, `${language}.js:${index + 1}: ${line.trim()}`);
      }
    });
  }

  it("write an hour as a time begins", () => {
    const morning = Date.UTC(2026, 0, 1, 8, 5);
    assert.equal(hourText(morning, "fr", "UTC"), "8\u00a0h");
    assert.equal(timeText(morning, "fr", "UTC"), "8\u00a0h\u00a005");
    assert.equal(hourText(morning, "en", "UTC"), "8\u00a0a.m.");
    assert.equal(hourText(morning, "hi", "UTC"), "8\u00a0am");
  });

  it("keep French punctuation on the line of its word", () => {
    const texts = plainTexts(TEXTS.fr);
    assert.ok(texts.length > 400, `found ${texts.length} texts`);
    const loose = texts.filter((text) => / [:;»%?!]|« |\d \d{3}/.test(text));
    assert.deepEqual(loose, []);
  });
});
