// What findings say, and the words that columns and units have for people: the server's table, by language.

import { codeOf } from "./api.js";
import { texts } from "./texts.js";

/** @typedef {import("../shared/page.js").Language} Language */
/** @typedef {{outcomes: Record<string, string>, words: Record<string, Record<string, string>>}} Table */

export class Messages {
  #api;
  #changed;
  /** @type {Partial<Record<Language, Table>>} */
  #tables = {};
  /** @type {Set<Language>} */
  #asked = new Set();

  /** @param {import("./api.js").Api} api @param {() => void} changed is called once a table has come */
  constructor(api, changed) {
    this.#api = api;
    this.#changed = changed;
  }

  /** @param {Language} language */
  async #load(language) {
    if (this.#asked.has(language)) return;
    this.#asked.add(language);
    try {
      this.#tables[language] = await this.#api.get("messages", { language });
      this.#changed();
    } catch (error) {
      codeOf(error);
      // It is asked for again when it is next needed.
      this.#asked.delete(language);
    }
  }

  /** @param {Language} language */
  #table(language) {
    if (!this.#tables[language]) void this.#load(language);
    return this.#tables[language];
  }

  /** A parameter's word as people know it, such as a column's title. @param {Language} language @param {string} param @param {string} word */
  word(language, param, word) {
    return this.#table(language)?.words[param]?.[word] ?? word;
  }

  /** The finding in words, as the server tells it of those that are read later. @param {Language} language @param {import("./api.js").Finding} finding */
  message(language, { message, outcome, params = {} }) {
    if (message !== undefined) return message;
    const template = this.#table(language)?.outcomes[outcome];
    return template?.replace(/\{(\w+)\}/g, (_all, name) => {
      const value = params[name];
      if (typeof value === "string") return this.word(language, name, value);
      if (value === undefined) return "…";
      return name.endsWith("_cents") ? texts[language].money(value) : String(value);
    }) ?? "…";
  }
}
