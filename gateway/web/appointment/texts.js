// Every text of the appointment's page and of the doctor's schedule, in both languages.

/** @typedef {import("../shared/page.js").Language} Language */
/** @typedef {"proposed" | "pending" | "booked" | "arrived" | "fulfilled" | "cancelled" | "noshow" | "entered-in-error" | "checked-in" | "waitlist"} Status FHIR's */
/** @typedef {import("../shared/ticket.js").Ticket["state"] | "expected"} TicketState */

/** @param {string} tag how a clinic here writes times and days @param {string} to between two times */
function formats(tag, to) {
  /** @param {number} ms @param {string | undefined} timeZone nothing: the reader's own @param {Intl.DateTimeFormatOptions} options */
  const format = (ms, timeZone, options) => new Intl.DateTimeFormat(tag, { timeZone, ...options }).format(ms);
  /** @type {Intl.DateTimeFormatOptions} */
  const time = { hour: "numeric", minute: "2-digit" };
  return {
    /** @param {number} ms @param {string} [timeZone] */
    time: (ms, timeZone) => format(ms, timeZone, time),
    /** @param {number} from @param {number} until @param {string} [timeZone] */
    span: (from, until, timeZone) => [from, until].map((ms) => format(ms, timeZone, time)).join(to),
    /** @param {number} ms @param {string} [timeZone] */
    date: (ms, timeZone) => format(ms, timeZone, { weekday: "long", day: "numeric", month: "long" }),
  };
}

const en = {
  ...formats("en-CA", " to "),
  /** Of an appointment, as staff say it. @type {Record<Status, string>} */
  statuses: {
    proposed: "Proposed", pending: "To be confirmed", booked: "Booked", arrived: "Arrived", "checked-in": "Checked in",
    fulfilled: "Done", cancelled: "Cancelled", noshow: "Did not come", "entered-in-error": "Entered in error", waitlist: "On the waiting list",
  },
  /** @type {Record<TicketState, string>} */
  tickets: {
    expected: "expected", waiting: "waiting", called: "called", in_service: "being seen", on_hold: "on hold", absent: "absent",
    completed: "done", no_show: "did not come", cancelled: "cancelled", left: "left", transferred: "moved elsewhere",
  },
  inService: "Being seen",
  late: "late",
  /** @param {number} minutes */
  delay: (minutes) => `About ${minutes}\u00a0min behind`,
  onTime: "On time",
  schedule: {
    title: "Appointments",
    /** @param {number} all @param {number} here @param {number} over */
    summary: (all, here, over) => `${all} ${all === 1 ? "appointment" : "appointments"}: ${all - here - over} to come, ${here} here, ${over} over`,
    time: "Time",
    who: "Patient",
    status: "Status",
    ticket: "Ticket",
    noTime: "no time yet",
    nobody: "No appointments on this day.",
    /** @param {string} label @param {string} status */
    changed: (label, status) => `${label}: ${status}`,
    /** @param {string} time */
    changedAt: (time) => `last change ${time}`,
    /** @param {string} time */
    asOf: (time) => `as of ${time}`,
  },
  scheduleNotes: {
    missing: ["Open the link you were given", "This page shows one doctor’s day, and this link names none or carries no key."],
    refused: ["This link doesn’t work here", "It may have expired, or it is for another doctor or location. Your administrator can give you a new one."],
    unreachable: ["We can’t reach the clinic yet", "We keep trying. Nothing is shown until it is true."],
  },
  own: {
    title: "Your appointment",
    /** @param {string} doctor */
    withDoctor: (doctor) => `with ${doctor}`,
    /** What it means for the patient: a title, and what to do. @type {Record<Status, [string, string]>} */
    statuses: {
      proposed: ["Not booked yet", "A time was proposed. The clinic will confirm it."],
      pending: ["To be confirmed", "This time is held for you until it is confirmed."],
      booked: ["Booked", "Please check in at the front desk when you arrive."],
      arrived: ["You’re here", "The clinic knows that you have arrived."],
      "checked-in": ["Checked in", "You’re in line."],
      fulfilled: ["All done", "Thank you for coming. Take care."],
      cancelled: ["Cancelled", "If you didn’t expect this, please call the clinic."],
      noshow: ["We missed you", "This appointment has passed. Please call the clinic for another one."],
      "entered-in-error": ["There is no such appointment", "It was entered by mistake. If you are unsure, please call the clinic."],
      waitlist: ["On the waiting list", "The clinic will tell you when a time is found."],
    },
    /** @param {string} time */
    until: (time) => `until ${time}`,
    noTime: "The time is not set yet",
    late: "It’s time. Please check in at the front desk; if you can’t come, please call the clinic.",
    /** @param {string | undefined} doctor @param {number} minutes */
    delay: (doctor, minutes) => `${doctor ?? "The clinic"} is about ${minutes}\u00a0min behind.`,
    moved: ["It’s at another location now", "Your appointment has moved. The clinic can give you the link to the new one."],
    openMoved: "Open the new appointment",
    /** @param {string} reason */
    reason: (reason) => `Reason: ${reason}`,
    ticketSoon: "Your ticket is on its way…",
  },
  notes: {
    missing: ["Open the link to your appointment", "This page follows one appointment, and this link doesn’t name one. Open the link from your message again, or call the clinic."],
    refused: ["This link doesn’t work any more", "It may have expired. The clinic can give you a new one."],
    unreachable: ["We can’t reach the clinic yet", "We keep trying. Your appointment stands as it was agreed."],
  },
};

