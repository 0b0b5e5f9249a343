// The front desk of the start page: two commands that a visitor can give, and their outcome.

import { Connection } from "../shared/connection.js";
import { byId, setText } from "../shared/page.js";
import { timeText } from "../shared/times.js";

// Refusals of the server, explained to people who do not work at a front desk.
const refusals = new Map([
  [
    "queue_empty",
    "Nobody is waiting in that line. Choose another one, or wait for someone to come.",
  ],
  ["queue_paused", "That line is paused. Choose another one."],
  ["queue_not_open", "That line is closed. Choose another one."],
  ["queue_full", "That line is full for now. Choose another one, or wait until it has moved on."],
  ["location_full", "Too many people are waiting here already. Try again in a moment."],
  ["station_closed", "That room is closed. Choose another one."],
  [
    "station_busy",
    "Someone was just called to that room and hasn’t come in yet. Choose another one.",
  ],
  ["already_checked_in", "That appointment is already checked in. Choose another one."],
  ["appointment_over", "That appointment is over. Choose another one."],
  ["no_appointment", "That appointment no longer exists. Choose another one."],
  ["too_early", "It’s too early to check in for that appointment. Choose an earlier one."],
  ["appointment_expired", "The time to check in for that appointment has passed. Choose another."],
  ["wrong_location", "That appointment is at another location. Choose another one."],
  ["too_many_visits", "That appointment was checked in too often. Choose another one."],
  ["unreachable", "We can’t reach the clinic right now. Please try again in a moment."],
]);

/** @param {string} code */
const refusalText = (code) =>
  refusals.get(code) ?? `That didn’t work (${code}). Please try again in a moment.`;

const stationNames = { idle: "free", busy: "in use", closed: "closed" };

/** @typedef {{id: string, state: string, queue?: string}} Room */

export class Desk {
  #token;
  /** The name and state of each line and room, by id. @type {Map<string, string>} */
  #names = new Map();
  /** @type {Room[]} */
  #rooms = [];
  /** Selects that the visitor has changed. They are left alone. @type {Set<string>} */
  #chosen = new Set();
  #busy = false;

  /**
   * @param {string} token of a role that may call patients
   * @param {string} location
   * @param {string[]} queues
   * @param {string[]} stations
   */
  constructor(token, location, queues, stations) {
    this.#token = token;
    byId("desk").hidden = false;
    this.#fillSelects(queues, stations);
    for (const id of ["call-queue", "call-station"]) {
      byId(id).addEventListener("change", () => {
        this.#chosen.add(id);
        this.#suggestRoom();
      });
    }
    byId("call").addEventListener("submit", (event) => this.#submit(event, () => this.#callNext()));
    byId("check-in").addEventListener("submit", (event) =>
      this.#submit(event, () => this.#checkIn()),
    );
    // The load brings names and the number of people waiting. Without it the ids serve.
    new Connection({
      token,
      channels: [`load:${location}`],
      onView: (_channel, { entries = new Map() }) => {
        this.#update(entries, stations);
        this.#fillSelects(queues, stations);
        this.#suggestRoom();
      },
      onState: () => {},
    });
  }

  /** @param {ReadonlyMap<string, any>} entries of the load @param {string[]} stations */
  #update(entries, stations) {
    this.#rooms = [];
    for (const [key, { name, waiting, state, queue }] of entries) {
      const [kind, id] = key.split(":");
      if (kind === "queue") this.#names.set(id, `${name} (${waiting} waiting)`);
      if (kind !== "station" || !stations.includes(id)) continue;
      const word = stationNames[/** @type {keyof typeof stationNames} */ (state)];
      this.#names.set(id, `${name} (${word})`);
      this.#rooms.push({ id, state, queue });
    }
  }

