// Draws the day as SVG: arrivals as wide bars, people served as narrow bars in front, bookings as a
// dashed line.

import { hourText } from "../shared/words/times.js";
import { hourMarks, QUARTER_MS, scale } from "./load.js";

/** @typedef {import("./load.js").Quarter} Quarter */

const SVG = "http://www.w3.org/2000/svg";
const LEFT_PX = 30;
const RIGHT_PX = 10;
const TOP_PX = 22;
const BOTTOM_PX = 26;
// The width of "10 a.m." and a gap.
const MARK_EVERY_PX = 64;

/**
 * @param {Element} svg
 * @param {object} chart
 * @param {Quarter[]} chart.day
 * @param {number} chart.now
 * @param {string} chart.timeZone
 * @param {import("../shared/words/times.js").Language} chart.language
 * @param {string} chart.nowText
 * @param {{width: number, height: number}} size in px
 */
export function drawCurve(svg, { day, now, timeZone, language, nowText }, { width, height }) {
  const [plotWidth, plotHeight] = [width - LEFT_PX - RIGHT_PX, height - TOP_PX - BOTTOM_PX];
  if (plotWidth <= 0 || !day.length) return;
  const [from, to] = [day[0].start, day[day.length - 1].start + QUARTER_MS];
  const { top, steps } = scale(
    Math.max(...day.flatMap(({ arrived, served, booked }) => [arrived, served, booked])),
  );
  const x = (/** @type {number} */ ms) => LEFT_PX + ((ms - from) / (to - from)) * plotWidth;
  const y = (/** @type {number} */ count) => TOP_PX + (1 - count / top) * plotHeight;
  const step = plotWidth / day.length;

  const parts = steps.flatMap((count) => [
    part("line", { class: "grid", x1: LEFT_PX, x2: width - RIGHT_PX, y1: y(count), y2: y(count) }),
    part(
      "text",
      { class: "axis", x: LEFT_PX - 8, y: y(count) + 4, "text-anchor": "end" },
      String(count),
    ),
  ]);
  for (const start of hourMarks(
    day.map(({ start }) => start),
    timeZone,
    plotWidth / MARK_EVERY_PX,
  )) {
    parts.push(part("line", { class: "tick", x1: x(start), x2: x(start), y1: y(0), y2: y(0) + 5 }));
    parts.push(
      part(
        "text",
        { class: "axis", x: x(start), y: height - 6, "text-anchor": "middle" },
        hourText(start, language, timeZone),
      ),
    );
  }
  for (const { start, arrived, served } of day) {
    if (arrived)
      parts.push(
        bar("arrived", x(start) + step * 0.08, y(arrived), step * 0.84, y(0) - y(arrived)),
      );
    if (served)
      parts.push(bar("served", x(start) + step * 0.3, y(served), step * 0.4, y(0) - y(served)));
  }
  parts.push(part("path", { class: "booked", d: steppedLine(day, x, y) }));
  parts.push(part("line", { class: "now", x1: x(now), x2: x(now), y1: TOP_PX - 4, y2: y(0) }));
  const end = x(now) > width / 2;
  parts.push(
    part(
      "text",
      {
        class: "now-text",
        x: x(now) + (end ? -6 : 6),
        y: TOP_PX - 8,
        "text-anchor": end ? "end" : "start",
      },
      nowText,
    ),
  );
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  svg.replaceChildren(...parts);
}

/**
 * @param {string} name
 * @param {number} x
 * @param {number} y
 * @param {number} width
 * @param {number} height
 */
function bar(name, x, y, width, height) {
  return part("rect", { class: name, x, y, width, height, rx: Math.min(3, width / 4) });
}

/**
 * A step for each quarter hour. Quarter hours without bookings draw nothing.
 * @param {Quarter[]} day
 * @param {(ms: number) => number} x
 * @param {(count: number) => number} y
 */
function steppedLine(day, x, y) {
  let [path, before] = ["", 0];
  for (const { start, booked } of [
    ...day,
    { start: day[day.length - 1].start + QUARTER_MS, booked: 0 },
  ]) {
    const [at, level] = [x(start).toFixed(1), y(booked).toFixed(1)];
    if (before) path += `H${at}`;
    if (before && booked !== before) path += `V${level}`;
    else if (!before && booked) path += `M${at} ${y(0).toFixed(1)}V${level}`;
    before = booked;
  }
  return path;
}

/**
 * @param {string} name
 * @param {Record<string, string | number>} attributes
 * @param {string} [text]
 */
function part(name, attributes, text) {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes))
    element.setAttribute(key, typeof value === "number" ? value.toFixed(1) : value);
  if (text !== undefined) element.textContent = text;
  return element;
}
