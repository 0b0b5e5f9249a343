// The frame that pages share: language, connection, and the texts about both.

import { Connection } from "../connection/connection.js";
import { crossingBanner } from "../credentials/crossing.js";
import { LanguageSwitch } from "../words/language.js";
import { isOriginProblem } from "../connection/origin.js";
import { byId, fragment, restartOnNewLink, setIcon, setText } from "./page.js";
import { ageText } from "../words/times.js";
import { textsOf } from "../../languages/all.js";

const connectionTexts = textsOf("connection");
const originTexts = textsOf("origin");

/** @typedef {import("../words/language.js").Language} Language */
/** @typedef {import("../connection/connection.js").ConnectionState} ConnectionState */
/** @typedef {import("../connection/fold.js").View} View */
/**
 * Why there is nothing to show. `unknown` is for pages whose channel may come and go, `origin` for
 * a server that takes the page for a foreign one.
 * @typedef {"missing" | "refused" | "expired" | "unreachable" | "unknown" | "origin"} Note
 */
/**
 * @typedef {{missing: string[], refused: string[], unreachable: string[], unknown?: string[]}}
 *   Notes
 */
/** @typedef {{title: string, notes: Notes}} Texts */

// The codes of a channel that does not exist, or no longer.
const UNKNOWN_CODES = new Set(["not_found", "unknown_channel", "2500"]);

// Short losses are repaired unseen. After the first time the page says how old its content is;
// after the second it also looks old.
const BANNER_AFTER_MS = 10_000;
const GREY_AFTER_MS = 30_000;

/** @template {Texts} T */
export class Shell {
  /** The parameters of the link. */
  link = fragment();
  /** Whether the page has content to show. */
  filled = false;
  #texts;
  #render;
  #languages;
  /** @type {Connection | undefined} */
  #connection;
  /** @type {ConnectionState} */
  #mainState = { name: "connecting" };
  /** Tells screen readers that the connection is lost, and that it is back. */
  #voice = document.createElement("p");
  /** State of the connection for the second channel, if there is one. @type {ConnectionState} */
  #secondState = { name: "connecting" };

  /** @param {Record<Language, T>} texts @param {() => void} render */
  constructor(texts, render) {
    this.#texts = texts;
    this.#render = render;
    const showCrossing = crossingBanner(this.link.get("token"));
    this.#languages = new LanguageSwitch(() => {
      showCrossing(this.language);
      render();
    });
    showCrossing(this.language);
    this.#voice.id = "said-connection";
    this.#voice.className = "unseen";
    this.#voice.setAttribute("role", "status");
    document.body.append(this.#voice);
    restartOnNewLink();
  }

  /** @param {readonly string[] | undefined} tags the languages of the location */
  offerLanguages(tags) {
    this.#languages.offer(tags);
  }

  get language() {
    return this.#languages.current;
  }

  get text() {
    return this.#texts[this.language];
  }

  /**
   * Follows a channel. Without a token or a channel the page says that its link is incomplete.
   * @param {string | undefined} channel
   * @param {(view: View) => void} onView
   */
  follow(channel, onView) {
    if (channel && this.link.get("token")) {
      this.#connection = this._open(channel, onView, (state) => (this.#mainState = state));
    }
    this.#render();
  }

  /**
   * Follows a second channel, or several. The page works without them: only a loss of their
   * connection is shown.
   * @param {string | string[]} channels
   * @param {(view: View, channel: string) => void} onView
   */
  followSecond(channels, onView) {
    return this._open(channels, onView, (state) => (this.#secondState = state));
  }

  /**
   * @param {string | string[]} channels
   * @param {(view: View, channel: string) => void} onView
   * @param {(state: ConnectionState) => void} keep
   */
  _open(channels, onView, keep) {
    return new Connection({
      token: this.link.get("token") ?? "",
      channels: [channels].flat(),
      onView: (channel, view) => onView(view, channel),
      onState: (state) => {
        keep(state);
        this.#render();
      },
    });
  }

  /** @type {ConnectionState} */
  get state() {
    const lost = this.#secondState.name === "lost" || this.#secondState.name === "stale";
    return lost && this.#mainState.name === "live" ? this.#secondState : this.#mainState;
  }

  /** Time since the connection was lost, or undefined while it is not. */
  get lossMs() {
    const { state } = this;
    return state.name === "lost" || state.name === "stale" ? Date.now() - state.since : undefined;
  }

  /** The server's clock. */
  get now() {
    return this.#connection?.now() ?? Date.now();
  }

  /** The moment that the page shows: now, or the last news. Waits must not grow without news. */
  get shownNow() {
    return this.now - (this.lossMs ?? 0);
  }

  /** @returns {Note | undefined} */
  get note() {
    if (!this.#connection) return "missing";
    if (this.state.name === "refused") {
      if (this.state.code === "token_expired") return "expired";
      if (isOriginProblem(this.state.code)) return "origin";
      const unknown = this.text.notes.unknown && UNKNOWN_CODES.has(this.state.code);
      return unknown ? "unknown" : "refused";
    }
    const unreachable = this.state.name === "lost" && (this.lossMs ?? 0) >= BANNER_AFTER_MS;
    return unreachable && !this.filled ? "unreachable" : undefined;
  }

  /** The title and the text of a note. @param {Note} note */
  noteTexts(note) {
    if (note === "expired") return connectionTexts[this.language].expired;
    if (note === "origin") return originTexts[this.language];
    const { notes } = this.text;
    return notes[note] ?? notes.refused;
  }

  /**
   * Renders everything that does not depend on the channel's content.
   * @param {string} changed the text for the last line about the last change
   */
  renderFrame(changed) {
    this.#languages.render();
    document.documentElement.dataset.link = this.state.name;
    this._renderNote();
    this._renderConnection(changed);
  }

  _renderNote() {
    const { note } = this;
    byId("note").hidden = !note;
    byId("content").hidden = Boolean(note) || !this.filled;
    if (!note) return;
    const [title, text] = this.noteTexts(note);
    setIcon(byId("note-icon"), note === "unreachable" ? "unplugged" : "info");
    setText(byId("note-title"), title);
    setText(byId("note-text"), text);
    document.title = `${title} · ${this.text.title}`;
  }

  /** @param {string} changed */
  _renderConnection(changed) {
    const texts = connectionTexts[this.language];
    const { connecting, live, reconnecting, notConnected, finished } = texts;
    const loss = this.filled ? this.lossMs : undefined;
    const showBanner = loss !== undefined && loss >= BANNER_AFTER_MS;
    byId("banner").hidden = !showBanner;
    if (showBanner) {
      const text = this.state.name === "lost" ? texts.lost : texts.stale;
      setText(byId("banner-text"), text(ageText(loss, this.language)));
    }
    // A short loss is repaired unseen, and unheard.
    const isBack = this.#voice.textContent && !showBanner;
    setText(this.#voice, showBanner ? notConnected : isBack ? live : "");
    const grey = showBanner && loss >= GREY_AFTER_MS;
    document.documentElement.classList.toggle("doubtful", grey);
    const names = {
      connecting,
      live,
      stale: notConnected,
      lost: showBanner ? notConnected : reconnecting,
      refused: "",
      ended: finished,
    };
    setText(byId("link"), this.#connection ? names[this.state.name] : "");
    setText(byId("changed"), this.filled ? `· ${changed}` : "");
  }
}
