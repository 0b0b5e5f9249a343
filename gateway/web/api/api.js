// The explorer of the API: the operations of the OpenAPI document, each with a form that sends it.
//
// The page is in English alone, like the document that it shows.

import { byId, fragment, setText } from "../shared/look/page.js";
import { timeoutSignal } from "../shared/connection/timeout.js";

const REQUEST_TIMEOUT_MS = 15_000;
// Deeper schemas are shown by their names.
const EXAMPLE_DEPTH = 4;

/** @typedef {Record<string, any>} Schema */
/** @typedef {{name: string, in: string, required?: boolean, description?: string}} Parameter */
/**
 * @typedef {object} Operation
 * @property {string} operationId
 * @property {string[]} tags
 * @property {string} summary
 * @property {string} description
 * @property {Parameter[]} parameters
 * @property {{content: Record<string, {schema: Schema}>}} [requestBody]
 * @property {Record<string, Partial<Answer> & {$ref?: string}>} responses
 */

/** @typedef {{description: string}} Answer */

/** @type {Record<string, Schema>} */
let schemas = {};
/** The refusals that several operations share. @type {Record<string, Answer>} */
let refusals = {};

const token = /** @type {HTMLInputElement} */ (byId("token"));
const filter = /** @type {HTMLInputElement} */ (byId("filter"));
token.value = fragment().get("token") ?? "";

/**
 * An example of a schema, so that a body is edited rather than written.
 * @param {Schema} schema
 * @param {number} [depth]
 * @returns {unknown}
 */
function example(schema, depth = 0) {
  if (schema.$ref) {
    const name = schema.$ref.split("/").pop();
    return depth > EXAMPLE_DEPTH ? name : example(schemas[name] ?? {}, depth + 1);
  }
  if ("const" in schema) return schema.const;
  if (schema.enum) return schema.enum[0];
  if ("default" in schema) return schema.default;
  const choice = (schema.oneOf ?? schema.anyOf ?? [])[0];
  if (choice) return example(choice, depth + 1);
  const kind = Array.isArray(schema.type) ? schema.type[0] : schema.type;
  if (kind === "object" || schema.properties) {
    const required = schema.required ?? [];
    const fields = Object.entries(schema.properties ?? {}).filter(
      ([name]) => required.includes(name) || depth === 0,
    );
    return Object.fromEntries(
      fields
        .filter(([name]) => required.includes(name) || !required.length)
        .map(([name, field]) => [name, example(field, depth + 1)]),
    );
  }
  if (kind === "array") return [example(schema.items ?? {}, depth + 1)];
  if (kind === "integer" || kind === "number") return schema.minimum ?? 0;
  if (kind === "boolean") return false;
  return schema.format === "date-time" ? new Date().toISOString() : "";
}

/** @param {string} name @param {string} id @param {HTMLElement} input @param {string} [hint] */
function field(name, id, input, hint) {
  const label = document.createElement("label");
  label.htmlFor = input.id = id;
  label.textContent = name;
  const holder = document.createElement("p");
  holder.append(label, input);
  if (hint) {
    const text = document.createElement("span");
    text.className = "hint";
    text.textContent = hint;
    holder.append(text);
  }
  return holder;
}

/** @param {Operation} operation @param {string} method */
function fields(operation, method) {
  const inputs = operation.parameters.map((parameter) => {
    const input = document.createElement("input");
    input.autocomplete = "off";
    input.required = parameter.required ?? false;
    input.dataset.name = parameter.name;
    input.dataset.in = parameter.in;
    const id = `${operation.operationId}-${parameter.name}`;
    const where = parameter.in === "path" ? "" : ` (${parameter.in})`;
    return field(parameter.name + where, id, input, parameter.description);
  });
  const body = operation.requestBody?.content["application/json"];
  if (body && method !== "get") {
    const area = document.createElement("textarea");
    area.spellcheck = false;
    area.dataset.in = "body";
    area.value = JSON.stringify(example(body.schema), undefined, 2);
    inputs.push(field("Body", `${operation.operationId}-body`, area));
  }
  return inputs;
}

/** @param {string} method @param {string} path @param {HTMLFormElement} form */
async function send(method, path, form) {
  const headers = new Headers();
  if (token.value) headers.set("authorization", `Bearer ${token.value.trim()}`);
  const query = new URLSearchParams();
  let body;
  for (const input of form.querySelectorAll("input, textarea")) {
    const { value, dataset } = /** @type {HTMLInputElement} */ (input);
    if (dataset.in === "path") {
      path = path.replace(`{${dataset.name}}`, encodeURIComponent(value));
    } else if (dataset.in === "body") {
      headers.set("content-type", "application/json");
      body = value;
    } else if (value && dataset.in === "query") {
      query.set(dataset.name ?? "", value);
    } else if (value) {
      headers.set(dataset.name ?? "", value);
    }
  }
  const address = path.slice(1) + (String(query) ? `?${query}` : "");
  const signal = timeoutSignal(REQUEST_TIMEOUT_MS);
  return fetch(address, {
    method: method.toUpperCase(),
    headers,
    body,
    signal,
    cache: "no-store",
  });
}

