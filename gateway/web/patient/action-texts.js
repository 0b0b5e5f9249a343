// The texts of what a patient can do, in both languages.

const en = {
  leave: "I’m leaving",
  question: "Give up your place in line? Only the front desk can give you a new ticket.",
  keep: "Keep my place",
  confirm: "Yes, I’m leaving",
  back: "I’m back",
  failed: "That didn’t work. Please try again, or tell the front desk.",
};

/** @type {typeof en} */
const fr = {
  leave: "Je m’en vais",
  question:
    "Abandonner votre place dans la file? Seul l’accueil peut vous remettre un nouveau billet.",
  keep: "Garder ma place",
  confirm: "Oui, je m’en vais",
  back: "Je suis de retour",
  failed: "Ça n’a pas fonctionné. Réessayez ou avertissez l’accueil.",
};

/** @type {Record<import("../shared/language.js").Language, typeof en>} */
export const actionTexts = { fr, en };
