// The texts of the page of a patient's appointment, in both languages.

/** @typedef {import("../shared/schemas.js").AppointmentStatus} Status */

const en = {
  title: "Your appointment",
  /** @param {string} doctor */
  withDoctor: (doctor) => `with ${doctor}`,
  /** A title, and what it means for the patient. @type {Record<Status, [string, string]>} */
  statuses: {
    proposed: ["Not booked yet", "This time is a suggestion. The clinic will confirm it."],
    pending: ["To be confirmed", "We’re holding this time for you until it is confirmed."],
    booked: ["Booked", "Please check in at the front desk when you arrive."],
    arrived: ["You’re here", "The clinic knows that you have arrived."],
    "checked-in": ["Checked in", "You’re in line."],
    fulfilled: ["All done", "Thank you for coming. Take care."],
    cancelled: ["Cancelled", "If you didn’t expect this, please call the clinic."],
    noshow: ["We missed you", "To book another appointment, please call the clinic."],
    "entered-in-error": [
      "This appointment doesn’t exist",
      "It was entered by mistake. Questions? Please call the clinic.",
    ],
    waitlist: ["On the waiting list", "The clinic will call you when a time opens up."],
  },
  /** @param {string} time */
  until: (time) => `until ${time}`,
  noTime: "No time set yet",
  late: "It’s time. Please check in at the front desk. If you can’t come, please call the clinic.",
  /** @param {string | undefined} doctor @param {number} minutes */
  delay: (doctor, minutes) => `${doctor ?? "The clinic"} is about ${minutes}\u00a0min behind.`,
  moved: [
    "This appointment has moved",
    "It is now at another location. If this link doesn’t open it, the clinic can give you a new " +
      "one.",
  ],
  openMoved: "Open the new appointment",
  /** @param {string} place @returns {[string, string]} */
  moving: (place) => [
    `This appointment is being moved to ${place}`,
    "Nothing changes for you until they have accepted.",
  ],
  /** @param {string} reason */
  reason: (reason) => `Reason: ${reason}`,
  ticketSoon: "Your ticket is on its way…",
  notes: {
    missing: [
      "Open the link to your appointment",
      "This link doesn’t say which appointment to show. Please open the link from your message " +
        "again, or call the clinic.",
    ],
    refused: [
      "This link no longer works",
      "It may have expired. The clinic can give you a new one.",
    ],
    unreachable: [
      "We can’t reach the clinic right now",
      "We keep trying. Nothing about your appointment has changed because of this.",
    ],
  },
};

/** @type {typeof en} */
const fr = {
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
  moved: [
    "Ce rendez-vous a changé d’endroit",
    "Il aura lieu à un autre établissement. Si ce lien ne l’ouvre pas, la clinique peut vous en " +
      "donner un nouveau.",
  ],
  openMoved: "Ouvrir le nouveau rendez-vous",
  moving: (place) => [
    `Ce rendez-vous est transféré vers ${place}`,
    "Rien ne change pour vous jusqu’à ce qu’on l’y accepte.",
  ],
  reason: (reason) => `Motif : ${reason}`,
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

/** @type {Record<import("../shared/language.js").Language, typeof en>} */
export const ownTexts = { fr, en };
