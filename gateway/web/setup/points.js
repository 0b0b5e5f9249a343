// The check-in points of a clinic: posters and kiosks, their codes, and the sheets to print.

import { byId, setText } from "../shared/look/page.js";
import { keepRows, within } from "../shared/look/rows.js";
import { dateText } from "../shared/words/times.js";
import { EntryForm } from "./entry-form.js";
import { addFields, renderServed } from "./queues.js";
import { newId, pointBody, pointValues } from "./values.js";

/** @typedef {import("../shared/schemas.js").CheckInPointSettings & {edition?: number}} Settings */
/** @typedef {import("./setup.js").Site} Site */
/** @typedef {"rotate" | "revoke" | "remove"} Action */

const PREFIX = "check-in-point:";

/** @param {ReadonlyMap<string, any>} entries @returns {[id: string, point: Settings][]} */
export function pointsOf(entries) {
  const points = [...entries].filter(([key]) => key.startsWith(PREFIX));
  return points
    .map(([key, point]) => /** @type {[string, Settings]} */ ([key.slice(PREFIX.length), point]))
    .sort(([, a], [, b]) => a.name.localeCompare(b.name, undefined, { numeric: true }));
}

export class PointsPart {
  #site;
  #create;
  /** @type {WeakMap<Element, EntryForm<Settings>>} */
  #forms = new WeakMap();
  /** The point and the action that the next click on the same button confirms. */
  #sure = "";
  /** Why the last action on a point was refused. @type {Map<string, string>} */
  #problems = new Map();

  /** @param {Site} site */
  constructor(site) {
    this.#site = site;
    const form = /** @type {HTMLFormElement} */ (byId("point-form"));
    this.#create = this._form(form, (name) => {
      const taken = new Set(pointsOf(site.entries()).map(([id]) => id));
      return newId(site.location, name, taken);
    });
    byId("point-list").addEventListener("click", ({ target }) => {
      const button = target instanceof Element ? target.closest("button") : null;
      const id = button?.closest("li")?.dataset.key;
      for (const action of /** @type {Action[]} */ (["rotate", "revoke", "remove"])) {
        if (id && button?.matches(`.${action}`)) void this._act(id, action);
      }
    });
  }

  /** @param {HTMLFormElement} form @param {(name: string) => string} idOf */
  _form(form, idOf) {
    addFields(form, "point-fields");
    /** @type {EntryForm<Settings>} */
    const made = new EntryForm(form, {
      read: pointValues,
      save: (values) => {
        const id = encodeURIComponent(idOf(String(values.name)));
        return this.#site.send("PUT", `check-in-points/${id}`, pointBody(values));
      },
      texts: this.#site.texts,
    });
    return made;
  }

  /**
   * The first click asks, the second acts, because the action ends codes that hang on walls or
   * stand on kiosks. A revoked point has no code that could end.
   * @param {string} id
   * @param {Action} action
   */
  async _act(id, action) {
    const site = this.#site;
    const revoked = site.entries().get(PREFIX + id)?.revoked;
    const harmless = action === "rotate" && revoked;
    if (!harmless && this.#sure !== `${action} ${id}`) {
      this.#sure = `${action} ${id}`;
      return this.render();
    }
    this.#sure = "";
    const path = `check-in-points/${encodeURIComponent(id)}`;
    const answer =
      action === "remove"
        ? await site.send("DELETE", path)
        : await site.send("POST", `${path}/${action}`);
    const { refusals, refused } = site.texts();
    if ("applied" in answer) this.#problems.delete(id);
    else this.#problems.set(id, refusals[answer.code] ?? refused(answer.code));
    return this.render();
  }

  render() {
    const site = this.#site;
    const points = pointsOf(site.entries());
    keepRows(byId("point-list"), "point-row", points, (row, point, id) => {
      let known = this.#forms.get(row);
      const form = /** @type {HTMLFormElement} */ (within(row, "form"));
      if (!known) {
        known = this._form(form, () => id);
        this.#forms.set(row, known);
      }
      this._renderState(row, id, point);
      renderServed(form, site.entries());
      known.update(point);
    });
    renderServed(byId("point-form"), site.entries());
    this.#create.update(undefined);
  }

  /** @param {HTMLElement} row @param {string} id @param {Settings} point */
  _renderState(row, id, point) {
    const site = this.#site;
    const text = site.texts();
    const zone = site.entries().get("location")?.time_zone;
    const kind = text.labels[point.kind];
    setText(within(row, "b"), `${point.name} · ${kind}`);
    const since = dateText(point.rotated_at, site.language(), zone);
    setText(within(row, ".hint"), point.revoked ? text.outOfUse : text.codeSince(since));
    setText(within(row, ".problem"), this.#problems.get(id) ?? "");
    const sheet = /** @type {HTMLAnchorElement} */ (within(row, ".sheet"));
    sheet.hidden = point.kind !== "poster" || Boolean(point.revoked);
    sheet.href = `poster#${new URLSearchParams({ token: site.token(), point: id })}`;
    name(sheet, text.printSheet, point.name);
    /** @type {[Action, string, string, boolean][]} */
    const buttons = [
      [
        "rotate",
        point.revoked ? text.useAgain : text.newCode,
        text.newCodeSure,
        // The code of a kiosk is its pairing, which its screen keeps.
        point.kind === "kiosk" && !point.revoked,
      ],
      ["revoke", text.revoke, text.revokeSure, Boolean(point.revoked)],
      ["remove", text.unpair, text.unpairSure, false],
    ];
    for (const [action, asks, sure, hidden] of buttons) {
      const button = within(row, `.${action}`);
      button.hidden = hidden;
      name(button, this.#sure === `${action} ${id}` ? sure : asks, point.name);
    }
  }
}

/** A button or link of a row. Its name for screen readers contains the row. */
function name(/** @type {HTMLElement} */ element, /** @type {string} */ text, of = "") {
  setText(element, text);
  element.setAttribute("aria-label", `${text}, ${of}`);
}
