// The set-up of a clinic: its settings, queues, rooms, screens, check-in points, messages and
// branding.

import { textsOf } from "../languages/all.js";
import { sendCommand } from "../shared/connection/commands.js";
import { byId, setText } from "../shared/look/page.js";
import { newest } from "../shared/credentials/renewal.js";
import { Shell } from "../shared/look/shell.js";
import { changeText } from "../shared/words/times.js";
import { BrandingPart } from "./branding.js";
import { Creation } from "./creation.js";
import { DisplaysPart } from "./displays.js";
import { EntryForm } from "./entry-form.js";
import { MessagesPart } from "./messages.js";
import { PointsPart } from "./points.js";
import { QueuesPart } from "./queues.js";
import { RoomsPart } from "./rooms.js";
import {
  locationBody,
  locationValues,
  privacyBody,
  privacyValues,
  settingsFault,
} from "./values.js";

/** @typedef {import("../shared/connection/commands.js").Answer} Answer */
/** @typedef {import("../shared/connection/fold.js").View} View */
/**
 * The values that all parts of the page share.
 * @typedef {object} Site
 * @property {string} location
 * @property {() => import("../languages/all.js").Texts["setup"]} texts
 * @property {() => import("../shared/words/language.js").Language} language
 * @property {() => ReadonlyMap<string, any>} entries
 * @property {(method: string, path: string, body?: object) => Promise<Answer>} send
 * @property {() => string} token
 */

const connectionTexts = textsOf("connection");
const shell = new Shell(textsOf("setup"), render);
const location = shell.link.get("location") ?? "";
/** @type {View | undefined} */
let view;

/** @type {Site} */
const site = {
  location,
  texts: () => shell.text,
  language: () => shell.language,
  entries: () => view?.entries ?? new Map(),
  send: (method, path, body = {}) => sendCommand(site.token(), path, body, method),
  token: () => newest(shell.link.get("token") ?? ""),
};
const place = `locations/${encodeURIComponent(location)}`;

const locationForm = new EntryForm(formOf("location-form"), {
  read: locationValues,
  save: async (values, edition) => {
    const code = settingsFault(values);
    if (code) return { code };
    const body = locationBody(values, site.entries().get("location"));
    return site.send("PUT", place, { ...body, edition });
  },
  texts: site.texts,
});
const privacyForm = new EntryForm(formOf("privacy-form"), {
  read: privacyValues,
  save: (values, edition) =>
    site.send("PUT", `${place}/privacy`, { ...privacyBody(values), edition }),
  texts: site.texts,
});
const creation = new Creation(site, (created) => {
  const link = new URLSearchParams({ token: site.token(), location: created });
  // A changed hash makes the page start over; with an unchanged hash the page must be reloaded.
  if (created === location) window.location.reload();
  else window.location.hash = String(link);
});
const parts = [
  new QueuesPart(site),
  new RoomsPart(site),
  new DisplaysPart(site),
  new PointsPart(site),
  new MessagesPart(site),
  new BrandingPart(site),
];

/** @param {string} id */
function formOf(id) {
  return /** @type {HTMLFormElement} */ (byId(id));
}

/** Texts that do not depend on the settings, in templates too. */
function renderTexts() {
  const templates = [...document.querySelectorAll("template")].map(({ content }) => content);
  for (const part of [document, ...templates]) {
    for (const element of part.querySelectorAll("[data-text]")) {
      const name = /** @type {HTMLElement} */ (element).dataset.text ?? "";
      setText(element, shell.text.labels[name] ?? "");
    }
  }
  const links = [...document.querySelectorAll("#content > section")].map(({ id }) => id);
  const nav = byId("sections");
  if (!nav.children.length) {
    nav.append(
      ...links.map((id) => {
        const link = document.createElement("a");
        // The fragment of the page is its link, so the target is not an address.
        link.href = `#${id}`;
        link.addEventListener("click", (event) => {
          event.preventDefault();
          byId(id).scrollIntoView();
          byId(id).focus({ preventScroll: true });
        });
        return link;
      }),
    );
  }
  links.forEach((id, index) => setText(nav.children[index], shell.text.labels[id] ?? ""));
  const another = /** @type {HTMLAnchorElement} */ (byId("another"));
  another.href = `#${new URLSearchParams({ token: site.token() })}`;
  setText(another, shell.text.newClinic);
}

function render() {
  const entries = site.entries();
  const settings = entries.get("location");
  shell.filled = settings !== undefined;
  const { language, text } = shell;
  const { changedAt } = connectionTexts[language];
  shell.renderFrame(changedAt(changeText(view?.at ?? 0, shell.shownNow, language)));
  renderTexts();
  renderCreation();
  setText(byId("name"), settings?.name ?? text.title);
  setText(byId("subtitle"), settings ? text.title : "");
  if (!settings || shell.note) return;
  document.title = `${settings.name} · ${text.title}`;
  locationForm.update(settings);
  privacyForm.update(entries.get("privacy"));
  for (const part of parts) part.render();
}

/** A link without a clinic, or to one that does not exist, leads to the form of a new one. */
function renderCreation() {
  const { note, text } = shell;
  const hasToken = Boolean(shell.link.get("token"));
  const isFirst = hasToken && note === "missing";
  const isWanted = isFirst || (hasToken && note === "unknown");
  byId("creation").hidden = !isWanted;
  if (!isWanted) return;
  creation.render(text);
  // A link for the creation of a clinic names none, so no note about a missing clinic is shown.
  if (isFirst) byId("note").hidden = true;
  if (isFirst) document.title = `${text.newClinic} · ${text.title}`;
}

function start() {
  const zones = byId("zones");
  // Missing in browsers of before 2022: the zone is typed without suggestions.
  const { supportedValuesOf } = /** @type {any} */ (Intl);
  for (const zone of supportedValuesOf?.("timeZone") ?? []) zones.append(new Option(zone));
  shell.follow(location && `settings:${location}`, (next) => {
    view = next;
    render();
  });
  // Ages change without a message.
  setInterval(() => shell.lossMs !== undefined && render(), 1_000);
}

start();
