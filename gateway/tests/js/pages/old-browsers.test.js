// Pages use only interfaces that browsers of five years ago have: Chrome 100, Safari 15, Firefox
// 100. Built-ins of the language are checked by `lib` in tsconfig.web.json.

import assert from "node:assert/strict";
import { readdir, readFile } from "node:fs/promises";
import { describe, it } from "node:test";

const WEB = new URL("../../../web/", import.meta.url);

/** Interfaces that some of these browsers lack. */
const TOO_NEW = [
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
];

describe("a script of a page", () => {
  it("uses no interface that a five-year-old browser lacks", async () => {
    const names = await readdir(WEB, { recursive: true });
    const scripts = names.filter((name) => name.endsWith(".js"));
    assert.ok(scripts.length > 40, `found ${scripts.length} scripts`);
    for (const name of scripts) {
      const lines = (await readFile(new URL(name, WEB), "utf8")).split("\n");
      for (const [index, line] of lines.entries()) {
        const code = line.replace(/^\s*(\/\/|\*|\/\*).*/, "");
        // A top-level await starts its line; Safari 15 runs modules out of order around it.
        const known = TOO_NEW.some((pattern) => pattern.test(code));
        const awaits = /^(const .*= )?await /.test(code);
        assert.ok(!known && !awaits, `${name}:${index + 1}: ${line.trim()}`);
      }
    }
  });
});
