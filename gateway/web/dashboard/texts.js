// The texts of the dashboard, in both languages.

import { minutesText } from "../shared/times.js";

/** @typedef {import("./load.js").Band} Band */

/** A wait that has only begun is more than nothing. @param {number} minutes */
const waitText = (minutes) => (minutes ? minutesText(minutes) : "<\u00a01\u00a0min");

/** @param {number} count @param {string} one @param {string} many */
const enCount = (count, one, many) => `${count} ${count === 1 ? one : many}`;
/**
 * Zero takes the singular in French.
 * @param {number} count
 * @param {string} one
 * @param {string} many
 */
const frCount = (count, one, many) => `${count} ${count < 2 ? one : many}`;

const en = {
  title: "Dashboard",
  minutes: waitText,
  now: "Right now",
  waiting: "Waiting",
  waitingHint: "in all lines",
  longest: "Longest wait",
  median: "Median wait",
  medianHint: "half have waited longer than this",
  called: "Called",
  served: "Served",
  lastHour: "in the last hour",
  /** @param {string} time */
  since: (time) => `since ${time}`,
  nobodyWaits: "nobody is waiting",
  /** @type {Record<Band, string>} */
  bands: { 0: "", 1: "high", 2: "very high" },
  queues: "Lines",
  queue: "Line",
  state: "State",
  /** @type {Record<"open" | "paused" | "closed", string>} */
  queueStates: { open: "Open", paused: "Paused", closed: "Closed" },
  urgency: "By urgency",
  /** @param {number} count */
  routine: (count) => `${count}\u00a0routine`,
  /** @param {number} count @param {number} [level] named where there are several */
  urgent: (count, level) => `${count}\u00a0urgent${level ? ` (level\u00a0${level})` : ""}`,
  /** @type {Record<import("./load.js").QueueFilter, string>} */
  queueFilters: { all: "All", waiting: "Waiting", high: "High" },
  /** @param {string} title */
  filterOf: (title) => `Show: ${title}`,
  noneShown: "None right now.",
  stations: "Rooms and counters",
  /** @type {Record<"idle" | "busy" | "closed", string>} */
  stationStates: { idle: "Free", busy: "In use", closed: "Closed" },
  all: "All",
  /** @param {string} labels */
  withText: (labels) => `with ${labels}`,
  /** @param {number} busy @param {number} open */
  stationsBusy: (busy, open) => `${busy} of ${open} open rooms in use`,
  none: "None yet.",
  appointments: "Appointments today",
  due: "Due",
  late: "Late (of those due)",
  arrived: "Arrived",
  fulfilled: "Completed",
  noShow: "No-shows",
  cancelled: "Cancelled",
  curve: "Today by quarter hour",
  curveArrived: "Arrived",
  curveServed: "Served",
  curveCalled: "Called",
  curveBooked: "Booked",
  curveTime: "Time",
  curveNow: "now",
  /** @param {number} arrived @param {number} served @param {number} booked */
  curveSummary: (arrived, served, booked) =>
    `${enCount(arrived, "person", "people")} arrived, ${served} served, ` +
    `${enCount(booked, "appointment", "appointments")} booked.`,
  asTable: "Show as a table",
  facts: "Updates from other systems today",
  /** @param {number} ignored @param {number} all */
  factsText: (ignored, all) =>
    `${enCount(all, "update", "updates")} received from other systems today` +
    (ignored ? `; ${ignored} ignored in whole or in part` : ""),
  /** @param {number} repeated @param {number} stale @param {number} overruled */
  factsParts: (repeated, stale, overruled) =>
    `${repeated} already known, ${stale} out of date, ${overruled} overridden by the front desk`,
  pause: "Pause",
  resume: "Resume",
  /** @param {string} time */
  // English times end in a full stop of their own: "p.m."
  paused: (time) => `Paused at ${time}${time.endsWith(".") ? "" : "."} Figures are frozen.`,
  /** @param {number} changes @param {number} shown @param {number} waiting */
  meanwhile: (changes, shown, waiting) => {
    const moved = shown === waiting ? "" : ` Waiting is now ${waiting}, not ${shown}.`;
    return changes
      ? `Since then, ${enCount(changes, "entry has", "entries have")} changed.${moved}`
      : "Nothing has changed since.";
  },
  /** @param {number} waiting @param {string | undefined} longest */
  say: (waiting, longest) =>
    `${enCount(waiting, "person is", "people are")} waiting` +
    `${longest ? `, longest wait ${longest}` : ""}.`,
  notes: {
    missing: [
      "Open the link you were given",
      "This link doesn’t say which location to show. Your administrator can give you the full one.",
    ],
    refused: [
      "This link doesn’t work here",
      "It may have expired, or it is for another location. Your administrator can give you a new " +
        "one.",
    ],
    unreachable: [
      "We can’t reach the clinic right now",
      "We keep trying. Live figures appear once we’re connected.",
    ],
  },
};

