// The languages of the pages, and the switch between them at the top of a page.

import { byId } from "./page.js";

/** @typedef {"fr" | "en"} Language */

/** @type {Language[]} */
export const LANGUAGES = ["fr", "en"];

/**
 * The first wanted language that the pages have; English if there is none.
 * @param {readonly (string | null | undefined)[]} wanted language tags, most wanted first
 * @returns {Language}
 */
export function firstKnown(wanted) {
  for (const tag of wanted) {
    const found = LANGUAGES.find((language) => tag?.toLowerCase().split("-")[0] === language);
    if (found) return found;
  }
  return "en";
}

const RIGHT_TO_LEFT = ["ar", "fa", "he", "ps", "sd", "ug", "ur", "yi"];

/** The direction in which a language is written. @param {string} tag */
export function directionOf(tag) {
  return RIGHT_TO_LEFT.includes(tag.toLowerCase().split("-")[0]) ? "rtl" : "ltr";
}

/** The language of a page: `?lang=` decides, else the browser's settings. */
export class LanguageSwitch {
  /** @type {Language} */
  current = firstKnown([new URLSearchParams(location.search).get("lang"), ...navigator.languages]);
  #buttons = byId("languages").querySelectorAll("button");

  /** @param {() => void} onChange called after the reader has chosen another language */
  constructor(onChange) {
    for (const button of this.#buttons) {
      button.addEventListener("click", () => {
        this.current = firstKnown([button.value]);
        // A reload, or a bookmark, keeps the choice.
        const url = new URL(location.href);
        url.searchParams.set("lang", this.current);
        history.replaceState(null, "", url);
        onChange();
      });
    }
  }

  render() {
    document.documentElement.lang = this.current;
    document.documentElement.dir = directionOf(this.current);
    for (const button of this.#buttons) {
      button.setAttribute("aria-pressed", String(button.value === this.current));
    }
  }
}
