// Draws charts as bars of SVG, each with its table.

import { byId, setText } from "../shared/look/page.js";
import { within } from "../shared/look/rows.js";

/** @typedef {import("./figures.js").Chart} Chart */
/**
 * The words of a chart.
 * @typedef {object} ChartTexts
 * @property {string} title
 * @property {string} table
 * @property {string} keyTitle
 * @property {(key: string) => string} keyText
 * @property {(series: string) => string} seriesText
 * @property {(value: number) => string} valueText
 */

const SVG = "http://www.w3.org/2000/svg";
const SERIES = ["first", "second"];
/** A bar of less could not be seen. */
const SHORTEST = 0.5;

/** @param {string} className @param {number} percent */
function bar(className, percent) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", "0 0 100 10");
  svg.setAttribute("preserveAspectRatio", "none");
  const rect = document.createElementNS(SVG, "rect");
  rect.setAttribute("class", className);
  rect.setAttribute("width", String(percent));
  rect.setAttribute("height", "10");
  svg.append(rect);
  return svg;
}

/** @param {string} tag @param {string} className @param {(Node | string)[]} content */
function element(tag, className, ...content) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  made.append(...content);
  return made;
}

/** @param {string} scope @param {string} text */
function header(scope, text) {
  const cell = element("th", "", text);
  cell.setAttribute("scope", scope);
  return cell;
}

/**
 * A chart and its table. Screen readers get the table alone.
 * @param {Chart} chart
 * @param {ChartTexts} texts
 * @param {boolean} isOpen whether the table is shown
 */
export function drawChart({ keys, series, name }, texts, isOpen) {
  const template = /** @type {HTMLTemplateElement} */ (byId("chart"));
  const fragment = /** @type {DocumentFragment} */ (template.content.cloneNode(true));
  const section = /** @type {HTMLElement} */ (fragment.firstElementChild);
  section.dataset.chart = name;
  const title = within(section, "h2");
  title.id = `chart-${name}`;
  section.setAttribute("aria-labelledby", title.id);
  setText(title, texts.title);

  const value = (/** @type {number | undefined} */ found) =>
    found === undefined ? "–" : texts.valueText(found);
  const top = Math.max(...series.flatMap(({ values }) => values.map((found) => found ?? 0)));
  if (series.length > 1) {
    const marks = series.map((one, index) =>
      element("span", "", bar(SERIES[index], 100), texts.seriesText(one.name)),
    );
    within(section, ".legend").append(...marks);
  } else {
    within(section, ".legend").remove();
  }
  for (const [place, key] of keys.entries()) {
    const lines = series.map(({ values }, index) => {
      const found = values[place];
      const percent = found ? Math.max((100 * found) / top, SHORTEST) : 0;
      return element("div", "line", bar(SERIES[index], percent), element("b", "", value(found)));
    });
    within(section, ".bars").append(
      element("span", "key", texts.keyText(key)),
      element("div", "lines figures", ...lines),
    );
  }

  const details = /** @type {HTMLDetailsElement} */ (within(section, "details"));
  details.open = isOpen;
  setText(within(section, "summary"), texts.table);
  within(section, "thead tr").append(
    header("col", texts.keyTitle),
    ...series.map((one) => header("col", texts.seriesText(one.name))),
  );
  const rows = keys.map((key, place) =>
    element(
      "tr",
      "",
      header("row", texts.keyText(key)),
      ...series.map(({ values }) => element("td", "", value(values[place]))),
    ),
  );
  within(section, "tbody").append(...rows);
  within(section, ".wide").setAttribute("role", "group");
  within(section, ".wide").setAttribute("aria-labelledby", title.id);
  within(section, ".wide").tabIndex = 0;
  return section;
}
