// The texts of the console, in both languages.

/** @typedef {import("./lines.js").Action} Action */
/** @typedef {import("../shared/schemas.js").TicketState} TicketState */

const en = {
  title: "Console",
  room: "My room",
  chooseRoom: "Choose your room",
  callNext: "Call next",
  /** Short, for the buttons of a line. */
  next: "Call next",
  find: "Find a label",
  nobody: "Nobody is in this line.",
  /** @param {number} count */
  more: (count) => `and ${count} more: find them by label`,
  /** @param {number} count */
  waiting: (count) => `${count} waiting`,
  /** @param {number} level */
  urgent: (level) => `priority ${level}`,
  unsure: "sending…",
  roomEmpty: "Nobody is called to this room.",
  selected: "Selected",
  noneSelected: "Select a person in a line, or find a label.",
  issue: "New ticket",
  /** @param {string} label */
  issued: (label) => `Ticket ${label} was issued.`,
  /** @param {string} label @param {string} room */
  calledTo: (label, room) => `${label} was called to ${room}.`,
  /** @param {string} label @param {string} what */
  did: (label, what) => `${label}: ${what}`,
  /** @param {string} label */
  notFound: (label) => `Nobody with the label “${label}” is in a line.`,
  /** @param {string} time */
  readOnly: (time) => `Not connected since ${time}: you can read this page, but not change it.`,
  back: "Connected again.",
  noRoom: "Choose your room first.",
  noMove: "This person can’t move there: the priority decides first.",
  shortcuts: "Keyboard shortcuts",
  close: "Close",
  cancel: "Cancel",
  ok: "OK",
  /** @type {Record<Action, string>} */
  actions: {
    call: "Call",
    recall: "Call again",
    start: "Start",
    complete: "Done",
    hold: "Set aside",
    resume: "Back in line",
    absent: "Absent",
    return: "Is back",
    "no-show": "Never came",
    transfer: "Other line…",
    prioritise: "Priority…",
    cancel: "Cancel ticket",
    revert: "Undo",
  },
  /** @type {Record<"open" | "close" | "pause" | "resume", string>} */
  queueActions: { open: "Open", close: "Close", pause: "Pause", resume: "Resume" },
  /** @type {Record<"open" | "close", string>} */
  roomActions: { open: "Open room", close: "Close room" },
  /** @type {Record<"open" | "paused" | "closed", string>} */
  queueStates: { open: "open", paused: "paused", closed: "closed" },
  /** @type {Record<string, string>} */
  states: {
    expected: "expected",
    waiting: "waiting",
    called: "called",
    in_service: "being seen",
    on_hold: "set aside",
    absent: "absent",
    leaving: "being moved",
    ended: "no longer in line",
  },
  asks: {
    hold: "Why? (staff and the patient see it)",
    transfer: "To which line?",
    prioritise: "Which priority? 9 is called first, 0 is routine.",
    cancel: "Why? (staff and the patient see it)",
  },
  keys: {
    move: "Up and down",
    reorder: "Move up or down in line",
    find: "Find a label",
    issue: "New ticket in this line",
    queue: "Open or close this line",
    pause: "Pause or resume this line",
    room: "Open or close my room",
    sheet: "This sheet",
  },
  /** Refusals. @type {Record<string, string>} */
  refusals: {
    illegal_move: "Somebody else was faster: that is not possible any more. See the line.",
    station_busy: "Somebody is still called to your room. Start, or mark as absent first.",
    station_closed: "Your room is closed. Open it first.",
    queue_empty: "Nobody is waiting.",
    queue_paused: "The line is paused. Resume it first.",
    queue_not_open: "The line is closed. Open it first.",
    queue_full: "The line is full. Choose another one.",
    location_full: "The clinic is full. No more tickets for now.",
    nothing_to_revert: "There is nothing to undo.",
    ticket_unknown: "This ticket is over.",
    forbidden: "Your role may not do this.",
    moving: "This person is on the way to another location. Wait for its answer.",
    unreachable: "No answer. Look at the line before you try again.",
    token_expired: "Your sign-in has ended. Open the page with a new link.",
  },
  /** @param {string} code */
  refused: (code) => `This was not done (${code}).`,
  notes: {
    missing: [
      "Open the link you were given",
      "This link doesn’t say which clinic to show. Your administrator can give you the full one.",
    ],
    refused: [
      "This link doesn’t work here",
      "It may be for another location or another role. Your administrator can give you a new one.",
    ],
    unreachable: [
      "We can’t reach the clinic right now",
      "We keep trying. The lines appear once we’re connected.",
    ],
  },
};

