// Colours of a clinic's brand, made readable: text keeps 7:1 on the surfaces it is used on, in both
// schemes, whatever colour the clinic has chosen. Pure.

/** @typedef {[red: number, green: number, blue: number]} Colour 0 to 255 */
/** @typedef {{brand: string, onBrand: string, soft: string, onSoft: string}} Palette */

// As style.css has them: text of the brand's colour is on the paper and on cards.
const SURFACES = { light: ["#f5f4ef", "#ffffff"], dark: ["#0b1416", "#132124"] };
const INK = { light: "#ffffff", dark: "#03201c" };
// WCAG 2.2, 1.4.6.
const LEAST_CONTRAST = 7;
const STEPS = 100;
const SOFT_SHARE = 0.12;

/** @param {string} hex `#rrggbb` @returns {Colour} */
export function readColour(hex) {
  const value = Number.parseInt(hex.slice(1), 16);
  return [value >> 16, (value >> 8) & 255, value & 255];
}

/** @param {Colour} colour */
function hexOf(colour) {
  return `#${colour.map((part) => Math.round(part).toString(16).padStart(2, "0")).join("")}`;
}

/** Relative luminance, as WCAG defines it. @param {Colour} colour */
function luminance(colour) {
  const [red, green, blue] = colour.map((part) => {
    const share = part / 255;
    return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
}

/** The contrast of two colours, 1 to 21. @param {string} one @param {string} other */
export function contrast(one, other) {
  const [low, high] = [one, other].map((hex) => luminance(readColour(hex))).sort((a, b) => a - b);
  return (high + 0.05) / (low + 0.05);
}

/** @param {string} from @param {string} to @param {number} share of `to`, 0 to 1 */
function mix(from, to, share) {
  const [a, b] = [readColour(from), readColour(to)];
  return hexOf(/** @type {Colour} */ (a.map((part, index) => part + (b[index] - part) * share)));
}

/**
 * The colour nearest to `hex` that can be read on all surfaces.
 * @param {string} hex
 * @param {readonly string[]} surfaces
 * @param {string} towards black or white
 */
function readable(hex, surfaces, towards) {
  for (let step = 0; step <= STEPS; step++) {
    const candidate = mix(hex, towards, step / STEPS);
    if (surfaces.every((surface) => contrast(candidate, surface) >= LEAST_CONTRAST)) {
      return candidate;
    }
  }
  return towards;
}

/**
 * The colours of the pages for a clinic's colour.
 * @param {string} hex
 * @param {"light" | "dark"} scheme
 * @returns {Palette}
 */
export function paletteOf(hex, scheme) {
  const towards = scheme === "light" ? "#000000" : "#ffffff";
  const surfaces = SURFACES[scheme];
  const brand = readable(hex, [...surfaces, INK[scheme]], towards);
  const soft = mix(surfaces[1], brand, SOFT_SHARE);
  return { brand, onBrand: INK[scheme], soft, onSoft: readable(brand, [soft], towards) };
}
