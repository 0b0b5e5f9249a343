// Alerts on the phone by Web Push, although the page is closed: when the turn is near, and at each
// call. Only after the patient has turned the switch on.
//
// The server sends label and room alone. The words, in the language of the page, and the address of
// the page stay on the phone, where the service worker finds them.

import { textsOf } from "../languages/all.js";
import { sendCommand } from "../shared/connection/commands.js";
import { byId, setText } from "../shared/look/page.js";
import { timeoutSignal } from "../shared/connection/timeout.js";

/** @typedef {import("../shared/words/language.js").Language} Language */
/** @typedef {import("../shared/visit/ticket.js").Ticket} Ticket */

const texts = textsOf("phoneAlerts");

const TIMEOUT_MS = 10_000;
/** Where the service worker looks. The paths are names in the cache, and no addresses. */
const CACHE = "clinicwire-alerts";
const LIVE = new Set(["waiting", "called", "on_hold", "absent", "leaving"]);

/** The cache entry with the words for a ticket. @param {string} ticket */
const entryOf = (ticket) => `alerts/${encodeURIComponent(ticket)}`;

export class PhoneAlerts {
  #rerender;
  #address;
  #token = "";
  #ticket = "";
  /** The public key of the server, once it is known that it sends alerts. */
  #key = "";
  #isOn = false;
  #isBusy = false;
  /** The code of the last failure. @type {string | undefined} */
  #failure;
  /** The language of the words that the service worker has. @type {Language | undefined} */
  #stored;

  /**
   * @param {() => void} rerender called when something changed
   * @param {() => string} address the page of the ticket, which a tap on an alert opens
   */
  constructor(rerender, address) {
    this.#rerender = rerender;
    this.#address = address;
    byId("phone-alerts").addEventListener("click", () => void this._toggle());
  }

  /**
   * Follows a ticket. After a move to another location, its successor is alerted too.
   * @param {string} token
   * @param {string} ticket
   */
  async use(token, ticket) {
    const wasOn = this.#isOn;
    this.#token = token;
    this.#ticket = ticket;
    this.#isOn = await hasEntry(ticket);
    if (isPossible()) this.#key ||= await keyOf(token, ticket);
    if (wasOn && !this.#isOn && ticket === this.#ticket) await this._turnOn();
    this.#rerender();
  }

  /** @param {Ticket | undefined} ticket @param {Language} language */
  render(ticket, language) {
    const isLive = ticket !== undefined && LIVE.has(ticket.state);
    if (ticket && !isLive && this.#isOn) void this._forget();
    if (this.#isOn && this.#stored !== language) void this._store(language);
    const text = texts[language];
    const isOffered = isLive && this.#key !== "" && ticket.state !== "called";
    byId("phone-alerts").hidden = !isOffered;
    byId("phone-alerts").setAttribute("aria-checked", String(this.#isOn));
    byId("phone-alerts").setAttribute("aria-disabled", String(this.#isBusy));
    setText(byId("phone-alerts-text"), text.offer);
    const failure = this.#failure && (text.failures[this.#failure] ?? text.failed);
    setText(byId("phone-alerts-hint"), failure ?? (this.#isOn ? text.on : text.hint));
  }

  async _toggle() {
    if (this.#isBusy) return;
    this.#isBusy = true;
    this.#failure = undefined;
    this.#rerender();
    await (this.#isOn ? this._turnOff() : this._turnOn());
    this.#isBusy = false;
    this.#rerender();
  }

  async _turnOn() {
    try {
      // The browser asks the patient. It remembers the answer.
      const permission = await Notification.requestPermission();
      if (permission !== "granted") return void (this.#failure = "blocked");
      const subscription = await subscribe(this.#key);
      const { endpoint, keys } = subscription.toJSON();
      const path = `tickets/${this.#ticket}/subscribe-alerts`;
      const answer = await sendCommand(this.#token, path, { endpoint, keys });
      if ("code" in answer) return void (this.#failure = answer.code);
      this.#isOn = true;
      this.#stored = undefined;
    } catch {
      this.#failure = "refused";
    }
  }

  async _turnOff() {
    const registration = await navigator.serviceWorker.ready;
    const subscription = await registration.pushManager.getSubscription();
    const path = `tickets/${this.#ticket}/unsubscribe-alerts`;
    if (subscription) {
      const { endpoint } = subscription;
      const answer = await sendCommand(this.#token, path, { endpoint });
      if ("code" in answer) return void (this.#failure = answer.code);
    }
    await this._forget();
  }

  async _forget() {
    this.#isOn = false;
    this.#stored = undefined;
    await (await caches.open(CACHE)).delete(entryOf(this.#ticket)).catch(() => false);
  }

  /** Gives the service worker the words in this language. @param {Language} language */
  async _store(language) {
    this.#stored = language;
    const { near, called, goTo, moved } = texts[language].messages;
    const entry = { language, address: this.#address(), near, called, goTo, moved };
    const cache = await caches.open(CACHE);
    await cache.put(entryOf(this.#ticket), new Response(JSON.stringify(entry)));
  }
}

/** Whether this browser can be alerted while the page is closed. */
function isPossible() {
  const isBlocked = "Notification" in window && Notification.permission === "denied";
  return "serviceWorker" in navigator && "PushManager" in window && !isBlocked;
}

/** @param {string} ticket */
async function hasEntry(ticket) {
  try {
    return (await (await caches.open(CACHE)).match(entryOf(ticket))) !== undefined;
  } catch {
    // The browser was told to keep nothing.
    return false;
  }
}

/**
 * The public key of the server; empty when it sends no alerts.
 * @param {string} token
 * @param {string} ticket
 */
async function keyOf(token, ticket) {
  try {
    const response = await fetch(`v1/tickets/${ticket}/alerts`, {
      headers: { authorization: `Bearer ${token}` },
      signal: timeoutSignal(TIMEOUT_MS),
    });
    return response.ok ? ((await response.json()).public_key ?? "") : "";
  } catch {
    return "";
  }
}

/**
 * The subscription of this browser. One under the key of another server is replaced.
 * @param {string} key
 */
async function subscribe(key) {
  const registration = await navigator.serviceWorker.ready;
  const options = { userVisibleOnly: true, applicationServerKey: bytesOf(key) };
  try {
    return await registration.pushManager.subscribe(options);
  } catch (error) {
    const older = await registration.pushManager.getSubscription();
    if (!older) throw error;
    await older.unsubscribe();
    return registration.pushManager.subscribe(options);
  }
}

/** @param {string} text in base64url */
function bytesOf(text) {
  const binary = atob(text.replaceAll("-", "+").replaceAll("_", "/"));
  return Uint8Array.from(binary, (character) => character.charCodeAt(0));
}
