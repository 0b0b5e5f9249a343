// Every text of the page of claims checks, in both languages, and how each writes numbers and amounts.

import { ageText } from "../shared/texts.js";

/** @typedef {import("../shared/page.js").Language} Language */
/** @typedef {import("./api.js").RunState} RunState */
/** @typedef {import("./api.js").Severity} Severity */

/** How people of a language write figures. @param {string} tag */
function figures(tag) {
  const whole = new Intl.NumberFormat(tag, { maximumFractionDigits: 0 });
  const tenth = new Intl.NumberFormat(tag, { maximumFractionDigits: 1 });
  const dollars = new Intl.NumberFormat(tag, { style: "currency", currency: "CAD", currencyDisplay: "narrowSymbol" });
  return {
    /** @param {number} count */
    number: (count) => whole.format(count),
    /** @param {number} cents */
    money: (cents) => dollars.format(cents / 100),
    /** @param {number} permille never says 100 before the end */
    percent: (permille) => Math.floor(permille / 10),
    /** @param {number} bytes */
    size: (bytes) => {
      const [unit, divisor] = bytes < 1e6 ? ["kilobyte", 1e3] : ["megabyte", 1e6];
      const format = new Intl.NumberFormat(tag, { style: "unit", unit, maximumFractionDigits: bytes < 1e5 ? 1 : bytes < 1e6 ? 0 : 1 });
      return format.format(bytes / divisor);
    },
    /** @param {number} ms how long something took */
    took: (ms) => {
      if (ms < 10) return `${tenth.format(ms)}\u00a0ms`;
      if (ms < 1_000) return `${whole.format(ms)}\u00a0ms`;
      return ms < 60_000 ? `${tenth.format(ms / 1_000)}\u00a0s` : ageText(ms);
    },
    /** @param {number} ms */
    moment: (ms) => new Intl.DateTimeFormat(tag, { dateStyle: "medium", timeStyle: "short" }).format(ms),
  };
}

/** The last seconds one by one, before that in steps that do not flicker. @param {number} ms */
const left = (ms) => ageText(ms > 10_000 && ms < 90_000 ? Math.round(ms / 5_000) * 5_000 : Math.max(ms, 1_000));

const enFigures = figures("en-CA");
const frFigures = figures("fr-CA");

/** @param {number} count @param {string} one @param {string} many */
const en1 = (count, one, many) => `${enFigures.number(count)} ${count === 1 ? one : many}`;
/** Nought is one in French. @param {number} count @param {string} one @param {string} many */
const fr1 = (count, one, many) => `${frFigures.number(count)} ${count < 2 ? one : many}`;

