// The values that the dashboard, the schedule and the appointment compute from their views.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import * as load from "../../../web/dashboard/load.js";
import { crossingOf, crossingText } from "../../../web/shared/credentials/crossing.js";
import * as day from "../../../web/shared/visit/appointments.js";
import * as calls from "../../../web/board/calls.js";
import { startsOfPages } from "../../../web/board/lists.js";
import { directionOf } from "../../../web/shared/words/language.js";
import { placeName } from "../../../web/shared/visit/place.js";

const { MINUTE_MS, HOUR_MS, QUARTER_MS } = load;

/** @param {number} start @param {object} [counts] */
const quarter = (start, counts) => ({
  start,
  arrived: 0,
  called: 0,
  served: 0,
  no_show: 0,
  booked: 0,
  ...counts,
});

describe("the load of a location", () => {
  it("is read with parts sorted by name", () => {
    const head = { name: "Harbour", waiting: 1 };
    const entries = new Map(
      Object.entries({
        "station:h.b": { name: "Room 10", state: "idle" },
        "station:h.a": { name: "Room 2", state: "busy" },
        "quarter:1800000": { arrived: 2 },
        "quarter:900000": { booked: 1 },
        load: head,
        "queue:h.x": { name: "General", waiting: 1 },
      }),
    );
    const read = load.readLoad(entries);
    assert.deepEqual(
      read?.stations.map(({ id, name }) => [id, name]),
      [
        ["h.a", "Room 2"],
        ["h.b", "Room 10"],
      ],
    );
    assert.deepEqual(read?.quarters, [
      quarter(900_000, { booked: 1 }),
      quarter(1_800_000, { arrived: 2 }),
    ]);
    assert.deepEqual(
      read?.queues.map(({ id }) => id),
      ["h.x"],
    );
    assert.equal(read?.head, head);
    assert.equal(load.readLoad(new Map()), undefined);
  });

  it("forgets minutes older than an hour", () => {
    const hour = [
      { at: 0, called: 2, served: 1 },
      { at: 30 * MINUTE_MS, called: 1 },
      { at: 59 * MINUTE_MS, served: 4 },
    ];
    for (const [minute, called, served] of [
      [59, 3, 5],
      [60, 1, 4],
      [90, 0, 4],
      [119, 0, 0],
    ]) {
      assert.deepEqual(
        load.lastHour(hour, minute * MINUTE_MS),
        { called, served },
        `at minute ${minute}`,
      );
    }
  });

  it("counts whole minutes and never negative ones", () => {
    for (const [passed, minutes] of [
      [0, 0],
      [59_999, 0],
      [60_000, 1],
      [67 * MINUTE_MS, 67],
      [-5_000, 0],
    ]) {
      assert.equal(load.minutesSince(1_000, 1_000 + passed), minutes, `after ${passed} ms`);
    }
    assert.equal(load.minutesSince(undefined, 1_000), undefined);
  });

  it("starts a band at its first second", () => {
    const bands = {
      waiting: /** @type {[number, number]} */ ([5, 10]),
      wait_s: /** @type {[number, number]} */ ([600, 1200]),
    };
    for (const [seconds, band] of [
      [0, 0],
      [599, 0],
      [600, 1],
      [1199, 1],
      [1200, 2],
      [99_999, 2],
    ]) {
      assert.equal(load.bandOfWait(bands, 0, seconds * 1000), band, `${seconds} s`);
    }
    assert.equal(load.bandOfWait(undefined, 0, 99_999_000), 0);
    assert.equal(load.bandOfWait(bands, undefined, 99_999_000), 0);
  });

  it("lists priorities from the most urgent", () => {
    assert.deepEqual(load.byUrgency({ 0: 13, 5: 2, 9: 1, 3: 0 }), [
      [9, 1],
      [5, 2],
      [0, 13],
    ]);
    assert.deepEqual(load.byUrgency(undefined), []);
  });

  it("counts changed entries, not repeated ones", () => {
    const before = new Map(Object.entries({ same: { a: 1 }, other: { a: 1 }, gone: 1 }));
    const after = new Map(Object.entries({ same: { a: 1 }, other: { a: 2 }, come: 1 }));
    assert.equal(load.changes(before, after), 3);
    assert.equal(load.changes(before, before), 0);
  });
});

