// The texts of the claims checks in both languages, and how each writes numbers and amounts.

import { originTexts } from "../shared/origin.js";
import { ageText, momentText } from "../shared/times.js";

/** @typedef {import("../shared/language.js").Language} Language */
/** @typedef {import("./api.js").RunState} RunState */
/** @typedef {import("./api.js").Severity} Severity */

/** How people of a language write figures. @param {Language} language */
function figures(language) {
  const tag = `${language}-CA`;
  const whole = new Intl.NumberFormat(tag, { maximumFractionDigits: 0 });
  const tenth = new Intl.NumberFormat(tag, { maximumFractionDigits: 1 });
  /** @type {Intl.NumberFormatOptions} */
  const currency = { style: "currency", currency: "CAD", currencyDisplay: "narrowSymbol" };
  const dollars = new Intl.NumberFormat(tag, currency);
  return {
    /** @param {number} count */
    number: (count) => whole.format(count),
    /** @param {number} cents */
    money: (cents) => dollars.format(cents / 100),
    /** Rounds down, so that 100 appears at the end only. @param {number} permille */
    percent: (permille) => Math.floor(permille / 10),
    /** @param {number} bytes */
    size: (bytes) => {
      const [unit, divisor] = bytes < 1e6 ? ["kilobyte", 1e3] : ["megabyte", 1e6];
      const maximumFractionDigits = bytes < 1e5 || bytes >= 1e6 ? 1 : 0;
      const format = new Intl.NumberFormat(tag, { style: "unit", unit, maximumFractionDigits });
      return format.format(bytes / divisor);
    },
    /** @param {number} ms a duration */
    took: (ms) => {
      if (ms < 10) return `${tenth.format(ms)}\u00a0ms`;
      if (ms < 1_000) return `${whole.format(ms)}\u00a0ms`;
      return ms < 60_000 ? `${tenth.format(ms / 1_000)}\u00a0s` : ageText(ms);
    },
    /** @param {number} ms */
    moment: (ms) => momentText(ms, language),
  };
}

/**
 * Counts the last seconds one by one, and before that in steps that do not flicker.
 * @param {number} ms
 */
function leftText(ms) {
  const stepped = ms > 10_000 && ms < 90_000;
  return ageText(stepped ? Math.round(ms / 5_000) * 5_000 : Math.max(ms, 1_000));
}

const enFigures = figures("en");
const frFigures = figures("fr");

/** @param {number} count @param {string} one @param {string} many */
const enCount = (count, one, many) => `${enFigures.number(count)} ${count === 1 ? one : many}`;
/**
 * Zero takes the singular in French.
 * @param {number} count
 * @param {string} one
 * @param {string} many
 */
const frCount = (count, one, many) => `${frFigures.number(count)} ${count < 2 ? one : many}`;

