// The model of the console: the lines, the allowed steps, and steps that are not confirmed yet.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { meaningOf } from "../../../web/console/keys.js";
import * as lines from "../../../web/console/lines.js";
import * as steps from "../../../web/console/pending.js";

/** @typedef {import("../../../web/shared/schemas.js").QueueEntry} Entry */

/** @param {string} label @param {number} rank @param {Partial<Entry>} [changes] @returns {Entry} */
const entry = (label, rank, changes) => ({
  label,
  rank,
  state: "waiting",
  priority: 0,
  issued_at: 1,
  recalls: 0,
  ...changes,
});

const head = /** @type {any} */ ({ name: "General medicine", state: "open" });

/** @param {Record<string, Entry>} entries @param {number} [version] */
const view = (entries, version = 1) => ({
  epoch: 1n,
  version,
  at: 1,
  entries: new Map(Object.entries({ queue: head, ...entries })),
});

/** @param {Record<string, Entry>} entries @param {steps.Pending[]} [pending] */
const lineOf = (entries, pending = []) => {
  const line = lines.readLine("h.g", view(entries), pending);
  assert.ok(line);
  return line;
};

/** @param {string} ticket @param {Entry} base @param {string} action @param {object} [more] */
const stepOf = (ticket, base, action, more) => {
  const step = steps.pendingOf({
    id: 7,
    action,
    ticket: { id: ticket },
    base,
    now: 0,
    ...more,
  });
  assert.ok(step);
  return step;
};

const labels = (/** @type {{tickets: {label: string}[]}} */ { tickets }) =>
  tickets.map(({ label }) => label);

describe("a line of the console", () => {
  it("has the busy first, then the order of calls, then those set aside", () => {
    const line = lineOf({
      e: entry("A-5", 1, { state: "on_hold" }),
      d: entry("A-4", 1, { state: "absent" }),
      c: entry("A-3", 1),
      b: entry("A-2", 2, { priority: 5 }),
      a: entry("A-1", 9, { state: "in_service" }),
      f: entry("A-6", 1),
    });
    assert.deepEqual(labels(line), ["A-1", "A-2", "A-3", "A-6", "A-4", "A-5"]);
    assert.equal(line.waiting, 3);
    assert.equal(lines.readLine("h.g", { ...view({}), entries: new Map() }, []), undefined);
  });

  it("allows what the server allows in each state", () => {
    const first = (/** @type {string} */ state) => lines.actionsOf({ state })[0];
    assert.equal(first("waiting"), "call");
    assert.equal(first("called"), "start");
    assert.equal(first("in_service"), "complete");
    assert.equal(first("on_hold"), "resume");
    assert.equal(first("absent"), "return");
    assert.deepEqual(lines.actionsOf({ state: "leaving" }), ["revert"]);
    assert.ok(!lines.actionsOf({ state: "in_service" }).includes("call"));
    assert.ok(!lines.actionsOf({ state: "called" }).includes("prioritise"));
  });

  it("shows the first rows of a long line, and the selected one", () => {
    const count = lines.MAX_ROWS + 5;
    const long = Array.from({ length: count }, (_, at) => [`t${at}`, entry(`A-${at}`, at)]);
    const { tickets } = lineOf(Object.fromEntries(long));
    const ids = lines.shownOf(tickets, `t${count - 1}`).map(({ id }) => id);
    assert.equal(ids.length, lines.MAX_ROWS + 1);
    assert.deepEqual(ids.slice(-2), [`t${lines.MAX_ROWS - 1}`, `t${count - 1}`]);
  });

  it("finds a label as people say it", () => {
    const all = [lineOf({ a: entry("A-042", 1), b: entry("B-042", 2), c: entry("A-142", 3) })];
    for (const [asked, id] of [
      ["A-042", "a"],
      ["b42", "b"],
      ["a 42", "a"],
      ["142", "c"],
      ["x9", undefined],
      [" ", undefined],
    ])
      assert.equal(lines.findTicket(all, asked ?? "")?.id, id, asked);
  });

  it("finds who is in a room by the room's name", () => {
    const all = [
      lineOf({
        a: entry("A-1", 1, { state: "called", station: "Room 1" }),
        b: entry("A-2", 1, { state: "absent", station: "Room 1" }),
      }),
    ];
    assert.deepEqual(
      lines.ticketsAt(all, "Room 1").map(({ id }) => id),
      ["a"],
    );
    assert.deepEqual(lines.ticketsAt(all, undefined), []);
  });

  it("moves a ticket among its own priority only", () => {
    const line = lineOf({
      a: entry("A-1", 9, { priority: 5 }),
      b: entry("A-2", 1),
      c: entry("A-3", 2),
      d: entry("A-4", 3),
    });
    assert.deepEqual(lines.reordered(line, "c", 1), ["a", "c", "b"]);
    assert.deepEqual(lines.reordered(line, "b", 3), ["a", "c", "d", "b"]);
    assert.equal(lines.reordered(line, "b", 0), undefined);
    assert.equal(lines.reordered(line, "d", 4), undefined);
    assert.equal(lines.reordered(line, "b", 1), undefined);
    assert.equal(lines.reordered(line, "missing", 1), undefined);
  });
});