describe("the day's curve", () => {
  const EIGHT = Date.UTC(2026, 10, 27, 8);

  it("has every quarter hour of the day", () => {
    const starts = [EIGHT + QUARTER_MS, EIGHT + 9 * HOUR_MS];
    const whole = load.wholeDay(
      starts.map((start) => quarter(start, { arrived: 1 })),
      EIGHT + 3 * HOUR_MS,
    );
    assert.equal(whole[0].start, EIGHT);
    assert.equal(whole.at(-1)?.start, EIGHT + 10 * HOUR_MS - QUARTER_MS);
    assert.ok(whole.every(({ start }, index) => start === EIGHT + index * QUARTER_MS));
    assert.deepEqual(
      whole.filter(({ arrived }) => arrived).map(({ start }) => start),
      starts,
    );
  });

  it("covers four hours and the present at least", () => {
    const now = EIGHT + 7 * MINUTE_MS;
    const whole = load.wholeDay([], now);
    assert.equal(whole.length, 4 * 4);
    assert.ok(whole[0].start <= now && now < whole[15].start + QUARTER_MS);
    assert.equal(load.wholeDay([quarter(EIGHT)], EIGHT + 20 * HOUR_MS).length, 21 * 4);
  });

  it("has a scale of few round steps", () => {
    for (const [greatest, top, step] of [
      [0, 1, 1],
      [1, 1, 1],
      [4, 4, 1],
      [5, 6, 2],
      [17, 20, 5],
      [41, 60, 20],
      [5000, 5000, 1250],
    ]) {
      const { top: found, steps } = load.scale(greatest);
      assert.equal(found, top, `for ${greatest}`);
      assert.equal(steps[1] - steps[0], step, `for ${greatest}`);
      assert.equal(steps.at(-1), top, `for ${greatest}`);
    }
  });

  it("marks full hours on days of clock changes too", () => {
    const starts = (/** @type {number} */ from, /** @type {number} */ hours) =>
      Array.from({ length: hours * 4 }, (_, index) => from + index * QUARTER_MS);
    const hours = (/** @type {number[]} */ marks, /** @type {string} */ zone) =>
      marks.map((ms) =>
        new Intl.DateTimeFormat("en", {
          hour: "2-digit",
          minute: "2-digit",
          hourCycle: "h23",
          timeZone: zone,
        }).format(ms),
      );
    const toronto = "America/Toronto";
    // 1 November 2026, 0:00 EDT: the hour from one to two happens twice.
    const autumn = load.hourMarks(starts(Date.UTC(2026, 10, 1, 4), 5), toronto, 9);
    assert.deepEqual(hours(autumn, toronto), ["00:00", "01:00", "01:00", "02:00", "03:00"]);
    // 8 March 2026: the hour from two to three does not happen.
    const spring = load.hourMarks(starts(Date.UTC(2026, 2, 8, 5), 4), toronto, 9);
    assert.deepEqual(hours(spring, toronto), ["00:00", "01:00", "03:00", "04:00"]);
    const kathmandu = load.hourMarks(starts(Date.UTC(2026, 10, 1, 4), 2), "Asia/Kathmandu", 9);
    assert.deepEqual(hours(kathmandu, "Asia/Kathmandu"), ["10:00", "11:00"]);
    const few = load.hourMarks(starts(Date.UTC(2026, 10, 2, 5), 24), toronto, 5);
    assert.deepEqual(hours(few, toronto), ["00:00", "06:00", "12:00", "18:00"]);
  });
});

