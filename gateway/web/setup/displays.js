// The screens of a clinic: pairing one by the code that it shows, renaming and removing them.

import { byId, setText } from "../shared/look/page.js";
import { keepRows, within } from "../shared/look/rows.js";
import { dateText } from "../shared/words/times.js";
import { EntryForm } from "./entry-form.js";
import { pointsOf } from "./points.js";
import { addFields, setOptions } from "./queues.js";

/** @typedef {{name: string, paired_at: number, check_in_point?: string,
 *   edition?: number}} Display */
/** @typedef {import("./setup.js").Site} Site */

export class DisplaysPart {
  #site;
  #pair;
  /** @type {WeakMap<Element, EntryForm<Display>>} */
  #forms = new WeakMap();
  /** The display that the next click removes. */
  #sure = "";

  /** @param {Site} site */
  constructor(site) {
    this.#site = site;
    this.#pair = new EntryForm(/** @type {HTMLFormElement} */ (byId("pair-form")), {
      read: () => ({ code: "", name: "", check_in_point: "" }),
      save: ({ code, name, check_in_point: point }) =>
        site.send("POST", `displays/pairings/${encodeURIComponent(String(code))}/approve`, {
          location: site.location,
          name,
          check_in_point: point || undefined,
        }),
      texts: () => ({ ...site.texts(), save: site.texts().pair }),
    });
    byId("display-list").addEventListener("click", ({ target }) => {
      const button = target instanceof Element ? target.closest(".unpair") : null;
      const id = button?.closest("li")?.dataset.key;
      if (id) void this._unpair(id);
    });
  }

  /** The first click asks, the second removes. @param {string} id */
  async _unpair(id) {
    if (this.#sure !== id) {
      this.#sure = id;
      return this.render();
    }
    this.#sure = "";
    await this.#site.send("DELETE", `displays/${encodeURIComponent(id)}`);
    return this.render();
  }

  render() {
    const site = this.#site;
    const text = site.texts();
    const zone = site.entries().get("location")?.time_zone;
    /** @type {[string, Display][]} */
    const displays = [...site.entries()]
      .filter(([key]) => key.startsWith("display:"))
      .map(([key, display]) => [key.slice("display:".length), display]);
    displays.sort(([, a], [, b]) => a.name.localeCompare(b.name, undefined, { numeric: true }));
    keepRows(byId("display-list"), "display-row", displays, (row, display, id) => {
      const point = display.check_in_point;
      const kiosk =
        point && text.isKiosk(site.entries().get(`check-in-point:${point}`)?.name ?? "");
      setText(within(row, "b"), display.name);
      setText(
        within(row, ".hint"),
        [text.pairedOn(dateText(display.paired_at, site.language(), zone)), kiosk]
          .filter(Boolean)
          .join(" · "),
      );
      const name = this.#sure === id ? text.unpairSure : text.unpair;
      setText(within(row, ".unpair"), name);
      within(row, ".unpair").setAttribute("aria-label", `${name}, ${display.name}`);
      this._formOf(row, id).update(display);
    });
    const kiosks = pointsOf(site.entries()).filter(([, { kind }]) => kind === "kiosk");
    setOptions(/** @type {HTMLSelectElement} */ (byId("pair-point")), [
      ["", text.showsBoard],
      ...kiosks.map(([id, { name }]) => /** @type {[string, string]} */ ([id, text.isKiosk(name)])),
    ]);
    this.#pair.update(undefined);
  }

  /** @param {HTMLElement} row @param {string} id */
  _formOf(row, id) {
    const known = this.#forms.get(row);
    if (known) return known;
    const form = /** @type {HTMLFormElement} */ (within(row, "form"));
    addFields(form, "display-fields");
    /** @type {EntryForm<Display>} */
    const made = new EntryForm(form, {
      read: (display) => ({ name: display?.name ?? "" }),
      save: ({ name }) => this.#site.send("PATCH", `displays/${encodeURIComponent(id)}`, { name }),
      texts: () => ({ ...this.#site.texts(), save: this.#site.texts().rename }),
    });
    this.#forms.set(row, made);
    return made;
  }
}
