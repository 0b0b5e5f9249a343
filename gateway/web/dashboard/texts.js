// Every text of the clinician's dashboard, in both languages.

import { minutesText } from "../shared/texts.js";

/** @typedef {import("../shared/page.js").Language} Language */
/** @typedef {import("./load.js").Band} Band */

/** @param {string} tag how a clinic here writes times and days @param {string} to between two times */
function formats(tag, to) {
  /** @param {number} ms @param {string} timeZone @param {Intl.DateTimeFormatOptions} options */
  const format = (ms, timeZone, options) => new Intl.DateTimeFormat(tag, { timeZone, ...options }).format(ms);
  return {
    /** @param {number} ms @param {string} timeZone */
    time: (ms, timeZone) => format(ms, timeZone, { hour: "numeric", minute: "2-digit" }),
    /** @param {number} from @param {number} until @param {string} timeZone */
    span: (from, until, timeZone) => [from, until].map((ms) => format(ms, timeZone, { hour: "numeric", minute: "2-digit" })).join(to),
    /** @param {number} ms @param {string} timeZone */
    hour: (ms, timeZone) => format(ms, timeZone, { hour: "numeric" }),
    /** The service day is a date of its own, wherever one reads it. @param {string} day `YYYY-MM-DD` */
    day: (day) => format(Date.parse(`${day}T12:00:00Z`), "UTC", { weekday: "long", day: "numeric", month: "long" }),
  };
}

/** A wait that has only begun is not nothing. @param {number} minutes */
const waitText = (minutes) => (minutes ? minutesText(minutes) : "<\u00a01\u00a0min");

/** @param {number} count @param {string} one @param {string} many */
const en1 = (count, one, many) => `${count} ${count === 1 ? one : many}`;
/** Nought is one in French. @param {number} count @param {string} one @param {string} many */
const fr1 = (count, one, many) => `${count} ${count < 2 ? one : many}`;

const en = {
  ...formats("en-CA", " to "),
  title: "Dashboard",
  minutes: waitText,
  now: "Right now",
  waiting: "Waiting",
  waitingHint: "in all lines",
  longest: "Longest wait",
  median: "Median wait",
  medianHint: "half have waited longer",
  called: "Called",
  served: "Served",
  lastHour: "in the last hour",
  /** @param {string} time */
  since: (time) => `since ${time}`,
  nobodyWaits: "nobody waits",
  /** @type {Record<Band, string>} */
  bands: { 0: "", 1: "high", 2: "very high" },
  queues: "Lines",
  queue: "Line",
  state: "State",
  /** @type {Record<"open" | "paused" | "closed", string>} */
  queueStates: { open: "Open", paused: "Paused", closed: "Closed" },
  urgency: "By urgency",
  /** @param {number} priority @param {number} count */
  urgencyOf: (priority, count) => (priority ? `${count}\u00a0at\u00a0level\u00a0${priority}` : `${count}\u00a0usual`),
  stations: "Rooms and counters",
  /** @type {Record<"idle" | "busy" | "closed", string>} */
  stationStates: { idle: "Free", busy: "Busy", closed: "Closed" },
  /** @param {string} labels */
  withText: (labels) => `with ${labels}`,
  /** @param {number} busy @param {number} open */
  stationsBusy: (busy, open) => `${busy} of ${open} open are busy`,
  none: "None yet.",
  appointments: "Appointments today",
  due: "Due",
  late: "of these late",
  arrived: "Arrived",
  fulfilled: "Fulfilled",
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
  curveSummary: (arrived, served, booked) => `${en1(arrived, "person", "people")} arrived, ${served} served, ${en1(booked, "appointment", "appointments")}.`,
  asTable: "The same as a table",
  facts: "Messages from other systems today",
  /** @param {number} ignored @param {number} all */
  factsText: (ignored, all) => `${ignored} of ${en1(all, "message", "messages")} from other systems changed nothing or not everything today`,
  /** @param {number} repeated @param {number} stale @param {number} overruled */
  factsParts: (repeated, stale, overruled) => `${repeated} known already, ${stale} older than what is known, ${overruled} not believed because the desk knew better`,
  pause: "Pause",
  goOn: "Go on",
  /** @param {string} time */
  paused: (time) => `Paused at ${time}. What you see stands still.`,
  /** @param {number} changes @param {number} shown @param {number} waiting */
  meanwhile: (changes, shown, waiting) => {
    const moved = shown === waiting ? "" : ` Waiting is now ${waiting}, not ${shown}.`;
    return changes ? `Since then ${en1(changes, "entry has", "entries have")} changed.${moved}` : "Nothing has changed since.";
  },
  /** @param {string} time */
  asOf: (time) => `as of ${time}`,
  /** @param {string} time */
  changedAt: (time) => `last change ${time}`,
  /** @param {number} waiting @param {string | undefined} longest */
  say: (waiting, longest) => `${en1(waiting, "person waits", "people wait")}${longest ? `, the longest for ${longest}` : ""}.`,
  notes: {
    missing: ["Open the link you were given", "This page shows one location, and this link names none or carries no key."],
    refused: ["This link doesn’t work here", "It may have expired, or it is for another location. Your administrator can give you a new one."],
    unreachable: ["We can’t reach the clinic yet", "We keep trying. Nothing is shown until it is true."],
  },
};

