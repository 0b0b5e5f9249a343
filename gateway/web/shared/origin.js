// What a page says when its server takes it for a foreign one: a proxy in front changes the address
// under which the page was asked for.

const CODES = new Set(["origin_mismatch", "origin_not_allowed", "host_not_allowed"]);

/**
 * Whether the server refused the page for its address, and not for its link.
 * @param {string} code
 */
export function isOriginProblem(code) {
  return CODES.has(code);
}

// Tests without a browser have no address.
const origin = globalThis.location?.origin ?? "https://…";

/**
 * A title, and what to do, for the person who runs the server.
 * @type {Record<import("./language.js").Language, [string, string]>}
 */
export const originTexts = {
  en: [
    "This address isn’t set up yet",
    `Your link is fine. The server doesn’t know that people reach it at ${origin}. For the ` +
      `person who runs it: have the proxy pass the Host header on unchanged, or start the ` +
      `gateway with --origin ${origin}.`,
  ],
  fr: [
    "Cette adresse n’est pas encore configurée",
    `Votre lien est bon. Le serveur ne sait pas qu’on le joint à l’adresse ${origin}. Pour la ` +
      `personne qui l’exploite : le serveur mandataire doit transmettre l’en-tête Host sans le ` +
      `modifier, ou la passerelle doit être lancée avec --origin ${origin}.`,
  ],
};
