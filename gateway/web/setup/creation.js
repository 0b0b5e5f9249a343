// A new clinic: its name, zone, languages and day, and the id in its addresses.

import { byId, setText } from "../shared/look/page.js";
import { EntryForm } from "./entry-form.js";
import { creationBody, creationValues, settingsFault, slugOf } from "./values.js";

/** @typedef {import("./setup.js").Site} Site */

export class Creation {
  #form;
  #fields;
  /** Whether the id is derived from the name. It no longer is once an id was typed. */
  #named = true;

  /**
   * @param {Omit<Site, "entries">} site `location` is the id that the link asks for, or empty
   * @param {(location: string) => void} onCreated
   */
  constructor(site, onCreated) {
    this.#fields = /** @type {HTMLFormElement} */ (byId("creation-form"));
    this.#named = !site.location;
    const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
    const languages = site.language();
    this.#form = new EntryForm(this.#fields, {
      read: () => creationValues({ id: site.location, zone, languages }),
      save: async (values) => {
        const code = settingsFault(values);
        if (code) return { code };
        const id = String(values.id);
        const answer = await site.send("PUT", `locations/${id}`, creationBody(values));
        if ("applied" in answer) onCreated(id);
        return answer;
      },
      texts: () => {
        const { create, creation, ...texts } = site.texts();
        return { ...texts, save: create, refusals: { ...texts.refusals, ...creation } };
      },
    });
    this.#fields.addEventListener("input", ({ target }) => this._deriveId(target));
    this.#fields.addEventListener("filled", () => (this.#named = !site.location));
  }

  /** @param {EventTarget | null} changed */
  _deriveId(changed) {
    const { id, name } = /** @type {Record<string, HTMLInputElement>} */ (
      /** @type {unknown} */ (this.#fields.elements)
    );
    if (changed === id) this.#named = id.value === "";
    else if (this.#named) id.value = slugOf(name.value);
  }

  /** @param {import("../languages/all.js").Texts["setup"]} texts */
  render(texts) {
    setText(byId("creation-title"), texts.newClinic);
    setText(byId("creation-hint"), texts.newClinicHint);
    this.#form.update(undefined);
  }
}
