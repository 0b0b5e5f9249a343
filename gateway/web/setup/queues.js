// The queues of a clinic: making, changing, opening and closing them, and their order.

import { byId, setText } from "../shared/page.js";
import { keepRows, within } from "../shared/rows.js";
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

export class QueuesPart {
  #site;
  #create;
  /** @type {WeakMap<Element, EntryForm<Settings>>} */
  #forms = new WeakMap();

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
      if (button.matches(".up")) void this.#move(id, -1);
      if (button.matches(".down")) void this.#move(id, 1);
      if (button.matches(".toggle")) void this.#toggle(id);
    });
  }

  /** @param {string} id @param {1 | -1} step */
  async #move(id, step) {
    const order = queuesOf(this.#site.entries()).map(([id]) => id);
    const from = order.indexOf(id);
    order.splice(from + step, 0, ...order.splice(from, 1));
    const { location } = this.#site;
    await this.#site.send("PUT", `locations/${encodeURIComponent(location)}/queue-order`, {
      queues: order,
    });
  }

  /** @param {string} id */
  async #toggle(id) {
    const state = this.#site.entries().get(`queue:${id}`)?.state;
    const verb = state === "closed" ? "open" : "close";
    await this.#site.send("POST", `queues/${encodeURIComponent(id)}/${verb}`);
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
      ];
      for (const [selector, name, disabled] of buttons) {
        const button = /** @type {HTMLButtonElement} */ (within(row, selector));
        setText(button, name);
        button.setAttribute("aria-label", `${name}, ${queue.name}`);
        button.disabled = disabled;
      }
      this.#formOf(row, id).update(queue);
    });
    this.#create.update(undefined);
  }

  /** @param {HTMLElement} row @param {string} id */
  #formOf(row, id) {
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
