// A row of buttons, of which one is pressed: which lines or rooms are shown.

import { byId, setText } from "../shared/look/page.js";

/** @template {string} F */
export class Filter {
  /** @type {F} */
  value;
  #holder;

  /**
   * @param {string} id of the group
   * @param {F[]} values the first is pressed at first
   * @param {() => void} onChange
   */
  constructor(id, values, onChange) {
    this.value = values[0];
    this.#holder = byId(id);
    for (const value of values) {
      const button = this.#holder.appendChild(document.createElement("button"));
      button.type = "button";
      button.value = value;
      button.addEventListener("click", () => {
        this.value = value;
        onChange();
      });
    }
  }

  /**
   * @param {string} title
   * @param {Record<F, string>} names
   * @param {Record<F, number>} counts
   */
  render(title, names, counts) {
    this.#holder.setAttribute("aria-label", title);
    for (const button of this.#holder.querySelectorAll("button")) {
      const value = /** @type {F} */ (button.value);
      setText(button, `${names[value]} ${counts[value]}`);
      button.setAttribute("aria-pressed", String(value === this.value));
    }
  }
}
