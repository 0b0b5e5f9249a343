// One form for times and durations on all pages. Times are in the time zone of the clinic.

import { TEXTS } from "../../languages/all.js";
import { unbroken } from "../look/page.js";

/** @typedef {import("./language.js").Language} Language */

/** @type {Intl.DateTimeFormatOptions} */
const TIME = { hour: "numeric", minute: "2-digit" };

/** @param {Language} language */
export const localeOf = (language) => TEXTS[language].locale;

/**
 * A time of day, such as `1:05 p.m.` or `13 h 05`.
 * @param {number} ms
 * @param {Language} language
 * @param {string} [timeZone] the clinic's; without it the zone of this device
 */
export function timeText(ms, language, timeZone) {
  const text = new Intl.DateTimeFormat(localeOf(language), { ...TIME, timeZone }).format(ms);
  // No line break within a time.
  return text.replaceAll(" ", "\u00a0");
}

/**
 * A time of day that names its zone where this device is in another one, such as `1:05 p.m. EST`.
 * @param {number} ms
 * @param {Language} language
 * @param {string} [timeZone]
 */
export function zonedTimeText(ms, language, timeZone) {
  const text = timeText(ms, language, timeZone);
  if (text === timeText(ms, language)) return text;
  // The time is formatted without the zone, because some languages format the hour differently when
  // the zone is included.
  const named = new Intl.DateTimeFormat(localeOf(language), { timeZone, timeZoneName: "short" });
  const zone = named.formatToParts(ms).find(({ type }) => type === "timeZoneName")?.value ?? "";
  return `${text} ${unbroken(zone)}`;
}

/**
 * A time of day, with its date unless that is today at the clinic.
 * @param {string} time the text of `ms`
 * @param {number} ms
 * @param {number} now ms
 * @param {Language} language
 * @param {string} [timeZone] the clinic's
 */
export function datedText(time, ms, now, language, timeZone) {
  /** @type {Intl.DateTimeFormatOptions} */
  const options = { day: "numeric", month: "short", timeZone };
  const date = new Intl.DateTimeFormat(localeOf(language), options);
  return date.format(ms) === date.format(now) ? time : `${date.format(ms)}, ${time}`;
}

/**
 * When something last changed: a page can be open, or a ticket last, for longer than a day.
 * @param {number} ms
 * @param {number} now ms
 * @param {Language} language
 * @param {string} [timeZone] the clinic's
 */
export function changeText(ms, now, language, timeZone) {
  return datedText(zonedTimeText(ms, language, timeZone), ms, now, language, timeZone);
}

/**
 * @param {number} from ms
 * @param {number} until ms
 * @param {Language} language
 * @param {string} [timeZone]
 */
export function timeSpanText(from, until, language, timeZone) {
  return TEXTS[language].times.span(
    timeText(from, language, timeZone),
    timeText(until, language, timeZone),
  );
}

/**
 * The mark of an hour on a scale, such as `1 p.m.` or `13 h`.
 * @param {number} ms
 * @param {Language} language
 * @param {string} timeZone
 */
export function hourText(ms, language, timeZone) {
  const format = new Intl.DateTimeFormat(localeOf(language), { hour: "numeric", timeZone });
  // French writes an hour alone with two digits, and a time with as many as it needs.
  return format
    .format(ms)
    .replace(/^0(?=\d)/, "")
    .replaceAll(" ", "\u00a0");
}

/**
 * The hour of a moment, from 0 to 23.
 * @param {number} ms
 * @param {string} [timeZone]
 */
export function hourOf(ms, timeZone) {
  /** @type {Intl.DateTimeFormatOptions} */
  const options = { hour: "numeric", hourCycle: "h23", timeZone };
  return Number(new Intl.DateTimeFormat("en", options).format(ms));
}

/**
 * A date with its weekday and without its year.
 * @param {number} ms
 * @param {Language} language
 * @param {string} [timeZone]
 */
export function dateText(ms, language, timeZone) {
  /** @type {Intl.DateTimeFormatOptions} */
  const options = { weekday: "long", day: "numeric", month: "long", timeZone };
  return new Intl.DateTimeFormat(localeOf(language), options).format(ms);
}

/**
 * A service day, which is the same date wherever it is read.
 * @param {string} day `YYYY-MM-DD`
 * @param {Language} language
 */
export function dayText(day, language) {
  return dateText(Date.parse(`${day}T12:00:00Z`), language, "UTC");
}

/** How long ago something was. @param {number} ms @param {Language} language */
export const ageText = (ms, language) => TEXTS[language].times.age(ms);