  /** @param {string[]} queues @param {string[]} stations */
  #fillSelects(queues, stations) {
    fill(
      "call-queue",
      queues.map((id) => [id, this.#name(id)]),
    );
    fill(
      "call-station",
      stations.map((id) => [id, this.#name(id)]),
    );
  }

  /**
   * Selects the line of the ticket that is shown, unless the visitor has chosen.
   * @param {string} queue
   */
  suggestQueue(queue) {
    if (!this.#chosen.has("call-queue")) choice("call-queue").value = queue;
    this.#suggestRoom();
  }

  /**
   * Selects a free room of the line, or one of the line, or a free one, unless the visitor has
   * chosen.
   */
  #suggestRoom() {
    const queue = choice("call-queue").value;
    const rank = (/** @type {Room} */ room) =>
      (room.state === "closed" ? 9 : 0) +
      (room.queue === queue ? 0 : 2) +
      (room.state === "idle" ? 0 : 1);
    const best = [...this.#rooms].sort((a, b) => rank(a) - rank(b))[0];
    if (best && !this.#chosen.has("call-station")) choice("call-station").value = best.id;
  }

  /**
   * Offers the appointments of a schedule that are not checked in yet.
   * @param {ReadonlyMap<string, any>} entries
   */
  offerAppointments(entries) {
    const zone = entries.get("schedule")?.time_zone;
    const due = [...entries].filter(
      ([key, { status }]) => key !== "schedule" && (status === "booked" || status === "arrived"),
    );
    due.sort(([, a], [, b]) => (a.start ?? 0) - (b.start ?? 0));
    byId("check-in").hidden = !due.length;
    const options = due.map(([id, { start, label = "", late }]) => {
      const time = start ? timeText(start, "en", zone) : "";
      return /** @type {[string, string]} */ ([
        id,
        `${time} ${label}${late ? " (late)" : ""}`.trim(),
      ]);
    });
    fill("check-in-appointment", options);
  }

  /** @param {string} id */
  #name(id) {
    return this.#names.get(id) ?? id.slice(id.indexOf(".") + 1);
  }

  /**
   * @param {Event} event
   * @param {() => Promise<string>} command answers the text for the visitor
   */
  async #submit(event, command) {
    event.preventDefault();
    if (this.#busy) return;
    this.#busy = true;
    setText(byId("outcome"), await command());
    this.#busy = false;
  }

  async #callNext() {
    const [queue, station] = [choice("call-queue"), choice("call-station")];
    const path = `queues/${encodeURIComponent(queue.value)}/call-next`;
    const { result, code } = await this.#send(path, { station: station.value });
    if (!result) return refusalText(code);
    const room = station.selectedOptions[0]?.textContent?.replace(/ \(.*/, "");
    return `${result.label} was called to ${room}. See the phone, the screen and the dashboard.`;
  }

  async #checkIn() {
    const appointment = choice("check-in-appointment").value;
    const { result, code } = await this.#send("check-ins", { appointment });
    if (!result) return refusalText(code);
    return `Checked in with ticket ${result.label}. See the schedule, the phone and the dashboard.`;
  }

  /**
   * @param {string} path below `v1/`
   * @param {object} body
   * @returns {Promise<{result?: {label?: string}, code: string}>}
   */
  async #send(path, body) {
    const headers = {
      authorization: `Bearer ${this.#token}`,
      "content-type": "application/json",
    };
    try {
      const request = { method: "POST", headers, body: JSON.stringify(body) };
      const response = await fetch(`v1/${path}`, request);
      const answer = await response.json();
      const accepted = response.status === 200 && answer.result;
      return accepted ? answer : { code: answer.code ?? String(response.status) };
    } catch {
      return { code: "unreachable" };
    }
  }
}

/** @param {string} id */
function choice(id) {
  return /** @type {HTMLSelectElement} */ (byId(id));
}

/**
 * Sets the options of a select. The choice stays, and an open list is not rebuilt for a new name.
 * @param {string} id
 * @param {[value: string, name: string][]} options
 */
function fill(id, options) {
  const select = choice(id);
  const { value } = select;
  const same =
    select.options.length === options.length &&
    options.every(([value], index) => select.options[index].value === value);
  if (same) {
    options.forEach(([, name], index) => setText(select.options[index], name));
    return;
  }
  select.replaceChildren(...options.map(([value, name]) => new Option(name, value)));
  if (options.some(([known]) => known === value)) select.value = value;
}
