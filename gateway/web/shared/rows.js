// Lists and tables that change in place: a row keeps its element, and with it focus, place and selection.

/**
 * Makes `list` show one element per item, in their order: those that are there are filled again, new ones are copied from
 * the template, those that have gone are removed, and only what is out of place moves.
 * @template T
 * @param {Element} list
 * @param {string} template id
 * @param {[key: string, item: T][]} items
 * @param {(element: HTMLElement, item: T, key: string) => void} fill
 */
export function keepRows(list, template, items, fill) {
  const wanted = new Set(items.map(([key]) => key));
  const kept = new Map([...list.children].map((row) => [/** @type {HTMLElement} */ (row).dataset.key ?? "", /** @type {HTMLElement} */ (row)]));
  // First: with holes closed, the others are in place already and need not move, which would take the focus from them.
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

/** The first element within `row` that matches: rows and their templates are one piece. @param {Element} row @param {string} selector */
export function within(row, selector) {
  return /** @type {HTMLElement} */ (row.querySelector(selector));
}
