// One doctor's service day: every appointment with its status and ticket, changed in place.

import { texts } from "../appointment/texts.js";
import { currentOf, isHere, isOver, readSchedule, stageOf, tally } from "../shared/appointments.js";
import { byId, setIcon, setText } from "../shared/page.js";
import { keepRows, within } from "../shared/rows.js";
import { Shell } from "../shared/shell.js";

/** @typedef {import("../shared/appointments.js").Entry} Entry */
/** @typedef {NonNullable<ReturnType<typeof readSchedule>>} Schedule */

/** @type {ReadonlyMap<string, any> | undefined} */
let entries;
let changedAt = 0;
/** What each row said last, to tell what has changed. @type {Map<string, string>} */
let seen = new Map();

const pageTexts = {
  fr: { ...texts.fr, title: texts.fr.schedule.title, notes: texts.fr.scheduleNotes },
  en: { ...texts.en, title: texts.en.schedule.title, notes: texts.en.scheduleNotes },
};
const shell = new Shell(pageTexts, render);
const schedule = shell.asked.get("schedule");

const groupIcons = { due: "clock", here: "person", over: "check", off: "cross" };

function render() {
  const read = entries && readSchedule(entries);
  shell.filled = read !== undefined;
  const { text } = shell;
  const zone = read?.head.time_zone;
  const known = shell.lossMs === undefined ? text.schedule.changedAt(text.time(changedAt, zone)) : text.schedule.asOf(text.time(shell.shownNow, zone));
  shell.renderFrame(known);
  if (!read || shell.note) return;
  renderHead(read);
  renderRows(read);
}

/** @param {Schedule} read */
function renderHead({ head, appointments }) {
  const { text } = shell;
  setText(byId("doctor"), head.doctor);
  // The service day is a date of its own, wherever one reads it.
  setText(byId("day"), text.date(Date.parse(`${head.day}T12:00:00Z`), "UTC"));
  setText(byId("clock"), text.time(shell.shownNow, head.time_zone));
  setText(byId("title"), text.schedule.title);
  const behind = head.delay_min > 0;
  byId("delay").classList.toggle("behind", behind);
  setIcon(byId("delay"), behind ? "warning" : "clock");
  setText(within(byId("delay"), "span"), behind ? text.delay(head.delay_min) : text.onTime);
  const { all, here, over } = tally(appointments);
  setText(byId("summary"), text.schedule.summary(all, here, over));
  byId("nobody").hidden = all > 0;
  setText(byId("nobody"), text.schedule.nobody);
  document.title = `${head.doctor} · ${text.schedule.title}`;
}

/** @param {Schedule} read */
function renderRows({ head, appointments }) {
  const { text } = shell;
  const { time, who, status, ticket } = text.schedule;
  for (const [index, title] of [time, who, status, ticket].entries()) setText(byId("head").children[index], title);
  const current = currentOf(appointments);
  keepRows(byId("rows"), "row", appointments, (row, entry, id) => fillRow(row, entry, head.time_zone, id === current));
}

/** @param {HTMLElement} row @param {Entry} entry @param {string} zone @param {boolean} current */
function fillRow(row, entry, zone, current) {
  const { text } = shell;
  const { start, end, late = false, label = "", reason = "", ticket } = entry;
  const group = groupOf(stageOf(entry));
  row.dataset.group = group;
  row.classList.toggle("current", current);
  if (current) row.setAttribute("aria-current", "true");
  else row.removeAttribute("aria-current");
  const times = start === undefined ? text.schedule.noTime : end === undefined ? text.time(start, zone) : text.span(start, end, zone);
  setText(within(row, ".time"), times);
  setText(within(row, "th"), label);
  setIcon(within(row, ".word"), groupIcons[group]);
  setText(within(row, ".word span"), wordOf(entry));
  within(row, ".late").hidden = !late;
  setText(within(row, ".late span"), text.late);
  setText(within(row, "small"), reason);
  setText(within(row, ".ticket b"), ticket?.label ?? "");
  // Of who is being seen the status says it already.
  setText(within(row, ".ticket span"), ticket && stageOf(entry) !== "in_service" ? text.tickets[ticket.state] : "");
}

/** @param {ReturnType<typeof stageOf>} stage */
function groupOf(stage) {
  if (stage === "cancelled" || stage === "noshow") return "off";
  if (stage === "in_service" || isHere(stage)) return "here";
  return isOver(stage) ? "over" : "due";
}

/** @param {Entry} entry */
function wordOf(entry) {
  const stage = stageOf(entry);
  return stage === "in_service" ? shell.text.inService : shell.text.statuses[stage];
}

/** Marks what has just changed, and tells screen readers of the last of it. @param {Schedule} read */
function tell({ appointments }) {
  const before = seen;
  seen = new Map(appointments.map(([id, entry]) => [id, JSON.stringify(entry)]));
  if (!before.size) return;
  for (const [id, entry] of appointments.filter(([id]) => before.get(id) !== seen.get(id))) {
    const row = [...byId("rows").children].find((row) => /** @type {HTMLElement} */ (row).dataset.key === id);
    row?.classList.remove("fresh");
    requestAnimationFrame(() => row?.classList.add("fresh"));
    const { text } = shell;
    const { label = "", status, ticket } = entry;
    setText(byId("status"), text.schedule.changed(label, ticket && isHere(status) ? text.tickets[ticket.state] : wordOf(entry)));
  }
}

function start() {
  shell.follow(schedule ? `schedule:${schedule}` : undefined, (held) => {
    entries = held.entries;
    changedAt = held.at;
    render();
    const read = entries && readSchedule(entries);
    if (read) tell(read);
  });
  // The clock, and the age of a loss.
  setInterval(render, 1_000);
}

start();
