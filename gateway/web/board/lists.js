// The lists beside the calls. A list that is longer than its place shows one page after the other:
// a line is shown whole or not at all.

import { setText } from "../shared/look/page.js";

// A name of more letters is written smaller, so that it takes two lines and not four.
const LONG = 22;

/**
 * @param {HTMLElement} list
 * @param {string[][]} lines the texts of each line's cells
 */
export function renderList(list, lines) {
  while (list.children.length > lines.length) list.lastElementChild?.remove();
  lines.forEach((cells, index) => {
    const line = list.children[index] ?? list.appendChild(document.createElement("li"));
    cells.forEach((text, cell) => {
      const element = line.children[cell] ?? newCell(line);
      setText(element, text);
      element.classList.toggle("long", text.length > LONG);
    });
  });
}

/** @param {Element} line */
function newCell(line) {
  const cell = line.appendChild(document.createElement("span"));
  // Names of lines and rooms can be in another direction than the board.
  cell.dir = "auto";
  return cell;
}

/** The first line of each page of each list, and for which texts and sizes it was measured. */
/** @type {WeakMap<HTMLElement, {measured: string, starts: number[]}>} */
const pages = new WeakMap();

/**
 * Shows one page of each list. All are measured together, because they share one column.
 * @param {HTMLElement} column
 * @param {HTMLElement[]} lists
 * @param {number} turn counts the pages shown so far
 */
export function showPages(column, lists, turn) {
  // Where one line of each list is too much, the last two lists take turns.
  const tight = column.dataset.tight ? String(turn % 2) : "";
  const size = `${column.clientWidth}x${column.clientHeight}`;
  const texts = lists.map(({ textContent }) => textContent);
  const measured = [size, tight, ...texts].join("|");
  if (lists.some((list) => pages.get(list)?.measured !== measured)) {
    delete column.dataset.tight;
    measure(lists, measured);
    if (column.scrollHeight > column.clientHeight + 1) {
      column.dataset.tight = turn % 2 ? "odd" : "even";
      measure(lists, [size, String(turn % 2), ...texts].join("|"));
    }
  }
  const page = column.dataset.tight ? Math.floor(turn / 2) : turn;
  for (const list of lists) {
    const { starts } = pages.get(list) ?? { starts: [0] };
    const index = page % starts.length;
    const [from, to = Infinity] = [starts[index], starts[index + 1]];
    [...list.children].forEach((line, place) => {
      /** @type {HTMLElement} */ (line).hidden = place < from || place >= to;
    });
    markPage(list, index, starts.length);
  }
}

/** @param {HTMLElement[]} lists @param {string} measured */
function measure(lists, measured) {
  const heights = lists.map((list) => {
    list.style.height = list.style.minHeight = "";
    for (const line of list.children) /** @type {HTMLElement} */ (line).hidden = false;
    const lines = [...list.children].map((line) => line.getBoundingClientRect().height);
    keepRoom(list, Math.max(0, ...lines));
    return lines;
  });
  // All have their least height now, and share the rest.
  const rooms = lists.map((list) => list.getBoundingClientRect().height);
  lists.forEach((list, index) => {
    const starts = startsOfPages(heights[index], rooms[index]);
    // A last page with fewer lines must not move the list below.
    if (starts.length > 1) list.style.height = `${rooms[index]}px`;
    pages.set(list, { measured, starts });
  });
}

/**
 * Keeps room for the title and one line, however long the other lists are.
 * @param {HTMLElement} list
 * @param {number} height of its tallest line
 */
function keepRoom(list, height) {
  const section = list.parentElement;
  const title = section?.querySelector("h2");
  if (!section || !title || section.hidden) return;
  const gap = parseFloat(getComputedStyle(section).rowGap) || 0;
  list.style.minHeight = `${height}px`;
  section.style.minHeight = `${Math.ceil(title.offsetHeight + gap + height)}px`;
}

/**
 * The first line of each page.
 * @param {number[]} heights of all lines
 * @param {number} room
 */
export function startsOfPages(heights, room) {
  const starts = [0];
  let used = 0;
  heights.forEach((height, index) => {
    // Half a pixel is rounding.
    if (used && used + height > room + 0.5) {
      starts.push(index);
      used = 0;
    }
    used += height;
  });
  return starts;
}

/**
 * Says beside the title of a list which of its pages is shown.
 * @param {HTMLElement} list
 * @param {number} index
 * @param {number} count
 */
export function markPage(list, index, count) {
  const title = list.parentElement?.querySelector("h2");
  if (!title) return;
  if (count > 1) title.dataset.page = `${index + 1}/${count}`;
  else delete title.dataset.page;
}
