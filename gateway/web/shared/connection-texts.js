// The texts about the connection of a page, in both languages.

const en = {
  connecting: "Connecting…",
  live: "Live",
  reconnecting: "Reconnecting…",
  notConnected: "Not connected",
  finished: "Finished",
  /** A title and a text. */
  expired: [
    "This link has expired",
    "Links end after a while. The clinic, or whoever gave you this one, can give you a new one.",
  ],
  /** @param {string} time */
  changedAt: (time) => `last change ${time}`,
  /** @param {string} time */
  asOf: (time) => `as of ${time}`,
  /** @param {string} age */
  lost: (age) => `Connection lost ${age} ago. This page may be out of date; we keep trying.`,
  /** @param {string} age */
  stale: (age) => `No news for ${age}. This page may be out of date; we keep trying.`,
};

/** @type {typeof en} */
const fr = {
  connecting: "Connexion…",
  live: "En direct",
  reconnecting: "Reconnexion…",
  notConnected: "Hors connexion",
  finished: "Terminé",
  expired: [
    "Ce lien est expiré",
    "Un lien ne dure qu’un temps. La clinique, ou la personne qui vous l’a remis, peut vous en " +
      "donner un nouveau.",
  ],
  changedAt: (time) => `dernier changement à ${time}`,
  asOf: (time) => `situation à ${time}`,
  lost: (age) =>
    `Connexion perdue il y a ${age}. Cette page n’est peut-être plus à jour; nous continuons ` +
    `d’essayer.`,
  stale: (age) =>
    `Aucune nouvelle depuis ${age}. Cette page n’est peut-être plus à jour; nous continuons ` +
    `d’essayer.`,
};

/** @type {Record<import("./language.js").Language, typeof en>} */
export const connectionTexts = { fr, en };