const en = {
  ...enFigures,
  title: "Claims checks",
  back: "All checks",
  intake: "Check a claims file",
  intakeHint: "The billing export as your software writes it (CSV). The file is removed once it was checked, and what is found never names a patient.",
  watchHint: "You may watch checks; starting one takes another link.",
  drop: "Drop the file here",
  or: "or",
  choose: "Choose a file",
  listPasses: "Also list what is as it should be",
  oneFile: "One file at a time, please. Nothing was sent.",
  /** @param {string} sent @param {string} size */
  uploaded: (sent, size) => `${sent} of ${size} sent`,
  arriving: "Sent. Waiting for the server to store it…",
  uploadTitle: "Sending",
  stop: "Stop",
  recent: "Recent checks",
  noRecent: "None yet.",
  refresh: "Refresh",
  more: "Show more",
  /** @type {Record<RunState, string>} */
  states: { queued: "Waiting", running: "Running", completed: "Finished", failed: "Failed", cancelled: "Cancelled" },
  cancelling: "Stopping",
  /** @param {number | undefined} ahead */
  queued: (ahead) => {
    if (ahead === undefined) return "In line to be checked.";
    return ahead ? `${en1(ahead, "check", "checks")} ahead of this one.` : "Next in line.";
  },
  cancellingText: "The check was told to stop.",
  cancelled: "It was stopped before its end.",
  /** @param {number} rows @param {string} took */
  completed: (rows, took) => `${en1(rows, "row", "rows")} checked in ${took}.`,
  /** @param {number} rows */
  unreadable: (rows) => `${en1(rows, "row", "rows")} could not be read; each is listed.`,
  /** @param {number} attempt */
  attempt: (attempt) => `${attempt === 2 ? "Second attempt" : `Attempt ${attempt}`}. The one before did not finish; everything is counted afresh.`,
  phases: { reading: "Reading rows", concluding: "Adding up days and years", storing: "Storing the findings" },
  starting: "Starting…",
  rows: "Rows",
  /** @param {number} done @param {number | undefined} total */
  rowsOf: (done, total) => (total === undefined ? enFigures.number(done) : `${enFigures.number(done)} of ${enFigures.number(total)}`),
  rate: "Rate",
  /** @param {number} rows */
  rateText: (rows) => `${enFigures.number(rows)}/s`,
  timeLeft: "Time left",
  /** @param {number} ms */
  left: (ms) => `about ${left(ms)}`,
  /** @param {number} permille */
  percentText: (permille) => `${enFigures.percent(permille)}%`,
  cancel: "Cancel the check",
  retry: "Try again",
  another: "Check another file",
  /** @type {Record<Severity, string>} */
  severities: { error: "Errors", warning: "Warnings", optimisation: "Possible gains", pass: "In order" },
  /** @type {Record<Severity, string>} */
  severity: { error: "Error", warning: "Warning", optimisation: "Possible gain", pass: "In order" },
  kind: "Kind",
  all: "All",
  atRisk: "At risk",
  toGain: "To gain",
  /** @param {number} errors */
  errors: (errors) => en1(errors, "error", "errors"),
  /** @param {string} money */
  atRiskOf: (money) => `${money} at risk`,
  /** @param {string} money */
  toGainOf: (money) => `${money} to gain`,
  rules: "Rules",
  rule: "Rule",
  /** @param {number} done @param {number} all */
  rulesDone: (done, all) => `${enFigures.number(done)} of ${enFigures.number(all)} finished`,
  fileRule: "Readability of the file",
  time: "Time",
  notYet: "not finished",
  findings: "Findings",
  firstFindings: "First findings",
  firstHint: "The first 100, in the order they are found. The whole list comes at the end.",
  partHint: "Found before it ended; the list is not complete.",
  rowHint: "Row 1 is the first below the header.",
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
    return `The first ${enFigures.number(count)} are shown`;
  },
  /** @param {number} stored */
  capped: (stored) => `More was found than is kept: these are among the first ${enFigures.number(stored)}.`,
  nothingYet: "Nothing found so far.",
  nothing: "Nothing was found. Every rule is satisfied.",
  nothingLikeThis: "No findings of this kind.",
  /** @param {string} column @param {string} line @param {string} byte */
  where: (column, line, byte) => [column && `Column “${column}”`, line && `line ${line}`, byte && `byte ${byte}`].filter(Boolean).join(", "),
  retryHint: "Trying again may help.",
  newFileHint: "Export the file again and send the new one.",
  /** @type {Record<string, string>} */
  failures: {
    file_not_an_export: "This is not an export of claims: a column it must have is missing, or stands twice.",
    file_no_header: "This is not an export of claims: its first row does not have the titles of an export’s columns.",
    file_not_text: "This is not a text file. Export it as CSV, rather than as a spreadsheet or a PDF.",
    file_malformed: "The file’s rows cannot be told apart: a quotation mark was opened and never closed, or a row is far too long.",
    file_empty: "The file is empty.",
    file_unknown: "The file is no longer there. Send it again.",
    run_worker_lost: "The computer that checked the file was lost, each time it was tried.",
    run_faulted: "Something failed on our side. Your file may be perfectly fine.",
  },
  failedOtherwise: "The check could not be carried out.",
  /** @type {Record<string, string>} */
  problems: {
    network: "The server could not be reached. Check the connection, and try again.",
    upload_broken: "The file did not arrive whole: the connection failed, or the file is larger than allowed here.",
    too_large: "The file is larger than allowed here. Export a shorter period.",
    file_empty: "The file is empty. Nothing was sent.",
    checksum_mismatch: "The file was damaged on its way. Send it again.",
    file_unknown: "The file is no longer there. Send it again.",
    forbidden: "Your link does not allow that.",
    token_expired: "Your link has expired. Ask for a new one.",
    run_over: "The check has ended already.",
    run_not_retryable: "This check cannot be tried again. Send the file anew.",
    try_again: "The server is busy. Try again in a moment.",
    draining: "The server is being restarted. Try again in a moment.",
  },
  /** @param {string} code */
  problem: (code) => `That did not work (${code}). Try again; if it stays so, tell whoever runs this service.`,
  connecting: "Connecting…",
  live: "Live",
  reconnecting: "Reconnecting…",
  notConnected: "Not connected",
  ended: "Finished",
  /** @param {string} age */
  lost: (age) => `Connection lost ${age} ago. The check goes on; what you see may be out of date.`,
  /** @param {string} age */
  stale: (age) => `No news for ${age}. The check goes on; what you see may be out of date.`,
  /** @type {Record<"missing" | "refused" | "gone" | "unreachable", [string, string]>} */
  notes: {
    missing: ["Open the link you were given", "This page needs a link that says who you are. Ask whoever runs this service for yours."],
    refused: ["This link doesn’t open checks", "It may have expired, or belong to other work. Ask for a new one."],
    gone: ["This check can’t be opened", "Checks are kept for a day or so, and opened by those whose link covers them. You may need to send the file again."],
    unreachable: ["The server can’t be reached yet", "We keep trying. A check that was started goes on meanwhile."],
  },
};

