// The texts about a ticket, for the pages of tickets and appointments, in both languages.

import { originTexts } from "./origin.js";
import { minutesText } from "./times.js";

/** @typedef {import("./wait.js").Wait} Wait */

/** @param {number} low @param {number} high minutes */
function rangeText(low, high) {
  return high < 60 ? `${low}–${minutesText(high)}` : `${minutesText(low)} – ${minutesText(high)}`;
}

const en = {
  title: "Your place in line",
  yourTicket: "Your ticket",
  /** @param {number} ahead @returns {string} */
  ahead: (ahead) => (ahead === 1 ? "person ahead of you" : "people ahead of you"),
  next: "You’re next",
  nextHint: "Please stay close by.",
  wait: "Estimated wait",
  /** @param {Wait} wait */
  waitText: (wait) => {
    if (wait.kind === "soon") return "soon";
    if (wait.kind === "late") return "a little longer than expected";
    if (wait.kind === "within") return `within ${minutesText(wait.high)}`;
    return wait.low === wait.high
      ? `about ${minutesText(wait.low)}`
      : `about ${rangeText(wait.low, wait.high)}`;
  },
  /** Why no wait can be shown. */
  noWait: {
    paused: "once the line moves again",
    no_open_station: "once a room is open",
    not_started: "not known yet",
  },
  paused: "The line is paused for the moment. You keep your place.",
  noRoom: "No room is open for this line right now. You keep your place.",
  closed:
    "This line takes no new tickets now, but you keep your place. Questions? Please ask at the " +
    "front desk.",
  overtaking: "Someone with an urgent need may be seen before you.",
  yourTurn: "It’s your turn",
  goTo: "Please go to",
  /** @param {string} time */
  calledAt: (time) => `Called at ${time}`,
  /** @param {string} time */
  recalledAt: (time) => `Called again at ${time}`,
  alert: "Alert me when I’m called",
  alertHint: "Plays a sound, and vibrates if your phone can. Keep this page open.",
  /** @param {string} reason */
  reason: (reason) => `Reason: ${reason}`,
  /** Reasons that the system itself gives. @type {Record<string, string>} */
  ends: {
    absent_too_long: "We waited for you, and you didn’t come back in time.",
    stale: "Nobody had used this ticket for many hours.",
    day_ended: "The day at the clinic has ended.",
    check_in_undone: "The front desk has undone your check-in.",
    moved: "Your appointment has moved to another location.",
    moved_back: "Your place is at the location that you came from.",
  },
  /** @param {string} place */
  movingTo: (place) => `You’re being moved to ${place}`,
  /** Why there is no place in line to show: a title, and what it means for the patient. */
  notes: {
    in_service: ["You’re being seen", "There is nothing you need to do here for now."],
    on_hold: [
      "Your ticket is on hold",
      "The team has set it aside for a moment. Questions? Please ask at the front desk.",
    ],
    absent: ["We called you", "We didn’t see you. Please tell the front desk that you’re here."],
    leaving: [
      "You’re being moved to another location",
      "You keep your place here until they have accepted.",
    ],
    completed: ["All done", "Thank you for coming. Take care."],
    no_show: [
      "We missed you",
      "You were called, and we didn’t see you. If you’re still here, please speak with the " +
        "front desk.",
    ],
    cancelled: [
      "This ticket was cancelled",
      "If you didn’t expect this, please speak with the front desk.",
    ],
    left: ["You’ve left the line", "Changed your mind? The front desk can give you a new ticket."],
    transferred: [
      "Your place has moved",
      "You’re expected at another location. The front desk can give you the link to your new " +
        "ticket.",
    ],
    missing: [
      "Open the link from your ticket",
      "This link doesn’t say which ticket to show. Please scan the code on your ticket again, " +
        "or ask at the front desk.",
    ],
    origin: originTexts.en,
    refused: [
      "This link no longer works",
      "It may have expired. The front desk can give you a new one and tell you your place in line.",
    ],
    expired: [
      "This link has expired",
      "Links end some time after the visit. Still waiting? The front desk can give you a new one " +
        "and tell you your place in line.",
    ],
    outdated: [
      "Your place may have changed",
      "We lost the connection over five minutes ago, and keep trying. Please listen for your " +
        "number, or ask at the front desk.",
    ],
    unreachable: [
      "We can’t reach the clinic right now",
      "We keep trying. Please listen for your number in the meantime.",
    ],
  },
};

