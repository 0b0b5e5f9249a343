// Converts entries of the settings to the values of form fields, and these to the bodies of
// commands. Pure, so that tests need no browser.

/** @typedef {import("./entry-form.js").Values} Values */
/** @typedef {import("../shared/schemas.js").LocationSettings} LocationSettings */
/** @typedef {import("../shared/schemas.js").PrivacySettings} PrivacySettings */
/** @typedef {import("../shared/schemas.js").QueueSettings} QueueSettings */
/** @typedef {import("../shared/schemas.js").StationSettings} StationSettings */
/** @typedef {import("../shared/schemas.js").CheckInPointSettings} CheckInPointSettings */
/** @typedef {import("../shared/schemas.js").MessageSettings} MessageSettings */
/** @typedef {import("../shared/schemas.js").BrandingSettings} BrandingSettings */

// Timers that people set in minutes.
const TIMERS = /** @type {const} */ ([
  "absent_grace_s",
  "stale_s",
  "check_in_early_s",
  "no_show_s",
  "call_grace_s",
]);

/** @param {number} seconds */
const minutes = (seconds) => String(Math.round((seconds / 60) * 100) / 100);
/** @param {string | boolean} minutes */
const seconds = (minutes) => Math.round(Number(minutes) * 60);

/** The minute of a day. @param {string | boolean} time such as `04:30` */
function minuteOf(time) {
  const [hour, minute] = String(time).split(":").map(Number);
  return hour * 60 + minute;
}

/** @param {LocationSettings | undefined} entry @returns {Values} */
export function locationValues(entry) {
  if (!entry) return {};
  const { name, address = "", time_zone, languages, call_order, timers, bands } = entry;
  /** @type {Values} */
  const values = { name, address, time_zone, languages: languages.join(", "), call_order };
  for (const timer of TIMERS) values[timer] = minutes(timers[timer] ?? 0);
  const start = timers.day_start_min ?? 0;
  const pad = (/** @type {number} */ part) => String(part).padStart(2, "0");
  values.day_start_min = `${pad(Math.floor(start / 60))}:${pad(start % 60)}`;
  values.day_ends_tickets = timers.day_ends_tickets ?? true;
  const [waiting, wait] = [bands?.waiting ?? [], bands?.wait_s ?? []];
  values.waiting_high = String(waiting[0] ?? "");
  values.waiting_very_high = String(waiting[1] ?? "");
  values.wait_high = wait[0] === undefined ? "" : minutes(wait[0]);
  values.wait_very_high = wait[1] === undefined ? "" : minutes(wait[1]);
  return values;
}

/**
 * The body of a change. Fields that the form does not show keep what the entry has.
 * @param {Values} values
 * @param {LocationSettings | undefined} entry
 */
export function locationBody(values, entry) {
  const timers = {
    ...entry?.timers,
    ...Object.fromEntries(TIMERS.map((timer) => [timer, seconds(values[timer])])),
    day_start_min: minuteOf(values.day_start_min),
    day_ends_tickets: values.day_ends_tickets,
  };
  const limits = [
    values.waiting_high,
    values.waiting_very_high,
    values.wait_high,
    values.wait_very_high,
  ];
  const bands = limits.some(Boolean)
    ? {
        waiting: limits.slice(0, 2).map(Number),
        wait_s: limits.slice(2).map(seconds),
      }
    : undefined;
  return {
    name: values.name,
    time_zone: values.time_zone,
    languages: listOf(values.languages),
    timers,
    bands,
    call_order: values.call_order,
    address: values.address || undefined,
  };
}

/**
 * The initial values of the form for a new clinic.
 * @param {{id: string, zone: string, languages: string}} first
 * @returns {Values}
 */
export function creationValues({ id, zone, languages }) {
  return { name: "", id, address: "", time_zone: zone, languages, day_start_min: "00:00" };
}

/** Edition 0 means a new clinic: one that exists under this id keeps its settings. @param {Values} values */
export function creationBody(values) {
  return {
    name: values.name,
    time_zone: values.time_zone,
    languages: listOf(values.languages),
    timers: { day_start_min: minuteOf(values.day_start_min) },
    address: values.address || undefined,
    edition: 0,
  };
}

/**
 * Why a clinic cannot have these values, as a code of the page. Covers the fields that browsers do
 * not check.
 * @param {Values} values
 */
