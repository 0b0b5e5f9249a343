// From frames to what a page holds of a channel: the one rule of gaps and duplicates.

/**
 * What is held of one channel. `entries` is a keyed view (queue, board); `state` is the whole small
 * state of a ticket. A new object for every change, so that a page may keep the one before.
 * @typedef {object} Held
 * @property {bigint} epoch
 * @property {number} version
 * @property {number} at time of the last record in it, ms since the Unix epoch, by the server's clock
 * @property {ReadonlyMap<string, any>} [entries]
 * @property {any} [state]
 */

/** @typedef {{channel: string, epoch: string, offset: number, data: any}} Frame */

/** @typedef {"snapshot" | "delta" | "state"} Kind */

/**
 * Folds one frame into what is held: the new state, or `old` when it brings nothing, or `gap` when
 * something between was missed and only a new snapshot helps.
 * @param {Held | undefined} held
 * @param {Kind} kind
 * @param {Frame} frame
 * @returns {Held | "old" | "gap"}
 */
export function fold(held, kind, { epoch: epochText, offset, data }) {
  const epoch = BigInt(epochText);
  if (kind === "delta") return foldDelta(held, epoch, data);
  const version = kind === "snapshot" ? data.version : offset;
  if (held && (epoch < held.epoch || (epoch === held.epoch && version < held.version))) {
    // Something older than what was shown already. Never show it; ask again instead.
    return "gap";
  }
  if (kind === "state") return { epoch, version, at: data.at, state: data };
  return { epoch, version, at: data.at, entries: new Map(Object.entries(data.entries)) };
}

/**
 * @param {Held | undefined} held
 * @param {bigint} epoch
 * @param {{from: number, to: number, at: number, set?: Record<string, any>, remove?: string[]}} delta
 * @returns {Held | "old" | "gap"}
 */
function foldDelta(held, epoch, { from, to, at, set = {}, remove = [] }) {
  if (!held?.entries || epoch > held.epoch) return "gap";
  if (epoch < held.epoch || to <= held.version) return "old";
  if (from > held.version) return "gap";
  const entries = new Map(held.entries);
  for (const key of remove) entries.delete(key);
  for (const [key, entry] of Object.entries(set)) entries.set(key, entry);
  return { epoch, version: to, at, entries };
}
