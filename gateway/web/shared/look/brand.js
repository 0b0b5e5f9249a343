// The branding of a clinic on a page: its colour, its logo and the name of its organisation.

import { paletteOf } from "./colours.js";

/** @typedef {import("../schemas.js").Branding} Branding */

const LOGO = "shared/look/logo.svg";

/** What was applied last, so that a page that renders every second touches nothing. */
let applied = "";
/** @type {Branding | undefined} */
let current;

const dark = globalThis.matchMedia?.("(prefers-color-scheme: dark)");
dark?.addEventListener("change", () => applyBrand(current));

/**
 * Applies a clinic's branding to the page, or takes it back. The mark of the header becomes the
 * logo, and `#organisation` gets the name, where the page has them.
 * @param {Branding | undefined} branding
 */
export function applyBrand(branding) {
  current = branding;
  const wanted = JSON.stringify([branding ?? {}, dark?.matches]);
  if (wanted === applied) return;
  applied = wanted;
  const { name = "", colour, logo } = branding ?? {};
  const { style } = document.documentElement;
  const palette = colour && paletteOf(colour, dark?.matches ? "dark" : "light");
  const parts = /** @type {const} */ ([
    ["--brand", "brand"],
    ["--on-brand", "onBrand"],
    ["--brand-soft", "soft"],
    ["--on-brand-soft", "onSoft"],
  ]);
  for (const [property, part] of parts) {
    if (palette) style.setProperty(property, palette[part]);
    else style.removeProperty(property);
  }
  const mark = document.querySelector("img.mark");
  const source = logo ? `logos/${logo}` : LOGO;
  // Setting it again would load it again, which fails while the server cannot be reached.
  if (mark?.getAttribute("src") !== source) mark?.setAttribute("src", source);
  mark?.classList.toggle("logo", Boolean(logo));
  const organisation = document.getElementById("organisation");
  if (organisation) {
    organisation.textContent = name;
    organisation.hidden = !name;
  }
}
