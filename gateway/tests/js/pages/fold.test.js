// Folding frames into views, and turning estimates into waits, without a browser.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { fold } from "../../../web/shared/connection/fold.js";
import { changeText, datedText, timeText, zonedTimeText } from "../../../web/shared/words/times.js";
import { waitFrom } from "../../../web/shared/words/wait.js";

/** @typedef {import("../../../web/shared/connection/fold.js").View} View */
/** @typedef {{set?: Record<string, number>, remove?: string[]}} Step */

const CHANNEL = "board:riverside";

/**
 * @param {object} data
 * @param {string} [epoch]
 * @returns {import("../../../web/shared/connection/fold.js").Frame}
 */
const frame = (data, epoch = "7") => ({ channel: CHANNEL, epoch, offset: 0, data });

/** @param {number} version @param {Record<string, unknown>} entries @param {string} [epoch] */
const snapshot = (version, entries, epoch) =>
  frame({ epoch: epoch ?? "7", version, at: 1000 + version, entries }, epoch);

/** @param {number} from @param {number} to @param {object} [change] @param {string} [epoch] */
const delta = (from, to, change, epoch) => frame({ from, to, at: 1000 + to, ...change }, epoch);

/** @param {View | "old" | "gap"} folded @returns {View} */
function whole(folded) {
  if (folded === "old" || folded === "gap") assert.fail(`folded to ${folded}`);
  return folded;
}

/** @param {View} held */
const entriesOf = (held) => Object.fromEntries(held.entries ?? []);

describe("folding a view", () => {
  const held = whole(fold(undefined, "snapshot", snapshot(5, { a: 1, b: 2 })));

  it("goes back only if the server says that its position was lost", () => {
    assert.equal(fold(held, "snapshot", snapshot(4, { c: 3 })), "gap");
    const reset = whole(fold(held, "snapshot", { ...snapshot(4, { c: 3 }), reset: true }));
    assert.deepEqual([reset.version, entriesOf(reset)], [4, { c: 3 }]);
    assert.equal(whole(fold(reset, "delta", delta(4, 5))).version, 5);
  });

  it("starts with a snapshot", () => {
    assert.deepEqual(
      { ...held, entries: entriesOf(held) },
      { epoch: 7n, version: 5, at: 1005, entries: { a: 1, b: 2 } },
    );
  });

  it("applies a delta without changing the older view", () => {
    const next = whole(fold(held, "delta", delta(5, 6, { set: { b: 3, c: 4 }, remove: ["a"] })));
    assert.deepEqual(entriesOf(next), { b: 3, c: 4 });
    assert.equal(next.version, 6);
    assert.equal(next.at, 1006);
    assert.deepEqual(entriesOf(held), { a: 1, b: 2 });
  });

  it("keeps a key that one delta removes and sets again", () => {
    const next = whole(fold(held, "delta", delta(5, 6, { set: { a: 9 }, remove: ["a"] })));
    assert.deepEqual(entriesOf(next), { a: 9, b: 2 });
  });

  it("applies empty and overlapping deltas", () => {
    assert.equal(whole(fold(held, "delta", delta(5, 9))).version, 9);
    assert.equal(whole(fold(held, "delta", delta(2, 9, { set: { a: 2 } }))).version, 9);
  });

  it("drops duplicates", () => {
    assert.equal(fold(held, "delta", delta(3, 4, { remove: ["a"] })), "old");
    assert.equal(fold(held, "delta", delta(4, 5, { remove: ["a"] })), "old");
    assert.equal(fold(held, "delta", delta(5, 6, { remove: ["a"] }, "6")), "old");
  });

  it("detects gaps", () => {
    assert.equal(fold(held, "delta", delta(6, 7)), "gap");
    assert.equal(fold(held, "delta", delta(5, 6, {}, "8")), "gap");
    assert.equal(fold(undefined, "delta", delta(0, 1)), "gap");
  });

  it("never goes back to an older version", () => {
    assert.equal(fold(held, "snapshot", snapshot(4, {})), "gap");
    assert.equal(fold(held, "snapshot", snapshot(99, {}, "6")), "gap");
    assert.equal(whole(fold(held, "snapshot", snapshot(5, { a: 1, b: 2 }))).version, 5);
  });

  it("starts over with a new epoch", () => {
    const next = whole(fold(held, "snapshot", snapshot(1, { z: 1 }, "8")));
    assert.deepEqual([next.epoch, next.version, entriesOf(next)], [8n, 1, { z: 1 }]);
  });

  it("distinguishes 64-bit epochs", () => {
    const large = whole(fold(undefined, "snapshot", snapshot(5, {}, "9007199254740993")));
    assert.equal(fold(large, "snapshot", snapshot(9, {}, "9007199254740992")), "gap");
  });

  it("reaches the same state for any merging", () => {
    /** @type {Step[]} */
    const steps = [
      { set: { a: 1, b: 1 } },
      { set: { b: 2 }, remove: ["a"] },
      { set: { a: 3, c: 3 } },
      { remove: ["b", "c"] },
      { set: { c: 5 } },
    ];
    const start = whole(fold(undefined, "snapshot", snapshot(0, {})));
    const one = steps.reduce(
      (view, step, index) => whole(fold(view, "delta", delta(index, index + 1, step))),
      start,
    );
    for (let cut = 1; cut < steps.length; cut++) {
      const merged = merge(steps.slice(0, cut));
      const rest = merge(steps.slice(cut));
      const half = whole(fold(start, "delta", delta(0, cut, merged)));
      const all = whole(fold(half, "delta", delta(cut, steps.length, rest)));
      assert.deepEqual(entriesOf(all), entriesOf(one), `cut at ${cut}`);
    }
  });

  it("takes the whole state of a ticket", () => {
    const state = { at: 1000, state: "waiting", ahead: 3 };
    const first = whole(
      fold(undefined, "state", { channel: "ticket:x", epoch: "7", offset: 12, data: state }),
    );
    assert.deepEqual(first, { epoch: 7n, version: 12, at: 1000, state });
    assert.equal(
      fold(first, "state", { channel: "ticket:x", epoch: "7", offset: 11, data: state }),
      "gap",
    );
  });
});

