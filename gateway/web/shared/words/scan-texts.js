// The texts of the pages of check-in points, in each language.

import { textsOf } from "../../languages/all.js";
import { firstKnown } from "./language.js";

/** @typedef {import("../../languages/en.js").Texts["scan"]} ScanTexts */

const TEXTS = textsOf("scan");

/** The texts of a language; the English ones for a language without its own. @param {string} tag */
export function scanTexts(tag) {
  return TEXTS[firstKnown([tag])];
}

const BUSY = ["rate_limited", "address_limited", "too_many_failures", "tenant_limited"];

/** The sentence for a code of a refusal. @param {ScanTexts} texts @param {string} code */
export function sayCode(texts, code) {
  const known = /** @type {Record<string, string>} */ (texts.codes);
  return BUSY.includes(code) ? texts.codes.busy : (known[code] ?? texts.codes.other);
}
