// The texts of the board, in both languages.

import { originTexts } from "../shared/origin.js";

const en = {
  title: "Waiting room",
  nowCalling: "Now calling",
  nobody: "No one is being called right now",
  waiting: "Waiting",
  recent: "Called earlier",
  moves: "Being moved",
  isNew: "New",
  again: "Again",
  paused: "paused",
  closed: "closed",
  soundOff: "Sound is off",
  startSound: "Turn sound on",
  soundOn: "Sound is on",
  /** @param {string} age */
  lost: (age) => `Not connected for ${age}. Calls may be missing.`,
  hidden: [
    "This screen is not up to date",
    "Please listen for your number, or ask at the front desk.",
  ],
  origin: originTexts.en,
  refused: [
    "This screen needs a new link",
    "Its link is missing or has expired. To know your place in line, please ask at the front desk.",
  ],
  /** @param {string} label @param {string} station */
  announce: (label, station) => `${label}: ${station}`,
  /** What a voice says. @param {string} label @param {string} station */
  speak: (label, station) => `Ticket ${label}. Please go to ${station}.`,
};

/** @type {typeof en} */
const fr = {
  title: "Salle d’attente",
  nowCalling: "Appels en cours",
  nobody: "Aucun appel pour le moment",
  waiting: "En attente",
  recent: "Appels précédents",
  moves: "Transferts",
  isNew: "Nouveau",
  again: "Rappel",
  paused: "en pause",
  closed: "fermée",
  soundOff: "Le son est désactivé",
  startSound: "Activer le son",
  soundOn: "Le son est activé",
  lost: (age) => `Hors connexion depuis ${age}. Il peut manquer des appels.`,
  hidden: [
    "Cet écran n’est pas à jour",
    "Écoutez bien l’appel de votre numéro ou adressez-vous à l’accueil.",
  ],
  origin: originTexts.fr,
  refused: [
    "Cet écran a besoin d’un nouveau lien",
    "Son lien manque ou est expiré. Pour connaître votre place dans la file, adressez-vous à " +
      "l’accueil.",
  ],
  announce: (label, station) => `${label} : ${station}`,
  speak: (label, station) => `Billet ${label}. Présentez-vous ici : ${station}.`,
};

/** @type {Record<import("../shared/language.js").Language, typeof en>} */
export const boardTexts = { fr, en };
