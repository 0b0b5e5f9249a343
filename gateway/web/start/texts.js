// The texts of the start page. Its English sentences stand in its HTML, so that it says what it is
// without scripts; `sentences` has them in the other languages.

import { minutesText } from "../shared/times.js";

/** @typedef {import("../shared/language.js").Language} Language */
/** @typedef {Record<Exclude<Language, "en">, Record<string, string>>} Sentences */

/** By the `data-text` of the element. @type {Sentences} */
export const sentences = {
  fr: {
    headline: "Chacun, à la clinique, sait ce qui vient ensuite.",
    lead:
      "Les patients voient leur place dans la file, la salle d’attente voit qui est appelé, et " +
      "l’équipe voit si la journée est chargée, au moment même où cela change.",
    demo:
      "Cette démonstration est en direct : des patients simulés arrivent, attendent et sont vus. " +
      "Tous les noms, numéros et demandes de paiement sont inventés.",
    "no-demo":
      "Ces pages s’ouvrent par un lien ou un code que la clinique remet. Sans lui, chacune dit " +
      "où l’obtenir.",
    desk: "Accueil",
    "desk-title": "Prenez la place de l’accueil",
    "desk-text":
      "Ouvrez côte à côte quelques-unes des pages ci-dessous. Puis appuyez ici sur un bouton : " +
      "toutes les pages suivent.",
    line: "File",
    room: "Salle",
    call: "Appeler le suivant",
    appointment: "Rendez-vous",
    "check-in": "Inscrire",
    "desk-console": "Ouvrir la console de l’accueil",
    reception: "Ouvrir le tableau de bord de l’accueil",
    patients: "Patients",
    "ticket-title": "Un billet",
    "ticket-text":
      "Un billet, sans application ni compte : le nombre de personnes devant, l’attente estimée, " +
      "et un appel clair avec la salle où aller.",
    "ticket-link": "Suivre un billet",
    "appointment-title": "Un rendez-vous",
    "appointment-text":
      "L’heure, le retard du médecin et, après l’inscription, la place dans la file, sur une " +
      "même page.",
    "appointment-link": "Suivre un rendez-vous",
    "sample-ahead": "3 devant",
    "sample-time": "10 h 20",
    "sample-state": "prévu",
    "sample-room": "Salle 3",
    "sample-1": "9 h 20",
    "sample-2": "9 h 40",
    "sample-3": "10 h 00",
    "sample-seen": "en consultation",
    "sample-here": "inscrit",
    "sample-booked": "prévu",
    waiting: "Salle d’attente",
    "board-title": "L’écran de la salle d’attente",
    "board-text":
      "Qui est appelé et où aller, lisible du fond de la salle, avec un son doux. Des numéros et " +
      "des salles seulement : jamais un nom, un motif ou un médecin.",
    "board-link": "Ouvrir l’écran",
    clinicians: "Équipe soignante",
    "waiting-word": "en attente",
    "dashboard-title": "Le tableau de bord",
    "dashboard-text":
      "Si la clinique est chargée : qui attend où et depuis quand, quelles salles sont libres, " +
      "et ce qui reste à venir aujourd’hui. Les chiffres changent au plus une fois par seconde, " +
      "et se figent quand on appuie sur Pause.",
    "dashboard-link": "Ouvrir le tableau de bord",
    "console-link": "Appeler et voir les patients",
    "schedule-title": "L’horaire d’un médecin",
    "schedule-text":
      "Les rendez-vous d’un médecin aujourd’hui : qui est là, qui est en retard, qui a été " +
      "appelé, et le retard de la journée.",
    "schedule-link": "Ouvrir l’horaire",
    billing: "Facturation",
    errors: "12 erreurs",
    "claims-title": "Vérification des demandes",
    "claims-text":
      "Un mois de demandes de paiement, vérifiées sous vos yeux : les erreurs à corriger et les " +
      "oublis possibles, chacun avec sa ligne et sa règle, et jamais le nom d’un patient.",
    "claims-link": "Vérifier un fichier",
    sample: "Télécharger un exemple",
    watch: "Observer sans modifier",
    "lost-title": "Rien ne se perd",
    "lost-text":
      "Qu’un téléphone s’endorme, qu’un serveur tombe ou qu’un immeuble entier se reconnecte " +
      "d’un coup, chaque écran reprend où il en était.",
    "stale-title": "Jamais périmé en silence",
    "stale-text": "Si la connexion tombe, la page le dit, et depuis quand.",
    "private-title": "Chacun ne voit que ce qui le regarde",
    "private-text":
      "Un patient voit sa place et celle de personne d’autre. La clé d’un lien n’entre jamais " +
      "dans le journal d’un serveur.",
    terminal: "Pour les développeurs : suivre la salle d’attente dans un terminal",
    "terminal-text": "Le jeton de cette commande n’ouvre que cette démonstration.",
  },
};

