// Which calls a board shows, and on which page. Pure, so that tests need no browser.

/**
 * @typedef {{label: string, station: string, at: number, recalls: number, current: boolean,
 *   name?: string, doctor?: string}} Call
 */
/** @typedef {[key: string, call: Call]} KeyedCall */
/** A call as the board first showed it: which repetition, and since when by the screen's clock. */
/** @typedef {{stamp: string, since: number}} Shown */

// A person who looks up at the chime must still find the call, even if the visit starts at once.
export const KEEP_MS = 10_000;
// A call that the board learns of after a loss is news only if it is also recent.
const NEWS_FOR_MS = 60_000;

/**
 * Latest first. The key decides between calls of the same time, so that rows never swap places.
 * @param {KeyedCall[]} calls
 */
export function latestFirst(calls) {
  return calls.sort(([keyA, a], [keyB, b]) => b.at - a.at || (keyA < keyB ? -1 : 1));
}

/**
 * Records since when each call is shown, and finds the new and the repeated ones.
 * @param {KeyedCall[]} calls
 * @param {ReadonlyMap<string, Shown> | undefined} before undefined for the first view of a screen,
 *   whose calls are not news
 * @param {{now: number, serverNow: number}} clocks `now` of the screen
 * @returns {{shown: Map<string, Shown>, news: KeyedCall[]}}
 */
export function noteCalls(calls, before, { now, serverNow }) {
  /** @type {Map<string, Shown>} */
  const shown = new Map();
  /** @type {KeyedCall[]} */
  const news = [];
  for (const [key, call] of calls) {
    const stamp = `${call.at}/${call.recalls}`;
    const known = before?.get(key);
    const age = Math.max(0, serverNow - call.at);
    if (known?.stamp === stamp) shown.set(key, known);
    else if (call.current || age < KEEP_MS) {
      shown.set(key, { stamp, since: before && age < NEWS_FOR_MS ? now : now - age });
      if (before && age < NEWS_FOR_MS) news.push([key, call]);
    }
  }
  return { shown, news };
}

/**
 * Splits the calls: those for the large rows, and those called earlier.
 * @param {KeyedCall[]} calls
 * @param {ReadonlyMap<string, Shown>} shown
 * @param {number} now of the screen
 * @returns {[current: KeyedCall[], earlier: KeyedCall[]]}
 */
export function splitCalls(calls, shown, now) {
  const isCurrent = (/** @type {KeyedCall} */ [key, call]) =>
    call.current || now - (shown.get(key)?.since ?? -Infinity) < KEEP_MS;
  return [calls.filter(isCurrent), calls.filter((call) => !isCurrent(call))];
}

/**
 * The part of `items` for one page. Pinned items lead on every page, so that a new call never waits
 * for its page; the others share the rest.
 * @template T
 * @param {T[]} items
 * @param {(item: T) => boolean} isPinned
 * @param {number} size at least 2
 * @param {number} turn counts the pages shown so far
 * @returns {{page: T[], index: number, count: number}}
 */
export function pageOf(items, isPinned, size, turn) {
  if (items.length <= size) return { page: items, index: 0, count: 1 };
  // One row stays for the others: more new calls than that take turns too.
  const pinned = items.filter(isPinned).slice(0, size - 1);
  const others = items.filter((item) => !pinned.includes(item));
  const room = size - pinned.length;
  const count = Math.ceil(others.length / room);
  const index = turn % count;
  return { page: [...pinned, ...others.slice(index * room, (index + 1) * room)], index, count };
}

/**
 * Whether the screen shall be dim: at night, by the clinic's clock.
 * @param {number} hour of the clinic, 0 to 23
 * @param {string} span such as `21-6`; anything else never dims
 */
export function isNight(hour, span) {
  const [, from, to] = /^(\d{1,2})-(\d{1,2})$/.exec(span)?.map(Number) ?? [];
  if (from === undefined || to === undefined) return false;
  return from <= to ? from <= hour && hour < to : from <= hour || hour < to;
}

/**
 * A label as a voice reads it: `A-042` is "A 42".
 * @param {string} label
 */
export function spokenLabel(label) {
  return label.replace(/[-_]+/g, " ").replace(/\b0+(?=\d)/g, "");
}