/** @type {typeof en} */
const fr = {
  title: "Votre place dans la file",
  yourTicket: "Votre billet",
  ahead: (ahead) => (ahead === 1 ? "personne devant vous" : "personnes devant vous"),
  next: "Vous êtes en tête de file",
  nextHint: "Restez à proximité, s’il vous plaît.",
  wait: "Attente estimée",
  waitText: (wait) => {
    if (wait.kind === "soon") return "bientôt";
    if (wait.kind === "late") return "un peu plus longue que prévu";
    if (wait.kind === "within") return `moins de ${minutesText(wait.high)}`;
    return wait.low === wait.high
      ? `environ ${minutesText(wait.low)}`
      : `environ ${rangeText(wait.low, wait.high)}`;
  },
  noWait: {
    paused: "dès que la file reprendra",
    no_open_station: "dès qu’une salle ouvrira",
    not_started: "pas encore connue",
  },
  paused: "La file est en pause pour le moment. Vous gardez votre place.",
  noRoom: "Aucune salle n’est ouverte pour cette file en ce moment. Vous gardez votre place.",
  closed:
    "Cette file ne prend plus de nouveaux billets, mais vous gardez votre place. Des questions? " +
    "Adressez-vous à l’accueil.",
  overtaking: "Une personne dont l’état est urgent peut passer avant vous.",
  yourTurn: "C’est à vous",
  goTo: "Présentez-vous ici",
  calledAt: (time) => `Appel à ${time}`,
  recalledAt: (time) => `Nouvel appel à ${time}`,
  alert: "M’avertir quand ce sera mon tour",
  alertHint:
    "Par un son, et une vibration si votre téléphone le permet. Gardez cette page ouverte.",
  reason: (reason) => `Motif : ${reason}`,
  ends: {
    absent_too_long: "On vous a attendu, mais vous n’êtes pas revenu à temps.",
    stale: "Personne n’avait utilisé ce billet depuis des heures.",
    day_ended: "La journée de la clinique est terminée.",
    check_in_undone: "L’accueil a annulé votre inscription.",
    moved: "Votre rendez-vous a changé d’établissement.",
    moved_back: "Votre place est à l’établissement d’où vous veniez.",
  },
  movingTo: (place) => `On vous transfère vers ${place}`,
  notes: {
    in_service: ["On s’occupe de vous", "Vous n’avez rien à faire ici pour l’instant."],
    on_hold: [
      "Votre billet est mis de côté",
      "L’équipe y reviendra sous peu. Des questions? Adressez-vous à l’accueil.",
    ],
    absent: [
      "Votre numéro a été appelé",
      "Personne ne s’est présenté. Dites à l’accueil que vous êtes là.",
    ],
    leaving: [
      "On vous transfère vers un autre établissement",
      "Vous gardez votre place ici jusqu’à ce qu’on vous y accepte.",
    ],
    completed: ["C’est terminé", "Merci de votre visite. Prenez soin de vous."],
    no_show: [
      "Votre tour est passé",
      "Votre numéro a été appelé sans réponse. Si vous êtes encore là, adressez-vous à l’accueil.",
    ],
    cancelled: [
      "Ce billet a été annulé",
      "Si vous ne vous y attendiez pas, adressez-vous à l’accueil.",
    ],
    left: [
      "Vous avez quitté la file",
      "Vous avez changé d’idée? L’accueil peut vous remettre un nouveau billet.",
    ],
    transferred: [
      "Votre place a changé d’endroit",
      "On vous attend à un autre établissement. L’accueil peut vous donner le lien de votre " +
        "nouveau billet.",
    ],
    missing: [
      "Ouvrez le lien de votre billet",
      "Ce lien n’indique pas quel billet afficher. Balayez de nouveau le code de votre billet " +
        "ou adressez-vous à l’accueil.",
    ],
    origin: originTexts.fr,
    refused: [
      "Ce lien ne fonctionne plus",
      "Il est peut-être expiré. L’accueil peut vous en donner un autre et vous dire votre place " +
        "dans la file.",
    ],
    expired: [
      "Ce lien est expiré",
      "Un lien prend fin quelque temps après la visite. Vous attendez encore? L’accueil peut " +
        "vous en donner un autre et vous dire votre place dans la file.",
    ],
    outdated: [
      "Votre place a peut-être changé",
      "La connexion est perdue depuis plus de cinq minutes; nous continuons d’essayer. Écoutez " +
        "bien l’appel de votre numéro ou adressez-vous à l’accueil.",
    ],
    unreachable: [
      "La clinique est injoignable pour l’instant",
      "Nous continuons d’essayer. Entre-temps, écoutez bien l’appel de votre numéro.",
    ],
  },
};

/** @type {Record<import("./language.js").Language, typeof en>} */
export const ticketTexts = { fr, en };
