// Lists and tables that change in place: a row keeps its element, and with it focus and selection.

/**
 * Makes `list` show one element per item, in order. Existing elements are filled again, new ones
 * are copied from the template, elements without an item are removed, and only those out of place
 * move.
 * @template T
 * @param {Element} list
 * @param {string} template id
 * @param {[key: string, item: T][]} items
 * @param {(element: HTMLElement, item: T, key: string) => void} fill
 */
export function keepRows(list, template, items, fill) {
  const wanted = new Set(items.map(([key]) => key));
  const rows = /** @type {HTMLElement[]} */ ([...list.children]);
  const kept = new Map(rows.map((row) => [row.dataset.key ?? "", row]));
  // Removing first leaves the other rows in place. Moving a row would take the focus from it.
  for (const [key, row] of kept) if (!wanted.has(key)) row.remove();
  items.forEach(([key, item], index) => {
    const row = kept.get(key) ?? copy(template, key);
    fill(row, item, key);
    if (list.children[index] !== row) list.insertBefore(row, list.children[index] ?? null);
  });
}

/** @param {string} id @param {string} key */
function copy(id, key) {
  const template = /** @type {HTMLTemplateElement} */ (document.getElementById(id));
  const row = /** @type {HTMLElement} */ (template.content.firstElementChild?.cloneNode(true));
  row.dataset.key = key;
  return row;
}

/**
 * The first match within `row`. Rows and their templates belong together, so there is one.
 * @param {Element} row
 * @param {string} selector
 */
export function within(row, selector) {
  return /** @type {HTMLElement} */ (row.querySelector(selector));
}
