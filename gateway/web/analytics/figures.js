// The figures of a clinic as charts: pure functions over the answer of the server.

/**
 * @typedef {{count: number, mean_s?: number, p50_s?: number, p90_s?: number, p95_s?: number}} Times
 */
/**
 * @typedef {object} Summary
 * @property {number} arrived
 * @property {number} joined
 * @property {Record<string, number>} methods
 * @property {Times} wait
 * @property {Times} service
 * @property {Record<string, number>} ended
 * @property {number} abandoned
 * @property {number} kept
 * @property {number} missed
 * @property {{days: number, kept: number, missed: number}[]} lead_times
 */
/** @typedef {Summary & {key: string}} Row */
/** @typedef {{total: Summary, rows: Row[], peak_hour?: number}} Analytics */
/** @typedef {"today" | "week" | "month"} Period */
/** @typedef {"queue" | "doctor" | "hour" | "day"} Group */

/** @type {Period[]} */
export const PERIODS = ["today", "week", "month"];
/** @type {Group[]} */
export const GROUPS = ["queue", "doctor", "hour", "day"];

const DAYS = { today: 1, week: 7, month: 30 };
const MINUTE_MS = 60_000;
const DAY_MS = 24 * 60 * MINUTE_MS;

/**
 * The service day at a moment, `YYYY-MM-DD`.
 * @param {number} now ms
 * @param {string} timeZone the clinic's
 * @param {number} dayStartMin minutes after midnight at which a service day begins
 */
export function serviceDay(now, timeZone, dayStartMin) {
  const moment = now - dayStartMin * MINUTE_MS;
  // Canadian English writes dates as the server does.
  const date = { year: "numeric", month: "2-digit", day: "2-digit", timeZone };
  return new Intl.DateTimeFormat("en-CA", /** @type {Intl.DateTimeFormatOptions} */ (date)).format(
    moment,
  );
}

/**
 * The first and the last day of a period that ends today.
 * @param {Period} period
 * @param {string} today `YYYY-MM-DD`
 * @returns {[from: string, until: string]}
 */
export function daysOf(period, today) {
  const first = Date.parse(`${today}T12:00:00Z`) - (DAYS[period] - 1) * DAY_MS;
  return [new Date(first).toISOString().slice(0, 10), today];
}

/** A share in whole percent, or undefined of nothing. @param {number} part @param {number} all */
export const percentOf = (part, all) => (all > 0 ? Math.round((100 * part) / all) : undefined);

/**
 * A chart: one or two series over the same keys.
 * @typedef {object} Chart
 * @property {"arrivals" | "waits" | "services" | "abandoned" | "leads" | "methods"} name
 * @property {"count" | "time" | "percent"} unit
 * @property {string[]} keys
 * @property {{name: string, values: (number | undefined)[]}[]} series
 */

/** @param {string} name @param {Times[]} times */
const timesOf = (name, times) => ({
  name,
  values: times.map((one) => (name === "half" ? one.p50_s : one.p90_s)),
});

/**
 * The charts of an answer. Those without any value are left out.
 * @param {Analytics} analytics
 * @returns {Chart[]}
 */
export function chartsOf({ total, rows }) {
  const keys = rows.map(({ key }) => key);
  const methods = Object.keys(total.methods).filter((method) => total.methods[method] > 0);
  const leads = total.lead_times.filter(({ kept, missed }) => kept + missed > 0);
  const ended = (/** @type {Row} */ { ended }) =>
    Object.values(ended).reduce((sum, count) => sum + count, 0);
  /** @type {Chart[]} */
  const charts = [
    {
      name: "arrivals",
      unit: "count",
      keys,
      series: [{ name: "tickets", values: rows.map(({ arrived, joined }) => arrived + joined) }],
    },
    {
      name: "waits",
      unit: "time",
      keys,
      series: ["half", "most"].map((name) =>
        timesOf(
          name,
          rows.map(({ wait }) => wait),
        ),
      ),
    },
    {
      name: "services",
      unit: "time",
      keys,
      series: ["half", "most"].map((name) =>
        timesOf(
          name,
          rows.map(({ service }) => service),
        ),
      ),
    },
    {
      name: "abandoned",
      unit: "percent",
      keys,
      series: [{ name: "share", values: rows.map((row) => percentOf(row.abandoned, ended(row))) }],
    },
    {
      name: "leads",
      unit: "percent",
      keys: leads.map(({ days }) => String(days)),
      series: [
        {
          name: "share",
          values: leads.map(({ kept, missed }) => percentOf(missed, kept + missed)),
        },
      ],
    },
    {
      name: "methods",
      unit: "count",
      keys: methods,
      series: [{ name: "tickets", values: methods.map((method) => total.methods[method]) }],
    },
  ];
  return charts.filter(({ series }) =>
    series.some(({ values }) => values.some((value) => value !== undefined && value > 0)),
  );
}
