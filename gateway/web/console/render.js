// Fills the lines and the side of the console.

import { byId, setText } from "../shared/look/page.js";
import { keepRows, within } from "../shared/look/rows.js";
import { timeText } from "../shared/words/times.js";
import { ACTION_KEYS } from "./keys.js";
import { actionsOf, shownOf, ticketsAt } from "./lines.js";

/** @typedef {import("./lines.js").Line} Line */
/** @typedef {import("./lines.js").Ticket} Ticket */
/** @typedef {import("../shared/schemas.js").LoadStation & {id: string}} Room */
/**
 * @typedef {object} Place
 * @property {{text: import("../languages/all.js").Texts["console"],
 *   language: import("../shared/words/language.js").Language}} shell
 * @property {number} now
 * @property {boolean} readOnly
 * @property {Room | undefined} room
 * @property {readonly Room[]} rooms
 * @property {string} selected
 * @property {readonly Line[]} lines
 */

/** @param {Element} element @param {boolean} disabled */
function disable(element, disabled) {
  /** @type {HTMLButtonElement} */ (element).disabled = disabled;
}

/** @param {Place & {ticket: Ticket | undefined, doctors: readonly unknown[]}} place */
export function renderSide({ shell, readOnly, room, rooms, lines, now, ticket, doctors }) {
  const { text } = shell;
  setText(byId("room-text"), text.room);
  fillRooms(rooms, room?.id ?? "", text.chooseRoom);
  setText(byId("call-next-text"), text.callNext);
  setText(byId("room-toggle-text"), text.roomActions[room?.state === "closed" ? "open" : "close"]);
  byId("room-toggle").hidden = !room;
  disable(byId("call-next"), readOnly);
  disable(byId("room-toggle"), readOnly);
  byId("check-in-row").hidden = !doctors.length;
  setText(byId("check-in-text"), text.checkIn);
  disable(byId("check-in"), readOnly);
  const here = ticketsAt(lines, room?.name);
  setText(byId("here-hint"), here.length || !room ? "" : text.roomEmpty);
  keepRows(
    byId("here"),
    "visitor",
    here.map((one) => [one.id, one]),
    (row, one) => {
      within(row, "button").dataset.visitor = one.id;
      setText(within(row, "b"), one.label);
      setText(within(row, "span"), text.states[one.state]);
    },
  );
  setText(byId("selected-title"), ticket?.label ?? text.selected);
  setText(byId("selected-text"), ticket ? describe(ticket, lines, shell, now) : text.noneSelected);
  byId("print-slip").hidden = !ticket;
  setText(byId("print-slip"), text.printSlip);
  const actions = ticket ? actionsOf(ticket) : [];
  keepRows(
    byId("actions"),
    "action",
    actions.map((action) => [action, action]),
    (button, action) => {
      button.dataset.action = action;
      button.className = action === actions[0] ? "button" : "quiet";
      setText(within(button, "span"), text.actions[action]);
      const key = ACTION_KEYS[action];
      setText(within(button, "kbd"), key === "Delete" ? "Del" : key);
      disable(button, readOnly);
    },
  );
}

/**
 * @param {Ticket} ticket
 * @param {readonly Line[]} lines
 * @param {Place["shell"]} shell
 * @param {number} now
 */
function describe(ticket, lines, { text, language }, now) {
  const { queue, state, station, priority, priority_reason, reason, issued_at } = ticket;
  const { head } = lines.find(({ id }) => id === queue) ?? {};
  const booked = appointmentText(ticket, { text, language }, head?.clinic.time_zone);
  const parts = [
    head?.name,
    text.states[state],
    state === "waiting" ? "" : station,
    reason,
    booked,
  ];
  if (priority) parts.push([text.urgent(priority), priority_reason].filter(Boolean).join(": "));
  return [...parts, text.age(now - issued_at)].filter(Boolean).join(" · ");
}

/**
 * The appointment of a ticket, as far as the clinic shows it to staff.
 * @param {Ticket} ticket
 * @param {Place["shell"]} shell
 * @param {string} [zone]
 */
function appointmentText({ appointment }, { text, language }, zone) {
  if (!appointment) return "";
  const { start, doctor, name, override_reason: why } = appointment;
  const time = start === undefined ? "" : timeText(start, language, zone);
  return [time, name, doctor, why && text.overridden(why)].filter(Boolean).join(" · ");
}

