// What the pages share that follow something: their language, their connection, and honesty about both.

import { byId, fragment, restartOnNewLink, setIcon, setText } from "./page.js";
import { Wire } from "./connection.js";
import { ageText, firstSpoken, words } from "./texts.js";

/** @typedef {import("./page.js").Language} Language */
/** @typedef {"missing" | "refused" | "unreachable"} Note why there is nothing to show */
/** @typedef {{title: string, notes: Record<Note, string[]>}} Texts */

// The browser repairs short losses unseen; then it is said how old everything is; in the end it looks as old as it is.
const BANNER_AFTER_MS = 10_000;
const GREY_AFTER_MS = 30_000;

/** @template {Texts} T */
export class Shell {
  /** What the link carries. */
  asked = fragment();
  /** @type {Language} */
  language = firstSpoken([new URLSearchParams(location.search).get("lang"), ...navigator.languages]);
  /** Whether there is something to show. */
  filled = false;
  #texts;
  #render;
  /** @type {Wire | undefined} */
  #wire;
  /** @type {import("./connection.js").Link} */
  #link = { name: "connecting" };
  /** Of what is followed beside. @type {import("./connection.js").Link} */
  #beside = { name: "connecting" };

  /** @param {Record<Language, T>} texts @param {() => void} render */
  constructor(texts, render) {
    this.#texts = texts;
    this.#render = render;
    for (const button of byId("languages").querySelectorAll("button")) {
      button.addEventListener("click", () => this.#speak(button.value === "fr" ? "fr" : "en"));
    }
    restartOnNewLink();
  }

  get text() {
    return this.#texts[this.language];
  }

  /**
   * Follows a channel; without a token, or with nothing to follow, the page says what is missing.
   * @param {string | undefined} channel
   * @param {(held: import("./fold.js").Held) => void} onView
   */
  follow(channel, onView) {
    if (channel && this.asked.get("token")) this.#wire = this.#open(channel, onView, (link) => (this.#link = link));
    this.#render();
  }

  /**
   * Follows another channel too. The page stands without it: only its losses are told.
   * @param {string} channel
   * @param {(held: import("./fold.js").Held) => void} onView
   */
  followBeside(channel, onView) {
    return this.#open(channel, onView, (link) => (this.#beside = link));
  }

  /** @param {string} channel @param {(held: import("./fold.js").Held) => void} onView @param {(link: import("./connection.js").Link) => void} keep */
  #open(channel, onView, keep) {
    const onLink = (/** @type {import("./connection.js").Link} */ link) => {
      keep(link);
      this.#render();
    };
    const token = this.asked.get("token") ?? "";
    return new Wire({ token, channels: [channel], onView: (_channel, held) => onView(held), onLink, by: "socket" });
  }

  /** @type {import("./connection.js").Link} */
  get link() {
    const lost = this.#beside.name === "lost" || this.#beside.name === "stale";
    return lost && this.#link.name === "live" ? this.#beside : this.#link;
  }

  /** How long we have been without the server, or undefined while we are with it. */
  get lossMs() {
    const { link } = this;
    return link.name === "lost" || link.name === "stale" ? Date.now() - link.since : undefined;
  }

  /** The server's clock. */
  get now() {
    return this.#wire?.now() ?? Date.now();
  }

  /** The moment that the page speaks of: now, or when it last knew. Waits must not run on without news. */
  get shownNow() {
    return this.now - (this.lossMs ?? 0);
  }

  /** @returns {Note | undefined} */
  get note() {
    if (!this.#wire) return "missing";
    if (this.link.name === "refused") return "refused";
    return this.link.name === "lost" && !this.filled && (this.lossMs ?? 0) >= BANNER_AFTER_MS ? "unreachable" : undefined;
  }

  /** Draws what does not depend on what is followed. @param {string} changed what the last line says of the last change */
  renderFrame(changed) {
    const root = document.documentElement;
    root.lang = this.language;
    root.dataset.link = this.link.name;
    for (const button of byId("languages").querySelectorAll("button")) {
      button.setAttribute("aria-pressed", String(button.value === this.language));
    }
    this.#renderNote();
    this.#renderLink(changed);
  }

  #renderNote() {
    const { note } = this;
    byId("note").hidden = !note;
    byId("content").hidden = Boolean(note) || !this.filled;
    if (!note) return;
    setIcon(byId("note-icon"), note === "unreachable" ? "unplugged" : "info");
    for (const [index, id] of ["note-title", "note-text"].entries()) setText(byId(id), this.text.notes[note][index]);
    document.title = `${this.text.notes[note][0]} · ${this.text.title}`;
  }

  /** @param {string} changed */
  #renderLink(changed) {
    const { connecting, live, reconnecting, notConnected, finished, lost, stale } = words[this.language].patient;
    const loss = this.filled ? this.lossMs : undefined;
    const doubtful = loss !== undefined && loss >= BANNER_AFTER_MS;
    byId("banner").hidden = !doubtful;
    if (doubtful) setText(byId("banner-text"), (this.link.name === "lost" ? lost : stale)(ageText(loss)));
    document.documentElement.classList.toggle("doubtful", doubtful && loss >= GREY_AFTER_MS);
    const names = { connecting, live, stale: notConnected, lost: doubtful ? notConnected : reconnecting, refused: "", ended: finished };
    setText(byId("link"), this.#wire ? names[this.link.name] : "");
    setText(byId("changed"), this.filled ? `· ${changed}` : "");
  }

  /** @param {Language} next */
  #speak(next) {
    this.language = next;
    const url = new URL(location.href);
    url.searchParams.set("lang", next);
    history.replaceState(null, "", url);
    this.#render();
  }
}