export function settingsFault({ id, time_zone: zone, languages }) {
  if (id !== undefined && !/^[a-z0-9-]{1,40}$/.test(String(id))) return "bad_id";
  if (!isZone(String(zone))) return "bad_zone";
  const tags = listOf(languages);
  const areTags = tags.every((tag) => /^[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*$/.test(tag));
  return tags.length && tags.length <= 10 && areTags ? undefined : "bad_languages";
}

/** @param {string} zone */
function isZone(zone) {
  try {
    // An offset such as +05:00 is no zone: it has no clock changes.
    return /^[A-Za-z]/.test(zone) && Boolean(Intl.DateTimeFormat("en", { timeZone: zone }));
  } catch {
    return false;
  }
}

/** @param {string | boolean} text words, with commas or spaces between them */
export const listOf = (text) =>
  String(text)
    .split(/[\s,;]+/)
    .filter(Boolean);

const SHOWN = /** @type {const} */ ({
  lines: { start: true, doctor: true, name: false },
  boards: { waiting: true, earlier: true, doctor: false, name: false },
});

/** @param {PrivacySettings | undefined} entry @returns {Values} */
export function privacyValues(entry) {
  /** @type {Values} */
  const values = {};
  for (const [part, fields] of Object.entries(SHOWN)) {
    const own = /** @type {Record<string, boolean> | undefined} */ (
      entry?.[/** @type {"lines" | "boards"} */ (part)]
    );
    for (const [field, usual] of Object.entries(fields)) {
      values[`${part}.${field}`] = own?.[field] ?? usual;
    }
  }
  return values;
}

/** @param {Values} values */
export function privacyBody(values) {
  const part = (/** @type {"lines" | "boards"} */ name) =>
    Object.fromEntries(
      Object.keys(SHOWN[name]).map((field) => [field, values[`${name}.${field}`]]),
    );
  return { lines: part("lines"), boards: part("boards") };
}

/** @param {QueueSettings | undefined} entry @returns {Values} */
export function queueValues(entry) {
  if (!entry) return { name: "", prefix: "", service: "12", max_tickets: "10000" };
  const { name, prefix, service_s, max_tickets } = entry;
  return { name, prefix, service: minutes(service_s), max_tickets: String(max_tickets) };
}

/** @param {Values} values */
export function queueBody({ name, prefix, service, max_tickets }) {
  return {
    name,
    prefix: String(prefix).toUpperCase(),
    service_s: seconds(service),
    max_tickets: Number(max_tickets),
  };
}

/** @param {StationSettings | undefined} entry @returns {Values} */
export function roomValues(entry) {
  /** @type {Values} */
  const values = { name: entry?.name ?? "", every: !entry?.queues };
  for (const queue of entry?.queues ?? []) values[`queue:${queue}`] = true;
  return values;
}

/** @param {Values} values */
export function roomBody(values) {
  const queues = Object.keys(values).filter((name) => name.startsWith("queue:") && values[name]);
  return {
    name: values.name,
    queues: values.every ? undefined : queues.map((name) => name.slice("queue:".length)),
  };
}

/** @param {(CheckInPointSettings & {edition?: number}) | undefined} entry @returns {Values} */
export function pointValues(entry) {
  const { latitude, longitude, radius_m } = entry?.place ?? {};
  const text = (/** @type {number | undefined} */ number) => String(number ?? "");
  /** @type {Values} */
  const values = {
    name: entry?.name ?? "",
    kind: entry?.kind ?? "poster",
    factor: entry?.factor ?? "birth_year",
    latitude: text(latitude),
    longitude: text(longitude),
    radius_m: text(radius_m),
  };
  for (const queue of entry?.queues ?? []) values[`queue:${queue}`] = true;
  return values;
}

/** A place counts once one of its fields is filled. The server refuses half of one. */
const PLACE = /** @type {const} */ (["latitude", "longitude", "radius_m"]);

/** @param {Values} values */
export function pointBody(values) {
  const queues = Object.keys(values).filter((name) => name.startsWith("queue:") && values[name]);
  const place = PLACE.some((name) => values[name])
    ? Object.fromEntries(PLACE.filter((name) => values[name]).map((n) => [n, Number(values[n])]))
    : undefined;
  return {
    name: values.name,
    kind: values.kind,
    factor: values.factor,
    queues: queues.map((name) => name.slice("queue:".length)),
    place,
  };
}

/** @param {MessageSettings | undefined} entry @returns {Values} */
export function messageValues(entry) {
  /** @type {Values} */
  const values = {};
  (entry?.messages ?? []).forEach((message, index) => {
    for (const [tag, text] of Object.entries(message)) values[`${index}.${tag}`] = text;
  });
  return values;
}

/** Messages without any text are left out. @param {Values} values */
export function messagesBody(values) {
  /** @type {Record<string, string>[]} */
  const messages = [];
  for (const [name, text] of Object.entries(values)) {
    const [index, tag] = name.split(".");
    if (text) messages[Number(index)] = { ...messages[Number(index)], [tag]: String(text) };
  }
  return { messages: messages.filter(Boolean) };
}

// The colour of the pages, which a clinic without one keeps.
const USUAL_COLOUR = "#0b5a54";

/** @param {BrandingSettings | undefined} entry @returns {Values} */
export function brandingValues(entry) {
  const { name = "", colour, logo = "" } = entry ?? {};
  return { name, coloured: Boolean(colour), colour: colour ?? USUAL_COLOUR, logo };
}

/** @param {Values} values */
export function brandingBody({ name, coloured, colour, logo }) {
  return {
    name: name || undefined,
    colour: coloured ? String(colour).toLowerCase() : undefined,
    logo: logo || undefined,
  };
}

/** Letters and digits for an id, from a name: empty when the name has none. @param {string} name */
export function slugOf(name) {
  return (
    name
      .normalize("NFD")
      // Letters keep, accents go.
      .replace(/\p{M}/gu, "")
      .toLowerCase()
      .replace(/[^a-z0-9]+/g, "-")
      .replace(/^-+|-+$/g, "")
      .slice(0, 24)
      .replace(/-+$/, "")
  );
}

/**
 * An id for a new queue or room, from its name.
 * @param {string} location
 * @param {string} name
 * @param {ReadonlySet<string>} taken
 */
export function newId(location, name, taken) {
  const slug = slugOf(name) || "x";
  for (let number = 1; ; number++) {
    const id = `${location}.${number === 1 ? slug : `${slug}-${number}`}`;
    if (!taken.has(id)) return id;
  }
}