/** @typedef {typeof en} Texts */

/** @type {Texts} */
const fr = {
  title: "Tableau de bord",
  minutes: waitText,
  now: "En ce moment",
  waiting: "En attente",
  waitingHint: "dans toutes les files",
  longest: "Attente la plus longue",
  median: "Attente médiane",
  medianHint: "la moitié attend depuis plus longtemps",
  called: "Appels",
  served: "Personnes vues",
  lastHour: "dans la dernière heure",
  since: (time) => `depuis ${time}`,
  nobodyWaits: "personne n’attend",
  bands: { 0: "", 1: "élevé", 2: "très élevé" },
  queues: "Files",
  queue: "File",
  state: "État",
  queueStates: { open: "Ouverte", paused: "En pause", closed: "Fermée" },
  urgency: "Par urgence",
  routine: (count) => `${count}\u00a0${count < 2 ? "courant" : "courants"}`,
  urgent: (count, level) =>
    `${count}\u00a0${count < 2 ? "urgent" : "urgents"}${level ? ` (niveau\u00a0${level})` : ""}`,
  queueFilters: { all: "Toutes", waiting: "En attente", high: "Élevé" },
  filterOf: (title) => `Afficher : ${title}`,
  noneShown: "Aucune pour l’instant.",
  stations: "Salles et comptoirs",
  stationStates: { idle: "Libre", busy: "Occupé", closed: "Fermé" },
  all: "Toutes",
  withText: (labels) => `avec ${labels}`,
  stationsBusy: (busy, open) =>
    `${frCount(busy, "salle occupée", "salles occupées")} sur ` +
    frCount(open, "ouverte", "ouvertes"),
  none: "Aucune pour l’instant.",
  appointments: "Rendez-vous du jour",
  due: "Attendus",
  late: "En retard (parmi les attendus)",
  arrived: "Arrivés",
  fulfilled: "Terminés",
  noShow: "Absences",
  cancelled: "Annulés",
  curve: "La journée par quart d’heure",
  curveArrived: "Arrivées",
  curveServed: "Personnes vues",
  curveCalled: "Appels",
  curveBooked: "Rendez-vous",
  curveTime: "Heure",
  curveNow: "maintenant",
  curveSummary: (arrived, served, booked) =>
    `${frCount(arrived, "arrivée", "arrivées")}, ` +
    `${frCount(served, "personne vue", "personnes vues")}, ${booked} rendez-vous.`,
  asTable: "Afficher en tableau",
  facts: "Mises à jour d’autres systèmes aujourd’hui",
  factsText: (ignored, all) =>
    `${frCount(all, "mise à jour reçue", "mises à jour reçues")} d’autres systèmes aujourd’hui` +
    (ignored ? `; ${frCount(ignored, "ignorée", "ignorées")} en tout ou en partie` : ""),
  factsParts: (repeated, stale, overruled) =>
    `${frCount(repeated, "déjà connue", "déjà connues")}, ` +
    `${frCount(stale, "périmée", "périmées")}, ` +
    `${frCount(overruled, "corrigée", "corrigées")} par l’accueil`,
  pause: "Pause",
  resume: "Reprendre",
  paused: (time) => `En pause depuis ${time}. Les chiffres sont figés.`,
  meanwhile: (changes, shown, waiting) => {
    const moved =
      shown === waiting ? "" : ` En attente : ${waiting} maintenant, ${shown} affichés.`;
    return changes
      ? `Depuis, ${frCount(changes, "élément a changé", "éléments ont changé")}.${moved}`
      : "Rien n’a changé depuis.";
  },
  say: (waiting, longest) =>
    `${frCount(waiting, "personne attend", "personnes attendent")}` +
    `${longest ? `; attente la plus longue : ${longest}` : ""}.`,
  notes: {
    missing: [
      "Ouvrez le lien qu’on vous a remis",
      "Ce lien n’indique pas quel établissement afficher. Votre administrateur peut vous donner " +
        "le lien complet.",
    ],
    refused: [
      "Ce lien ne fonctionne pas ici",
      "Il est peut-être expiré ou destiné à un autre établissement. Votre administrateur peut " +
        "vous en donner un nouveau.",
    ],
    unreachable: [
      "La clinique est injoignable pour l’instant",
      "Nous continuons d’essayer. Les chiffres s’afficheront dès que la connexion sera établie.",
    ],
  },
};

/** @type {Record<import("../shared/language.js").Language, Texts>} */
export const dashboardTexts = { fr, en };
