// Generates the TypeScript types that the pages' JSDoc comments use from the JSON Schemas of the
// wire. Run by `npm ci` and `npm run types`.

import { readdir, readFile, writeFile } from "node:fs/promises";
import { compile } from "json-schema-to-typescript";

const SCHEMAS = new URL("../../../../schemas/json/", import.meta.url);
const OUTPUT = new URL("../../../web/shared/schemas.d.ts", import.meta.url);

// The schemas of the messages that pages receive: no commands, events or records of topics.
const USED =
  /^(appointment-view|board-|finding|load-|queue-|run-|schedule-|settings-|ticket-view).*\.json$/;

/** @typedef {import("json-schema-to-typescript").JSONSchema} Schema */

/** @type {Record<string, Schema>} */
const definitions = {};
for (const file of (await readdir(SCHEMAS)).filter((name) => USED.test(name)).sort()) {
  const {
    $schema,
    $defs = {},
    ...schema
  } = JSON.parse(await readFile(new URL(file, SCHEMAS), "utf8"));
  for (const [name, part] of Object.entries({ ...$defs, [schema.title]: schema })) add(name, part);
}
const root = { title: "Schemas", type: "object", additionalProperties: false, definitions };
const types = await compile(/** @type {Schema} */ (root), "Schemas", {
  additionalProperties: false,
  bannerComment: "// Generated from schemas/json by gateway/tests/js/tools/types.js. Do not edit.",
  format: false,
  unreachableDefinitions: true,
});
// An unchanged file keeps its time of change, so that Cargo does not build the gateway again.
const before = await readFile(OUTPUT, "utf8").catch(() => "");
if (types !== before) await writeFile(OUTPUT, types);

/**
 * Adds a type, once, although every schema that uses it has a copy.
 * @param {string} name
 * @param {any} schema
 */
function add(name, schema) {
  const own = simplify(schema);
  const known = definitions[name];
  if (
    known &&
    JSON.stringify({ ...known, title: name }) !== JSON.stringify({ ...own, title: name })
  ) {
    throw new Error(`two schemas define ${name} differently`);
  }
  definitions[name] = { ...own, title: name };
}

/**
 * Makes references local to the one document, and drops `null`: the server leaves out a field that
 * has no value.
 * @param {any} value
 * @returns {any}
 */
function simplify(value) {
  if (Array.isArray(value)) return value.map(simplify);
  if (value === null || typeof value !== "object") return value;
  const { $ref, anyOf, type, title, properties, ...rest } = value;
  const simple = simplifyEach(rest);
  if (properties) simple.properties = simplifyEach(properties);
  if ($ref) simple.$ref = $ref.replace("#/$defs/", "#/definitions/");
  if (type) simple.type = Array.isArray(type) ? withoutNull(type) : type;
  const choices = anyOf
    ?.filter((/** @type {any} */ choice) => choice.type !== "null")
    .map(simplify);
  if (choices?.length === 1) Object.assign(simple, choices[0]);
  else if (choices) simple.anyOf = choices;
  return simple;
}

/** @param {Record<string, any>} parts @returns {Record<string, any>} */
function simplifyEach(parts) {
  return Object.fromEntries(Object.entries(parts).map(([key, part]) => [key, simplify(part)]));
}

/** @param {string[]} kinds */
function withoutNull(kinds) {
  const others = kinds.filter((kind) => kind !== "null");
  return others.length === 1 ? others[0] : others;
}