describe("a step that is not confirmed", () => {
  const base = entry("A-1", 1);

  it("is shown at once, and marked", () => {
    const pending = [stepOf("a", base, "call", { room: "Room 1" })];
    const [ticket] = lineOf({ a: base }, pending).tickets;
    assert.deepEqual([ticket.state, ticket.station, ticket.unsure], ["called", "Room 1", true]);
    assert.deepEqual(labels(lineOf({ a: base }, [stepOf("a", base, "transfer")])), []);
    assert.equal(
      steps.pendingOf({ id: 1, action: "revert", ticket: { id: "a" }, base, now: 0 }),
      undefined,
    );
  });

  it("yields to what another clerk did", () => {
    const theirs = entry("A-1", 1, { state: "called", station: "Room 2" });
    const pending = [stepOf("a", base, "call", { room: "Room 1" })];
    const [ticket] = lineOf({ a: theirs }, pending).tickets;
    assert.deepEqual([ticket.station, ticket.unsure], ["Room 2", false]);
    assert.deepEqual(steps.stillPending(pending, new Map([["g", view({ a: theirs })]]), 1), []);
  });

  it("is taken back when it is refused, and given up without an answer", () => {
    const pending = [stepOf("a", base, "start")];
    const views = new Map([["g", view({ a: base })]]);
    assert.deepEqual(steps.rollBack(pending, 7), []);
    assert.deepEqual(steps.rollBack(pending, 8), pending);
    assert.deepEqual(steps.stillPending(pending, views, steps.GIVE_UP_MS - 1), pending);
    assert.deepEqual(steps.stillPending(pending, views, steps.GIVE_UP_MS), []);
  });

  it("stays until the view has the version of the command", () => {
    const pending = [stepOf("a", base, "start")];
    const at = (/** @type {number} */ version) => new Map([["g", view({ a: base }, version)]]);
    const applied = { epoch: "1", version: 5 };
    assert.deepEqual(steps.confirm(pending, 7, applied, at(4)), pending);
    assert.deepEqual(steps.confirm(pending, 7, applied, at(5)), []);
    assert.deepEqual(steps.confirm(pending, 7, { ...applied, epoch: "2" }, at(9)), pending);
    assert.deepEqual(steps.confirm(pending, 7, applied, new Map()), []);
  });
});

describe("a key of the console", () => {
  const plain = { altKey: false, ctrlKey: false, metaKey: false };
  /** @param {string} key @param {object} [more] */
  const meaning = (key, more) =>
    meaningOf({ ...plain, key, ...more }, lines.actionsOf({ state: "waiting" }));

  it("means what the selected ticket allows", () => {
    assert.deepEqual(meaning("c"), { action: "call" });
    assert.deepEqual(meaning("U"), { action: "revert" });
    assert.equal(meaning("s"), undefined);
    assert.deepEqual(meaning("n"), { page: "callNext" });
    assert.deepEqual(meaning("?"), { page: "sheet" });
    assert.deepEqual(meaning("ArrowDown"), { select: 1 });
    assert.deepEqual(meaning("ArrowUp", { altKey: true }), { move: -1 });
    assert.equal(meaning("c", { ctrlKey: true }), undefined);
  });
});
