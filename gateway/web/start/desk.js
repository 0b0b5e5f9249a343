// The front desk of the start page: two commands that a visitor may give, and what came of them.

import { byId, setText } from "../shared/page.js";
import { Wire } from "../shared/connection.js";

// What the server refuses, for people who have never seen a front desk. Anything else is said by its code.
const refusals = new Map([
  ["queue_empty", "Nobody waits in that line. Choose another one, or wait for somebody to come."],
  ["queue_paused", "That line is paused."],
  ["queue_not_open", "That line is closed."],
  ["station_closed", "Nobody is in that room. Choose another one."],
  ["already_checked_in", "That appointment was checked in before."],
  ["appointment_over", "That appointment is over."],
  ["appointment_unknown", "There is no such appointment any more."],
  ["unreachable", "The clinic cannot be reached at the moment."],
]);

export class Desk {
  #token;
  /** What each line and room is called, and how it stands. @type {Map<string, string>} */
  #names = new Map();
  /** Rooms as the load tells of them. @type {{id: string, state: string, queue?: string}[]} */
  #rooms = [];
  /** Selects that the visitor has set: they are left alone. @type {Set<string>} */
  #chosen = new Set();
  #busy = false;

  /** @param {string} token of somebody who may call @param {string} location @param {string[]} queues @param {string[]} stations */
  constructor(token, location, queues, stations) {
    this.#token = token;
    byId("desk").hidden = false;
    fill("call-queue", queues.map((id) => [id, this.#name(id)]));
    fill("call-station", stations.map((id) => [id, this.#name(id)]));
    for (const id of ["call-queue", "call-station"]) {
      byId(id).addEventListener("change", () => {
        this.#chosen.add(id);
        this.#suggestRoom();
      });
    }
    byId("call").addEventListener("submit", (event) => this.#submit(event, () => this.#callNext()));
    byId("check-in").addEventListener("submit", (event) => this.#submit(event, () => this.#checkIn()));
    // Names and how many wait, as the load tells them; without it the ids serve.
    new Wire({
      token,
      channels: [`load:${location}`],
      onView: (_channel, { entries = new Map() }) => {
        this.#rooms = [];
        for (const [key, { name, waiting, state, queue }] of entries) {
          const [kind, id] = key.split(":");
          if (kind === "queue") this.#names.set(id, `${name} (${waiting} waiting)`);
          if (kind !== "station" || !stations.includes(id)) continue;
          this.#names.set(id, `${name} (${state === "idle" ? "free" : state})`);
          this.#rooms.push({ id, state, queue });
        }
        fill("call-queue", queues.map((id) => [id, this.#name(id)]));
        fill("call-station", stations.map((id) => [id, this.#name(id)]));
        this.#suggestRoom();
      },
      onLink: () => {},
      by: "socket",
    });
  }

  /** The line whose ticket is shown, unless the visitor has chosen one. @param {string} queue */
  suggest(queue) {
    if (!this.#chosen.has("call-queue")) choice("call-queue").value = queue;
    this.#suggestRoom();
  }

  /** A free room of the line, or one of the line, or a free one, unless the visitor has chosen. */
  #suggestRoom() {
    const queue = choice("call-queue").value;
    const rank = (/** @type {{state: string, queue?: string}} */ room) => (room.state === "closed" ? 9 : 0) + (room.queue === queue ? 0 : 2) + (room.state === "idle" ? 0 : 1);
    const best = [...this.#rooms].sort((a, b) => rank(a) - rank(b))[0];
    if (best && !this.#chosen.has("call-station")) choice("call-station").value = best.id;
  }

  /** Offers the appointments of a schedule that nobody has checked in. @param {ReadonlyMap<string, any>} entries */
  offer(entries) {
    const zone = entries.get("schedule")?.time_zone;
    const time = new Intl.DateTimeFormat("en-CA", { hour: "numeric", minute: "2-digit", timeZone: zone });
    const due = [...entries].filter(([key, { status }]) => key !== "schedule" && (status === "booked" || status === "arrived"));
    due.sort(([, a], [, b]) => (a.start ?? 0) - (b.start ?? 0));
    byId("check-in").hidden = !due.length;
    fill("check-in-appointment", due.map(([id, { start, label = "", late }]) => [id, `${start ? time.format(start) : ""} ${label}${late ? " (late)" : ""}`.trim()]));
  }

  /** @param {string} id */
  #name(id) {
    return this.#names.get(id) ?? id.slice(id.indexOf(".") + 1);
  }

  /** @param {Event} event @param {() => Promise<string>} give */
  async #submit(event, give) {
    event.preventDefault();
    if (this.#busy) return;
    this.#busy = true;
    setText(byId("outcome"), await give());
    this.#busy = false;
  }

  async #callNext() {
    const [queue, station] = [choice("call-queue"), choice("call-station")];
    const { result, code } = await this.#order(`queues/${encodeURIComponent(queue.value)}/call-next`, { station: station.value });
    if (!result) return refusals.get(code) ?? `That was refused: ${code}.`;
    const room = station.selectedOptions[0]?.textContent?.replace(/ \(.*/, "");
    return `${result.label} was called to ${room}: look at the phone, the board and the dashboard.`;
  }

  async #checkIn() {
    const { result, code } = await this.#order("check-ins", { appointment: choice("check-in-appointment").value });
    if (!result) return refusals.get(code) ?? `That was refused: ${code}.`;
    return `Checked in with the ticket ${result.label}: look at the list, the appointment and the dashboard.`;
  }

  /** @param {string} path below `v1/` @param {object} body @returns {Promise<{result?: {label?: string}, code: string}>} */
  async #order(path, body) {
    const headers = { authorization: `Bearer ${this.#token}`, "content-type": "application/json" };
    try {
      const response = await fetch(`v1/${path}`, { method: "POST", headers, body: JSON.stringify(body) });
      const answer = await response.json();
      return response.status === 200 && answer.result ? answer : { code: answer.code ?? String(response.status) };
    } catch {
      return { code: "unreachable" };
    }
  }
}

/** @param {string} id */
function choice(id) {
  return /** @type {HTMLSelectElement} */ (byId(id));
}

/** Sets what may be chosen; what was chosen stays, and an open list is not rebuilt for a new name. @param {string} id @param {[value: string, name: string][]} options */
function fill(id, options) {
  const select = choice(id);
  const { value } = select;
  const same = select.options.length === options.length && options.every(([value], index) => select.options[index].value === value);
  if (same) return void options.forEach(([, name], index) => setText(select.options[index], name));
  select.replaceChildren(...options.map(([value, name]) => new Option(name, value)));
  if (options.some(([known]) => known === value)) select.value = value;
}
