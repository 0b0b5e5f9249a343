// The language of a page, and the switch between languages at its top.

import { LANGUAGES, TEXTS } from "../../languages/all.js";
import { byId } from "../look/page.js";

/** @typedef {import("../../languages/all.js").Language} Language */

export { LANGUAGES };

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

/**
 * The language of a page: `?lang=` decides, else the browser's settings, else the first language of
 * the location.
 */
export class LanguageSwitch {
  #wanted = [new URLSearchParams(location.search).get("lang"), ...navigator.languages];
  /** @type {Language} */
  current = firstKnown(this.#wanted);
  #buttons;

  /** @param {() => void} onChange called after the reader has chosen another language */
  constructor(onChange) {
    this.#buttons = LANGUAGES.map((language) => {
      const button = document.createElement("button");
      button.type = "button";
      button.lang = language;
      button.value = language;
      const { mark, name } = TEXTS[language];
      button.textContent = mark;
      button.setAttribute("aria-label", `${mark}, ${name}`);
      button.addEventListener("click", () => {
        this.current = language;
        this.#wanted = [language];
        // A reload, or a bookmark, keeps the choice.
        const url = new URL(location.href);
        url.searchParams.set("lang", language);
        history.replaceState(history.state, "", url);
        onChange();
      });
      return button;
    });
    byId("languages").replaceChildren(...this.#buttons);
  }

  /** @param {readonly string[] | undefined} tags the languages of the location */
  offer(tags) {
    if (tags) this.current = firstKnown([...this.#wanted, ...tags]);
  }

  render() {
    document.documentElement.lang = this.current;
    document.documentElement.dir = directionOf(this.current);
    byId("languages").setAttribute("aria-label", TEXTS[this.current].switch);
    for (const button of this.#buttons) {
      button.setAttribute("aria-pressed", String(button.value === this.current));
    }
  }
}