/** @typedef {typeof en} Texts */

/** @type {Texts} */
const fr = {
  ...formats("fr-CA", " à "),
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
  urgencyOf: (priority, count) => (priority ? `${count}\u00a0de\u00a0niveau\u00a0${priority}` : `${count}\u00a0${count < 2 ? "courant" : "courants"}`),
  stations: "Salles et comptoirs",
  stationStates: { idle: "Libre", busy: "Occupé", closed: "Fermé" },
  withText: (labels) => `avec ${labels}`,
  stationsBusy: (busy, open) => `${busy} sur ${fr1(open, "ouvert", "ouverts")} ${busy < 2 ? "occupé" : "occupés"}`,
  none: "Rien pour l’instant.",
  appointments: "Rendez-vous du jour",
  due: "Attendus",
  late: "dont en retard",
  arrived: "Arrivés",
  fulfilled: "Terminés",
  noShow: "Absents",
  cancelled: "Annulés",
  curve: "La journée par quart d’heure",
  curveArrived: "Arrivées",
  curveServed: "Personnes vues",
  curveCalled: "Appels",
  curveBooked: "Rendez-vous",
  curveTime: "Heure",
  curveNow: "maintenant",
  curveSummary: (arrived, served, booked) => `${fr1(arrived, "arrivée", "arrivées")}, ${fr1(served, "personne vue", "personnes vues")}, ${booked} rendez-vous.`,
  asTable: "Les mêmes chiffres en tableau",
  facts: "Messages d’autres systèmes aujourd’hui",
  factsText: (ignored, all) => `${ignored} sur ${fr1(all, "message", "messages")} d’autres systèmes n’ont rien changé, ou pas tout, aujourd’hui`,
  factsParts: (repeated, stale, overruled) => `${fr1(repeated, "déjà connu", "déjà connus")}, ${fr1(stale, "plus ancien", "plus anciens")} que ce qui est connu, ${fr1(overruled, "écarté", "écartés")} parce que l’accueil savait mieux`,
  pause: "Pause",
  goOn: "Reprendre",
  paused: (time) => `En pause depuis ${time}. L’écran est figé.`,
  meanwhile: (changes, shown, waiting) => {
    const moved = shown === waiting ? "" : ` En attente : ${waiting} maintenant, ${shown} à l’écran.`;
    return changes ? `Depuis, ${fr1(changes, "élément a changé", "éléments ont changé")}.${moved}` : "Rien n’a changé depuis.";
  },
  asOf: (time) => `situation à ${time}`,
  changedAt: (time) => `dernier changement à ${time}`,
  say: (waiting, longest) => `${fr1(waiting, "personne attend", "personnes attendent")}${longest ? `, la plus longue attente est de ${longest}` : ""}.`,
  notes: {
    missing: ["Ouvrez le lien qu’on vous a remis", "Cette page montre un lieu, et ce lien n’en nomme aucun ou n’a pas de clé."],
    refused: ["Ce lien ne fonctionne pas ici", "Il est peut-être expiré ou destiné à un autre lieu. Votre administrateur peut vous en donner un autre."],
    unreachable: ["La clinique est injoignable pour l’instant", "Nous continuons d’essayer. Rien n’est montré avant d’être vrai."],
  },
};

/** @type {Record<Language, Texts>} */
export const texts = { fr, en };