/** @param {Element} part @param {Response} answer */
async function show(part, answer) {
  const text = await answer.text();
  let shown = text;
  try {
    shown = JSON.stringify(JSON.parse(text), undefined, 2);
  } catch {
    // Images and tables are shown as they are.
  }
  const heading = `${answer.status} · request ${answer.headers.get("x-request-id") ?? "–"}`;
  report(part, heading, shown);
}

/** @param {Element} part @param {string} heading @param {string} text */
function report(part, heading, text) {
  const answer = /** @type {HTMLElement} */ (part.querySelector(".answer"));
  setText(/** @type {Element} */ (answer.querySelector("h3")), heading);
  setText(/** @type {Element} */ (answer.querySelector("pre")), text);
  answer.hidden = false;
}

/** The parts of a text, in which backticks mark code. @param {string} text */
function prose(text) {
  return text.split("`").map((part, index) => {
    if (index % 2 === 0) return part;
    const code = document.createElement("code");
    code.textContent = part;
    return code;
  });
}

/** @param {Operation} operation */
function answers(operation) {
  return Object.entries(operation.responses).map(([status, answer]) => {
    const shared = refusals[answer.$ref?.split("/").pop() ?? ""];
    const details = document.createElement("details");
    const summary = document.createElement("summary");
    summary.textContent = status;
    const text = document.createElement("p");
    text.append(...prose((shared ?? answer).description ?? ""));
    details.append(summary, text);
    return details;
  });
}

/** @param {string} path @param {string} method @param {Operation} operation */
function card(path, method, operation) {
  const template = /** @type {HTMLTemplateElement} */ (byId("operation"));
  const part = /** @type {HTMLElement} */ (
    /** @type {Element} */ (template.content.firstElementChild).cloneNode(true)
  );
  const inside = (/** @type {string} */ name) =>
    /** @type {HTMLElement} */ (part.querySelector(name));
  part.dataset.text = `${method} ${path} ${operation.summary}`.toLowerCase();
  setText(inside(".method"), method);
  setText(inside(".path"), path);
  setText(inside(".summary"), operation.summary);
  inside(".description").append(...prose(operation.description));
  const form = /** @type {HTMLFormElement} */ (inside("form"));
  // The form of an operation is made when the reader opens it, because there are about a hundred.
  part.addEventListener(
    "toggle",
    () => {
      inside(".answers").replaceChildren(...answers(operation));
      inside(".fields").replaceChildren(...fields(operation, method));
    },
    { once: true },
  );
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    try {
      await show(part, await send(method, path, form));
    } catch {
      report(part, "No answer", "The gateway could not be reached. Try again.");
    }
  });
  return part;
}

/** Shows the operations whose words contain the text of the filter. */
function narrow() {
  const words = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
  let shown = 0;
  for (const group of document.querySelectorAll(".group")) {
    /** @type {NodeListOf<HTMLElement>} */
    const cards = group.querySelectorAll(".operation");
    for (const one of cards) {
      one.hidden = !words.every((word) => one.dataset.text?.includes(word));
    }
    const visible = [...cards].filter((one) => !one.hidden).length;
    /** @type {HTMLElement} */ (group).hidden = visible === 0;
    shown += visible;
  }
  setText(byId("count"), `Operations: ${shown}`);
}

async function start() {
  const answer = await fetch("v1/openapi.json");
  if (!answer.ok) throw new Error(String(answer.status));
  const document_ = await answer.json();
  schemas = document_.components.schemas;
  refusals = document_.components.responses;
  byId("introduction").append(...prose(document_.info.description));
  /** @type {Map<string, HTMLElement[]>} */
  const groups = new Map();
  for (const [path, operations] of Object.entries(document_.paths)) {
    for (const [method, operation] of Object.entries(operations)) {
      const [tag] = operation.tags;
      groups.set(tag, [...(groups.get(tag) ?? []), card(path, method, operation)]);
    }
  }
  const sections = [...groups].map(([tag, cards]) => {
    const section = document.createElement("section");
    section.className = "group";
    const title = document.createElement("h2");
    title.textContent = tag;
    title.id = `group-${tag}`;
    section.setAttribute("aria-labelledby", title.id);
    section.append(title, ...cards);
    return section;
  });
  byId("groups").replaceChildren(...sections);
  filter.addEventListener("input", narrow);
  narrow();
}

start().catch(() => {
  const problem = byId("problem");
  problem.hidden = false;
  setText(problem, "The description of the API could not be loaded. Reload the page.");
});
