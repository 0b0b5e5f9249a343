// The queues of a clinic: making, changing, opening, closing and removing them, and their order.

import { byId, setText } from "../shared/look/page.js";
import { keepRows, within } from "../shared/look/rows.js";
import { EntryForm } from "./entry-form.js";
import { newId, queueBody, queueValues } from "./values.js";

/** @typedef {import("../shared/schemas.js").QueueSettings} Settings */
/** @typedef {import("./setup.js").Site} Site */

/**
 * The queues in the clinic's order.
 * @param {ReadonlyMap<string, any>} entries
 * @returns {[id: string, queue: Settings][]}
 */
export function queuesOf(entries) {
  const queues = [...entries].filter(([key]) => key.startsWith("queue:"));
  return queues
    .map(([key, queue]) => /** @type {[string, Settings]} */ ([key.slice("queue:".length), queue]))
    .sort(
      ([, a], [, b]) =>
        // The difference of two queues without a place is NaN: their names decide.
        (a.place ?? Infinity) - (b.place ?? Infinity) || a.name.localeCompare(b.name),
    );
}

/** @param {Element} form @param {string} template */
export function addFields(form, template) {
  const fields = /** @type {HTMLTemplateElement} */ (byId(template));
  form.append(fields.content.cloneNode(true));
}

/** One box for each queue. @param {Element} form @param {ReadonlyMap<string, any>} entries */
export function renderServed(form, entries) {
  keepRows(within(form, ".served"), "served-queue", queuesOf(entries), (label, queue, id) => {
    within(label, "input").setAttribute("name", `queue:${id}`);
    setText(within(label, "span"), queue.name);
  });
}

export class QueuesPart {
  #site;
  #create;
  /** @type {WeakMap<Element, EntryForm<Settings>>} */
  #forms = new WeakMap();
  /** The queue that the next click removes. */
  #sure = "";
  /** Why the last queue was not removed. */
  #problem = "";

