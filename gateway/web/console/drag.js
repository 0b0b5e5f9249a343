// Waiting tickets change places within their line by dragging: with a mouse anywhere on the row,
// with a finger or a pen by the grip of the row, so that the rest of it scrolls the page.

/** A press that moves less is a click. */
const CLICK_PX = 6;
/** The page scrolls while a ticket is held this near to an edge of the window. */
const EDGE_PX = 64;
/** About 600 px a second: people can read the labels that pass. */
const SCROLL_PX = 10;

/**
 * A press on a row, which drags its ticket from the first movement on.
 * @typedef {object} Hold
 * @property {number} pointer
 * @property {HTMLElement} row
 * @property {{x: number, y: number}} start
 * @property {{x: number, y: number}} at
 * @property {boolean} isDragged
 */

/**
 * @param {HTMLElement} lines
 * @param {{mayDrag: () => boolean, onDrop: (ticket: string, onto: string) => void}} options
 */
export function listenToDrags(lines, { mayDrag, onDrop }) {
  /** @type {Hold | undefined} */
  let hold;
  /** The row under the pointer. @type {HTMLElement | undefined} */
  let target;

  /** @param {PointerEvent} event */
  function press(event) {
    const row = rowOf(event.target);
    if (hold || event.button || row?.dataset.state !== "waiting" || !mayDrag()) return;
    const isGrip = event.target instanceof Element && event.target.closest(".grip");
    if (event.pointerType !== "mouse" && !isGrip) return;
    const at = { x: event.clientX, y: event.clientY };
    hold = { pointer: event.pointerId, row, start: at, at, isDragged: false };
  }

  /** @param {PointerEvent} event */
  function movePointer(event) {
    if (hold?.pointer !== event.pointerId) return;
    // The release of the pointer was not told, for instance because a menu opened.
    if (!event.buttons) return end(false);
    hold.at = { x: event.clientX, y: event.clientY };
    const { x, y } = hold.start;
    if (hold.isDragged) return mark();
    if (Math.hypot(hold.at.x - x, hold.at.y - y) < CLICK_PX) return;
    hold.isDragged = true;
    hold.row.classList.add("dragged");
    // The pointer may leave the list, and even the window.
    lines.setPointerCapture(event.pointerId);
    scroll();
    mark();
  }

  /** Scrolls on while the pointer rests at an edge. */
  function scroll() {
    if (!hold?.isDragged) return;
    const { y } = hold.at;
    const step = y < EDGE_PX ? -SCROLL_PX : y > innerHeight - EDGE_PX ? SCROLL_PX : 0;
    if (step) {
      scrollBy(0, step);
      mark();
    }
    requestAnimationFrame(scroll);
  }

  /** Marks the place that the dragged ticket would get. */
  function mark() {
    if (!hold) return;
    const { row, at } = hold;
    const over = rowOf(document.elementFromPoint(at.x, at.y));
    const fits = over?.parentElement === row.parentElement && over?.dataset.state === "waiting";
    unmark();
    if (!over || over === row || !fits) return;
    target = over;
    const goesUp = over.compareDocumentPosition(row) & Node.DOCUMENT_POSITION_FOLLOWING;
    target.classList.add(goesUp ? "before" : "after");
  }

  function unmark() {
    target?.classList.remove("before", "after");
    target = undefined;
  }

  /** @param {boolean} drops whether the ticket gets the marked place */
  function end(drops) {
    const [held, onto] = [hold, target];
    hold?.row.classList.remove("dragged");
    unmark();
    hold = undefined;
    if (!held?.isDragged) return;
    // The click that follows is no choice of a row.
    addEventListener("click", swallow, { capture: true, once: true });
    setTimeout(() => removeEventListener("click", swallow, { capture: true }));
    if (drops && onto && mayDrag()) onDrop(held.row.dataset.key ?? "", onto.dataset.key ?? "");
  }

  lines.addEventListener("pointerdown", press);
  addEventListener("pointermove", movePointer);
  addEventListener("pointerup", ({ pointerId }) => hold?.pointer === pointerId && end(true));
  addEventListener("pointercancel", ({ pointerId }) => hold?.pointer === pointerId && end(false));
  addEventListener("keydown", ({ key }) => key === "Escape" && end(false));
}

/** @param {EventTarget | null} element */
function rowOf(element) {
  const row = element instanceof Element ? element.closest("li") : null;
  return row ?? undefined;
}

/** @param {Event} event */
function swallow(event) {
  event.stopPropagation();
  event.preventDefault();
}