/** @typedef {typeof en} Texts */

/** @type {Texts} */
const fr = {
  ...formats("fr-CA", " à "),
  statuses: {
    proposed: "Proposé", pending: "À confirmer", booked: "Prévu", arrived: "Arrivé", "checked-in": "Inscrit",
    fulfilled: "Terminé", cancelled: "Annulé", noshow: "Absent", "entered-in-error": "Saisi par erreur", waitlist: "Sur la liste d’attente",
  },
  tickets: {
    expected: "attendu", waiting: "en attente", called: "appelé", in_service: "en consultation", on_hold: "mis de côté", absent: "absent",
    completed: "terminé", no_show: "absent", cancelled: "annulé", left: "parti", transferred: "passé ailleurs",
  },
  inService: "En consultation",
  late: "en retard",
  delay: (minutes) => `Environ ${minutes}\u00a0min de retard`,
  onTime: "À l’heure",
  schedule: {
    title: "Rendez-vous",
    summary: (all, here, over) => `${all} rendez-vous : ${all - here - over} à venir, ${here} sur place, ${over} ${over < 2 ? "passé" : "passés"}`,
    time: "Heure",
    who: "Patient",
    status: "État",
    ticket: "Billet",
    noTime: "sans heure",
    nobody: "Aucun rendez-vous ce jour.",
    changed: (label, status) => `${label} : ${status}`,
    changedAt: (time) => `dernier changement à ${time}`,
    asOf: (time) => `situation à ${time}`,
  },
  scheduleNotes: {
    missing: ["Ouvrez le lien qu’on vous a remis", "Cette page montre la journée d’un médecin, et ce lien n’en nomme aucun ou n’a pas de clé."],
    refused: ["Ce lien ne fonctionne pas ici", "Il est peut-être expiré ou destiné à un autre médecin ou à un autre lieu. Votre administrateur peut vous en donner un autre."],
    unreachable: ["La clinique est injoignable pour l’instant", "Nous continuons d’essayer. Rien n’est montré avant d’être vrai."],
  },
  own: {
    title: "Votre rendez-vous",
    withDoctor: (doctor) => `avec ${doctor}`,
    statuses: {
      proposed: ["Pas encore fixé", "Une heure a été proposée. La clinique la confirmera."],
      pending: ["À confirmer", "Cette heure vous est réservée jusqu’à sa confirmation."],
      booked: ["Prévu", "À votre arrivée, inscrivez-vous à l’accueil."],
      arrived: ["Vous êtes là", "La clinique sait que vous êtes sur place."],
      "checked-in": ["Inscription faite", "Vous êtes dans la file."],
      fulfilled: ["C’est terminé", "Merci de votre visite. Prenez soin de vous."],
      cancelled: ["Annulé", "Si c’est une surprise, appelez la clinique."],
      noshow: ["Votre rendez-vous est passé", "Appelez la clinique pour en prendre un autre."],
      "entered-in-error": ["Ce rendez-vous n’existe pas", "Il a été saisi par erreur. En cas de doute, appelez la clinique."],
      waitlist: ["Sur la liste d’attente", "La clinique vous préviendra dès qu’une heure se libère."],
    },
    until: (time) => `jusqu’à ${time}`,
    noTime: "L’heure n’est pas encore fixée",
    late: "C’est l’heure. Inscrivez-vous à l’accueil ; si vous ne pouvez pas venir, appelez la clinique.",
    delay: (doctor, minutes) => `${doctor ?? "La clinique"} a environ ${minutes}\u00a0min de retard.`,
    moved: ["On vous attend ailleurs", "Votre rendez-vous a lieu à un autre endroit. La clinique peut vous donner le nouveau lien."],
    openMoved: "Ouvrir le nouveau rendez-vous",
    reason: (reason) => `Motif : ${reason}`,
    ticketSoon: "Votre billet arrive…",
  },
  notes: {
    missing: ["Ouvrez le lien de votre rendez-vous", "Cette page suit un rendez-vous, et ce lien n’en nomme aucun. Ouvrez de nouveau le lien de votre message ou appelez la clinique."],
    refused: ["Ce lien ne fonctionne plus", "Il est peut-être expiré. La clinique peut vous en donner un autre."],
    unreachable: ["La clinique est injoignable pour l’instant", "Nous continuons d’essayer. Votre rendez-vous tient comme convenu."],
  },
};

/** @type {Record<Language, Texts>} */
export const texts = { fr, en };
