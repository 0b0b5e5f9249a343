// Reads the load of a location and computes what the dashboard shows. The server sends moments;
// waits are counted here.

export const MINUTE_MS = 60_000;
export const HOUR_MS = 60 * MINUTE_MS;
export const QUARTER_MS = 15 * MINUTE_MS;

// A chart of fewer hours looks busier than the day is.
const LEAST_HOURS = 4;

/** @typedef {0 | 1 | 2} Band 0 is usual, 1 high, 2 very high */
/** @typedef {import("../shared/schemas.js").LoadBands} Bands */
/** @typedef {import("../shared/schemas.js").LoadMinute} Minute */
/** @typedef {import("../shared/schemas.js").AppointmentCounts} AppointmentCounts */
/** @typedef {import("../shared/schemas.js").FactCounts} FactCounts */
/** @typedef {import("../shared/schemas.js").LoadHead} Head */
/** @typedef {import("../shared/schemas.js").LoadQueue & {id: string}} Queue */
/** @typedef {import("../shared/schemas.js").LoadStation & {id: string}} Station */
/** @typedef {Required<import("../shared/schemas.js").LoadQuarter> & {start: number}} Quarter */
/** @typedef {import("../shared/schemas.js").LoadDoctor & {id: string}} Doctor */
/**
 * @typedef {{head: Head, queues: Queue[], stations: Station[], doctors: Doctor[],
 *   quarters: Quarter[]}} Load
 */

/**
 * Reads the view of a load. Answers nothing while the head is missing.
 * @param {ReadonlyMap<string, any>} entries
 * @returns {Load | undefined}
 */
export function readLoad(entries) {
  const head = entries.get("load");
  if (!head) return undefined;
  /** @param {string} kind @returns {[string, any][]} */
  const entriesOf = (kind) =>
    [...entries]
      .filter(([key]) => key.startsWith(`${kind}:`))
      .map(([key, entry]) => [key.slice(kind.length + 1), entry]);
  /** @param {{name: string, id: string}} a @param {{name: string, id: string}} b */
  const byName = (a, b) =>
    a.name.localeCompare(b.name, undefined, { numeric: true }) || (a.id < b.id ? -1 : 1);
  /** @param {{name: string, id: string, place?: number}} a @param {typeof a} b */
  const byPlace = (a, b) => (a.place ?? Infinity) - (b.place ?? Infinity) || byName(a, b);
  return {
    head,
    queues: entriesOf("queue")
      .map(([id, queue]) => ({ id, ...queue }))
      .sort(byPlace),
    stations: entriesOf("station")
      .map(([id, station]) => ({ id, ...station }))
      .sort(byName),
    doctors: entriesOf("doctor")
      .map(([id, doctor]) => ({ id, ...doctor }))
      .sort(byName),
    quarters: entriesOf("quarter")
      .map(([start, counts]) => quarter(Number(start), counts))
      .sort((a, b) => a.start - b.start),
  };
}

/**
 * Fills in the counts that are zero, which the wire leaves out.
 * @param {number} start
 * @param {Partial<Quarter>} [counts]
 * @returns {Quarter}
 */
function quarter(start, { arrived = 0, called = 0, served = 0, no_show = 0, booked = 0 } = {}) {
  return { start, arrived, called, served, no_show, booked };
}

/**
 * How many were called and served in the hour before `now`, to the minute.
 * @param {Minute[]} hour
 * @param {number} now
 */
export function lastHour(hour, now) {
  const recent = hour.filter(({ at }) => at > now - HOUR_MS);
  return {
    called: recent.reduce((sum, { called = 0 }) => sum + called, 0),
    served: recent.reduce((sum, { served = 0 }) => sum + served, 0),
  };
}

/**
 * Whole minutes since a moment. Clocks differ, so a moment in the future counts as now.
 * @param {number | undefined} moment
 * @param {number} now
 */
export function minutesSince(moment, now) {
  return moment === undefined ? undefined : Math.max(0, Math.floor((now - moment) / MINUTE_MS));
}

/**
 * The band of a wait.
 * @param {Bands | undefined} bands
 * @param {number | undefined} oldest
 * @param {number} now
 * @returns {Band}
 */
export function bandOfWait(bands, oldest, now) {
  if (!bands || oldest === undefined) return 0;
  const passed = bands.wait_s.filter((from) => from * 1000 <= now - oldest).length;
  return passed > 1 ? 2 : passed ? 1 : 0;
}

/**
 * The band of a line: the higher one of its number of people and of its longest wait.
 * @param {Queue} queue
 * @param {Bands | undefined} bands
 * @param {number} now
 */
export function bandOfQueue(queue, bands, now) {
  return /** @type {Band} */ (Math.max(queue.band, bandOfWait(bands, queue.oldest, now)));
}

