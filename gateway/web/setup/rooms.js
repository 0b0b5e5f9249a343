// The rooms and counters of a clinic, and the queues that each serves.

import { byId, setText } from "../shared/look/page.js";
import { keepRows, within } from "../shared/look/rows.js";
import { EntryForm } from "./entry-form.js";
import { addFields, renderServed } from "./queues.js";
import { newId, roomBody, roomValues } from "./values.js";

/** @typedef {import("../shared/schemas.js").StationSettings} Settings */
/** @typedef {import("./setup.js").Site} Site */

/** @param {ReadonlyMap<string, any>} entries @returns {[id: string, room: Settings][]} */
function roomsOf(entries) {
  const rooms = [...entries].filter(([key]) => key.startsWith("station:"));
  return rooms
    .map(([key, room]) => /** @type {[string, Settings]} */ ([key.slice("station:".length), room]))
    .sort(([, a], [, b]) => a.name.localeCompare(b.name, undefined, { numeric: true }));
}

export class RoomsPart {
  #site;
  #create;
  /** @type {WeakMap<Element, EntryForm<Settings>>} */
  #forms = new WeakMap();
  /** The room that the next click removes. */
  #sure = "";
  /** Why a room was not removed. @type {Map<string, string>} */
  #problems = new Map();

  /** @param {Site} site */
  constructor(site) {
    this.#site = site;
    const form = /** @type {HTMLFormElement} */ (byId("room-form"));
    addFields(form, "room-fields");
    this.#create = this._form(form, (name) => {
      const taken = new Set(roomsOf(site.entries()).map(([id]) => id));
      return newId(site.location, name, taken);
    });
    byId("room-list").addEventListener("click", ({ target }) => {
      const button = target instanceof Element ? target.closest(".remove") : null;
      const id = button?.closest("li")?.dataset.key;
      if (id) void this._remove(id);
    });
  }

  /** The first click asks, the second removes. @param {string} id */
  async _remove(id) {
    if (this.#sure !== id) {
      this.#sure = id;
      return this.render();
    }
    this.#sure = "";
    const answer = await this.#site.send("DELETE", `stations/${encodeURIComponent(id)}`);
    const { refusals, refused } = this.#site.texts();
    if ("applied" in answer) this.#problems.delete(id);
    else this.#problems.set(id, refusals[answer.code] ?? refused(answer.code));
    return this.render();
  }

  /** @param {HTMLFormElement} form @param {(name: string) => string} idOf */
  _form(form, idOf) {
    return new EntryForm(form, {
      read: roomValues,
      save: (values, edition) => {
        const path = `stations/${encodeURIComponent(idOf(String(values.name)))}`;
        return this.#site.send("PUT", path, { ...roomBody(values), edition });
      },
      texts: this.#site.texts,
    });
  }

  render() {
    const rooms = roomsOf(this.#site.entries());
    keepRows(byId("room-list"), "room-row", rooms, (row, room, id) => {
      const form = /** @type {HTMLFormElement} */ (within(row, "form"));
      let known = this.#forms.get(row);
      if (!known) {
        addFields(form, "room-fields");
        known = this._form(form, () => id);
        this.#forms.set(row, known);
      }
      const { unpair, unpairSure } = this.#site.texts();
      const name = this.#sure === id ? unpairSure : unpair;
      setText(within(row, "b"), room.name);
      setText(within(row, ".remove"), name);
      within(row, ".remove").setAttribute("aria-label", `${name}, ${room.name}`);
      setText(within(row, ".problem"), this.#problems.get(id) ?? "");
      this._renderQueues(form);
      known.update(room);
      this._lock(form);
    });
    const form = /** @type {HTMLFormElement} */ (byId("room-form"));
    this._renderQueues(form);
    this.#create.update(undefined);
    this._lock(form);
  }

  /** One box for each queue. @param {HTMLFormElement} form */
  _renderQueues(form) {
    renderServed(form, this.#site.entries());
    form.oninput = () => this._lock(form);
  }

  /** A room that serves every queue needs no choice. @param {HTMLFormElement} form */
  _lock(form) {
    const every = /** @type {HTMLInputElement} */ (within(form, "[name=every]")).checked;
    for (const box of form.querySelectorAll(".served input")) {
      /** @type {HTMLInputElement} */ (box).disabled = every;
    }
  }
}
