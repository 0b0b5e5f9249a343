// The messages of the boards, each in every language of the location.

import { byId } from "../shared/look/page.js";
import { EntryForm } from "./entry-form.js";
import { messagesBody, messageValues } from "./values.js";

/** @typedef {import("../shared/schemas.js").MessageSettings} Settings */
/** @typedef {import("./setup.js").Site} Site */

// As many as a location may have (`MAX_MESSAGES`).
const MOST = 8;
const LONGEST = 120;

export class MessagesPart {
  #site;
  #form;
  #place = document.createElement("div");
  #drawn = "";

  /** @param {Site} site */
  constructor(site) {
    this.#site = site;
    const form = /** @type {HTMLFormElement} */ (byId("messages-form"));
    this.#place.className = "fields";
    form.append(this.#place);
    /** @type {EntryForm<Settings>} */
    this.#form = new EntryForm(form, {
      read: messageValues,
      save: (values, edition) =>
        site.send("PUT", `locations/${encodeURIComponent(site.location)}/messages`, {
          ...messagesBody(values),
          edition,
        }),
      texts: site.texts,
    });
  }

  render() {
    const entry = this.#site.entries().get("messages");
    this._draw(entry);
    this.#form.update(entry);
  }

  /** Fields for every message, and for one more. @param {Settings | undefined} entry */
  _draw(entry) {
    const text = this.#site.texts();
    /** @type {string[]} */
    const languages = this.#site.entries().get("location")?.languages ?? [];
    const used = (entry?.messages ?? []).flatMap((message) => Object.keys(message));
    const tags = [...new Set([...languages, ...used])];
    const count = Math.min(MOST, (entry?.messages.length ?? 0) + 1);
    const wanted = JSON.stringify([tags, count, text.message(0, "")]);
    // A field is not drawn again while a person types in it.
    if (wanted === this.#drawn || this.#form.dirty) return;
    this.#drawn = wanted;
    const names = new Intl.DisplayNames([this.#site.language()], { type: "language" });
    this.#place.replaceChildren(
      ...Array.from({ length: count }, (_, index) =>
        tags.map((tag) =>
          field(`${index}.${tag}`, tag, text.message(index + 1, nameOf(names, tag))),
        ),
      ).flat(),
    );
  }
}

/** @param {Intl.DisplayNames} names @param {string} tag */
function nameOf(names, tag) {
  try {
    return names.of(tag) ?? tag;
  } catch {
    return tag;
  }
}

/** @param {string} name @param {string} tag @param {string} caption */
function field(name, tag, caption) {
  const label = document.createElement("label");
  label.className = "wide";
  const span = label.appendChild(document.createElement("span"));
  span.textContent = caption;
  const input = label.appendChild(document.createElement("input"));
  Object.assign(input, { name, lang: tag, dir: "auto", maxLength: LONGEST, autocomplete: "off" });
  return label;
}