/** @type {typeof en} */
const fr = {
  ...frFigures,
  title: "Vérification de la facturation",
  back: "Toutes les vérifications",
  intake: "Vérifier un fichier de facturation",
  intakeHint: "L’export de facturation tel que votre logiciel l’écrit (CSV). Le fichier est effacé une fois vérifié, et ce qui est relevé ne nomme jamais un patient.",
  watchHint: "Vous pouvez suivre les vérifications\u00a0; pour en lancer une, il faut un autre lien.",
  drop: "Déposez le fichier ici",
  or: "ou",
  choose: "Choisir un fichier",
  listPasses: "Lister aussi ce qui est conforme",
  oneFile: "Un seul fichier à la fois, s’il vous plaît. Rien n’a été envoyé.",
  uploaded: (sent, size) => `${sent} sur ${size} envoyés`,
  arriving: "Envoyé. Le serveur l’enregistre…",
  uploadTitle: "Envoi",
  stop: "Arrêter",
  recent: "Vérifications récentes",
  noRecent: "Aucune pour l’instant.",
  refresh: "Actualiser",
  more: "En afficher plus",
  states: { queued: "En attente", running: "En cours", completed: "Terminée", failed: "Échouée", cancelled: "Annulée" },
  cancelling: "Arrêt en cours",
  queued: (ahead) => {
    if (ahead === undefined) return "En file pour être vérifié.";
    return ahead ? `${fr1(ahead, "vérification", "vérifications")} avant celle-ci.` : "En tête de file.";
  },
  cancellingText: "L’arrêt a été demandé.",
  cancelled: "Elle a été arrêtée avant la fin.",
  completed: (rows, took) => `${fr1(rows, "ligne vérifiée", "lignes vérifiées")} en ${took}.`,
  unreadable: (rows) => `${fr1(rows, "ligne n’a pas pu être lue\u00a0; elle est listée", "lignes n’ont pas pu être lues\u00a0; elles sont listées")}.`,
  attempt: (attempt) => `${attempt === 2 ? "Deuxième essai" : `Essai n° ${attempt}`}. Le précédent ne s’est pas terminé\u00a0; tout est compté de nouveau.`,
  phases: { reading: "Lecture des lignes", concluding: "Totaux par jour et par année", storing: "Enregistrement des constats" },
  starting: "Démarrage…",
  rows: "Lignes",
  rowsOf: (done, total) => (total === undefined ? frFigures.number(done) : `${frFigures.number(done)} sur ${frFigures.number(total)}`),
  rate: "Cadence",
  rateText: (rows) => `${frFigures.number(rows)}/s`,
  timeLeft: "Temps restant",
  left: (ms) => `environ ${left(ms)}`,
  percentText: (permille) => `${frFigures.percent(permille)}\u00a0%`,
  cancel: "Annuler la vérification",
  retry: "Réessayer",
  another: "Vérifier un autre fichier",
  severities: { error: "Erreurs", warning: "Avertissements", optimisation: "Gains possibles", pass: "Conformes" },
  severity: { error: "Erreur", warning: "Avertissement", optimisation: "Gain possible", pass: "Conforme" },
  kind: "Nature",
  all: "Tout",
  atRisk: "À risque",
  toGain: "À gagner",
  errors: (errors) => fr1(errors, "erreur", "erreurs"),
  atRiskOf: (money) => `${money} à risque`,
  toGainOf: (money) => `${money} à gagner`,
  rules: "Règles",
  rule: "Règle",
  rulesDone: (done, all) => `${fr1(done, "terminée", "terminées")} sur ${frFigures.number(all)}`,
  fileRule: "Lisibilité du fichier",
  time: "Durée",
  notYet: "pas terminée",
  findings: "Constats",
  firstFindings: "Premiers constats",
  firstHint: "Les 100 premiers, dans l’ordre où ils sont relevés. La liste entière vient à la fin.",
  partHint: "Relevés avant l’arrêt\u00a0; la liste n’est pas complète.",
  rowHint: "La ligne 1 est la première sous l’en-tête.",
  row: "Ligne",
  wholeFile: "toutes",
  what: "Constat",
  amount: "Montant",
  show: "Afficher",
  everyRule: "Toutes les règles",
  export: "Télécharger en CSV",
  exporting: "Préparation…",
  shown: (count, whole) => {
    if (whole) return count === 1 ? "1 constat" : `${frFigures.number(count)} constats, tous affichés`;
    return `Les ${frFigures.number(count)} premiers sont affichés`;
  },
  capped: (stored) => `Il y a plus de constats qu’il n’en est conservé\u00a0: ceux-ci sont parmi les ${frFigures.number(stored)} premiers.`,
  nothingYet: "Rien de relevé jusqu’ici.",
  nothing: "Rien à signaler. Toutes les règles sont respectées.",
  nothingLikeThis: "Aucun constat de ce genre.",
  where: (column, line, byte) => [column && `Colonne «\u00a0${column}\u00a0»`, line && `ligne ${line}`, byte && `octet ${byte}`].filter(Boolean).join(", "),
  retryHint: "Réessayer peut suffire.",
  newFileHint: "Exportez le fichier de nouveau et envoyez le nouveau.",
  failures: {
    file_not_an_export: "Ce n’est pas un export de facturation\u00a0: une colonne obligatoire manque ou s’y trouve deux fois.",
    file_no_header: "Ce n’est pas un export de facturation\u00a0: sa première ligne n’a pas les titres des colonnes d’un export.",
    file_not_text: "Ce n’est pas un fichier texte. Exportez-le en CSV plutôt qu’en classeur ou en PDF.",
    file_malformed: "Les lignes du fichier ne se distinguent pas\u00a0: un guillemet ouvert n’est jamais fermé, ou une ligne est beaucoup trop longue.",
    file_empty: "Le fichier est vide.",
    file_unknown: "Le fichier n’est plus là. Envoyez-le de nouveau.",
    run_worker_lost: "L’ordinateur qui vérifiait le fichier a été perdu à chaque essai.",
    run_faulted: "Une panne est survenue de notre côté. Votre fichier est peut-être tout à fait correct.",
  },
  failedOtherwise: "La vérification n’a pas pu être faite.",
  problems: {
    network: "Le serveur est injoignable. Vérifiez la connexion et réessayez.",
    upload_broken: "Le fichier n’est pas arrivé entier\u00a0: la connexion a échoué, ou il est plus gros que permis ici.",
    too_large: "Le fichier est plus gros que permis ici. Exportez une période plus courte.",
    file_empty: "Le fichier est vide. Rien n’a été envoyé.",
    checksum_mismatch: "Le fichier a été endommagé en chemin. Envoyez-le de nouveau.",
    file_unknown: "Le fichier n’est plus là. Envoyez-le de nouveau.",
    forbidden: "Votre lien ne permet pas cela.",
    token_expired: "Votre lien est expiré. Demandez-en un nouveau.",
    run_over: "La vérification est déjà terminée.",
    run_not_retryable: "Cette vérification ne peut pas être reprise. Envoyez le fichier de nouveau.",
    try_again: "Le serveur est occupé. Réessayez dans un moment.",
    draining: "Le serveur redémarre. Réessayez dans un moment.",
  },
  problem: (code) => `Cela n’a pas fonctionné (${code}). Réessayez\u00a0; si cela persiste, avisez les responsables du service.`,
  connecting: "Connexion…",
  live: "En direct",
  reconnecting: "Reconnexion…",
  notConnected: "Hors connexion",
  ended: "Terminé",
  lost: (age) => `Connexion perdue il y a ${age}. La vérification se poursuit\u00a0; cette page n’est peut-être plus à jour.`,
  stale: (age) => `Aucune nouvelle depuis ${age}. La vérification se poursuit\u00a0; cette page n’est peut-être plus à jour.`,
  notes: {
    missing: ["Ouvrez le lien qu’on vous a donné", "Cette page a besoin d’un lien qui dit qui vous êtes. Demandez le vôtre aux responsables du service."],
    refused: ["Ce lien n’ouvre pas les vérifications", "Il est peut-être expiré ou destiné à autre chose. Demandez-en un nouveau."],
    gone: ["Cette vérification ne s’ouvre pas", "Les vérifications sont conservées environ un jour et ne s’ouvrent qu’avec un lien qui les couvre. Il faudra peut-être renvoyer le fichier."],
    unreachable: ["Le serveur est injoignable pour l’instant", "Nous continuons d’essayer. Une vérification lancée se poursuit entre-temps."],
  },
};

/** @typedef {typeof en} Texts */

/** @type {Record<Language, Texts>} */
export const texts = { fr, en };

/** What went wrong with a request, for people. @param {Texts} text @param {string} code */
export function problemText(text, code) {
  return text.problems[code] ?? text.problem(code);
}
