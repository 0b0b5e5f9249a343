// Names of the states of appointments and tickets as staff say them, in both languages.

/** @typedef {import("./schemas.js").AppointmentStatus} Status */
/** @typedef {import("./schemas.js").TicketState} TicketState */

const en = {
  /** @type {Record<Status, string>} */
  statuses: {
    proposed: "Proposed",
    pending: "To be confirmed",
    booked: "Booked",
    arrived: "Arrived",
    "checked-in": "Checked in",
    fulfilled: "Completed",
    cancelled: "Cancelled",
    noshow: "No-show",
    "entered-in-error": "Entered in error",
    waitlist: "On the waiting list",
  },
  /** @type {Record<TicketState, string>} */
  tickets: {
    expected: "expected",
    waiting: "waiting",
    called: "called",
    in_service: "being seen",
    on_hold: "on hold",
    absent: "absent",
    leaving: "being moved",
    completed: "completed",
    no_show: "no-show",
    cancelled: "cancelled",
    left: "left",
    transferred: "moved",
  },
};

/** @type {typeof en} */
const fr = {
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

/** @type {Record<import("./language.js").Language, typeof en>} */
export const appointmentTexts = { fr, en };
