// The banner of a person who has crossed with a token of some minutes: a super admin into another
// organisation, or staff to another location in an emergency.

import { textsOf } from "../../languages/all.js";
import { timeText } from "../words/times.js";
import { claimsOf } from "./token.js";

/** @typedef {import("../words/language.js").Language} Language */
/**
 * `location` is absent for a super admin, who sees the whole organisation.
 * @typedef {{tenant: string, location: string | undefined, until: Date}} Crossing
 */

const crossingTexts = textsOf("crossing");

/**
 * The crossing that a token names.
 * @param {string | null} token
 * @returns {Crossing | undefined}
 */
export function crossingOf(token) {
  const { crossed, role, tenant, locations, expires } = claimsOf(token);
  if (crossed !== true) return undefined;
  const isTenantWide = role === "super_admin";
  if (!isTenantWide && !Array.isArray(locations)) return undefined;
  const location = isTenantWide ? undefined : String(locations[0]);
  return { tenant: String(tenant), location, until: new Date(expires) };
}

/** @param {Crossing} crossing @param {Language} language */
export function crossingText({ tenant, location, until }, language) {
  // The sentence has a full stop of its own after "p.m."
  const time = timeText(until.getTime(), language).replace(/\.$/, "");
  return location === undefined
    ? crossingTexts[language].tenant(tenant, time)
    : crossingTexts[language].location(location, time);
}

/**
 * Puts a banner on top of the page, if the token crosses. Answers a function that writes its text.
 * @param {string | null} token
 * @returns {(language: Language) => void}
 */
export function crossingBanner(token) {
  const crossing = crossingOf(token);
  if (!crossing) return () => {};
  const banner = document.createElement("section");
  banner.className = "banner";
  banner.setAttribute("role", "status");
  const text = banner.appendChild(document.createElement("p"));
  document.body.prepend(banner);
  return (language) => {
    const next = crossingText(crossing, language);
    // Writing it again would announce it again.
    if (text.textContent !== next) text.textContent = next;
  };
}
