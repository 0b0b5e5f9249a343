// The paper slip of a ticket: its number and the QR code of its link, printed by the browser.

import { byId } from "../shared/look/page.js";
import { exchangeLink } from "../shared/credentials/ticket-link.js";

/** @typedef {import("../shared/visit/scan.js").Result} Result */

/**
 * The QR code of a ticket's link. The patient's own token reads it.
 * @param {string} link the key of the link
 */
async function codeOf(link) {
  const patient = await exchangeLink({ link });
  if ("code" in patient) throw new Error(patient.code);
  const response = await fetch(`v1/tickets/${encodeURIComponent(patient.ticket)}/link.svg`, {
    headers: { authorization: `Bearer ${patient.token}` },
    cache: "no-store",
  });
  if (!response.ok) throw new Error(String(response.status));
  const svg = new DOMParser().parseFromString(await response.text(), "image/svg+xml");
  return document.importNode(svg.documentElement, true);
}

/**
 * Prints a slip for each ticket.
 * @param {Result[]} results
 * @param {{place: string, caption: string, at: string}} texts
 */
export async function printSlips(results, { place, caption, at }) {
  const slips = await Promise.all(
    results.map(async ({ label = "", link }) => {
      const slip = document.createElement("section");
      slip.className = "slip";
      const number = document.createElement("strong");
      number.textContent = label;
      const code = document.createElement("p");
      code.textContent = link?.code ?? "";
      const line = (/** @type {string} */ text) => {
        const made = document.createElement("p");
        made.textContent = text;
        return made;
      };
      slip.append(
        line(place),
        line(caption),
        number,
        await codeOf(link?.key ?? ""),
        code,
        line(at),
      );
      return slip;
    }),
  );
  byId("slips").replaceChildren(...slips);
  print();
}
