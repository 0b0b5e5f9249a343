// Every text of the patient page and the board, in every language they speak.

/** @typedef {import("./page.js").Language} Language */
/** @typedef {import("./wait.js").Wait} Wait */

/** @param {number} minutes */
export function minutesText(minutes) {
  if (minutes < 60) return `${minutes}\u00a0min`;
  const rest = minutes % 60;
  return `${Math.floor(minutes / 60)}\u00a0h${rest ? `\u00a0${String(rest).padStart(2, "0")}` : ""}`;
}

/** @param {number} low @param {number} high */
function rangeText(low, high) {
  return high < 60 ? `${low}–${minutesText(high)}` : `${minutesText(low)} – ${minutesText(high)}`;
}

/** @param {number} ms */
export function ageText(ms) {
  const seconds = Math.max(0, Math.round(ms / 1000));
  return seconds < 90 ? `${seconds}\u00a0s` : minutesText(Math.round(seconds / 60));
}

const en = {
  patient: {
    title: "Your place in line",
    yourTicket: "Your ticket",
    connecting: "Connecting…",
    live: "Live",
    reconnecting: "Reconnecting…",
    notConnected: "Not connected",
    finished: "Finished",
    /** @param {string} time */
    changedAt: (time) => `last change ${time}`,
    /** @param {string} time */
    asOf: (time) => `as of ${time}`,
    /** @param {string} age */
    lost: (age) => `Connection lost ${age} ago — this may be out of date.`,
    /** @param {string} age */
    stale: (age) => `No news for ${age} — this may be out of date.`,
    /** @param {number} ahead @returns {string} */
    ahead: (ahead) => (ahead === 1 ? "person ahead of you" : "people ahead of you"),
    next: "You are next",
    nextHint: "Please stay close by.",
    wait: "Estimated wait",
    /** @param {Wait} wait */
    waitText: (wait) => {
      if (wait.kind === "soon") return "soon";
      if (wait.kind === "late") return "a little longer than expected";
      if (wait.kind === "within") return `within ${minutesText(wait.high)}`;
      return wait.low === wait.high ? `about ${minutesText(wait.low)}` : `about ${rangeText(wait.low, wait.high)}`;
    },
    noWait: "not known yet",
    onceResumed: "once the line moves again",
    paused: "The line is paused for the moment. You keep your place.",
    closed: "This line takes no new tickets now. If you are unsure, ask at the front desk.",
    overtaking: "Someone with an urgent need may be seen before you.",
    yourTurn: "It’s your turn",
    goTo: "Please go to",
    /** @param {string} time */
    calledAt: (time) => `Called at ${time}`,
    /** @param {string} time */
    recalledAt: (time) => `Called again at ${time}`,
    alert: "Alert me when I’m called",
    alertHint: "Sound, and vibration where your phone can. Keep this page open.",
    /** @param {string} reason */
    reason: (reason) => `Reason: ${reason}`,
    notes: {
      in_service: ["You’re being seen", "There is nothing you need to do on this page now."],
      on_hold: ["Your ticket is on hold", "The team has set it aside for a moment. If you wonder why, ask at the front desk."],
      absent: ["We called you", "We didn’t see you. Please tell the front desk that you are here."],
      completed: ["All done", "Thank you for coming. Take care."],
      no_show: ["We missed you", "You were called, and we didn’t see you. If you are still here, please speak with the front desk."],
      cancelled: ["This ticket was cancelled", "If you didn’t expect this, please speak with the front desk."],
      left: ["You’ve left the line", "Changed your mind? The front desk can give you a new ticket."],
      transferred: ["You’re expected elsewhere", "Your place has moved to another location. The front desk can give you the link to your new ticket."],
      missing: ["Open the link from your ticket", "This page follows one ticket, and this link doesn’t name one. Scan the code on your ticket again, or ask at the front desk."],
      refused: ["This link doesn’t work any more", "It may have expired. The front desk can give you a new one and tell you your place in line."],
      waiting_for_server: ["We can’t reach the clinic yet", "We keep trying. Please listen for your number in the meantime."],
    },
  },
  board: {
    nowCalling: "Now calling",
    nobody: "No one is being called right now",
    waiting: "Waiting",
    recent: "Called earlier",
    isNew: "New",
    again: "Again",
    paused: "paused",
    closed: "closed",
    /** @param {number} lines */
    moreLines: (lines) => (lines === 1 ? "1 more line" : `${lines} more lines`),
    soundOff: "Sound is off",
    startSound: "Start sound",
    soundOn: "Sound is on",
    /** @param {string} age */
    lost: (age) => `Not connected for ${age} — calls may be missing.`,
    hidden: ["This screen is not up to date", "Please listen for your number, or ask at the front desk."],
    refused: ["This screen needs to be paired again", "Its link is missing or has expired. Please ask at the front desk for your place in line."],
    /** @param {string} label @param {string} station */
    announce: (label, station) => `${label}: ${station}`,
  },
};

