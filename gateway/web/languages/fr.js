// French of Quebec: every text of every page.

import { durations } from "../shared/words/durations.js";
import { figuresOf } from "../shared/words/figures.js";
import { ORIGIN } from "../shared/connection/origin.js";

/** @typedef {import("./en.js").Texts} Texts */

const LOCALE = "fr-CA";

/** @type {Texts["times"]} */
const times = {
  ...durations({ hour: "h", minute: "min", second: "s" }),
  span: (from, until) => `${from} à ${until}`,
};

const figures = figuresOf(LOCALE, times);

/**
 * Zero takes the singular in French.
 * @param {number} count
 * @param {string} one
 * @param {string} many
 */
const counted = (count, one, many) => `${figures.number(count)} ${count < 2 ? one : many}`;

/** @param {number} minutes */
const shortWait = (minutes) => (minutes ? times.minutes(minutes) : "<\u00a01\u00a0min");

/** @type {Texts["origin"]} */
const origin = [
  "Cette adresse n’est pas encore configurée",
  `Votre lien est bon. Le serveur ne sait pas qu’on le joint à l’adresse ${ORIGIN}. Pour la ` +
    `personne qui l’exploite\u00a0: le serveur mandataire doit transmettre l’en-tête Host ` +
    `sans le ` +
    `modifier, ou la passerelle doit être lancée avec --origin ${ORIGIN}.`,
];

/** @type {Texts["crossing"]} */
const crossing = {
  tenant: (tenant, time) =>
    `Vous consultez ${tenant} à titre de super administrateur jusqu’à ${time}. ` +
    `Votre motif figure dans son registre des accès.`,
  location: (location, time) =>
    `Accès d’urgence à ${location} jusqu’à ${time}. ` +
    `Votre motif et ce que vous consultez ici sont inscrits au registre des accès.`,
};

