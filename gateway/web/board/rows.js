// The large rows of the board: one call each, with texts that fit their cells.

import { setText } from "../shared/look/page.js";
import { keepRows, within } from "../shared/look/rows.js";

/** @typedef {import("./calls.js").Call} Call */
/** @typedef {import("./calls.js").KeyedCall} KeyedCall */

// A text this much smaller than the label is easier to read on two lines, unless it is short.
const WRAP_BELOW = 0.62;
const WRAP_SHORT_BELOW = 0.45;
const SHORT = 10;
const SMALLEST = 0.16;
const STEP = 0.04;

/**
 * @param {HTMLElement} list
 * @param {KeyedCall[]} shown
 * @param {(row: HTMLElement, key: string, call: Call) => void} decorate fills the flag of a row
 */
export function renderRows(list, shown, decorate) {
  list.dataset.count = String(shown.length);
  keepRows(list, "row", shown, (row, call, key) => {
    setText(within(row, ".label span"), call.label);
    setText(within(row, ".room span"), call.station);
    decorate(row, key, call);
  });
  fitTexts(list);
}

/** What the texts were fitted for. @type {WeakMap<Element, string>} */
const fitted = new WeakMap();

/** Shrinks texts that are larger than their cell, and wraps long ones. @param {HTMLElement} list */
function fitTexts(list) {
  for (const text of /** @type {NodeListOf<HTMLElement>} */ (list.querySelectorAll("b span"))) {
    const cell = /** @type {HTMLElement} */ (text.parentElement);
    const row = /** @type {HTMLElement} */ (cell.parentElement);
    const size = `${text.textContent}|${cell.clientWidth}|${row.clientHeight}`;
    // Measuring costs a layout, and nothing has changed for most rows.
    if (!cell.clientWidth || fitted.get(text) === size) continue;
    fitText(text, cell, row);
    fitted.set(text, `${text.textContent}|${cell.clientWidth}|${row.clientHeight}`);
  }
}

/** @param {HTMLElement} text @param {HTMLElement} cell @param {HTMLElement} row */
function fitText(text, cell, row) {
  const set = (/** @type {number} */ fit) => text.style.setProperty("--fit", fit.toFixed(2));
  const { paddingTop, paddingBottom } = getComputedStyle(row);
  const inside = row.clientHeight - parseFloat(paddingTop) - parseFloat(paddingBottom);
  // Upright, the room stands below the label.
  const lines =
    getComputedStyle(row.querySelector(".label") ?? cell).gridColumnEnd === "-1" ? 2 : 1;
  const height = inside / lines;
  text.classList.remove("wrapped");
  set(1);
  const [wide, high] = [cell.clientWidth / text.offsetWidth, height / text.offsetHeight];
  set(Math.floor(Math.min(1, wide, high) * 100) / 100);
  const words = text.textContent.trim();
  const below = words.length <= SHORT ? WRAP_SHORT_BELOW : WRAP_BELOW;
  if (wide >= below || !/\s/.test(words)) return;
  text.classList.add("wrapped");
  for (let fit = WRAP_BELOW; fit > SMALLEST; fit -= STEP) {
    set(fit);
    if (text.scrollWidth <= cell.clientWidth && text.offsetHeight <= height) return;
  }
}
