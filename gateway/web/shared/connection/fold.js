// Builds the view of a channel from the frames that the server sends. Only this file decides about
// gaps and duplicates.

/**
 * The view of one channel as a page knows it. `entries` is a keyed view (queue, board, …); `state`
 * is the whole small state of a ticket. Every change makes a new object, so a page may keep an
 * older one.
 * @typedef {object} View
 * @property {bigint} epoch 64 bits of the server, more than a number can hold exactly
 * @property {number} version
 * @property {number} at time of the last record in it, in ms
 * @property {ReadonlyMap<string, any>} [entries]
 * @property {any} [state]
 */

/**
 * `reset` says that the server lost the version held so far, so that an older one replaces it.
 * @typedef {{channel: string, epoch: string, offset: number, reset?: boolean, data: any}} Frame
 */
/** @typedef {"snapshot" | "delta" | "state"} Kind */

/**
 * Applies one frame. Answers the new view, `old` for a frame that the view already contains, or
 * `gap` if the channel must be loaded again.
 * @param {View | undefined} view
 * @param {Kind} kind
 * @param {Frame} frame
 * @returns {View | "old" | "gap"}
 */
export function fold(view, kind, { epoch: epochText, offset, reset = false, data }) {
  const epoch = BigInt(epochText);
  if (kind === "delta") return foldDelta(view, epoch, data);
  const version = kind === "snapshot" ? data.version : offset;
  // Never show anything older than what was shown already; load again instead.
  const older =
    view && !reset && (epoch < view.epoch || (epoch === view.epoch && version < view.version));
  if (older) return "gap";
  if (kind === "state") return { epoch, version, at: data.at, state: data };
  return { epoch, version, at: data.at, entries: new Map(Object.entries(data.entries)) };
}

/**
 * A delta applies if `from` ≤ version < `to`.
 * @param {View | undefined} view
 * @param {bigint} epoch
 * @param {{from: number, to: number, at: number, set?: {[key: string]: any}, remove?: string[]}} delta
 * @returns {View | "old" | "gap"}
 */
function foldDelta(view, epoch, { from, to, at, set = {}, remove = [] }) {
  if (!view?.entries || epoch > view.epoch) return "gap";
  if (epoch < view.epoch || to <= view.version) return "old";
  if (from > view.version) return "gap";
  const entries = new Map(view.entries);
  for (const key of remove) entries.delete(key);
  for (const [key, entry] of Object.entries(set)) entries.set(key, entry);
  return { epoch, version: to, at, entries };
}