/** Codes of refusals in words, for people who do not work at a front desk. */
const refusals = {
  en: {
    queue_empty: "Nobody is waiting in that line. Choose another one, or wait for someone to come.",
    queue_paused: "That line is paused. Choose another one.",
    queue_not_open: "That line is closed. Choose another one.",
    location_full: "Too many people are waiting here already. Try again in a moment.",
    station_closed: "That room is closed. Choose another one.",
    station_busy:
      "Someone was just called to that room and hasn’t come in yet. Choose another one.",
    already_checked_in: "That appointment is already checked in. Choose another one.",
    appointment_over: "That appointment is over. Choose another one.",
    no_appointment: "That appointment no longer exists. Choose another one.",
    too_early: "It’s too early to check in for that appointment. Choose an earlier one.",
    appointment_expired: "The time to check in for that appointment has passed. Choose another.",
    wrong_location: "That appointment is at another location. Choose another one.",
    too_many_visits: "That appointment was checked in too often. Choose another one.",
    unreachable: "We can’t reach the clinic right now. Please try again in a moment.",
  },
  fr: {
    queue_empty: "Personne n’attend dans cette file. Choisissez-en une autre, ou patientez un peu.",
    queue_paused: "Cette file est en pause. Choisissez-en une autre.",
    queue_not_open: "Cette file est fermée. Choisissez-en une autre.",
    location_full: "Trop de personnes attendent déjà ici. Réessayez dans un instant.",
    station_closed: "Cette salle est fermée. Choisissez-en une autre.",
    station_busy:
      "Quelqu’un vient d’être appelé à cette salle et n’est pas encore entré. Choisissez-en une " +
      "autre.",
    already_checked_in: "Ce rendez-vous est déjà inscrit. Choisissez-en un autre.",
    appointment_over: "Ce rendez-vous est terminé. Choisissez-en un autre.",
    no_appointment: "Ce rendez-vous n’existe plus. Choisissez-en un autre.",
    too_early: "Il est trop tôt pour inscrire ce rendez-vous. Choisissez-en un plus tôt.",
    appointment_expired:
      "L’heure de s’inscrire à ce rendez-vous est passée. Choisissez-en un autre.",
    wrong_location: "Ce rendez-vous est à un autre établissement. Choisissez-en un autre.",
    too_many_visits: "Ce rendez-vous a été inscrit trop souvent. Choisissez-en un autre.",
    unreachable: "La clinique est injoignable pour l’instant. Réessayez dans un instant.",
  },
};

const en = {
  title: "Clinicwire – live pages for a clinic",
  moreTickets: "More tickets of the demo",
  command: "Command",
  promises: "What Clinicwire promises",
  /** @param {number} ahead */
  ahead: (ahead) => (ahead ? `${ahead} ahead` : "next"),
  /** @param {number} waiting */
  waitingNow: (waiting) => `${waiting} waiting now`,
  /** @param {number} minutes */
  longestWait: (minutes) => `longest wait ${minutes ? minutesText(minutes) : "under 1\u00a0min"}`,
  nobodyWaits: "nobody is waiting",
  /** @param {number} minutes */
  behind: (minutes) => (minutes ? `${minutes}\u00a0min behind` : "on time"),
  /** @param {string} name @param {number} waiting */
  queueOption: (name, waiting) => `${name} (${waiting} waiting)`,
  /** @type {Record<string, string>} */
  stationStates: { idle: "free", busy: "in use", closed: "closed" },
  /** @param {string} text */
  late: (text) => `${text} (late)`,
  /** @param {string} label @param {string} room */
  called: (label, room) =>
    `${label} was called to ${room}. See the phone, the screen and the dashboard.`,
  /** @param {string} label */
  checkedIn: (label) =>
    `Checked in with ticket ${label}. See the schedule, the phone and the dashboard.`,
  /** @type {Record<string, string>} */
  refusals: refusals.en,
  /** @param {string} code */
  failed: (code) => `That didn’t work (${code}). Please try again in a moment.`,
};

/** @typedef {typeof en} Texts */

/** @type {Texts} */
const fr = {
  title: "Clinicwire – les pages en direct d’une clinique",
  moreTickets: "Autres billets de la démonstration",
  command: "Commande",
  promises: "Ce que Clinicwire promet",
  ahead: (ahead) => (ahead ? `${ahead} devant` : "en tête"),
  waitingNow: (waiting) => `${waiting} en attente`,
  longestWait: (minutes) =>
    `attente la plus longue : ${minutes ? minutesText(minutes) : "moins de 1\u00a0min"}`,
  nobodyWaits: "personne n’attend",
  behind: (minutes) => (minutes ? `${minutes}\u00a0min de retard` : "à l’heure"),
  queueOption: (name, waiting) => `${name} (${waiting} en attente)`,
  stationStates: { idle: "libre", busy: "occupée", closed: "fermée" },
  late: (text) => `${text} (en retard)`,
  called: (label, room) =>
    `${label} : appel vers ${room}. Voyez le téléphone, l’écran et le tableau de bord.`,
  checkedIn: (label) =>
    `Inscription faite, billet ${label}. Voyez l’horaire, le téléphone et le tableau de bord.`,
  refusals: refusals.fr,
  failed: (code) => `Cela n’a pas fonctionné (${code}). Réessayez dans un instant.`,
};

/** @type {Record<Language, Texts>} */
export const startTexts = { fr, en };
