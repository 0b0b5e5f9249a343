// The rooms and counters of a clinic, and the queues that each serves.

import { byId, setText } from "../shared/page.js";
import { keepRows, within } from "../shared/rows.js";
import { EntryForm } from "./entry-form.js";
import { addFields, queuesOf } from "./queues.js";
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

  /** @param {Site} site */
  constructor(site) {
    this.#site = site;
    const form = /** @type {HTMLFormElement} */ (byId("room-form"));
    addFields(form, "room-fields");
    this.#create = this.#form(form, (name) => {
      const taken = new Set(roomsOf(site.entries()).map(([id]) => id));
      return newId(site.location, name, taken);
    });
  }

  /** @param {HTMLFormElement} form @param {(name: string) => string} idOf */
  #form(form, idOf) {
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
        known = this.#form(form, () => id);
        this.#forms.set(row, known);
      }
      this.#renderQueues(form);
      known.update(room);
      this.#lock(form);
    });
    const form = /** @type {HTMLFormElement} */ (byId("room-form"));
    this.#renderQueues(form);
    this.#create.update(undefined);
    this.#lock(form);
  }

  /** One box for each queue. @param {HTMLFormElement} form */
  #renderQueues(form) {
    const place = within(form, ".served");
    keepRows(place, "served-queue", queuesOf(this.#site.entries()), (label, queue, id) => {
      within(label, "input").setAttribute("name", `queue:${id}`);
      setText(within(label, "span"), queue.name);
    });
    form.oninput = () => this.#lock(form);
  }

  /** A room that serves every queue needs no choice. @param {HTMLFormElement} form */
  #lock(form) {
    const every = /** @type {HTMLInputElement} */ (within(form, "[name=every]")).checked;
    for (const box of form.querySelectorAll(".served input")) {
      /** @type {HTMLInputElement} */ (box).disabled = every;
    }
  }
}
