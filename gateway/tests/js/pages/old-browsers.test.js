// Pages work in browsers of five years ago: Chrome 88, Safari 14.1, Firefox 90. Built-ins of the
// language are checked by `lib` in tsconfig.web.json.

import assert from "node:assert/strict";
import { readdir, readFile } from "node:fs/promises";
import { describe, it } from "node:test";

const WEB = new URL("../../../web/", import.meta.url);

/** Syntax and interfaces that some of these browsers lack. */
const TOO_NEW = [
  // Private fields are known since Safari 14.1, private methods since Safari 15: without them no
  // script of the page runs. Their names begin with `_` instead.
  /^\s+(static )?(async )?(get |set |\*)?#\w+\(/,
  /^\s+static \{/,
  // Looking behind in a pattern is known since Safari 16.4.
  /\(\?<[=!]/,
  /AbortSignal\.(timeout|any)\b/,
  /\bstructuredClone\(/,
  /\bURLPattern\b/,
  /\bscheduler\.(yield|postTask)\b/,
  /\bnavigation\./,
  /\bpopover\b/i,
  /\bstartViewTransition\b/,
  /\bcrypto\.randomUUID\b/,
  /\bcheckVisibility\b/,
  /\bURL\.canParse\b/,
  /\bsetHTML\b/,
  /\bBroadcastChannel\b/,
  /\brequestIdleCallback\b/,
];

/** The lines of all files of a kind. @param {string} kind @param {number} atLeast files */
async function linesOf(kind, atLeast) {
  const names = (await readdir(WEB, { recursive: true })).filter((name) => name.endsWith(kind));
  assert.ok(names.length > atLeast, `found ${names.length} files`);
  const files = names.map(async (name) => {
    const lines = (await readFile(new URL(name, WEB), "utf8")).split("\n");
    return lines.map((line, index) => ({
      at: `${name}:${index + 1}: ${line.trim()}`,
      line: line.replace(/^\s*(\/\/|\*|\/\*).*/, ""),
      before: lines[index - 1] ?? "",
    }));
  });
  return (await Promise.all(files)).flat();
}

describe("a script of a page", () => {
  it("uses nothing that a five-year-old browser lacks", async () => {
    for (const { at, line } of await linesOf(".js", 40)) {
      const known = TOO_NEW.some((pattern) => pattern.test(line));
      // A top-level await starts its line; Safari 15 runs modules out of order around it.
      const awaits = /^(const .*= )?await /.test(line);
      assert.ok(!known && !awaits, at);
    }
  });
});

describe("a style of a page", () => {
  // A browser skips the whole declaration, or the whole rule, that it does not understand.
  it("loses no line, ground or size in a browser that knows fewer functions", async () => {
    for (const { at, line, before } of await linesOf(".css", 10)) {
      // Known since Chrome 111 and Safari 16.2.
      const decorates = /^\s*(border-color|outline-color|box-shadow):/.test(line);
      assert.ok(!line.includes("color-mix(") || decorates, at);
      // Known since Chrome 105 and Safari 15.4.
      assert.ok(!/:has\(/.test(line) || !/,\s*$/.test(before + line), at);
      // Known since Chrome 104 and Safari 14.1.
      assert.ok(!/^\s*(rotate|scale|translate):/.test(line), at);
    }
  });
});