const en = {
  ...enFigures,
  title: "Claims checks",
  opening: "Opening the check…",
  back: "All checks",
  intake: "Check a claims file",
  intakeHint:
    "Use the billing export from your software (CSV). The file is deleted after the check, and " +
    "findings never name a patient.",
  watchHint: "You can watch checks here. To start a check you need an editor link.",
  drop: "Drop the file here",
  or: "or",
  choose: "Choose a file",
  listPasses: "Also list rows that passed",
  oneFile: "Please send one file at a time. Nothing was sent.",
  /** @param {string} sent @param {string} size */
  uploaded: (sent, size) => `${sent} of ${size} sent`,
  arriving: "Sent. The server is storing it…",
  uploadTitle: "Sending",
  stop: "Stop",
  recent: "Recent checks",
  noRecent: "No checks yet.",
  refresh: "Refresh",
  more: "Show more",
  /** @type {Record<RunState, string>} */
  states: {
    queued: "Waiting",
    running: "Running",
    completed: "Finished",
    failed: "Failed",
    cancelled: "Cancelled",
  },
  cancelling: "Stopping",
  /** @param {number | undefined} ahead */
  queued: (ahead) => {
    if (ahead === undefined) return "In line to be checked.";
    return ahead ? `${enCount(ahead, "check", "checks")} ahead of this one.` : "Next in line.";
  },
  cancellingText: "The check stops in a moment.",
  cancelled: "The check was stopped before it finished.",
  /** @param {number} rows @param {string} took */
  completed: (rows, took) => `${enCount(rows, "row", "rows")} checked in ${took}.`,
  /** @param {number} rows */
  unreadable: (rows) =>
    `${enCount(rows, "row", "rows")} could not be read; ` +
    `${rows === 1 ? "it is" : "they are"} listed below.`,
  /** @param {number} attempt */
  attempt: (attempt) =>
    `${attempt === 2 ? "Second attempt" : `Attempt ${attempt}`}. The one before did not finish, ` +
    `so everything is counted again.`,
  phases: {
    reading: "Reading rows",
    concluding: "Adding up days and years",
    storing: "Storing the findings",
  },
  starting: "Starting…",
  rows: "Rows",
  /** @param {number} done @param {number | undefined} total */
  rowsOf: (done, total) =>
    total === undefined
      ? enFigures.number(done)
      : `${enFigures.number(done)} of ${enFigures.number(total)}`,
  rate: "Speed",
  /** @param {number} rows */
  rateText: (rows) => `${enFigures.number(rows)} rows/s`,
  timeLeft: "Time left",
  /** @param {number} ms */
  left: (ms) => `about ${leftText(ms)}`,
  /** @param {number} permille */
  percentText: (permille) => `${enFigures.percent(permille)}%`,
  cancel: "Cancel the check",
  retry: "Try again",
  another: "Check another file",
  /** @type {Record<Severity, string>} */
  severities: {
    error: "Errors",
    warning: "Warnings",
    optimisation: "Missed billing",
    pass: "Passed",
  },
  /** @type {Record<Severity, string>} */
  severity: {
    error: "Error",
    warning: "Warning",
    optimisation: "Missed billing",
    pass: "Passed",
  },
  kind: "Kind",
  all: "All",
  atRisk: "At risk",
  toGain: "Possible missed billing",
  /** @param {number} errors */
  errors: (errors) => enCount(errors, "error", "errors"),
  /** @param {string} money */
  atRiskOf: (money) => `${money} at risk`,
  /** @param {string} money */
  toGainOf: (money) => `${money} possibly missed`,
  rules: "Rules",
  rule: "Rule",
  /** @param {number} done @param {number} all */
  rulesDone: (done, all) => `${enFigures.number(done)} of ${enFigures.number(all)} finished`,
  fileRule: "Readable file",
  time: "Time",
  notYet: "not finished",
  findings: "Findings",
  firstFindings: "First findings",
  firstHint:
    "The first 100, in the order they are found. The full list appears when the check ends.",
  partHint: "Found before the check ended; the list is not complete.",
  rowHint: "Row 1 is the first row below the header: row 2 in your spreadsheet.",
  row: "Row",
  wholeFile: "all",
  what: "What was found",
  amount: "Amount",
  show: "Show",
  everyRule: "Every rule",
  export: "Download as CSV",
  exporting: "Preparing…",
  /** @param {number} count @param {boolean} whole */
  shown: (count, whole) => {
    if (whole) return count === 1 ? "1 finding" : `${enFigures.number(count)} findings, all shown`;
    return `Showing the first ${enFigures.number(count)}`;
  },
  /** @param {number} stored */
  capped: (stored) =>
    `There were more findings than we keep: this is the first ${enFigures.number(stored)}.`,
  nothingYet: "Nothing found so far.",
  nothing: "Nothing to report: every rule passed.",
  nothingLikeThis: "No findings of this kind.",
  /** @param {string} column @param {string} line @param {string} byte */
  where: (column, line, byte) =>
    [column && `Column “${column}”`, line && `spreadsheet row ${line}`, byte && `byte ${byte}`]
      .filter(Boolean)
      .join(", "),
  retryHint: "Trying again may help.",
  newFileHint: "Please export the file again and send the new one.",
  /** @type {Record<string, string>} */
  failures: {
    file_not_an_export:
      "This isn’t a claims export: a required column is missing, or appears twice.",
    file_no_header: "This isn’t a claims export: the first row isn’t a claims-export header.",
    file_not_text: "This isn’t a text file. Export it as CSV, not as a spreadsheet or a PDF.",
    file_malformed:
      "We can’t tell the rows apart: a quotation mark is never closed, or a row is far too long.",
    file_empty: "The file is empty.",
    file_unknown: "The file is no longer there. Please send it again.",
    run_worker_lost: "The server that was checking the file stopped at every attempt.",
    run_faulted: "Something went wrong on our side. There may be nothing wrong with your file.",
  },
  failedOtherwise: "The check could not be done.",
  /** @type {Record<string, string>} */
  problems: {
    network: "We can’t reach the server. Please check your connection and try again.",
    upload_broken:
      "The file did not arrive in full: the connection failed, or the file is larger than " +
      "allowed. Please try again, or export a shorter period.",
    too_large: "The file is larger than allowed. Please export a shorter period.",
    file_empty: "The file is empty, so nothing was sent. Please export it again.",
    checksum_mismatch: "The file was damaged on its way. Please send it again.",
    file_unknown: "The file is no longer there. Please send it again.",
    forbidden: "Your link doesn’t allow this. To do it you need an editor link.",
    token_expired: "Your link has expired. Your administrator can give you a new one.",
    run_over: "This check has already ended.",
    run_not_retryable: "This check can’t be tried again. Please send the file again.",
    try_again: "The server is busy. Please try again in a moment.",
    draining: "The server is restarting. Please try again in a moment.",
  },
  /** @param {string} code */
  problem: (code) =>
    `That didn’t work (${code}). Please try again. If it keeps happening, contact your ` +
    `administrator.`,
  /** @param {string} age */
  lost: (age) =>
    `Connection lost ${age} ago. The check continues, but this page may be out of date.`,
  /** @param {string} age */
  stale: (age) => `No news for ${age}. The check continues, but this page may be out of date.`,
  /** @type {Record<"missing" | "origin" | "refused" | "gone" | "unreachable", [string, string]>} */
  notes: {
    missing: [
      "Open the link you were given",
      "This page needs your personal link. Your administrator can give it to you.",
    ],
    origin: originTexts.en,
    refused: [
      "This link doesn’t open claims checks",
      "It may have expired, or it may be for a different page. Your administrator can give you a " +
        "new one.",
    ],
    gone: [
      "This check can’t be opened",
      "Checks are kept for about a day, and your link opens only your own. You may need to send " +
        "the file again.",
    ],
    unreachable: [
      "We can’t reach the server right now",
      "We keep trying. A check that has started continues in the meantime.",
    ],
  },
};

