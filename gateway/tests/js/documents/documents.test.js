// Tools of others read the documents that the gateway serves: a validator of AsyncAPI, and a
// generator of TypeScript clients, used as docs/api.md says.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdir, mkdtemp, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { Parser } from "@asyncapi/parser";
import { Clinic } from "../helpers/clinic.js";

const run = promisify(execFile);
const here = (/** @type {string} */ path) => fileURLToPath(new URL(path, import.meta.url));
const tool = (/** @type {string} */ name) => here(`node_modules/.bin/${name}`);

/** @type {Clinic} */
let clinic;

before(async () => {
  clinic = await Clinic.start("--empty");
});
after(() => clinic?.stop());

test("AsyncAPI document is valid and has every channel", async () => {
  const answer = await fetch(`${clinic.url}/v1/asyncapi.json`);
  const { document, diagnostics } = await new Parser().parse(await answer.text());
  // Severities 2 and 3 are hints, such as that a newer version of AsyncAPI exists.
  assert.deepEqual(
    diagnostics.filter(({ severity }) => severity <= 1),
    [],
  );
  const addresses = document?.channels().map((channel) => channel.address() ?? "") ?? [];
  const kinds = addresses.map((address) => address.replace(/\{.*/, ""));
  for (const kind of "appointment board load queue run schedule settings ticket".split(" "))
    assert.ok(kinds.includes(`${kind}:`), kind);
  assert.ok(addresses.includes("clinicwire.care.v1"));
});

/** The text of the first code block in `language` on the page about the API. */
const snippet = async (/** @type {string} */ language) => {
  const page = await readFile(here("../../../../docs/api.md"), "utf8");
  const [, rest] = page.split(`\`\`\`${language}\n`);
  return rest.split("```")[0];
};

/**
 * A directory with the generated types and the client that uses them.
 * @param {import("node:test").TestContext} t
 */
async function generate(t) {
  const directory = await mkdtemp(join(tmpdir(), "clinicwire-documents-"));
  t.after(() => rm(directory, { recursive: true }));
  const command = (await snippet("sh")).replace("http://127.0.0.1:8080", clinic.url).trim();
  const [npx, program, ...words] = command.split(" ");
  assert.equal(npx, "npx");
  await run(tool(program), words, { cwd: directory });
  await writeFile(join(directory, "client.ts"), await snippet("ts"));
  await writeFile(join(directory, "package.json"), JSON.stringify({ type: "module" }));
  await mkdir(join(directory, "node_modules"));
  for (const name of ["openapi-fetch", "openapi-typescript-helpers", "@types"])
    await symlink(here(`../node_modules/${name}`), join(directory, "node_modules", name));
  return directory;
}

/** @param {string} directory @param {string} file */
const compile = (directory, file) =>
  run(
    tool("tsc"),
    ["--strict", "--target", "es2022", "--module", "nodenext", "--types", "node", file],
    { cwd: directory },
  );

test("generated TypeScript client compiles and puts somebody in line", async (t) => {
  const site = await clinic.furnish();
  const directory = await generate(t);
  await compile(directory, "client.ts");
  const program = [join(directory, "client.js"), clinic.url, site.token("reception"), site.general];
  const { stdout } = await run(process.execPath, program);
  assert.equal(stdout, "A-001\n");
});

test("generated TypeScript types refuse an unknown field", async (t) => {
  const directory = await generate(t);
  const wrong = `
    import type { components } from "./clinicwire.js";
    export const bad: components["schemas"]["IssueBody"] = { prioritty: 1 };
  `;
  await writeFile(join(directory, "wrong.ts"), wrong);
  await assert.rejects(compile(directory, "wrong.ts"), ({ stdout }) => /prioritty/.test(stdout));
});