/** @param {readonly Room[]} rooms @param {string} chosen @param {string} none */
function fillRooms(rooms, chosen, none) {
  const select = /** @type {HTMLSelectElement} */ (byId("room"));
  /** @type {[string, string][]} */
  const wanted = [["", none], ...rooms.map(({ id, name }) => /** @type {any} */ ([id, name]))];
  const same =
    wanted.length === select.options.length &&
    wanted.every(([id, name], at) => {
      const { value, text } = select.options[at];
      return value === id && text === name;
    });
  // An open list is not rebuilt.
  if (!same) select.replaceChildren(...wanted.map(([id, name]) => new Option(name, id)));
  if (select.value !== chosen) select.value = chosen;
}

/** @param {Place} place */
export function renderLines(place) {
  keepRows(
    byId("lines"),
    "line",
    place.lines.map((line) => [line.id, line]),
    (section, line) => fillLine(section, line, place),
  );
}

/** @param {HTMLElement} section @param {Line} line @param {Place} place */
function fillLine(section, { id, head, tickets, waiting }, place) {
  const { text } = place.shell;
  const title = within(section, "h2");
  title.id = `line-${id}`;
  section.setAttribute("aria-labelledby", title.id);
  section.dataset.state = head.state;
  setText(title, head.name);
  const state = [text.queueStates[head.state], head.message].filter(Boolean).join(": ");
  setText(within(section, ".state"), `${state} · ${text.waiting(waiting)}`);
  const { open, close, pause, resume } = text.queueActions;
  /** @type {[string, string][]} */
  const tools = [
    [".next", text.next],
    [".issue", text.issue],
    [".pause", head.state === "paused" ? resume : pause],
    [".toggle", head.state === "closed" ? open : close],
  ];
  for (const [selector, name] of tools) {
    const button = within(section, selector);
    setText(button, name);
    button.setAttribute("aria-label", `${name}, ${head.name}`);
    disable(button, place.readOnly || (selector === ".pause" && head.state === "closed"));
  }
  within(section, ".nobody").hidden = tickets.length > 0;
  setText(within(section, ".nobody"), text.nobody);
  const shown = shownOf(tickets, place.selected);
  const hidden = tickets.length - shown.length;
  within(section, ".more").hidden = hidden === 0;
  setText(within(section, ".more"), text.more(hidden));
  keepRows(
    within(section, "ol"),
    "ticket",
    shown.map((ticket) => [ticket.id, ticket]),
    (row, ticket) => fillTicket(row, ticket, place, head.clinic.time_zone),
  );
}

/**
 * @param {HTMLElement} row
 * @param {Ticket} ticket
 * @param {Place} place
 * @param {string} zone
 */
function fillTicket(row, ticket, { shell, now, selected, readOnly }, zone) {
  const { text } = shell;
  const button = within(row, "button");
  row.dataset.state = ticket.state;
  button.setAttribute("aria-pressed", String(ticket.id === selected));
  button.classList.toggle("unsure", ticket.unsure);
  // SVG has no property `hidden`.
  within(row, ".grip").toggleAttribute("hidden", ticket.state !== "waiting" || readOnly);
  setText(within(row, "b"), ticket.label);
  const state = ticket.unsure ? `${text.states[ticket.state]}, ${text.unsure}` : stateOf(ticket);
  const booked = appointmentText(ticket, shell, zone);
  setText(within(row, ".what"), [state, booked].filter(Boolean).join(" · "));
  const { priority, priority_reason: why } = ticket;
  setText(
    within(row, ".urgent"),
    priority ? [text.urgent(priority), why].filter(Boolean).join(": ") : "",
  );
  const since = ticket.started_at ?? ticket.called_at ?? ticket.issued_at;
  setText(
    within(row, ".age"),
    text.age(now - (ticket.state === "waiting" ? ticket.issued_at : since)),
  );

  /** @param {Ticket} ticket */
  function stateOf({ state, station, reason }) {
    const word = text.states[state];
    if (state === "waiting") return "";
    return [word, state === "called" || state === "in_service" ? station : reason]
      .filter(Boolean)
      .join(", ");
  }
}
