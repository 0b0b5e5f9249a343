// Checks the accessibility of a page in its present state, with axe.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";

const AXE = await readFile(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

const OPTIONS = {
  runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"],
  // Experimental, and needed for speech input: the visible text of a button must be in its name.
  rules: { "label-content-name-mismatch": { enabled: true } },
  // Nobody reads what passed, and no rule here needs the texts of style sheets.
  resultTypes: ["violations"],
  preload: false,
};

/** @typedef {{id: string, nodes: {html: string, failureSummary: string}[]}} Violation */

/**
 * Throws if the page violates a rule of accessibility in its present state.
 * @param {import("playwright-core").Page} page
 * @param {string} state name for the message
 */
export async function assertAccessible(page, state) {
  // The content security policy forbids inline scripts, but does not apply to the driver.
  if (!(await page.evaluate("Boolean(globalThis.axe)"))) await page.evaluate(AXE);
  /** @type {Violation[]} */
  const violations = await page.evaluate(
    `axe.run(document, ${JSON.stringify(OPTIONS)}).then(({ violations }) => violations)`,
  );
  const lines = violations.flatMap(({ id, nodes }) =>
    nodes.map(({ html, failureSummary }) => `${id}: ${html}\n  ${failureSummary}`),
  );
  assert.equal(lines.join("\n"), "", `violations in state: ${state}`);
  const broken = await page.evaluate(() =>
    [...document.querySelectorAll("use")]
      .map((use) => use.getAttribute("href") ?? "")
      .filter((href) => href.startsWith("#") && !document.getElementById(href.slice(1))),
  );
  assert.deepEqual(broken, [], `icons that do not exist in state: ${state}`);
  const failed = await page.evaluate(() =>
    [...document.images]
      .filter(({ complete, naturalWidth, src }) => src && complete && !naturalWidth)
      .map(({ src }) => src),
  );
  assert.deepEqual(failed, [], `images that did not load in state: ${state}`);
  // axe accepts some pages with no main landmark or with several.
  const mains = await page.locator("main, [role=main]").count();
  assert.equal(mains, 1, `main landmarks in state: ${state}`);
}