  /** @param {Site} site */
  constructor(site) {
    this.#site = site;
    const form = /** @type {HTMLFormElement} */ (byId("queue-form"));
    addFields(form, "queue-fields");
    this.#create = new EntryForm(form, {
      read: queueValues,
      save: (values) => {
        const taken = new Set(queuesOf(site.entries()).map(([id]) => id));
        const id = newId(site.location, String(values.name), taken);
        const path = `queues/${encodeURIComponent(id)}`;
        return site.send("PUT", path, { ...queueBody(values), edition: 0 });
      },
      texts: site.texts,
    });
    byId("queue-list").addEventListener("click", ({ target }) => {
      const button = target instanceof Element ? target.closest("button") : null;
      const id = button?.closest("li")?.dataset.key;
      if (!button || !id) return;
      if (button.matches(".up")) void this._move(id, -1);
      if (button.matches(".down")) void this._move(id, 1);
      if (button.matches(".toggle")) void this._toggle(id);
      if (button.matches(".remove")) this._ask(id);
      if (button.matches(".keep")) this._ask("");
      if (button.matches(".really")) void this._remove(id);
    });
  }

  /** @param {string} id @param {1 | -1} step */
  async _move(id, step) {
    const order = queuesOf(this.#site.entries()).map(([id]) => id);
    const from = order.indexOf(id);
    order.splice(from + step, 0, ...order.splice(from, 1));
    const { location } = this.#site;
    await this.#site.send("PUT", `locations/${encodeURIComponent(location)}/queue-order`, {
      queues: order,
    });
  }

  /** @param {string} id */
  async _toggle(id) {
    const state = this.#site.entries().get(`queue:${id}`)?.state;
    const verb = state === "closed" ? "open" : "close";
    await this.#site.send("POST", `queues/${encodeURIComponent(id)}/${verb}`);
  }

  /** Asks whether a queue is to be removed, and where its people go. @param {string} id */
  _ask(id) {
    const before = this.#sure;
    [this.#sure, this.#problem] = [id, ""];
    this.render();
    // The pressed button is hidden now, so the focus of the keyboard moves to this one.
    const row = rowOf(id || before);
    if (row) within(row, id ? "select" : ".remove").focus();
  }

  /** @param {string} id */
  async _remove(id) {
    const row = rowOf(id);
    const there = row ? /** @type {HTMLSelectElement} */ (within(row, "select")).value : "";
    const query = there ? `?${new URLSearchParams({ move_to: there })}` : "";
    const answer = await this.#site.send("DELETE", `queues/${encodeURIComponent(id)}${query}`);
    const { refusals, refused } = this.#site.texts();
    if ("applied" in answer) this.#sure = "";
    else this.#problem = refusals[answer.code] ?? refused(answer.code);
    this.render();
  }

  render() {
    const site = this.#site;
    const text = site.texts();
    const queues = queuesOf(site.entries());
    keepRows(byId("queue-list"), "queue-row", queues, (row, queue, id) => {
      const at = queues.findIndex(([other]) => other === id);
      setText(within(row, "b"), `${queue.name} · ${text.states[queue.state]}`);
      /** @type {[string, string, boolean][]} */
      const buttons = [
        [".up", text.up, at === 0],
        [".down", text.down, at === queues.length - 1],
        [".toggle", queue.state === "closed" ? text.open : text.close, false],
        [".remove", text.unpair, false],
        [".really", text.unpairSure, false],
        [".keep", text.keep, false],
      ];
      for (const [selector, name, disabled] of buttons) {
        const button = /** @type {HTMLButtonElement} */ (within(row, selector));
        setText(button, name);
        button.setAttribute("aria-label", `${name}, ${queue.name}`);
        button.disabled = disabled;
      }
      this._renderRemoval(row, id, queues);
      this._formOf(row, id).update(queue);
    });
    this.#create.update(undefined);
  }

  /** @param {HTMLElement} row @param {string} id @param {[string, Settings][]} queues */
  _renderRemoval(row, id, queues) {
    const asked = this.#sure === id;
    within(row, ".removal").hidden = !asked;
    within(row, ".remove").hidden = asked;
    if (!asked) return;
    setText(within(row, ".problem"), this.#problem);
    const select = /** @type {HTMLSelectElement} */ (within(row, "select"));
    const others = queues.filter(([other, { state }]) => other !== id && state !== "closed");
    setOptions(select, [
      ["", this.#site.texts().nobody],
      ...others.map(([other, { name }]) => /** @type {[string, string]} */ ([other, name])),
    ]);
  }

  /** @param {HTMLElement} row @param {string} id */
  _formOf(row, id) {
    const known = this.#forms.get(row);
    if (known) return known;
    const form = /** @type {HTMLFormElement} */ (within(row, "form"));
    addFields(form, "queue-fields");
    const path = `queues/${encodeURIComponent(id)}`;
    const made = new EntryForm(form, {
      read: queueValues,
      save: (values, edition) => this.#site.send("PUT", path, { ...queueBody(values), edition }),
      texts: this.#site.texts,
    });
    this.#forms.set(row, made);
    return made;
  }
}

/** The row of a queue. @param {string} id */
function rowOf(id) {
  const rows = /** @type {HTMLElement[]} */ ([...byId("queue-list").children]);
  return rows.find(({ dataset }) => dataset.key === id);
}

/**
 * Sets the options of a select, unless they are the same. The choice stays.
 * @param {HTMLSelectElement} select
 * @param {[value: string, name: string][]} options
 */
export function setOptions(select, options) {
  const before = [...select.options].map(({ value, text }) => `${value} ${text}`).join("\n");
  if (before === options.map(([value, name]) => `${value} ${name}`).join("\n")) return;
  const { value } = select;
  select.replaceChildren(...options.map(([value, name]) => new Option(name, value)));
  if (options.some(([known]) => known === value)) select.value = value;
}