/** @type {typeof en} */
const fr = {
  patient: {
    title: "Votre place dans la file",
    yourTicket: "Votre billet",
    connecting: "Connexion…",
    live: "En direct",
    reconnecting: "Reconnexion…",
    notConnected: "Hors connexion",
    finished: "Terminé",
    changedAt: (time) => `dernier changement à ${time}`,
    asOf: (time) => `situation à ${time}`,
    lost: (age) => `Connexion perdue il y a ${age} — cette page n’est peut-être plus à jour.`,
    stale: (age) => `Aucune nouvelle depuis ${age} — cette page n’est peut-être plus à jour.`,
    ahead: (ahead) => (ahead === 1 ? "personne devant vous" : "personnes devant vous"),
    next: "Vous êtes en tête de file",
    nextHint: "Restez à proximité, s’il vous plaît.",
    wait: "Attente estimée",
    waitText: (wait) => {
      if (wait.kind === "soon") return "bientôt";
      if (wait.kind === "late") return "un peu plus longue que prévu";
      if (wait.kind === "within") return `moins de ${minutesText(wait.high)}`;
      return wait.low === wait.high ? `environ ${minutesText(wait.low)}` : `environ ${rangeText(wait.low, wait.high)}`;
    },
    noWait: "pas encore connue",
    onceResumed: "dès que la file reprend",
    paused: "La file est en pause pour le moment. Vous gardez votre place.",
    closed: "Cette file ne prend plus de nouveaux billets. En cas de doute, informez-vous à l’accueil.",
    overtaking: "Une personne dont l’état est urgent peut passer avant vous.",
    yourTurn: "C’est à vous",
    goTo: "Présentez-vous ici",
    calledAt: (time) => `Appel à ${time}`,
    recalledAt: (time) => `Nouvel appel à ${time}`,
    alert: "M’avertir à mon tour",
    alertHint: "Un son, et une vibration si votre téléphone le permet. Gardez cette page ouverte.",
    reason: (reason) => `Motif : ${reason}`,
    notes: {
      in_service: ["On s’occupe de vous", "Vous n’avez rien à faire sur cette page pour l’instant."],
      on_hold: ["Votre billet est mis de côté", "L’équipe y reviendra. Pour en savoir plus, informez-vous à l’accueil."],
      absent: ["Votre numéro a été appelé", "Personne ne s’est présenté. Dites à l’accueil que vous êtes là."],
      completed: ["C’est terminé", "Merci de votre visite. Prenez soin de vous."],
      no_show: ["Votre tour est passé", "Votre numéro a été appelé sans réponse. Si vous êtes encore là, adressez-vous à l’accueil."],
      cancelled: ["Ce billet a été annulé", "Si c’est une surprise, adressez-vous à l’accueil."],
      left: ["Vous avez quitté la file", "Vous avez changé d’idée ? L’accueil peut vous donner un nouveau billet."],
      transferred: ["On vous attend ailleurs", "Votre place est passée à un autre lieu. L’accueil peut vous donner le lien de votre nouveau billet."],
      missing: ["Ouvrez le lien de votre billet", "Cette page suit un billet, et ce lien n’en nomme aucun. Balayez de nouveau le code de votre billet ou informez-vous à l’accueil."],
      refused: ["Ce lien ne fonctionne plus", "Il est peut-être expiré. L’accueil peut vous en donner un autre et vous dire votre place dans la file."],
      waiting_for_server: ["La clinique est injoignable pour l’instant", "Nous continuons d’essayer. Entre-temps, écoutez bien l’appel de votre numéro."],
    },
  },
  board: {
    nowCalling: "Appels en cours",
    nobody: "Aucun appel pour le moment",
    waiting: "En attente",
    recent: "Appels précédents",
    isNew: "Nouveau",
    again: "Rappel",
    paused: "en pause",
    closed: "fermée",
    moreLines: (lines) => (lines === 1 ? "1 autre file" : `${lines} autres files`),
    soundOff: "Le son est coupé",
    startSound: "Activer le son",
    soundOn: "Le son est activé",
    lost: (age) => `Hors connexion depuis ${age} — il peut manquer des appels.`,
    hidden: ["Cet écran n’est pas à jour", "Écoutez bien l’appel de votre numéro ou informez-vous à l’accueil."],
    refused: ["Cet écran doit être jumelé de nouveau", "Son lien manque ou a expiré. Pour connaître votre place dans la file, informez-vous à l’accueil."],
    announce: (label, station) => `${label} : ${station}`,
  },
};

/** @type {Record<Language, typeof en>} */
export const words = { fr, en };

/** @type {Language[]} */
export const spoken = ["fr", "en"];

/**
 * The first of these languages that we speak.
 * @param {readonly (string | null | undefined)[]} wanted language tags, most wanted first
 * @returns {Language}
 */
export function firstSpoken(wanted) {
  for (const tag of wanted) {
    const found = spoken.find((language) => tag?.toLowerCase().split("-")[0] === language);
    if (found) return found;
  }
  return "en";
}
