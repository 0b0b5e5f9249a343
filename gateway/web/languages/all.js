// The languages of all pages. A further one is a file beside this one, and a line in `TEXTS`.

import { en } from "./en.js";
import { fr } from "./fr.js";
import { hi } from "./hi.js";

/** @typedef {import("./en.js").Texts} Texts */

/** In the order of the switch. */
export const TEXTS = { fr, en, hi };

/** @typedef {keyof typeof TEXTS} Language */

export const LANGUAGES = /** @type {Language[]} */ (Object.keys(TEXTS));

/**
 * One section of the texts, in each language.
 * @template {keyof Texts} Section
 * @param {Section} section
 */
export function textsOf(section) {
  const all = LANGUAGES.map((language) => [language, TEXTS[language][section]]);
  return /** @type {Record<Language, Texts[Section]>} */ (Object.fromEntries(all));
}
