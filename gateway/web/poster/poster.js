// The sheet of a check-in point that staff print and hang up: its code, and instructions in each
// language of the location.

import { byId, fragment, restartOnNewLink, setText } from "../shared/look/page.js";
import { directionOf, firstKnown } from "../shared/words/language.js";
import { scanTexts } from "../shared/words/scan-texts.js";

const link = fragment();
const bearer = { authorization: `Bearer ${link.get("token") ?? ""}` };
const point = link.get("point") ?? "";
const language = firstKnown([
  new URLSearchParams(location.search).get("lang"),
  ...navigator.languages,
]);

/** @param {string} path */
async function read(path) {
  const response = await fetch(`v1/${path}`, { headers: bearer, cache: "no-store" });
  if (!response.ok) throw new Error(String(response.status));
  return response;
}

/** The instructions in one language. @param {string} tag */
function instructions(tag) {
  const { heading, steps, help } = scanTexts(tag).poster;
  const section = document.createElement("section");
  section.lang = tag;
  section.dir = directionOf(tag);
  const title = document.createElement("h2");
  title.textContent = heading;
  const list = document.createElement("ol");
  list.append(
    ...steps.map((step) => {
      const item = document.createElement("li");
      item.textContent = step;
      return item;
    }),
  );
  const last = document.createElement("p");
  last.textContent = help;
  section.append(title, list, last);
  return section;
}

async function show() {
  const id = encodeURIComponent(point);
  const place = encodeURIComponent(point.split(".")[0]);
  const [settings, at, svg] = await Promise.all([
    read(`check-in-points/${id}`).then((response) => response.json()),
    read(`locations/${place}`).then((response) => response.json()),
    read(`check-in-points/${id}/code.svg`).then((response) => response.text()),
  ]);
  const image = new DOMParser().parseFromString(svg, "image/svg+xml").documentElement;
  image.setAttribute("role", "img");
  image.setAttribute("aria-labelledby", "point");
  byId("code").replaceChildren(document.importNode(image, true));
  setText(byId("clinic"), at.name);
  setText(byId("point"), settings.name);
  byId("languages-list").replaceChildren(...at.languages.map(instructions));
  byId("sheet").hidden = false;
  byId("print").hidden = false;
}

document.documentElement.lang = language;
const texts = scanTexts(language);
document.title = texts.poster.heading;
setText(byId("print"), texts.poster.print);
byId("print").addEventListener("click", () => print());
restartOnNewLink();
show().catch(() => {
  setText(byId("problem"), texts.poster.failed);
  byId("problem").hidden = false;
});
