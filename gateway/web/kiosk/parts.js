// Parts of the kiosk's page that are made anew from what the server answered.

import { unbroken } from "../shared/look/page.js";
import { hasTicket } from "../shared/visit/scan.js";
import { sayCode } from "../shared/words/scan-texts.js";

/** @typedef {import("../shared/visit/scan.js").Result} Result */
/** @typedef {ReturnType<typeof import("../shared/words/scan-texts.js").scanTexts>} Texts */

/**
 * Fills `holder` when its source has changed. Otherwise a button would lose the focus, and a screen
 * reader would read the same again.
 * @param {HTMLElement} holder
 * @param {unknown} source
 * @param {() => HTMLElement[]} make
 */
export function fill(holder, source, make) {
  const text = JSON.stringify(source);
  if (holder.dataset.source === text) return;
  holder.dataset.source = text;
  holder.replaceChildren(...make());
}

/** The answer to one booking. @param {Result} result @param {Texts} say */
export function resultSection(result, say) {
  const section = document.createElement("section");
  const title = document.createElement("h2");
  const is = result.outcome === "checked_in";
  title.textContent = is ? say.checkedIn : sayCode(say, result.code ?? "other");
  section.append(title);
  if (hasTicket(result)) {
    const caption = document.createElement("p");
    caption.textContent = say.yourNumber;
    const number = document.createElement("strong");
    number.className = "number";
    number.textContent = result.label ?? "";
    section.append(caption, number);
  }
  return section;
}

/**
 * A check-in that was saved without a network, and what became of it.
 * @param {string} time
 * @param {string} ends the last signs of its code
 * @param {"waiting" | "lost" | Result} outcome
 * @param {Texts} say
 */
export function keptItem(time, ends, outcome, say) {
  const item = document.createElement("li");
  item.textContent = `${time} · ${say.kiosk.code} …${ends}: ${becameOf(outcome, say)}`;
  return item;
}

/** @param {"waiting" | "lost" | Result} outcome @param {Texts} say */
function becameOf(outcome, say) {
  if (outcome === "waiting") return say.kiosk.waiting;
  if (outcome === "lost") return say.kiosk.lost;
  const text = outcome.code ? sayCode(say, outcome.code) : say.checkedIn;
  return outcome.label ? `${text} ${say.yourNumber} ${unbroken(outcome.label)}` : text;
}
