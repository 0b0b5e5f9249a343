// Messages of findings, and names of columns and units, from the server's table for each language.

import { codeOf } from "./api.js";
import { TEXTS, textsOf } from "../languages/all.js";

const texts = textsOf("runs");

/** @typedef {import("../shared/words/language.js").Language} Language */
/**
 * @typedef {{outcomes: Record<string, string>, words: Record<string, Record<string, string>>}}
 *   Table
 */

export class Messages {
  #api;
  #changed;
  /** @type {Partial<Record<Language, Table>>} */
  #tables = {};
  /** @type {Set<Language>} */
  #requested = new Set();

  /**
   * @param {import("./api.js").Api} api
   * @param {() => void} changed called once a table has arrived
   */
  constructor(api, changed) {
    this.#api = api;
    this.#changed = changed;
  }

  /** @param {Language} language */
  async _load(language) {
    if (this.#requested.has(language)) return;
    this.#requested.add(language);
    try {
      this.#tables[language] = await this.#api.get("messages", {
        language: TEXTS[language].findings,
      });
      this.#changed();
    } catch (error) {
      codeOf(error);
      // The next use requests it again.
      this.#requested.delete(language);
    }
  }

  /** @param {Language} language */
  _table(language) {
    if (!this.#tables[language]) void this._load(language);
    return this.#tables[language];
  }

  /**
   * The word that people know a parameter by, such as the title of a column.
   * @param {Language} language
   * @param {string} param
   * @param {string} word
   */
  word(language, param, word) {
    return this._table(language)?.words[param]?.[word] ?? word;
  }

  /**
   * The message of a finding. Findings read from the API bring it, live ones do not.
   * @param {Language} language
   * @param {import("./api.js").Finding} finding
   */
  message(language, { message, outcome, params = {} }) {
    if (message !== undefined) return message;
    const template = this._table(language)?.outcomes[outcome];
    return (
      template?.replace(/\{(\w+)\}/g, (_all, name) => {
        const value = params[name];
        if (typeof value === "string") return this.word(language, name, value);
        if (value === undefined) return "…";
        return name.endsWith("_cents") ? texts[language].money(value) : String(value);
      }) ?? "…"
    );
  }
}