/**
 * The lines in the order in which they need attention: the worst band first, then the longest wait.
 * Lines where nobody waits keep their order by name.
 * @param {Queue[]} queues by name
 * @param {Bands | undefined} bands
 * @param {number} now
 */
export function worstFirst(queues, bands, now) {
  const band = (/** @type {Queue} */ queue) => bandOfQueue(queue, bands, now);
  return [...queues].sort(
    (a, b) => band(b) - band(a) || (a.oldest ?? Infinity) - (b.oldest ?? Infinity) || 0,
  );
}

/** @typedef {"all" | "waiting" | "high"} QueueFilter */

/**
 * @param {Queue[]} queues
 * @param {QueueFilter} filter
 * @param {Bands | undefined} bands
 * @param {number} now
 */
export function filterQueues(queues, filter, bands, now) {
  if (filter === "waiting") return queues.filter(({ waiting }) => waiting > 0);
  return filter === "high" ? queues.filter((queue) => bandOfQueue(queue, bands, now) > 0) : queues;
}

/**
 * The number of people waiting at each priority, the most urgent first.
 * @param {Record<string, number> | undefined} priorities
 * @returns {[number, number][]}
 */
export function byUrgency(priorities) {
  const pairs = Object.entries(priorities ?? {}).map(
    ([priority, count]) => /** @type {[number, number]} */ ([Number(priority), count]),
  );
  return pairs.filter(([, count]) => count > 0).sort(([a], [b]) => b - a);
}

/** Messages from other systems that were ignored in whole or in part. @param {FactCounts} facts */
export function ignored({ repeated, stale, overruled }) {
  return repeated + stale + overruled;
}

/**
 * The day without holes: whole hours from the first with a count to the last, `now` included.
 * @param {Quarter[]} quarters in order
 * @param {number} now
 * @returns {Quarter[]}
 */
export function wholeDay(quarters, now) {
  const starts = [...quarters.map(({ start }) => start), now];
  // Some time zones are not whole hours from UTC: the edges may then lie at half past.
  let from = Math.floor(Math.min(...starts) / HOUR_MS) * HOUR_MS;
  let to = Math.ceil((Math.max(...starts) + 1) / HOUR_MS) * HOUR_MS;
  const lacking = LEAST_HOURS - (to - from) / HOUR_MS;
  if (lacking > 0) {
    to += Math.ceil(lacking / 2) * HOUR_MS;
    from -= Math.floor(lacking / 2) * HOUR_MS;
  }
  const known = new Map(quarters.map((one) => [one.start, one]));
  const day = [];
  for (let start = from; start < to; start += QUARTER_MS)
    day.push(known.get(start) ?? quarter(start));
  return day;
}

/**
 * The steps of a scale up to a round number that is not below the greatest.
 * @param {number} greatest
 */
export function scale(greatest) {
  const step =
    [1, 2, 5, 10, 20, 50, 100, 200, 500].find((step) => greatest <= 4 * step) ??
    Math.ceil(greatest / 4);
  const top = Math.max(step, Math.ceil(greatest / step) * step);
  return {
    top,
    steps: Array.from({ length: Math.floor(top / step) + 1 }, (_, index) => index * step),
  };
}

/**
 * The quarter hours that begin an hour in `timeZone`, thinned out to at most `most`.
 * @param {number[]} starts quarter hours in order
 * @param {string} timeZone
 * @param {number} most
 */
export function hourMarks(starts, timeZone, most) {
  const clock = new Intl.DateTimeFormat("en", {
    hour: "numeric",
    minute: "numeric",
    hourCycle: "h23",
    timeZone,
  });
  const hours = starts.flatMap((start) => {
    const parts = clock.formatToParts(start);
    const [hour, minute] = ["hour", "minute"].map((type) =>
      Number(parts.find((part) => part.type === type)?.value),
    );
    return minute === 0 ? [{ start, hour }] : [];
  });
  const every = [1, 2, 3, 4, 6, 12].find((every) => hours.length / every <= most) ?? 24;
  return hours.filter(({ hour }) => hour % every === 0).map(({ start }) => start);
}

/**
 * Counts the entries that differ between two states of a view.
 * @param {ReadonlyMap<string, any>} before
 * @param {ReadonlyMap<string, any>} after
 */
export function changes(before, after) {
  // A delta replaces only the entries that changed, a snapshot replaces all.
  const differs = (/** @type {string} */ key) =>
    before.get(key) !== after.get(key) &&
    JSON.stringify(before.get(key)) !== JSON.stringify(after.get(key));
  return [...new Set([...before.keys(), ...after.keys()])].filter(differs).length;
}