describe("a doctor's day", () => {
  const head = { doctor: "Dr. Roy", day: "2026-11-27", time_zone: "America/Toronto", delay_min: 0 };
  /** @param {Record<string, object>} entries */
  const read = (entries) =>
    day.readSchedule(new Map(Object.entries({ schedule: head, ...entries })));

  it("is sorted by time, then key, untimed last", () => {
    const schedule = read({
      d: { status: "waitlist" },
      c: { status: "booked", start: 2 },
      b: { status: "booked", start: 1 },
      a: { status: "booked", start: 2 },
      x: { status: "entered-in-error", start: 1 },
    });
    assert.deepEqual(
      schedule?.appointments.map(([id]) => id),
      ["b", "a", "c", "d"],
    );
    assert.equal(day.readSchedule(new Map()), undefined);
  });

  it("points at the current appointment", () => {
    const seen = { status: "checked-in", start: 3, ticket: { label: "A-3", state: "in_service" } };
    const called = { status: "checked-in", start: 2, ticket: { label: "A-2", state: "called" } };
    const done = { status: "fulfilled", start: 0 };
    const due = { status: "booked", start: 1 };
    const current = (/** @type {Record<string, object>} */ entries) =>
      day.currentOf(read(entries)?.appointments ?? []);
    assert.equal(current({ done, due, called, seen }), "seen");
    assert.equal(current({ done, due, called }), "called");
    assert.equal(current({ done, due }), "due");
    assert.equal(current({ done }), undefined);
  });

  it("counts who is here and what is over", () => {
    const statuses = [
      "booked",
      "arrived",
      "checked-in",
      "fulfilled",
      "cancelled",
      "noshow",
      "pending",
    ];
    const schedule = read(
      Object.fromEntries(statuses.map((status, start) => [status, { status, start }])),
    );
    assert.deepEqual(day.tally(schedule?.appointments ?? []), { all: 7, here: 2, over: 3 });
  });

  it("follows a ticket from check-in to the end", () => {
    assert.equal(day.ticketToFollow({ status: "booked" }), undefined);
    assert.equal(day.ticketToFollow({ status: "checked-in", ticket: "h.7" }), "h.7");
    assert.equal(day.ticketToFollow({ status: "fulfilled", ticket: "h.7" }), "h.7");
    assert.equal(day.ticketToFollow({ status: "cancelled", ticket: "h.7" }), undefined);
  });

  it("shows fulfilled in service as being seen", () => {
    /** @type {[any, string | undefined, boolean][]} */
    const cases = [
      ["checked-in", undefined, false],
      ["checked-in", "waiting", true],
      ["checked-in", "absent", true],
      ["fulfilled", "in_service", true],
      ["fulfilled", "completed", false],
      ["cancelled", "cancelled", false],
      ["noshow", "no_show", false],
      // The patient may check in again.
      ["booked", "left", false],
      ["booked", "cancelled", false],
      ["checked-in", "called", true],
    ];
    for (const [status, state, leads] of cases)
      assert.equal(day.ticketLeads(status, state), leads, `${status}, ${state}`);
    const schedule = read({
      a: { status: "fulfilled", ticket: { label: "A-1", state: "in_service" } },
      b: { status: "fulfilled", ticket: { label: "A-0", state: "completed" } },
    });
    assert.deepEqual(
      schedule?.appointments.map(([, entry]) => day.stageOf(entry)),
      ["in_service", "fulfilled"],
    );
    assert.deepEqual(day.tally(schedule?.appointments ?? []), { all: 2, here: 1, over: 1 });
  });
});

describe("the name of a place elsewhere", () => {
  it("is read from an id", () => {
    for (const [id, name] of [
      ["hill-side", "Hill side"],
      ["hill-side.lab", "Hill side"],
      ["north_wing-2.x", "North wing 2"],
      ["a", "A"],
      ["-", ""],
    ]) {
      assert.equal(placeName(id), name, id);
    }
  });
});

describe("somebody who has crossed", () => {
  /** @param {object} payload */
  const token = (payload) => `h.${Buffer.from(JSON.stringify(payload)).toString("base64url")}.s`;

  it("sees where and until when", () => {
    const crossed = { crossed: true, tenant: "north", expires: 0 };
    for (const [payload, place] of /** @type {const} */ ([
      [{ ...crossed, role: "super_admin", locations: [] }, /north/],
      [{ ...crossed, role: "doctor", locations: ["hillside"] }, /hillside/],
    ])) {
      const crossing = crossingOf(token(payload));
      assert.ok(crossing);
      for (const language of /** @type {const} */ (["en", "fr"])) {
        assert.match(crossingText(crossing, language), place);
      }
    }
  });

  it("is nobody with another token", () => {
    const others = [token({ crossed: false }), token({ tenant: "north" }), "no token", "", null];
    for (const other of others) assert.equal(crossingOf(other), undefined);
  });
});

describe("the delay of a day", () => {
  const NOW = 10 * HOUR_MS;
  /** @param {import("../../../web/shared/schemas.js").AppointmentStatus} status @param {any} [state] */
  const entry = (status, state, start = NOW - 121 * MINUTE_MS) => ({
    status,
    start,
    ticket: state && { state },
  });

  it("counts who is here and still waits, in steps of five minutes", () => {
    for (const [entries, behind, expected] of /** @type {const} */ ([
      [[], 15, 15],
      [[entry("checked-in", "waiting")], 15, 120],
      [[entry("checked-in", "called")], 0, 120],
      [[entry("arrived")], 0, 120],
      [[entry("checked-in", "waiting", NOW - 9 * MINUTE_MS)], 0, 5],
      [[entry("checked-in", "waiting", NOW + HOUR_MS)], 0, 0],
      // Patients who are not here, are being seen, or did not come when called do not wait.
      [[entry("booked"), entry("fulfilled", "in_service"), entry("noshow")], 0, 0],
      [[entry("checked-in", "absent"), entry("checked-in", "leaving")], 0, 0],
    ]))
      assert.equal(day.delayNow(behind, [...entries], NOW), expected);
    // A patient's page knows only its own appointment, and since when the first patient waits.
    assert.equal(day.delayNow(0, [], NOW, NOW - 121 * MINUTE_MS), 120);
    assert.equal(day.delayNow(15, [], NOW, NOW + HOUR_MS), 15);
  });
});