/** @type {typeof en} */
const fr = {
  ...frFigures,
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
      ? `${frCount(ahead, "vérification", "vérifications")} avant celle-ci.`
      : "En tête de file.";
  },
  cancellingText: "La vérification s’arrête dans un instant.",
  cancelled: "La vérification a été arrêtée avant la fin.",
  completed: (rows, took) => `${frCount(rows, "ligne vérifiée", "lignes vérifiées")} en ${took}.`,
  unreadable: (rows) =>
    `${frCount(rows, "ligne n’a pas pu être lue", "lignes n’ont pas pu être lues")}; ` +
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
      ? frFigures.number(done)
      : `${frFigures.number(done)} sur ${frFigures.number(total)}`,
  rate: "Vitesse",
  rateText: (rows) => `${frFigures.number(rows)} lignes/s`,
  timeLeft: "Temps restant",
  left: (ms) => `environ ${leftText(ms)}`,
  percentText: (permille) => `${frFigures.percent(permille)}\u00a0%`,
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
  errors: (errors) => frCount(errors, "erreur", "erreurs"),
  atRiskOf: (money) => `${money} à risque`,
  toGainOf: (money) => `${money} possiblement manqués`,
  rules: "Règles",
  rule: "Règle",
  rulesDone: (done, all) =>
    `${frCount(done, "terminée", "terminées")} sur ${frFigures.number(all)}`,
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
      return count === 1 ? "1 constat" : `${frFigures.number(count)} constats, tous affichés`;
    }
    return `Les ${frFigures.number(count)} premiers sont affichés`;
  },
  capped: (stored) =>
    `Il y a plus de constats que nous n’en conservons : voici les ${frFigures.number(stored)} ` +
    `premiers.`,
  nothingYet: "Rien de relevé jusqu’ici.",
  nothing: "Rien à signaler : toutes les règles sont respectées.",
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
      "Ce n’est pas un export de facturation : une colonne obligatoire manque ou s’y trouve deux " +
      "fois.",
    file_no_header:
      "Ce n’est pas un export de facturation : la première ligne n’est pas l’en-tête d’un export " +
      "de facturation.",
    file_not_text:
      "Ce n’est pas un fichier texte. Exportez-le en CSV, et non en classeur ou en PDF.",
    file_malformed:
      "Impossible de séparer les lignes : un guillemet n’est jamais fermé, ou une ligne est " +
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
      "Le fichier n’est pas arrivé en entier : la connexion a échoué, ou il est plus gros que " +
      "permis. Réessayez, ou exportez une période plus courte.",
    too_large: "Le fichier est plus gros que permis. Exportez une période plus courte.",
    file_empty: "Le fichier est vide : rien n’a été envoyé. Exportez-le de nouveau.",
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
    origin: originTexts.fr,
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

/** @typedef {typeof en} Texts */

/** @type {Record<Language, Texts>} */
export const texts = { fr, en };

/** Says what went wrong with a request, and what to do next. @param {Texts} text @param {string} code */
export function problemText(text, code) {
  return text.problems[code] ?? text.problem(code);
}
