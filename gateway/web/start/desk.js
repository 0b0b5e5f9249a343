// The front desk of the start page: two commands that a visitor can send, and their outcome.

import { Connection } from "../shared/connection/connection.js";
import { byId, setText, unbroken } from "../shared/look/page.js";
import { timeText } from "../shared/words/times.js";
import { textsOf } from "../languages/all.js";

const startTexts = textsOf("start");

/** @typedef {{id: string, state: string, queue?: string}} Room */

export class Desk {
  #token;
  #choices;
  #language;
  /** The last load and the last schedule. @type {ReadonlyMap<string, any>} */
  #load = new Map();
  /** @type {ReadonlyMap<string, any> | undefined} */
  #schedule;
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
   * @param {{queues: string[], stations: string[]}} choices
   * @param {() => import("../shared/words/language.js").Language} language
   */
  constructor(token, location, choices, language) {
    this.#token = token;
    this.#choices = choices;
    this.#language = language;
    byId("desk").hidden = false;
    this._fillSelects();
    for (const id of ["call-queue", "call-station"]) {
      byId(id).addEventListener("change", () => {
        this.#chosen.add(id);
        this._suggestRoom();
      });
    }
    byId("call").addEventListener("submit", (event) => this._submit(event, () => this._callNext()));
    byId("check-in").addEventListener("submit", (event) =>
      this._submit(event, () => this._checkIn()),
    );
    // The load brings names and the number of people waiting. Without it the ids serve.
    new Connection({
      token,
      channels: [`load:${location}`],
      onView: (_channel, { entries = new Map() }) => {
        this.#load = entries;
        this._update();
      },
      onState: () => {},
    });
  }

  get _text() {
    return startTexts[this.#language()];
  }

  /** Shows everything again, in another language. */
  render() {
    this._update();
    if (this.#schedule) this.offerAppointments(this.#schedule);
    setText(byId("outcome"), "");
  }

  _update() {
    this._readLoad();
    this._fillSelects();
    this._suggestRoom();
  }

  _readLoad() {
    this.#rooms = [];
    for (const [key, { name, waiting, state, queue }] of this.#load) {
      const [kind, id] = key.split(":");
      if (kind === "queue") this.#names.set(id, this._text.queueOption(name, waiting));
      if (kind !== "station" || !this.#choices.stations.includes(id)) continue;
      const word = this._text.stationStates[state];
      this.#names.set(id, `${name} (${word})`);
      this.#rooms.push({ id, state, queue });
    }
  }

  _fillSelects() {
    const { queues, stations } = this.#choices;
    fill(
      "call-queue",
      queues.map((id) => [id, this._name(id)]),
    );
    fill(
      "call-station",
      stations.map((id) => [id, this._name(id)]),
    );
  }

  /**
   * Selects the line of the ticket that is shown, unless the visitor has chosen.
   * @param {string} queue
   */
  suggestQueue(queue) {
    if (!this.#chosen.has("call-queue")) choice("call-queue").value = queue;
    this._suggestRoom();
  }

  /**
   * Selects a free room of the line, or one of the line, or a free one, unless the visitor has
   * chosen.
   */
  _suggestRoom() {
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
    this.#schedule = entries;
    const zone = entries.get("schedule")?.time_zone;
    const due = [...entries].filter(
      ([key, { status }]) => key !== "schedule" && (status === "booked" || status === "arrived"),
    );
    due.sort(([, a], [, b]) => (a.start ?? 0) - (b.start ?? 0));
    byId("check-in").hidden = !due.length;
    const options = due.map(([id, { start, label = "", late }]) => {
      const time = start ? timeText(start, this.#language(), zone) : "";
      const name = `${time} ${label}`.trim();
      return /** @type {[string, string]} */ ([id, late ? this._text.late(name) : name]);
    });
    fill("check-in-appointment", options);
  }

  /** @param {string} id */
  _name(id) {
    return this.#names.get(id) ?? id.slice(id.indexOf(".") + 1);
  }

  /**
   * @param {Event} event
   * @param {() => Promise<string>} command answers the text for the visitor
   */
  async _submit(event, command) {
    event.preventDefault();
    if (this.#busy) return;
    this.#busy = true;
    setText(byId("outcome"), await command());
    this.#busy = false;
  }

  async _callNext() {
    const [queue, station] = [choice("call-queue"), choice("call-station")];
    const path = `queues/${encodeURIComponent(queue.value)}/call-next`;
    const { result, code } = await this._send(path, { station: station.value });
    if (!result) return this._refusal(code);
    const room = station.selectedOptions[0]?.textContent?.replace(/ \(.*/, "");
    return this._text.called(unbroken(result.label ?? ""), room ?? "");
  }

  async _checkIn() {
    const appointment = choice("check-in-appointment").value;
    const { result, code } = await this._send("check-ins", { appointment });
    if (!result) return this._refusal(code);
    return this._text.checkedIn(unbroken(result.label ?? ""));
  }

  /** @param {string} code */
  _refusal(code) {
    const { refusals, failed } = this._text;
    return refusals[code] ?? failed(code);
  }

  /**
   * @param {string} path below `v1/`
   * @param {object} body
   * @returns {Promise<{result?: {label?: string}, code: string}>}
   */
  async _send(path, body) {
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
