// The page of a doctor's schedule: every appointment of one service day with its status and ticket.

import {
  currentOf,
  delayNow,
  isHere,
  isOver,
  readSchedule,
  stageOf,
  tally,
} from "../shared/visit/appointments.js";
import { byId, setIcon, setText } from "../shared/look/page.js";
import { keepRows, within } from "../shared/look/rows.js";
import { Shell } from "../shared/look/shell.js";
import {
  datedText,
  dayText,
  timeSpanText,
  timeText,
  zonedTimeText,
} from "../shared/words/times.js";
import { textsOf } from "../languages/all.js";

const appointmentTexts = textsOf("states");
const connectionTexts = textsOf("connection");
const scheduleTexts = textsOf("schedule");

/** @typedef {import("../shared/visit/appointments.js").Entry} Entry */
/** @typedef {NonNullable<ReturnType<typeof readSchedule>>} Schedule */

/** @type {ReadonlyMap<string, any> | undefined} */
let entries;
let changedAt = 0;
/** Whether the page has been scrolled to the present; from then on it is the reader's to scroll. */
let scrolled = false;
/** Each row as it was last announced, to find what has changed. @type {Map<string, string>} */
let seen = new Map();

const shell = new Shell(scheduleTexts, render);
const schedule = shell.link.get("schedule");

// How often a schedule that does not exist yet is asked for.
const RETRY_MS = 60_000;

const groupIcons = { due: "clock", here: "person", over: "check", off: "cross" };

function render() {
  const read = entries && readSchedule(entries);
  shell.filled = read !== undefined;
  const { language } = shell;
  const zone = read?.head.time_zone;
  const { changedAt: changed, asOf } = connectionTexts[language];
  const now = shell.shownNow;
  shell.renderFrame(
    shell.lossMs === undefined
      ? changed(datedText(timeText(changedAt, language, zone), changedAt, now, language, zone))
      : asOf(timeText(shell.shownNow, language, zone)),
  );
  if (read && !shell.note) {
    renderHead(read);
    renderRows(read);
    return;
  }
  setText(byId("doctor"), shell.text.title);
  setText(byId("day"), "");
  setText(byId("clock"), "");
}

/** @param {Schedule} read */
function renderHead({ head, appointments }) {
  const { text, language } = shell;
  setText(byId("doctor"), head.doctor);
  setText(byId("day"), dayText(head.day, language));
  setText(byId("clock"), zonedTimeText(shell.shownNow, language, head.time_zone));
  setText(byId("title"), text.title);
  const entries = appointments.map(([, entry]) => entry);
  const delay = delayNow(head.delay_min, entries, shell.shownNow, head.waiting_since);
  const behind = delay > 0;
  byId("delay").classList.toggle("behind", behind);
  setIcon(byId("delay"), behind ? "warning" : "clock");
  setText(within(byId("delay"), "span"), behind ? text.delay(delay) : text.onTime);
  const { all, here, over } = tally(appointments);
  setText(byId("summary"), text.summary(all, here, over));
  byId("table").hidden = all === 0;
  byId("nobody").hidden = all > 0;
  setText(byId("nobody"), text.nobody);
  document.title = `${head.doctor} · ${text.title}`;
}

/** @param {Schedule} read */
function renderRows({ head, appointments }) {
  const { time, who, status, ticket } = shell.text;
  for (const [index, title] of [time, who, status, ticket].entries()) {
    setText(byId("head").children[index], title);
  }
  const current = currentOf(appointments);
  keepRows(byId("rows"), "row", appointments, (row, entry, id) =>
    fillRow(row, entry, head.time_zone, id === current),
  );
  // A full day opens on what happens now, and not on the morning.
  if (!scrolled) {
    byId("rows").querySelector(".current")?.scrollIntoView({ block: "center" });
    scrolled = true;
  }
}

/** @param {HTMLElement} row @param {Entry} entry @param {string} zone @param {boolean} current */
function fillRow(row, entry, zone, current) {
  const { text, language } = shell;
  const { late = false, label = "", reason = "", ticket } = entry;
  const stage = stageOf(entry);
  const group = groupOf(stage);
  row.dataset.group = group;
  row.classList.toggle("current", current);
  if (current) row.setAttribute("aria-current", "true");
  else row.removeAttribute("aria-current");
  setText(within(row, ".time"), timesOf(entry, zone));
  setText(within(row, "th"), label || "–");
  setIcon(within(row, ".word"), groupIcons[group]);
  setText(within(row, ".word span"), wordOf(entry));
  within(row, ".late").hidden = !late;
  setText(within(row, ".late span"), text.late);
  setText(within(row, "small"), reason);
  setText(within(row, ".ticket b"), ticket?.label ?? "");
  // For a patient who is being seen the status says so already.
  const showState = ticket && stage !== "in_service";
  const names = appointmentTexts[language].tickets;
  setText(within(row, ".ticket span"), showState ? names[ticket.state] : "");
}

/** @param {Entry} entry @param {string} zone */
function timesOf({ start, end }, zone) {
  const { text, language } = shell;
  if (start === undefined) return text.noTime;
  return end === undefined
    ? timeText(start, language, zone)
    : timeSpanText(start, end, language, zone);
}

/** @param {ReturnType<typeof stageOf>} stage */
function groupOf(stage) {
  if (stage === "cancelled" || stage === "noshow") return "off";
  if (stage === "in_service" || isHere(stage)) return "here";
  return isOver(stage) ? "over" : "due";
}

/** @param {Entry} entry */
function wordOf(entry) {
  const { text, language } = shell;
  const stage = stageOf(entry);
  return stage === "in_service" ? text.inService : appointmentTexts[language].statuses[stage];
}

/** Marks rows that have changed, and announces the last of them. @param {Schedule} read */
function announceChanges({ appointments }) {
  const before = seen;
  seen = new Map(appointments.map(([id, entry]) => [id, JSON.stringify(entry)]));
  if (!before.size) return;
  const rows = /** @type {HTMLElement[]} */ ([...byId("rows").children]);
  const { tickets } = appointmentTexts[shell.language];
  for (const [id, entry] of appointments) {
    if (before.get(id) === seen.get(id)) continue;
    const row = rows.find((row) => row.dataset.key === id);
    row?.classList.remove("fresh");
    requestAnimationFrame(() => row?.classList.add("fresh"));
    const { label = "", status, ticket } = entry;
    const word = ticket && isHere(status) ? tickets[ticket.state] : wordOf(entry);
    setText(byId("status"), shell.text.changed(label, word));
  }
}

function follow() {
  shell.follow(schedule ? `schedule:${schedule}` : undefined, (view) => {
    entries = view.entries;
    changedAt = view.at;
    render();
    const read = entries && readSchedule(entries);
    if (read) announceChanges(read);
  });
}

function start() {
  follow();
  // A doctor without appointments has no schedule. It may begin at any time.
  setInterval(() => {
    if (shell.note === "unknown") follow();
  }, RETRY_MS);
  // The clock, and the age of a loss.
  setInterval(render, 1_000);
}

start();