describe("the calls of a board", () => {
  const AT = 1_000_000;
  /** @param {Partial<import("../../../web/board/calls.js").Call>} [more] */
  const call = (more) => ({
    label: "A-001",
    station: "1",
    at: AT,
    recalls: 0,
    current: true,
    ...more,
  });
  const clocks = { now: AT, serverNow: AT };

  it("of the first view are no news, later ones and repeated ones are", () => {
    const first = calls.noteCalls([["a", call()]], undefined, clocks);
    assert.deepEqual(first.news, []);
    const again = calls.noteCalls([["a", call({ recalls: 1 })]], first.shown, clocks);
    assert.equal(again.news.length, 1);
    assert.equal(
      calls.noteCalls([["a", call({ recalls: 1 })]], again.shown, clocks).news.length,
      0,
    );
    // A call during a long loss is no news.
    const late = { now: AT + HOUR_MS, serverNow: AT + HOUR_MS };
    assert.deepEqual(calls.noteCalls([["b", call()]], first.shown, late).news, []);
  });

  it("stay current for ten seconds, though the step that ended one came with its call", () => {
    const over = call({ current: false });
    const { shown, news } = calls.noteCalls([["a", over]], new Map(), clocks);
    assert.equal(news.length, 1);
    const split = (/** @type {number} */ now) =>
      calls.splitCalls([["a", over]], shown, now).map((part) => part.length);
    assert.deepEqual(split(AT + calls.KEEP_MS - 1), [1, 0]);
    assert.deepEqual(split(AT + calls.KEEP_MS), [0, 1]);
  });

  it("take turns on pages, and new ones lead each page", () => {
    const items = [1, 2, 3, 4, 5, 6, 7, 8, 9];
    const isNew = (/** @type {number} */ item) => item === 9;
    const pages = [0, 1, 2].map((turn) => calls.pageOf(items, isNew, 4, turn));
    assert.deepEqual(
      pages.map(({ page }) => page),
      [
        [9, 1, 2, 3],
        [9, 4, 5, 6],
        [9, 7, 8],
      ],
    );
    assert.deepEqual(calls.pageOf(items.slice(0, 4), isNew, 4, 7).count, 1);
    // More new calls than rows take turns too.
    const all = calls.pageOf(items, () => true, 4, 1);
    assert.deepEqual([all.page, all.count], [[1, 2, 3, 5], 6]);
  });

  it("fill a list page by page, each line whole", () => {
    assert.deepEqual(startsOfPages([], 10), [0]);
    assert.deepEqual(startsOfPages([4, 4, 4, 4, 4], 10), [0, 2, 4]);
    assert.deepEqual(startsOfPages([20, 4, 20], 10), [0, 1, 2]);
  });

  it("are dim at night by the clinic's clock, and read as words", () => {
    const dim = (/** @type {string} */ span) =>
      [0, 5, 6, 12, 20, 21].map((hour) => calls.isNight(hour, span));
    assert.deepEqual(dim("21-6"), [true, true, false, false, false, true]);
    assert.deepEqual(dim("6-13"), [false, false, true, true, false, false]);
    assert.deepEqual(dim("off"), [false, false, false, false, false, false]);
    assert.equal(calls.spokenLabel("A-042"), "A 42");
    assert.equal(calls.spokenLabel("B-100"), "B 100");
    assert.deepEqual([directionOf("ar-DZ"), directionOf("fr")], ["rtl", "ltr"]);
  });
});

describe("the lines of a large location", () => {
  it("come with the worst first", () => {
    /** @type {import("../../../web/dashboard/load.js").Bands} */
    const bands = { waiting: [8, 15], wait_s: [1800, 3600] };
    const now = 10 * HOUR_MS;
    /** @param {string} id @param {number} [minutes] @param {number} [band] */
    const queue = (id, minutes, band = 0) =>
      /** @type {any} */ ({
        id,
        band,
        waiting: minutes === undefined ? 0 : 1,
        oldest: minutes === undefined ? undefined : now - minutes * MINUTE_MS,
      });
    const all = [queue("a"), queue("b", 5), queue("c", 31), queue("d", 1, 2), queue("e", 10)];
    const order = (/** @type {any[]} */ some) => some.map(({ id }) => id).join("");
    assert.equal(order(load.worstFirst(all, bands, now)), "dceba");
    assert.equal(order(load.filterQueues(all, "high", bands, now)), "cd");
    assert.equal(order(load.filterQueues(all, "waiting", bands, now)), "bcde");
  });
});
