// A form for one entry of the settings. Input stays while the entry changes. When another person
// has changed the entry meanwhile, the form shows the changes and asks whose values count.

import { setText } from "../shared/look/page.js";
import { within } from "../shared/look/rows.js";

/** @typedef {import("../shared/connection/commands.js").Answer} Answer */
/** @typedef {Record<string, string | boolean>} Values what the fields of a form hold, by their names */
/** @typedef {{edition?: number}} Entry */
/**
 * @typedef {object} Texts
 * @property {string} save
 * @property {string} reset
 * @property {string} saving
 * @property {string} saved
 * @property {string} conflict
 * @property {string} theirs
 * @property {string} mine
 * @property {string} on
 * @property {string} off
 * @property {string} nothing
 * @property {(field: string, from: string, to: string) => string} changed
 * @property {Record<string, string>} refusals
 * @property {(code: string) => string} refused
 */

/**
 * The values that another person changed, by the names of the fields.
 * @param {Values} before
 * @param {Values} after
 * @returns {[name: string, from: string | boolean, to: string | boolean][]}
 */
export function differences(before, after) {
  const names = [...new Set([...Object.keys(before), ...Object.keys(after)])];
  return names
    .filter((name) => (before[name] ?? "") !== (after[name] ?? ""))
    .map((name) => [name, before[name] ?? "", after[name] ?? ""]);
}

/** @template {Entry} T */
export class EntryForm {
  #form;
  #read;
  #save;
  #texts;
  /** The entry that the fields were filled from. @type {T | undefined} */
  #base;
  /** The entry as the server has it. @type {T | undefined} */
  #entry;
  #dirty = false;
  #busy = false;
  /** The result of the last attempt. */
  #said = "";

  /**
   * @param {HTMLFormElement} form
   * @param {object} options
   * @param {(entry: T | undefined) => Values} options.read what the fields show of an entry
   * @param {(values: Values, edition: number) => Promise<Answer>} options.save
   * @param {() => Texts} options.texts
   */
  constructor(form, { read, save, texts }) {
    this.#form = form;
    this.#read = read;
    this.#save = save;
    this.#texts = texts;
    const end = /** @type {HTMLTemplateElement} */ (document.getElementById("form-end"));
    form.append(end.content.cloneNode(true));
    form.addEventListener("input", () => this._onInput());
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      void this._submit();
    });
    within(form, ".reset").addEventListener("click", () => this.reset());
    within(form, ".theirs").addEventListener("click", () => this.reset());
    within(form, ".mine").addEventListener("click", () => {
      this.#base = this.#entry;
      this.render();
    });
  }

  /** Whether the form has input that is not saved. */
  get dirty() {
    return this.#dirty;
  }

  /** Shows the entry as the server has it, unless a person is typing. @param {T | undefined} entry */
  update(entry) {
    this.#entry = entry;
    if (!this.#dirty) this._fill();
    this.render();
  }

  /** Discards the input. */
  reset() {
    this.#dirty = false;
    this.#said = "";
    this._fill();
    this.render();
    this.#form.dispatchEvent(new Event("filled"));
  }

  /** Marks the form as changed by a script. */
  touch() {
    this._onInput();
  }

  get values() {
    return valuesOf(this.#form);
  }

  _onInput() {
    this.#dirty = true;
    this.#said = "";
    this.render();
  }

  _fill() {
    this.#base = this.#entry;
    setValues(this.#form, this.#read(this.#entry));
  }

  /** The values that another person has changed since the fields were filled. */
  _conflicts() {
    const same = (this.#base?.edition ?? 0) === (this.#entry?.edition ?? 0);
    if (!this.#dirty || this.#busy || same) return [];
    return differences(this.#read(this.#base), this.#read(this.#entry));
  }

  render() {
    const texts = this.#texts();
    const form = this.#form;
    const conflicts = this._conflicts();
    setText(within(form, ".save"), texts.save);
    setText(within(form, ".reset"), texts.reset);
    within(form, ".reset").hidden = !this.#dirty;
    setText(within(form, ".said"), this.#said);
    const box = within(form, ".conflict");
    box.hidden = conflicts.length === 0;
    setText(within(box, "p"), texts.conflict);
    setText(within(box, ".theirs"), texts.theirs);
    setText(within(box, ".mine"), texts.mine);
    const lines = conflicts.map(([name, from, to]) =>
      texts.changed(labelOf(form, name), this._shown(from), this._shown(to)),
    );
    const list = within(box, "ul");
    if ([...list.children].map((line) => line.textContent).join("\n") !== lines.join("\n")) {
      list.replaceChildren(
        ...lines.map((line) => {
          const item = document.createElement("li");
          item.textContent = line;
          return item;
        }),
      );
    }
  }

  /** @param {string | boolean} value */
  _shown(value) {
    const { on, off, nothing } = this.#texts();
    if (typeof value === "boolean") return value ? on : off;
    return value || nothing;
  }

  async _submit() {
    if (this.#busy || this._conflicts().length) return;
    this.#busy = true;
    this.#said = this.#texts().saving;
    this.render();
    const answer = await this.#save(this.values, this.#base?.edition ?? 0);
    this.#busy = false;
    if ("applied" in answer) {
      this.#dirty = false;
      this.#said = this.#texts().saved;
      // The channel brings the entry; until then the fields keep what was saved.
      if (!this.#entry) this._fill();
    } else {
      const { refusals, refused } = this.#texts();
      this.#said = refusals[answer.code] ?? refused(answer.code);
    }
    this.render();
  }
}

/** @param {HTMLFormElement} form */
function fields(form) {
  return /** @type {HTMLInputElement[]} */ ([...form.elements]).filter(({ name }) => name);
}

/** @param {HTMLFormElement} form @returns {Values} */
function valuesOf(form) {
  return Object.fromEntries(
    fields(form).map(({ name, type, checked, value }) => [
      name,
      type === "checkbox" ? checked : value.trim(),
    ]),
  );
}

/** @param {HTMLFormElement} form @param {Values} values */
function setValues(form, values) {
  for (const field of fields(form)) {
    const value = values[field.name];
    if (field.type === "checkbox") field.checked = value === true;
    else if (value !== undefined && field.value !== value) field.value = String(value);
  }
}

/** The label that people read at a field. @param {HTMLFormElement} form @param {string} name */
function labelOf(form, name) {
  const field = fields(form).find((field) => field.name === name);
  return field?.labels?.[0]?.textContent?.trim() || name;
}