/** @type {typeof en} */
const fr = {
  title: "Console",
  room: "Ma salle",
  chooseRoom: "Choisissez votre salle",
  callNext: "Appeler le suivant",
  next: "Suivant",
  find: "Trouver un numéro",
  nobody: "Personne dans cette file.",
  more: (count) => `et ${count} de plus : trouvez-les par leur numéro`,
  waiting: (count) => `${count} en attente`,
  urgent: (level) => `priorité ${level}`,
  unsure: "envoi…",
  roomEmpty: "Personne n’est appelé à cette salle.",
  selected: "Sélection",
  noneSelected: "Choisissez une personne dans une file, ou trouvez un numéro.",
  issue: "Billet",
  issued: (label) => `Le billet ${label} est émis.`,
  calledTo: (label, room) => `${label} est appelé : ${room}.`,
  did: (label, what) => `${label} : ${what}`,
  notFound: (label) => `Aucun billet « ${label} » dans les files.`,
  readOnly: (time) =>
    `Hors connexion depuis ${time} : vous pouvez lire cette page, mais rien y changer.`,
  back: "Connexion rétablie.",
  noRoom: "Choisissez d’abord votre salle.",
  noMove: "Ce déplacement est impossible : la priorité passe avant l’ordre.",
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
    absent: "Absent",
    return: "De retour",
    "no-show": "Jamais venu",
    transfer: "Autre file…",
    prioritise: "Priorité…",
    cancel: "Annuler le billet",
    revert: "Défaire",
  },
  queueActions: { open: "Ouvrir", close: "Fermer", pause: "Suspendre", resume: "Reprendre" },
  roomActions: { open: "Ouvrir la salle", close: "Fermer la salle" },
  queueStates: { open: "ouverte", paused: "suspendue", closed: "fermée" },
  states: {
    expected: "attendu",
    waiting: "en attente",
    called: "appelé",
    in_service: "en consultation",
    on_hold: "mis de côté",
    absent: "absent",
    leaving: "en transfert",
    ended: "n’est plus en file",
  },
  asks: {
    hold: "Pourquoi? (visible au personnel et au patient)",
    transfer: "Vers quelle file?",
    prioritise: "Quelle priorité? 9 passe en premier, 0 est la routine.",
    cancel: "Pourquoi? (visible au personnel et au patient)",
  },
  keys: {
    move: "Monter et descendre",
    reorder: "Avancer ou reculer dans la file",
    find: "Trouver un numéro",
    issue: "Nouveau billet dans cette file",
    queue: "Ouvrir ou fermer cette file",
    pause: "Suspendre ou reprendre cette file",
    room: "Ouvrir ou fermer ma salle",
    sheet: "Cette liste",
  },
  refusals: {
    illegal_move: "Quelqu’un d’autre a été plus rapide : ce n’est plus possible. Voyez la file.",
    station_busy: "Quelqu’un est encore appelé à votre salle. Commencez, ou indiquez « Absent ».",
    station_closed: "Votre salle est fermée. Ouvrez-la d’abord.",
    queue_empty: "Personne n’attend.",
    queue_paused: "La file est suspendue. Reprenez-la d’abord.",
    queue_not_open: "La file est fermée. Ouvrez-la d’abord.",
    queue_full: "La file est pleine. Choisissez-en une autre.",
    location_full: "La clinique est pleine. Plus de billets pour l’instant.",
    nothing_to_revert: "Il n’y a rien à défaire.",
    ticket_unknown: "Ce billet est terminé.",
    forbidden: "Votre rôle ne permet pas cette action.",
    moving: "Cette personne est en route vers un autre établissement. Attendez sa réponse.",
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

/** @type {Record<import("../shared/language.js").Language, typeof en>} */
export const consoleTexts = { fr, en };