/**
 * Merges several steps into one delta, as a server does: the last value of each key.
 * @param {Step[]} steps
 */
function merge(steps) {
  /** @type {Record<string, number>} */
  const set = {};
  /** @type {Set<string>} */
  const remove = new Set();
  for (const step of steps) {
    for (const key of step.remove ?? []) {
      delete set[key];
      remove.add(key);
    }
    for (const [key, value] of Object.entries(step.set ?? {})) {
      set[key] = value;
      remove.delete(key);
    }
  }
  return { set, remove: [...remove] };
}

describe("the time of a call", () => {
  it("has its date unless the call was today at the clinic", () => {
    const at = Date.parse("2026-03-03T04:50:00Z"); // 11:50 p.m. on the second in Toronto
    const [midnight, later] = [at + 9 * 60_000, at + 11 * 60_000];
    const zone = "America/Toronto";
    const text = (/** @type {number} */ now) =>
      datedText(timeText(at, "en", zone), at, now, "en", zone);
    assert.match(text(midnight), /^11:50.p\.m\./);
    assert.match(text(later), /^Mar\.? 2, 11:50/);
  });

  it("is one word with its zone, and has one form with and without it", () => {
    const at = Date.parse("2026-03-03T14:37:00Z");
    assert.equal(timeText(at, "fr", "Etc/GMT+8"), "6\u00a0h\u00a037");
    assert.match(zonedTimeText(at, "fr", "Etc/GMT+8"), /^6\u00a0h\u00a037 UTC.8$/);
    assert.equal(zonedTimeText(at, "en", "Etc/GMT+8"), "6:37\u00a0a.m. GMT-\u20608");
  });

  it("has its date also for the last change of a ticket from an earlier day", () => {
    const at = Date.parse("2026-03-03T04:50:00Z");
    const zone = "America/Toronto";
    assert.match(changeText(at, at + 9 * 60_000, "fr", zone), /^23\Wh\W50/);
    assert.match(changeText(at, at + 24 * 3_600_000, "fr", zone), /^2 mars, 23\Wh\W50/);
  });
});

describe("the wait for an estimate", () => {
  const NOW = 1_800_000_000_000;
  /** @param {number} from minutes @param {number} to minutes */
  const wait = (from, to) => waitFrom({ from: NOW + from * 60_000, to: NOW + to * 60_000 }, NOW);

  it("is a range in steps of five minutes", () => {
    assert.deepEqual(wait(14, 26), { kind: "about", low: 15, high: 25 });
    assert.deepEqual(wait(12.4, 12.6), { kind: "about", low: 10, high: 15 });
    assert.deepEqual(wait(20, 20), { kind: "about", low: 20, high: 20 });
  });

  it("has no lower end near zero", () => {
    assert.deepEqual(wait(2.4, 11), { kind: "within", high: 10 });
    assert.deepEqual(wait(-30, 9), { kind: "within", high: 10 });
    assert.deepEqual(wait(-30, 5), { kind: "within", high: 5 });
  });

  it("is soon within a step of its end", () => {
    for (const to of [4.9, 0, -5]) assert.deepEqual(wait(-30, to), { kind: "soon" }, `${to} min`);
  });

  it("is late past its end by a step", () => {
    assert.deepEqual(wait(-40, -5.1), { kind: "late" });
  });

  it("changes with the clock", () => {
    const estimate = { from: NOW + 10 * 60_000, to: NOW + 20 * 60_000 };
    const kinds = [0, 9, 16, 26].map((minutes) => waitFrom(estimate, NOW + minutes * 60_000).kind);
    assert.deepEqual(kinds, ["about", "within", "soon", "late"]);
  });
});