// The connection of a page.
/** @type {Texts["connection"]} */
const connection = {
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

// States of appointments and tickets, as staff say them.
/** @type {Texts["states"]} */
const states = {
  statuses: {
    proposed: "Proposé",
    pending: "À confirmer",
    booked: "Prévu",
    arrived: "Arrivé",
    "checked-in": "Inscrit",
    fulfilled: "Terminé",
    cancelled: "Annulé",
    noshow: "Absence",
    "entered-in-error": "Saisi par erreur",
    waitlist: "Sur la liste d’attente",
  },
  tickets: {
    expected: "attendu",
    waiting: "en attente",
    called: "appelé",
    in_service: "en consultation",
    on_hold: "mis de côté",
    absent: "sans réponse",
    leaving: "en transfert",
    completed: "terminé",
    no_show: "absence",
    cancelled: "annulé",
    left: "parti",
    transferred: "transféré",
  },
};

// A ticket, on the pages of tickets and appointments.
/** @type {Texts["ticket"]} */
const ticket = {
  title: "Votre place dans la file",
  yourTicket: "Votre billet",
  ahead: (ahead) => (ahead === 1 ? "personne devant vous" : "personnes devant vous"),
  next: "Vous êtes en tête de file",
  nextHint: "Restez à proximité, s’il vous plaît.",
  wait: "Attente estimée",
  waitText: (wait) => {
    if (wait.kind === "soon") return "bientôt";
    if (wait.kind === "late") return "un peu plus longue que prévu";
    if (wait.kind === "within") return `moins de ${times.minutes(wait.high)}`;
    return wait.low === wait.high
      ? `environ ${times.minutes(wait.low)}`
      : `environ ${times.range(wait.low, wait.high)}`;
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
  reason: (reason) => `Motif\u00a0: ${reason}`,
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
      "Personne ne s’est présenté. Si vous êtes là, appuyez sur «\u00a0Je suis de " +
        "retour\u00a0»\u00a0: vous " +
        "reprenez votre place dans la file.",
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
    ended: [
      "Ce billet a pris fin",
      "Vous avez encore besoin d’une consultation? L’accueil peut vous remettre un nouveau billet.",
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
    origin: origin,
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

// The actions of a patient on a ticket.
/** @type {Texts["actions"]} */
const actions = {
  leave: "Je m’en vais",
  question:
    "Abandonner votre place dans la file? Seul l’accueil peut vous remettre un nouveau billet.",
  keep: "Garder ma place",
  confirm: "Oui, je m’en vais",
  back: "Je suis de retour",
  slip: "Imprimer ce billet",
  yield: "Laisser passer d’autres personnes",
  yieldQuestion: (places) =>
    places === 1
      ? "Laisser passer la personne suivante? Vous ne pourrez pas revenir en arrière vous-même."
      : `Laisser passer jusqu’à ${places} personnes? Vous ne pourrez pas revenir en arrière ` +
        `vous-même.`,
  yieldConfirm: "Oui, les laisser passer",
  refusals: {
    yield_not_allowed:
      "Vous ne pouvez plus laisser passer d’autres personnes. Adressez-vous à l’accueil.",
    nobody_behind: "Personne n’attend derrière vous en ce moment\u00a0: votre place ne change pas.",
    illegal_move: "Ce n’est plus possible. Voyez votre billet ci-dessus.",
  },
  failed: "Ça n’a pas fonctionné. Réessayez ou avertissez l’accueil.",
};

/** @type {Texts["phoneAlerts"]} */
const phoneAlerts = {
  offer: "Avertir ce téléphone",
  hint: "Quand votre tour approche et quand on vous appelle, même si cette page est fermée.",
  on: "Activé. On vous avertira quand votre tour approche et quand on vous appelle.",
  failures: {
    blocked:
      "Votre navigateur bloque les notifications de cette page. Permettez-les dans ses réglages.",
    push_service_unknown:
      "Les notifications de ce navigateur ne sont pas acceptées ici. Gardez cette page ouverte.",
    too_many_devices:
      "Ce billet avertit déjà trois téléphones. Désactivez d’abord l’un d’entre eux.",
  },
  failed: "Ça n’a pas fonctionné. Gardez cette page ouverte, ou réessayez.",
  messages: {
    near: "Votre tour approche. Revenez à la salle d’attente.",
    called: "C’est votre tour",
    goTo: "Présentez-vous ici\u00a0:",
    moved: "Votre place dans la file a changé d’endroit. Touchez pour voir où.",
  },
};

/** @type {Texts["slip"]} */
const slip = {
  title: "Billet à imprimer",
  paper: "Papier",
  print: "Imprimer",
  qr: "Code QR du lien du billet",
  hint: "Pour suivre votre place dans la file, balayez le code ou tapez",
  issued: (time) => `Remis\u00a0: ${time}`,
};

// The page of an appointment.
/** @type {Texts["appointment"]} */
const appointment = {
  title: "Votre rendez-vous",
  withDoctor: (doctor) => `avec ${doctor}`,
  statuses: {
    proposed: ["Pas encore fixé", "Cette heure est proposée. La clinique la confirmera."],
    pending: ["À confirmer", "Cette heure vous est réservée jusqu’à sa confirmation."],
    booked: ["Prévu", "À votre arrivée, inscrivez-vous à l’accueil."],
    arrived: ["Vous êtes là", "La clinique sait que vous êtes sur place."],
    "checked-in": ["Inscription faite", "Vous êtes dans la file."],
    fulfilled: ["C’est terminé", "Merci de votre visite. Prenez soin de vous."],
    cancelled: ["Annulé", "Si vous ne vous y attendiez pas, appelez la clinique."],
    noshow: ["Votre rendez-vous est passé", "Pour en prendre un autre, appelez la clinique."],
    "entered-in-error": [
      "Ce rendez-vous n’existe pas",
      "Il a été saisi par erreur. Des questions? Appelez la clinique.",
    ],
    waitlist: [
      "Sur la liste d’attente",
      "La clinique vous appellera dès qu’une heure se libérera.",
    ],
  },
  until: (time) => `jusqu’à ${time}`,
  noTime: "L’heure n’est pas encore fixée",
  late: "C’est l’heure. Inscrivez-vous à l’accueil. Si vous ne pouvez venir, appelez la clinique.",
  delay: (doctor, minutes) => `${doctor ?? "La clinique"} a environ ${minutes}\u00a0min de retard.`,
  moved: (place, opens) => [
    `Ce rendez-vous a maintenant lieu à ${place}`,
    opens
      ? "Il n’est plus ici. Présentez-vous là-bas."
      : "Il n’est plus ici. Présentez-vous là-bas, et demandez votre nouveau lien à la clinique.",
  ],
  openMoved: "Ouvrir le nouveau rendez-vous",
  moving: (place) => [
    `Ce rendez-vous est transféré vers ${place}`,
    "Rien ne change pour vous jusqu’à ce qu’on l’y accepte.",
  ],
  reason: (reason) => `Motif\u00a0: ${reason}`,
  ticketSoon: "Votre billet arrive…",
  notes: {
    missing: [
      "Ouvrez le lien de votre rendez-vous",
      "Ce lien n’indique pas quel rendez-vous afficher. Ouvrez de nouveau le lien de votre " +
        "message ou appelez la clinique.",
    ],
    refused: [
      "Ce lien ne fonctionne plus",
      "Il est peut-être expiré. La clinique peut vous en donner un nouveau.",
    ],
    unreachable: [
      "La clinique est injoignable pour l’instant",
      "Nous continuons d’essayer. Cela ne change rien à votre rendez-vous.",
    ],
  },
};

// The board of a waiting room.
/** @type {Texts["board"]} */
const board = {
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
  origin: origin,
  pair: [
    "Cet écran n’est pas encore jumelé",
    "Dans la page de configuration de la clinique, sous «\u00a0Écrans\u00a0», tapez ce code\u00a0:",
  ],
  refused: [
    "Cet écran a besoin d’un nouveau lien",
    "Son lien manque ou est expiré. Pour connaître votre place dans la file, adressez-vous à " +
      "l’accueil.",
  ],
  announce: (label, station) => `${label}\u00a0: ${station}`,
  speak: (label, station) => `Billet ${label}. Présentez-vous ici\u00a0: ${station}.`,
};

// The schedule of a doctor.
/** @type {Texts["schedule"]} */
const schedule = {
  title: "Rendez-vous",
  summary: (all, here, over) =>
    `${all} rendez-vous\u00a0: ${all - here - over} à venir, ${here} sur place, ` +
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
  changed: (label, status) => `${label}\u00a0: ${status}`,
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

// The start page.
/** @type {Texts["start"]} */
const start = {
  /** By the `data-text` of an element. */
  sentences: {
    headline: "Chacun, à la clinique, sait ce qui vient ensuite.",
    lead:
      "Les patients voient leur place dans la file, la salle d’attente voit qui est appelé, et " +
      "l’équipe voit si la journée est chargée, au moment même où cela change.",
    demo:
      "Cette démonstration est en direct\u00a0: des patients simulés arrivent, attendent et " +
      "sont vus. " +
      "Tous les noms, numéros et demandes de paiement sont inventés.",
    "no-demo":
      "Ces pages s’ouvrent par un lien ou un code que la clinique remet. Sans lui, chacune dit " +
      "où l’obtenir.",
    desk: "Accueil",
    "desk-title": "Prenez la place de l’accueil",
    "desk-text":
      "Ouvrez côte à côte quelques-unes des pages ci-dessous. Puis appuyez ici sur un " +
      "bouton\u00a0: " +
      "toutes les pages suivent.",
    line: "File",
    room: "Salle",
    call: "Appeler le suivant",
    appointment: "Rendez-vous",
    "check-in": "Inscrire",
    "desk-console": "Ouvrir la console de l’accueil",
    "analytics-link": "Voir les statistiques",
    "bare-analytics-link": "Voir les statistiques",
    "setup-link": "Configurer la clinique",
    "bare-setup-link": "Configurer la clinique",
    reception: "Ouvrir le tableau de bord de l’accueil",
    patients: "Patients",
    "ticket-title": "Un billet",
    "ticket-text":
      "Un billet, sans application ni compte\u00a0: le nombre de personnes devant, l’attente " +
      "estimée, " +
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
      "des salles seulement\u00a0: jamais un nom, un motif ou un médecin.",
    "board-link": "Ouvrir l’écran",
    clinicians: "Équipe soignante",
    "waiting-word": "en attente",
    "dashboard-title": "Le tableau de bord",
    "dashboard-text":
      "Si la clinique est chargée\u00a0: qui attend où et depuis quand, quelles salles sont " +
      "libres, " +
      "et ce qui reste à venir aujourd’hui. Les chiffres changent au plus une fois par seconde, " +
      "et se figent quand on appuie sur Pause.",
    "dashboard-link": "Ouvrir le tableau de bord",
    "console-link": "Appeler et voir les patients",
    "schedule-title": "L’horaire d’un médecin",
    "schedule-text":
      "Les rendez-vous d’un médecin aujourd’hui\u00a0: qui est là, qui est en retard, qui a été " +
      "appelé, et le retard de la journée.",
    "schedule-link": "Ouvrir l’horaire",
    billing: "Facturation",
    errors: "12 erreurs",
    "claims-title": "Vérification des demandes",
    "claims-text":
      "Un mois de demandes de paiement, vérifiées sous vos yeux\u00a0: les erreurs à " +
      "corriger et les " +
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
    terminal: "Pour les développeurs\u00a0: suivre la salle d’attente dans un terminal",
    "terminal-text": "Le jeton de cette commande n’ouvre que cette démonstration.",
  },
  title: "Clinicwire – les pages en direct d’une clinique",
  moreTickets: "Autres billets de la démonstration",
  command: "Commande",
  promises: "Ce que Clinicwire promet",
  ahead: (ahead) => (ahead ? `${ahead} devant` : "en tête"),
  waitingNow: (waiting) => `${waiting} en attente`,
  longestWait: (minutes) =>
    `attente la plus longue\u00a0: ${minutes ? times.minutes(minutes) : "moins de 1\u00a0min"}`,
  nobodyWaits: "personne n’attend",
  behind: (minutes) => (minutes ? `${minutes}\u00a0min de retard` : "à l’heure"),
  queueOption: (name, waiting) => `${name} (${waiting} en attente)`,
  stationStates: { idle: "libre", busy: "occupée", closed: "fermée" },
  late: (text) => `${text} (en retard)`,
  called: (label, room) =>
    `${label}\u00a0: appel vers ${room}. Voyez le téléphone, l’écran et le tableau de bord.`,
  checkedIn: (label) =>
    `Inscription faite, billet ${label}. Voyez l’horaire, le téléphone et le tableau de bord.`,
  refusals: {
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
  failed: (code) => `Cela n’a pas fonctionné (${code}). Réessayez dans un instant.`,
};

// The console of reception and clinicians.
/** @type {Texts["console"]} */
const console = {
  age: times.age,
  title: "Console",
  room: "Ma salle",
  chooseRoom: "Choisissez votre salle",
  callNext: "Appeler le suivant",
  next: "Suivant",
  find: "Trouver un numéro",
  nobody: "Personne dans cette file.",
  more: (count) => `et ${count} de plus\u00a0: trouvez-les par leur numéro`,
  waiting: (count) => `${count} en attente`,
  urgent: (level) => `priorité ${level}`,
  unsure: "envoi…",
  roomEmpty: "Personne n’est appelé à cette salle.",
  selected: "Sélection",
  noneSelected: "Choisissez une personne dans une file, ou trouvez un numéro.",
  printSlip: "Imprimer le billet",
  checkIn: "Inscrire un rendez-vous",
  checkedIn: (label) => `Inscription faite\u00a0: ${label}.`,
  missed: "manqué",
  override: (why) =>
    `${why} Pour inscrire quand même, dites pourquoi\u00a0: votre raison est affichée dans ` +
    `la file et ` +
    "conservée dans le journal d’accès.",
  overridden: (why) => `inscription hors des heures habituelles\u00a0: ${why}`,
  flags: "Balayages suspects",
  flagsHint:
    "Quelqu’un utilise peut-être les codes d’autres personnes. Allez voir qui est au point " +
    "d’inscription.",
  flagsSeen: "Vu",
  flagKinds: {
    two_places: (times) =>
      `un même code essayé à deux endroits${times > 1 ? `, ${times} fois` : ""}`,
    many_codes: (times) =>
      `beaucoup de mauvais codes depuis un appareil${times > 1 ? `, ${times} fois` : ""}`,
  },
  issue: "Nouveau billet",
  issued: (label) => `Le billet ${label} est émis.`,
  calledTo: (label, room) => `${label} est appelé\u00a0: ${room}.`,
  did: (label, what) => `${label}\u00a0: ${what}`,
  moved: (label) => `${label} a une nouvelle place dans la file.`,
  notFound: (label) => `Aucun billet «\u00a0${label}\u00a0» dans les files.`,
  readOnly: (time) =>
    `Hors connexion depuis ${time}\u00a0: vous pouvez lire cette page, mais rien y changer.`,
  back: "Connexion rétablie.",
  noRoom: "Choisissez d’abord votre salle.",
  force: (label) =>
    `${label || "Quelqu’un"} est encore appelé à votre salle. Indiquer «\u00a0Sans ` +
    `réponse\u00a0» et appeler quand même?`,
  noMove: "Ce déplacement est impossible\u00a0: la priorité la plus haute passe toujours avant.",
  shortcuts: "Raccourcis clavier",
  close: "Fermer",
  cancel: "Annuler",
  ok: "OK",
  actions: {
    call: "Appeler",
    recall: "Rappeler",
    start: "Commencer",
    complete: "Terminé",
    hold: "Mettre de côté",
    resume: "Remettre en file",
    absent: "Sans réponse",
    return: "De retour",
    "no-show": "Absence",
    transfer: "Autre file…",
    prioritise: "Priorité…",
    cancel: "Annuler le billet",
    revert: "Défaire",
  },
  queueActions: { open: "Ouvrir", close: "Fermer", pause: "Pause", resume: "Reprendre" },
  roomActions: { open: "Ouvrir la salle", close: "Fermer la salle" },
  queueStates: { open: "ouverte", paused: "en pause", closed: "fermée" },
  states: {
    expected: "attendu",
    waiting: "en attente",
    called: "appelé",
    in_service: "en consultation",
    on_hold: "mis de côté",
    absent: "sans réponse",
    leaving: "en transfert",
    ended: "n’est plus en file",
  },
  asks: {
    doctor: "Avec quel médecin?",
    appointment: "Quel rendez-vous?",
    hold: "Pourquoi? (visible au personnel et au patient)",
    transfer: "Vers quelle file?",
    prioritise: "Quelle priorité? 9 passe en premier, 0 est la routine.",
    priorityReason: "Pourquoi? (visible au personnel seulement)",
    pause: "Pourquoi, ou jusqu’à quand? (visible à toute la file)",
    cancel: "Pourquoi? (visible au personnel et au patient)",
  },
  keys: {
    checkIn: "Inscrire un rendez-vous",
    move: "Monter et descendre",
    reorder: "Avancer ou reculer dans la file",
    find: "Trouver un numéro",
    issue: "Nouveau billet dans cette file",
    queue: "Ouvrir ou fermer cette file",
    pause: "Mettre en pause ou reprendre cette file",
    room: "Ouvrir ou fermer ma salle",
    sheet: "Cette liste",
  },
  refusals: {
    too_early: "L’inscription à ce rendez-vous n’est pas encore ouverte.",
    appointment_expired: "L’heure de s’inscrire à ce rendez-vous est passée.",
    appointment_over: "Ce rendez-vous est manqué ou terminé.",
    already_checked_in: "Ce patient est déjà inscrit.",
    no_appointment: "Ce médecin n’a aucun rendez-vous ouvert aujourd’hui.",
    wrong_location: "Ce rendez-vous est maintenant à un autre établissement.",
    illegal_move:
      "Quelqu’un d’autre a été plus rapide\u00a0: ce n’est plus possible. Voyez la file.",
    station_busy:
      "Quelqu’un est encore appelé à votre salle. Commencez, ou indiquez «\u00a0Sans " +
      "réponse\u00a0».",
    station_closed: "Votre salle est fermée. Ouvrez-la d’abord.",
    queue_empty: "Personne n’attend.",
    queue_paused: "La file est en pause. Reprenez-la d’abord.",
    queue_not_open: "La file est fermée. Ouvrez-la d’abord.",
    queue_full: "La file est pleine. Choisissez-en une autre.",
    location_full: "La clinique est pleine. Plus de billets pour l’instant.",
    nothing_to_revert: "Il n’y a rien à défaire.",
    ticket_unknown: "Ce billet est terminé.",
    forbidden: "Votre rôle ne permet pas cette action.",
    moving: "On transfère cette personne vers un autre établissement. Attendez sa réponse.",
    unreachable: "Pas de réponse. Regardez la file avant de réessayer.",
    token_expired: "Votre session est terminée. Ouvrez la page avec un nouveau lien.",
  },
  refused: (code) => `L’action n’a pas été faite (${code}).`,
  notes: {
    missing: [
      "Ouvrez le lien qu’on vous a remis",
      "Ce lien n’indique pas la clinique à afficher. Votre administrateur peut vous donner le " +
        "lien complet.",
    ],
    refused: [
      "Ce lien ne fonctionne pas ici",
      "Il est peut-être destiné à un autre établissement ou à un autre rôle. Votre " +
        "administrateur peut vous en donner un nouveau.",
    ],
    unreachable: [
      "La clinique est injoignable pour l’instant",
      "Nous continuons d’essayer. Les files s’afficheront dès que la connexion sera établie.",
    ],
  },
};

// The dashboard.
/** @type {Texts["dashboard"]} */
const dashboard = {
  title: "Tableau de bord",
  minutes: shortWait,
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
  filterOf: (title) => `Afficher\u00a0: ${title}`,
  noneShown: "Aucune pour l’instant.",
  stations: "Salles et comptoirs",
  stationStates: { idle: "Libre", busy: "Occupé", closed: "Fermé" },
  all: "Toutes",
  withText: (labels) => `avec ${labels}`,
  stationsBusy: (busy, open) =>
    `${counted(busy, "salle occupée", "salles occupées")} sur ` +
    counted(open, "ouverte", "ouvertes"),
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
    `${counted(arrived, "arrivée", "arrivées")}, ` +
    `${counted(served, "personne vue", "personnes vues")}, ${booked} rendez-vous.`,
  asTable: "Afficher en tableau",
  facts: "Mises à jour d’autres systèmes aujourd’hui",
  factsText: (ignored, all) =>
    `${counted(all, "mise à jour reçue", "mises à jour reçues")} d’autres systèmes aujourd’hui` +
    (ignored ? `; ${counted(ignored, "ignorée", "ignorées")} en tout ou en partie` : ""),
  factsParts: (repeated, stale, overruled) =>
    `${counted(repeated, "déjà connue", "déjà connues")}, ` +
    `${counted(stale, "périmée", "périmées")}, ` +
    `${counted(overruled, "corrigée", "corrigées")} par l’accueil`,
  pause: "Pause",
  resume: "Reprendre",
  paused: (time) => `En pause depuis ${time}. Les chiffres sont figés.`,
  meanwhile: (changes, shown, waiting) => {
    const moved =
      shown === waiting ? "" : ` En attente\u00a0: ${waiting} maintenant, ${shown} affichés.`;
    return changes
      ? `Depuis, ${counted(changes, "élément a changé", "éléments ont changé")}.${moved}`
      : "Rien n’a changé depuis.";
  },
  say: (waiting, longest) =>
    `${counted(waiting, "personne attend", "personnes attendent")}` +
    `${longest ? `; attente la plus longue\u00a0: ${longest}` : ""}.`,
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

// The set-up of a clinic.
/** @type {Texts["setup"]} */
const setup = {
  title: "Configuration",
  labels: {
    location: "Clinique",
    privacy: "Confidentialité",
    queues: "Files",
    rooms: "Salles",
    displays: "Écrans",
    points: "Points d’inscription",
    moveTo: "Les personnes qui y attendent vont dans",
    shows: "Cet écran est",
    pointsHint:
      "Les patients s’y inscrivent eux-mêmes\u00a0: ils balaient un code imprimé avec leur " +
      "téléphone, ou utilisent une borne. Un téléphone peut mentir sur sa position; une distance " +
      "empêche seulement les gens honnêtes de s’inscrire depuis la maison.",
    newPoint: "Nouveau point d’inscription",
    pointKind: "Genre",
    poster: "Affiche avec un code",
    kiosk: "Borne",
    factor: "Avec le code de réservation, le patient indique",
    birthYear: "Son année de naissance",
    birthDate: "Sa date de naissance",
    phoneEnd: "Les quatre derniers chiffres de son téléphone",
    noFactor: "Rien\u00a0: le code suffit",
    walkIns: "Sans rendez-vous, on peut prendre un billet pour",
    place: "Seulement près de cet endroit (vide\u00a0: partout)",
    latitude: "Latitude (par exemple 45,5017)",
    longitude: "Longitude (par exemple -73,5673)",
    radius: "À combien de mètres au plus (50 à 10\u00a0000)",
    messages: "Messages",
    branding: "Couleur et logo",
    name: "Nom",
    id: "Son identifiant dans les adresses (a à z, 0 à 9 et -)",
    address: "Adresse (visible aux patients)",
    zone: "Fuseau horaire",
    languages: "Langues, la principale d’abord (par exemple fr, en)",
    callOrder: "Qui passe en premier",
    byArrival: "La première personne arrivée",
    byAppointment: "Le rendez-vous le plus tôt",
    timers: "Délais, en minutes",
    absentGrace: "Un patient sans réponse peut revenir pendant",
    stale: "Un billet oublié prend fin après",
    checkInEarly: "L’inscription ouvre avant un rendez-vous",
    noShow: "Un rendez-vous manqué prend fin après",
    callGrace: "Un patient en retard garde son tour pendant",
    dayStart: "La journée de la clinique commence à",
    dayEnds: "Les billets prennent fin avec la journée",
    bands: "Quand le tableau de bord signale une file (vide\u00a0: jamais)",
    waitingHigh: "Élevé\u00a0: personnes en attente",
    waitingVeryHigh: "Très élevé\u00a0: personnes en attente",
    waitHigh: "Élevé\u00a0: minutes de la plus longue attente",
    waitVeryHigh: "Très élevé\u00a0: minutes de la plus longue attente",
    privacyHint:
      "Les numéros sont toujours affichés. Chaque changement est conservé dans le journal d’accès.",
    linesShow: "Le personnel voit dans les files",
    boardsShow: "Tout le monde voit sur les écrans de la salle d’attente",
    showStart: "L’heure du rendez-vous",
    showDoctor: "Le médecin",
    showName: "Les initiales",
    showWaiting: "Le nombre de personnes en attente",
    showEarlier: "Les appels précédents",
    newQueue: "Nouvelle file",
    prefix: "Lettres de ses billets (par exemple A)",
    service: "Minutes par patient",
    maxTickets: "Personnes en file, au plus",
    newRoom: "Nouvelle salle",
    serves: "Appelle depuis",
    everyQueue: "Toutes les files",
    displaysHint:
      "Ouvrez la page /board sur l’écran. Un code s’y affiche\u00a0: tapez-le ici pour " +
      "jumeler l’écran.",
    code: "Code affiché à l’écran",
    screenName: "Nom de l’écran",
    messagesHint:
      "Les écrans les affichent à tour de rôle, en bas. Videz un champ pour retirer le message.",
    organisation: "Organisation (au-dessus du nom de la clinique)",
    ownColour: "Utiliser notre couleur",
    colour: "Couleur",
    logo: "Logo (SVG ou PNG, 64 Ko au plus)",
  },
  newClinic: "Nouvelle clinique",
  newClinicHint:
    "Les files, les salles et les écrans viennent ensuite. L’identifiant reste tel quel; tout le " +
    "reste peut changer.",
  create: "Créer la clinique",
  creation: {
    settings_changed:
      "Une clinique a déjà cet identifiant. Choisissez-en un autre, ou ouvrez cette clinique.",
    forbidden:
      "Votre session ne permet pas de créer cette clinique. L’administration de toutes les " +
      "cliniques peut le faire.",
  },
  save: "Enregistrer",
  reset: "Annuler mes changements",
  saving: "Enregistrement…",
  saved: "Enregistré.",
  pair: "Jumeler l’écran",
  rename: "Renommer",
  conflict: "Quelqu’un d’autre a modifié ceci entre-temps\u00a0:",
  theirs: "Prendre ces valeurs",
  mine: "Garder les miennes",
  on: "oui",
  off: "non",
  nothing: "rien",
  changed: (field, from, to) => `${field}\u00a0: ${from} → ${to}`,
  up: "Monter",
  down: "Descendre",
  open: "Ouvrir",
  close: "Fermer",
  states: { open: "ouverte", paused: "en pause", closed: "fermée" },
  pairedOn: (day) => `Jumelé le ${day}`,
  unpair: "Retirer",
  unpairSure: "Oui, retirer",
  keep: "La garder",
  nobody: "nulle part\u00a0: la file est vide",
  showsBoard: "Un écran avec les appels",
  isKiosk: (point) => `La borne «\u00a0${point}\u00a0»`,
  codeSince: (day) => `Son code date du ${day}`,
  outOfUse: "Hors service\u00a0: personne ne peut s’inscrire ici",
  printSheet: "Imprimer l’affiche",
  newCode: "Nouveau code",
  newCodeSure: "Oui\u00a0: les affiches posées ne marcheront plus",
  revoke: "Mettre hors service",
  revokeSure: "Oui\u00a0: plus personne ne pourra s’inscrire ici",
  useAgain: "Remettre en service, avec un nouveau code",
  message: (number, language) => `Message ${number}, ${language}`,
  samples: { light: "Clair", dark: "Sombre" },
  contrast: (scheme, own, same, ratio) =>
    same
      ? `${scheme}\u00a0: utilisée telle quelle; le contraste de son texte est de ${ratio}:1.`
      : `${scheme}\u00a0: votre couleur n’a que ${own}:1; les pages en prennent une nuance ` +
        `lisible ` +
        `(texte ${ratio}:1).`,
  logoNow: "Le logo tel que les pages l’affichent",
  removeLogo: "Retirer le logo",
  notALogo: "Choisissez un PNG, ou un SVG sans script ni lien.",
  refusals: {
    settings_changed: "Quelqu’un d’autre l’a changé avant vous. Voyez plus haut ce qui a changé.",
    prefix_taken: "Une autre file utilise ces lettres.",
    bad_id:
      "L’identifiant a 40 caractères au plus\u00a0: a à z sans accent, 0 à 9, et des traits " +
      "d’union.",
    bad_zone:
      "Ce fuseau horaire n’existe pas. Choisissez-en un dans la liste, comme America/Toronto.",
    bad_languages: "Les langues sont des codes comme fr, en ou fr-CA, dix au plus.",
    invalid_value: "Une des valeurs est impossible. Vérifiez les nombres et le fuseau horaire.",
    forbidden: "Votre rôle ne permet pas ce changement.",
    queue_not_empty: "Des personnes sont dans cette file. Choisissez où elles vont.",
    queue_too_long:
      "Plus de 500 personnes sont dans cette file. Retirez-la quand elle sera plus courte.",
    queue_not_open: "Cette autre file est fermée. Ouvrez-la d’abord, ou choisissez-en une autre.",
    station_busy:
      "Quelqu’un est appelé à cette salle ou s’y trouve. Terminez d’abord cette visite.",
    pairing_unknown: "Aucun écran n’affiche ce code. Les codes changent toutes les dix minutes.",
    pairing_taken: "Cet écran est déjà jumelé.",
    too_large: "Le fichier dépasse 64 Ko.",
    unreachable:
      "Pas de réponse\u00a0: votre changement n’est peut-être pas enregistré. Vérifiez avant de " +
      "réessayer.",
    token_expired: "Votre session est terminée. Ouvrez la page avec un nouveau lien.",
  },
  refused: (code) => `Le changement n’est pas enregistré (${code}).`,
  notes: {
    missing: [
      "Ouvrez le lien qu’on vous a remis",
      "Ce lien n’indique pas la clinique à configurer. Votre administrateur peut vous donner le " +
        "lien complet.",
    ],
    unknown: [
      "Aucune clinique n’a cet identifiant",
      "Créez-la ci-dessous, ou demandez à votre administrateur le lien de la clinique à " +
        "configurer.",
    ],
    refused: [
      "Ce lien ne fonctionne pas ici",
      "Seule l’administration de cette clinique peut la configurer. Demandez un lien avec ce rôle.",
    ],
    unreachable: [
      "La clinique est injoignable pour l’instant",
      "Nous continuons d’essayer. Les paramètres s’afficheront dès que la connexion sera établie.",
    ],
  },
};

/** @type {Texts["runs"]} */
const runs = {
  ...figures,
  title: "Vérification de la facturation",
  opening: "Ouverture de la vérification…",
  back: "Toutes les vérifications",
  intake: "Vérifier un fichier de facturation",
  intakeHint:
    "Utilisez l’export de facturation de votre logiciel (CSV). Le fichier est supprimé après la " +
    "vérification, et les constats ne nomment jamais un patient.",
  watchHint:
    "Vous pouvez suivre les vérifications ici. Pour en lancer une, il vous faut un lien d’éditeur.",
  drop: "Déposez le fichier ici",
  or: "ou",
  choose: "Choisir un fichier",
  listPasses: "Lister aussi les lignes conformes",
  oneFile: "Envoyez un seul fichier à la fois. Rien n’a été envoyé.",
  uploaded: (sent, size) => `${sent} sur ${size} envoyés`,
  arriving: "Envoyé. Le serveur l’enregistre…",
  uploadTitle: "Envoi",
  stop: "Arrêter",
  recent: "Vérifications récentes",
  noRecent: "Aucune vérification pour l’instant.",
  refresh: "Actualiser",
  more: "En afficher plus",
  states: {
    queued: "En attente",
    running: "En cours",
    completed: "Terminée",
    failed: "Échouée",
    cancelled: "Annulée",
  },
  cancelling: "Arrêt en cours",
  queued: (ahead) => {
    if (ahead === undefined) return "En file pour être vérifié.";
    return ahead
      ? `${counted(ahead, "vérification", "vérifications")} avant celle-ci.`
      : "En tête de file.";
  },
  cancellingText: "La vérification s’arrête dans un instant.",
  cancelled: "La vérification a été arrêtée avant la fin.",
  completed: (rows, took) => `${counted(rows, "ligne vérifiée", "lignes vérifiées")} en ${took}.`,
  unreadable: (rows) =>
    `${counted(rows, "ligne n’a pas pu être lue", "lignes n’ont pas pu être lues")}; ` +
    `${rows < 2 ? "elle figure" : "elles figurent"} dans la liste ci-dessous.`,
  attempt: (attempt) =>
    `${attempt === 2 ? "Deuxième essai" : `Essai n°\u00a0${attempt}`}. Le précédent ne s’est pas ` +
    `terminé; tout est compté de nouveau.`,
  phases: {
    reading: "Lecture des lignes",
    concluding: "Totaux par jour et par année",
    storing: "Enregistrement des constats",
  },
  starting: "Démarrage…",
  rows: "Lignes",
  rowsOf: (done, total) =>
    total === undefined
      ? figures.number(done)
      : `${figures.number(done)} sur ${figures.number(total)}`,
  rate: "Vitesse",
  rateText: (rows) => `${figures.number(rows)} lignes/s`,
  timeLeft: "Temps restant",
  left: (ms) => `environ ${times.left(ms)}`,
  percentText: (permille) => `${figures.percent(permille)}\u00a0%`,
  cancel: "Annuler la vérification",
  retry: "Réessayer",
  another: "Vérifier un autre fichier",
  severities: {
    error: "Erreurs",
    warning: "Avertissements",
    optimisation: "Facturation manquée",
    pass: "Conformes",
  },
  severity: {
    error: "Erreur",
    warning: "Avertissement",
    optimisation: "Facturation manquée",
    pass: "Conforme",
  },
  kind: "Type",
  all: "Tout",
  atRisk: "À risque",
  toGain: "Facturation possiblement manquée",
  errors: (errors) => counted(errors, "erreur", "erreurs"),
  atRiskOf: (money) => `${money} à risque`,
  toGainOf: (money) => `${money} possiblement manqués`,
  rules: "Règles",
  rule: "Règle",
  rulesDone: (done, all) => `${counted(done, "terminée", "terminées")} sur ${figures.number(all)}`,
  fileRule: "Fichier lisible",
  time: "Durée",
  notYet: "pas terminée",
  findings: "Constats",
  firstFindings: "Premiers constats",
  firstHint:
    "Les 100 premiers, dans l’ordre où ils sont relevés. La liste complète s’affichera à la fin.",
  partHint: "Relevés avant l’arrêt; la liste n’est pas complète.",
  rowHint:
    "La ligne 1 est la première sous l’en-tête, soit la ligne 2 dans votre feuille de calcul.",
  row: "Ligne",
  wholeFile: "toutes",
  what: "Constat",
  amount: "Montant",
  show: "Afficher",
  everyRule: "Toutes les règles",
  export: "Télécharger en CSV",
  exporting: "Préparation…",
  shown: (count, whole) => {
    if (whole) {
      return count === 1 ? "1 constat" : `${figures.number(count)} constats, tous affichés`;
    }
    return count === 1
      ? "Le premier est affiché"
      : `Les ${figures.number(count)} premiers sont affichés`;
  },
  capped: (stored) =>
    `Il y a plus de constats que nous n’en conservons\u00a0: voici les ${figures.number(stored)} ` +
    `premiers.`,
  nothingYet: "Rien de relevé jusqu’ici.",
  nothing: "Rien à signaler\u00a0: toutes les règles sont respectées.",
  nothingLikeThis: "Aucun constat de ce type.",
  where: (column, line, byte) =>
    [
      column && `Colonne «\u00a0${column}\u00a0»`,
      line && `ligne ${line} de la feuille de calcul`,
      byte && `octet ${byte}`,
    ]
      .filter(Boolean)
      .join(", "),
  retryHint: "Un nouvel essai pourrait suffire.",
  newFileHint: "Exportez le fichier de nouveau et envoyez le nouveau.",
  failures: {
    file_not_an_export:
      "Ce n’est pas un export de facturation\u00a0: une colonne obligatoire manque ou s’y " +
      "trouve deux " +
      "fois.",
    file_no_header:
      "Ce n’est pas un export de facturation\u00a0: la première ligne n’est pas l’en-tête " +
      "d’un export " +
      "de facturation.",
    file_not_text:
      "Ce n’est pas un fichier texte. Exportez-le en CSV, et non en classeur ou en PDF.",
    file_malformed:
      "Impossible de séparer les lignes\u00a0: un guillemet n’est jamais fermé, ou une ligne est " +
      "beaucoup trop longue.",
    file_empty: "Le fichier est vide.",
    file_unknown: "Le fichier n’est plus là. Envoyez-le de nouveau.",
    run_worker_lost: "Le serveur qui vérifiait le fichier s’est arrêté à chaque essai.",
    run_faulted:
      "Un problème est survenu de notre côté. Votre fichier est peut-être tout à fait correct.",
  },
  failedOtherwise: "La vérification n’a pas pu être faite.",
  problems: {
    network: "Le serveur est injoignable. Vérifiez votre connexion et réessayez.",
    upload_broken:
      "Le fichier n’est pas arrivé en entier\u00a0: la connexion a échoué, ou il est plus " +
      "gros que " +
      "permis. Réessayez, ou exportez une période plus courte.",
    too_large: "Le fichier est plus gros que permis. Exportez une période plus courte.",
    file_empty: "Le fichier est vide\u00a0: rien n’a été envoyé. Exportez-le de nouveau.",
    checksum_mismatch: "Le fichier a été endommagé en chemin. Envoyez-le de nouveau.",
    file_unknown: "Le fichier n’est plus là. Envoyez-le de nouveau.",
    forbidden: "Votre lien ne permet pas cette action. Il vous faut un lien d’éditeur.",
    token_expired: "Votre lien est expiré. Votre administrateur peut vous en donner un nouveau.",
    run_over: "Cette vérification est déjà terminée.",
    run_not_retryable:
      "Cette vérification ne peut pas être reprise. Envoyez le fichier de nouveau.",
    try_again: "Le serveur est occupé. Réessayez dans un moment.",
    draining: "Le serveur redémarre. Réessayez dans un moment.",
  },
  problem: (code) =>
    `Cela n’a pas fonctionné (${code}). Réessayez. Si le problème persiste, communiquez avec ` +
    `votre administrateur.`,
  lost: (age) =>
    `Connexion perdue il y a ${age}. La vérification se poursuit, mais cette page n’est ` +
    `peut-être plus à jour.`,
  stale: (age) =>
    `Aucune nouvelle depuis ${age}. La vérification se poursuit, mais cette page n’est peut-être ` +
    `plus à jour.`,
  notes: {
    missing: [
      "Ouvrez le lien qu’on vous a remis",
      "Cette page a besoin de votre lien personnel. Votre administrateur peut vous le donner.",
    ],
    origin: origin,
    refused: [
      "Ce lien n’ouvre pas les vérifications",
      "Il est peut-être expiré ou destiné à une autre page. Votre administrateur peut vous en " +
        "donner un nouveau.",
    ],
    gone: [
      "Impossible d’ouvrir cette vérification",
      "Les vérifications sont conservées environ un jour, et votre lien n’ouvre que les vôtres. " +
        "Il faudra peut-être renvoyer le fichier.",
    ],
    unreachable: [
      "Le serveur est injoignable pour l’instant",
      "Nous continuons d’essayer. Une vérification lancée se poursuit entre-temps.",
    ],
  },
};

// Les chiffres d’une clinique.
const analytics = {
  title: "Statistiques",
  period: "Période",
  group: "Par",
  export: "Enregistrer en CSV",
  table: "Afficher en tableau",
  /** @type {Record<string, string>} */
  periods: { today: "Aujourd’hui", week: "7 derniers jours", month: "30 derniers jours" },
  /** @type {Record<string, string>} */
  groups: { queue: "File", doctor: "Médecin", hour: "Heure", day: "Jour" },
  /** @param {string} from @param {string} until */
  days: (from, until) => `du ${from} au ${until}`,
  number: figures.number,
  /** @param {number} share */
  percent: (share) => `${share}\u00a0%`,
  /** @param {number} seconds */
  duration: (seconds) => times.age(seconds * 1000),
  totals: {
    tickets: "Billets",
    wait: "Attente d’une personne sur deux, au plus",
    longWait: "Attente de 9 personnes sur 10, au plus",
    service: "Visite moyenne",
    abandoned: "Parties ou sans réponse à l’appel",
    missed: "Rendez-vous manqués",
    peak: "Heure de pointe",
  },
  charts: {
    arrivals: "Billets",
    waits: "Attente avant le premier appel",
    services: "Durée des visites",
    abandoned: "Personnes parties ou sans réponse à l’appel",
    leads: "Rendez-vous manqués, selon le délai de réservation",
    methods: "Façons de s’inscrire",
  },
  /** @type {Record<string, string>} */
  series: {
    tickets: "Billets",
    half: "Une personne sur deux, au plus",
    most: "9 sur 10, au plus",
    share: "Part",
  },
  /** @type {Record<string, string>} */
  keys: { leads: "Réservé", methods: "Façon" },
  /** @type {Record<string, (key: string) => string>} */
  keyNames: {
    leads: (days) => (days === "0" ? "le jour même" : `${days} jours avant ou plus`),
    methods: (method) =>
      ({
        desk: "Accueil",
        poster: "Affiche",
        kiosk: "Borne",
        transfer: "Autre établissement",
        program: "Autre logiciel",
      })[method] ?? method,
  },
  /** @type {Record<string, string>} */
  none: { queue: "Sans file", doctor: "Sans rendez-vous" },
  nothing: "Rien ne s’est passé pendant cette période.",
  problem: "Impossible de lire ces chiffres. Réessayez dans un instant.",
  forbidden: "Seuls l’accueil et l’administration voient ces chiffres.",
  notes: {
    missing: [
      "Ouvrez le lien qu’on vous a remis",
      "Ce lien n’indique pas la clinique à afficher. Votre administrateur peut vous donner le " +
        "lien complet.",
    ],
    refused: [
      "Ce lien ne fonctionne pas ici",
      "Il est peut-être expiré ou destiné à un autre établissement. Seuls l’accueil et " +
        "l’administration voient ces chiffres.",
    ],
    unreachable: [
      "La clinique est injoignable pour l’instant",
      "Nous continuons d’essayer. Les chiffres s’afficheront dès que la connexion sera établie.",
    ],
  },
};

/** @type {Texts} */
export const fr = {
  name: "Français",
  mark: "FR",
  switch: "Langue",
  locale: LOCALE,
  findings: "fr",
  times,
  origin,
  crossing,
  connection,
  states,
  ticket,
  actions,
  phoneAlerts,
  slip,
  appointment,
  board,
  schedule,
  start,
  console,
  dashboard,
  analytics,
  setup,
  runs,
  scan: {
    title: "Inscription",
    intro: "Entrez le code de votre rendez-vous. Il est dans le message de confirmation.",
    code: "Code du rendez-vous",
    factor: {
      birth_year: "Année de naissance",
      birth_date: "Date de naissance",
      phone_end: "4 derniers chiffres de votre téléphone",
      none: "",
    },
    factorHint: {
      birth_year: "Par exemple 1980",
      birth_date: "Année, mois, jour\u00a0: par exemple 19800215",
      phone_end: "Le numéro que la clinique connaît",
      none: "",
    },
    add: "Ajouter une autre personne",
    person: "Personne",
    send: "M’inscrire",
    sending: "Un instant…",
    walkIn: "Sans rendez-vous",
    choose: "Vous avez plusieurs rendez-vous aujourd’hui. Pour lesquels venez-vous?",
    chooseSend: "M’inscrire",
    back: "Retour",
    at: "à",
    checkedIn: "Inscription faite",
    yourNumber: "Votre numéro",
    follow: "Suivre mon tour",
    print: "Imprimer le billet",
    done: "Terminé",
    again: "Inscrire une autre personne",
    offline: "Pas de connexion. Réessayez dans un instant, ou adressez-vous à l’accueil.",
    locating: "Cette page demande votre position pour vérifier que vous êtes sur place.",
    codes: {
      no_appointment_found:
        "Aucun rendez-vous ne correspond à ces renseignements. Vérifiez-les, ou " +
        "adressez-vous à l’accueil.",
      already_checked_in: "Votre inscription est déjà faite.",
      wrong_location: "Ce rendez-vous est à une autre adresse. Adressez-vous à l’accueil.",
      appointment_expired: "L’heure de ce rendez-vous est passée. Adressez-vous à l’accueil.",
      appointment_over: "Ce rendez-vous est terminé ou annulé. Adressez-vous à l’accueil.",
      too_early: "Il est encore trop tôt pour vous inscrire. Revenez plus près de l’heure.",
      qr_expired:
        "Ce code n’est plus valable. Balayez celui de l’entrée, ou adressez-vous à l’accueil.",
      too_far:
        "Inscrivez-vous une fois sur place, et permettez à cette page d’utiliser votre position.",
      queue_full: "La file est pleine pour le moment. Adressez-vous à l’accueil.",
      queue_not_open: "Cette file est fermée. Adressez-vous à l’accueil.",
      busy: "Trop d’essais en peu de temps. Attendez un peu, ou adressez-vous à l’accueil.",
      other: "L’inscription n’a pas réussi. Adressez-vous à l’accueil.",
    },
    kiosk: {
      start: "Touchez pour commencer",
      next: "Suivant",
      erase: "Effacer",
      cancel: "Annuler",
      pairTitle: "Jumeler cette borne",
      pairHelp:
        "Personnel\u00a0: tapez ce code dans la page de configuration de la clinique, sous " +
        "«\u00a0Écrans\u00a0».",
      kept:
        "Pas de connexion. Votre inscription de " +
        "{at} est conservée et sera envoyée dès que possible. " +
        "Si vous ne pouvez pas attendre, adressez-vous à l’accueil.",
      keptTitle: "Inscriptions conservées",
      waiting: "en attente",
      lost: "pas envoyée à temps\u00a0: adressez-vous à l’accueil",
      closed: "Cette borne n’est pas en service. Adressez-vous à l’accueil.",
      code: "code",
    },
    poster: {
      heading: "Inscrivez-vous ici",
      steps: [
        "Balayez ce code avec votre téléphone.",
        "Entrez le code de votre rendez-vous.",
        "Attendez votre numéro, à l’écran ou sur votre téléphone.",
      ],
      help: "Pas de téléphone? Adressez-vous à l’accueil.",
      print: "Imprimer",
      failed: "Ce point d’inscription n’a pas de code, ou votre lien ne l’ouvre pas.",
    },
  },
};
