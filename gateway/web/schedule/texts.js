// The texts of the page of a doctor's schedule, in both languages.

const en = {
  title: "Appointments",
  /** @param {number} all @param {number} here @param {number} over */
  summary: (all, here, over) =>
    `${all} ${all === 1 ? "appointment" : "appointments"}: ${all - here - over} to come, ` +
    `${here} here, ${over} over`,
  time: "Time",
  who: "Patient",
  status: "Status",
  ticket: "Ticket",
  inService: "Being seen",
  late: "late",
  /** @param {number} minutes */
  delay: (minutes) => `About ${minutes}\u00a0min behind`,
  onTime: "On time",
  noTime: "no time yet",
  nobody: "No appointments on this day.",
  /** @param {string} label @param {string} status */
  changed: (label, status) => `${label}: ${status}`,
  notes: {
    missing: [
      "Open the link you were given",
      "This link doesn’t say which doctor’s day to show. Your administrator can give you the " +
        "full one.",
    ],
    refused: [
      "This link doesn’t work here",
      "It may have expired, or it is for another doctor or location. Your administrator can " +
        "give you a new one.",
    ],
    unreachable: [
      "We can’t reach the clinic right now",
      "We keep trying. The schedule appears once we’re connected.",
    ],
    unknown: [
      "No appointments today",
      "This doctor has no appointments on this day. The schedule appears with the first one.",
    ],
  },
};

/** @type {typeof en} */
const fr = {
  title: "Rendez-vous",
  summary: (all, here, over) =>
    `${all} rendez-vous : ${all - here - over} à venir, ${here} sur place, ` +
    `${over} ${over < 2 ? "passé" : "passés"}`,
  time: "Heure",
  who: "Patient",
  status: "État",
  ticket: "Billet",
  inService: "En consultation",
  late: "en retard",
  delay: (minutes) => `Environ ${minutes}\u00a0min de retard`,
  onTime: "À l’heure",
  noTime: "sans heure",
  nobody: "Aucun rendez-vous ce jour-là.",
  changed: (label, status) => `${label} : ${status}`,
  notes: {
    missing: [
      "Ouvrez le lien qu’on vous a remis",
      "Ce lien n’indique pas quelle journée de médecin afficher. Votre administrateur peut vous " +
        "donner le lien complet.",
    ],
    refused: [
      "Ce lien ne fonctionne pas ici",
      "Il est peut-être expiré ou destiné à un autre médecin ou à un autre établissement. Votre " +
        "administrateur peut vous en donner un nouveau.",
    ],
    unreachable: [
      "La clinique est injoignable pour l’instant",
      "Nous continuons d’essayer. L’horaire s’affichera dès que la connexion sera établie.",
    ],
    unknown: [
      "Aucun rendez-vous aujourd’hui",
      "Ce médecin n’a pas de rendez-vous ce jour-là. L’horaire s’affichera dès le premier.",
    ],
  },
};

/** @type {Record<import("../shared/language.js").Language, typeof en>} */
export const scheduleTexts = { fr, en };
