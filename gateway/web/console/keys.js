// The keyboard of the console. Single letters act only while no field has the focus.

/** @typedef {import("./lines.js").Action} Action */

/** Steps with the selected ticket. @type {Record<Action, string>} */
export const ACTION_KEYS = {
  call: "c",
  recall: "r",
  start: "s",
  complete: "d",
  hold: "h",
  resume: "b",
  absent: "a",
  return: "b",
  "no-show": "x",
  transfer: "t",
  prioritise: "p",
  cancel: "Delete",
  revert: "u",
};

/** Everything else, by the name of its text. */
export const PAGE_KEYS = {
  callNext: "n",
  find: "/",
  issue: "i",
  checkIn: "e",
  queue: "o",
  pause: "z",
  room: "m",
  sheet: "?",
};

/** Whether the key takes a step with a ticket. @param {Pick<KeyboardEvent, "key">} event */
export function isStep({ key }) {
  return Object.values(ACTION_KEYS).includes(nameOf(key));
}

/** @param {string} key */
const nameOf = (key) => (key.length === 1 ? key.toLowerCase() : key);

/**
 * The meaning of a key: an action that the selected ticket allows, a function of the page, or a
 * move of the selection or of the ticket.
 * @param {{key: string, altKey: boolean, ctrlKey: boolean, metaKey: boolean}} event
 * @param {readonly Action[]} allowed
 * @returns {{action: Action} | {page: keyof typeof PAGE_KEYS} | {select: 1 | -1}
 *   | {move: 1 | -1} | undefined}
 */
export function meaningOf({ key, altKey, ctrlKey, metaKey }, allowed) {
  if (ctrlKey || metaKey) return undefined;
  const step = key === "ArrowDown" || key === "j" ? 1 : key === "ArrowUp" || key === "k" ? -1 : 0;
  if (step && altKey) return { move: step };
  if (altKey) return undefined;
  if (step) return { select: step };
  const name = nameOf(key);
  const action = allowed.find((action) => ACTION_KEYS[action] === name);
  if (action) return { action };
  const pages = /** @type {[keyof typeof PAGE_KEYS, string][]} */ (Object.entries(PAGE_KEYS));
  const page = pages.find(([, key]) => key === name)?.[0];
  return page && { page };
}
