// The kiosk of a check-in point: large, without a keyboard, and ready for the next person.

import { TEXTS } from "../languages/all.js";
import { byId, setText } from "../shared/look/page.js";
import { forgetPairing, keepPairing, keptPairing, pair } from "../shared/credentials/pairing.js";
import { directionOf, firstKnown, LANGUAGES } from "../shared/words/language.js";
import { reloadOnNewVersion } from "../shared/connection/new-version.js";
import { keepRenewed } from "../shared/credentials/renewal.js";
import { hasTicket, newKey, Scan } from "../shared/visit/scan.js";
import { sayCode, scanTexts } from "../shared/words/scan-texts.js";
import { timeText } from "../shared/words/times.js";
import { KeptAttempts } from "./kept.js";
import { fill, keptItem, resultSection } from "./parts.js";
import { printSlips } from "./slip.js";

/** @typedef {import("../shared/visit/scan.js").Opened} Opened */
/** @typedef {import("../shared/visit/scan.js").Result} Result */
/** @typedef {"loading" | "pairing" | "start" | "code" | "factor" | "choice" | "results"} Step */

/** Without a touch for this long, the page is ready for the next person. `?idle=` for tests. */
const IDLE_MS = Number(new URLSearchParams(location.search).get("idle")) || 45_000;
const AGAIN_MS = 5_000;
const LETTERS = [..."ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"];
const DIGITS = [..."123456789"];
const LONGEST_CODE = 16;

// Where the browser keeps the pairing of this kiosk.
const PLACE = "kiosk";
const pairing = keptPairing(PLACE) ?? { token: "", location: "" };
const bearer = { token: pairing.token };
const scan = new Scan({ bearer });
const kept = new KeptAttempts();

/** @type {Step} */
let step = "loading";
/** @type {Opened | undefined} */
let opened;
/** @type {import("../shared/words/language.js").Language} */
let language = firstKnown(navigator.languages);
/** @type {string | undefined} a sentence */
let problem;
let pairingCode = "";
let typed = { code: "", told: "" };
/** @type {Result[]} */
let found = [];
/** @type {Set<string>} */
let chosen = new Set();
/** @type {Result[]} */
let results = [];
let busy = false;
/** @type {ReturnType<typeof setTimeout> | undefined} */
let idle;

const texts = () => scanTexts(language);
const factor = () => opened?.factor ?? "none";

/** @param {string} id @param {boolean} is */
function show(id, is) {
  byId(id).hidden = !is;
}

function render() {
  const say = texts();
  document.documentElement.lang = language;
  document.documentElement.dir = directionOf(language);
  document.documentElement.dataset.step = step;
  document.title = say.title;
  setText(byId("title"), opened?.location.name ?? say.title);
  show("problem", Boolean(problem));
  setText(byId("problem"), problem ?? "");
  show("pairing", step === "pairing");
  show("start", step === "start");
  show("ask", step === "code" || step === "factor");
  show("choice", step === "choice");
  show("results", step === "results");
  for (const [id, text] of Object.entries({
    "pairing-title": say.kiosk.pairTitle,
    "pairing-code": pairingCode,
    "pairing-help": say.kiosk.pairHelp,
    begin: say.kiosk.start,
    cancel: say.kiosk.cancel,
    "choice-cancel": say.kiosk.cancel,
    erase: say.kiosk.erase,
    next: busy ? say.sending : step === "factor" || factor() === "none" ? say.send : say.kiosk.next,
    "choice-title": say.choose,
    "choice-send": busy ? say.sending : say.chooseSend,
    print: say.print,
    done: say.done,
    "kept-title": say.kiosk.keptTitle,
  })) {
    setText(byId(id), text);
  }
  renderLanguages();
  renderAsk();
  renderQueues();
  renderChoice();
  renderResults();
  renderKept();
  for (const button of document.querySelectorAll("main button")) {
    /** @type {HTMLButtonElement} */ (button).disabled = busy;
  }
}

/** @param {string} text @param {() => void} onPress @param {string} [className] */
function key(text, onPress, className) {
  const button = document.createElement("button");
  button.type = "button";
  button.textContent = text;
  if (className) button.className = className;
  button.addEventListener("click", onPress);
  return button;
}

/** The languages of the location that the pages have. */
function languages() {
  const wanted = opened?.location.languages ?? LANGUAGES;
  const known = LANGUAGES.filter((one) => wanted.some((tag) => tag.split("-")[0] === one));
  return known.length ? known : LANGUAGES;
}

function renderLanguages() {
  const holder = byId("languages");
  const offered = languages();
  if (holder.children.length !== offered.length) {
    holder.replaceChildren(
      ...offered.map((one) => {
        const { mark, name } = TEXTS[one];
        const button = key(mark, () => {
          language = one;
          render();
        });
        button.setAttribute("aria-label", `${mark}, ${name}`);
        [button.lang, button.value] = [one, one];
        return button;
      }),
    );
  }
  for (const button of holder.querySelectorAll("button")) {
    button.setAttribute("aria-pressed", String(button.value === language));
  }
}

function renderAsk() {
  const say = texts();
  const asksCode = step !== "factor";
  setText(byId("ask-title"), asksCode ? say.code : say.factor[factor()]);
  setText(byId("ask-hint"), asksCode ? say.intro : say.factorHint[factor()]);
  setText(byId("typed"), asksCode ? typed.code : typed.told);
  const keys = byId("keys");
  const kind = asksCode ? "letters" : "digits";
  if (keys.dataset.keys === kind) return;
  keys.dataset.keys = kind;
  const signs = asksCode ? LETTERS : [...DIGITS, "0"];
  keys.replaceChildren(...signs.map((sign) => key(sign, () => press(sign))));
}

/** @param {string} sign */
function press(sign) {
  problem = undefined;
  if (step === "code" && typed.code.length < LONGEST_CODE) typed.code += sign;
  if (step === "factor" && typed.told.length < (opened?.digits ?? 0)) typed.told += sign;
  render();
}

function renderQueues() {
  const queues = opened?.walk_in ?? [];
  fill(byId("queues"), [queues, language], () =>
    queues.map(({ queue, name }) =>
      key(`${texts().walkIn} · ${name}`, () => void send(() => walkIn(queue))),
    ),
  );
}

function renderChoice() {
  fill(byId("options"), [found, language], () =>
    found.map(({ booking = "", start, doctor }) => {
      const button = key([timeOf(start), doctor].filter(Boolean).join(" · ") || booking, () => {
        if (!chosen.delete(booking)) chosen.add(booking);
        render();
      });
      button.value = booking;
      return button;
    }),
  );
  for (const button of byId("options").querySelectorAll("button")) {
    button.setAttribute("aria-pressed", String(chosen.has(button.value)));
  }
}

/** @param {number | null | undefined} at */
function timeOf(at) {
  return at ? timeText(at, language, opened?.location.time_zone) : "";
}

function renderResults() {
  fill(byId("result-list"), [results, language], () =>
    results.map((result) => resultSection(result, texts())),
  );
  show("print", results.some(hasTicket));
}

function renderKept() {
  const shown = kept.shown(Date.now());
  show("kept", shown.length > 0);
  fill(byId("kept-list"), [shown, language], () =>
    shown.map(({ at, ends, outcome }) => keptItem(timeOf(at), ends, outcome, texts())),
  );
}

/** @param {Step} to */
function go(to) {
  step = to;
  render();
  rest();
}

function startAgain() {
  [typed, found, results, problem] = [{ code: "", told: "" }, [], [], undefined];
  chosen = new Set();
  byId("slips").replaceChildren();
  if (opened) language = firstKnown(opened.location.languages);
  go(opened ? "start" : step);
}

/** Counts down to the next person, from the last touch. */
function rest() {
  clearTimeout(idle);
  const waits = ["loading", "pairing", "start"].includes(step) && !problem;
  if (!waits) idle = setTimeout(startAgain, IDLE_MS);
}

/** @param {() => Promise<void>} work */
async function send(work) {
  if (busy) return;
  [busy, problem] = [true, undefined];
  render();
  try {
    await work();
  } catch {
    problem ??= texts().offline;
  }
  busy = false;
  go(step);
}

/** @param {string} code */
function refuse(code) {
  const gone = ["token_revoked", "token_invalid", "credential_reused", "token_expired"];
  if (gone.includes(code)) return unpair();
  problem = code === "check_in_point_unknown" ? texts().kiosk.closed : sayCode(texts(), code);
}

async function look() {
  const attempt = { at: Date.now(), key: newKey(), bookings: [{ ...typed }] };
  try {
    const answer = await scan.find(attempt.bookings);
    if ("refused" in answer) return refuse(answer.refused);
    found = answer.appointments.filter(({ code }) => !code);
    if (!found.length) {
      typed = { code: "", told: "" };
      refuse(answer.appointments[0]?.code ?? "no_appointment_found");
      step = "code";
    } else if (found.length > 1) {
      chosen = new Set(found.map(({ booking }) => booking ?? ""));
      step = "choice";
    } else {
      await checkIn(attempt);
    }
  } catch {
    keep(attempt);
  }
}

async function sendChoice() {
  const bookings = [...chosen].map((code) => ({ code, told: typed.told }));
  const attempt = { at: Date.now(), key: newKey(), bookings };
  try {
    if (bookings.length) await checkIn(attempt);
  } catch {
    keep(attempt);
  }
}

/** @param {import("./kept.js").Attempt} attempt */
async function checkIn({ bookings, key: attemptKey }) {
  const answer = await scan.checkIn(bookings, attemptKey);
  if ("refused" in answer) return refuse(answer.refused);
  results = answer.results;
  step = "results";
}

/** @param {import("./kept.js").Attempt} attempt */
function keep(attempt) {
  kept.keep(attempt);
  problem = texts().kiosk.kept.replace("{at}", timeOf(attempt.at));
  typed = { code: "", told: "" };
  step = "start";
}

/** @param {string} queue */
async function walkIn(queue) {
  const answer = await scan.walkIn(queue, newKey());
  if ("refused" in answer) return refuse(answer.refused);
  results = [answer];
  step = "results";
}

/** Sends what was kept, and learns what the point offers now. */
async function refresh() {
  try {
    const answer = await scan.open();
    if ("refused" in answer) refuse(answer.refused);
    else {
      const first = !opened;
      opened = answer;
      if (first) startAgain();
    }
    await kept.sendAll(async ({ bookings, key: attemptKey }) => {
      const sent = await scan.checkIn(bookings, attemptKey);
      return "refused" in sent ? [{ code: sent.refused }] : sent.results;
    }, Date.now());
  } catch {
    if (!opened) problem = texts().offline;
  }
  if (!busy) render();
  setTimeout(refresh, kept.isEmpty && opened ? 12 * AGAIN_MS : AGAIN_MS);
}

function unpair() {
  forgetPairing(PLACE);
  location.reload();
}

async function run() {
  if (!bearer.token) {
    step = "pairing";
    render();
    Object.assign(
      pairing,
      await pair((code) => {
        pairingCode = code;
        render();
      }),
    );
    bearer.token = pairing.token;
    keepPairing(PLACE, pairing);
    step = "loading";
  }
  keepRenewed(bearer, {
    first: bearer.token,
    now: () => Date.now(),
    onRenewed: () => keepPairing(PLACE, { ...pairing, token: bearer.token }),
    onRefused: refuse,
  });
  await refresh();
}

byId("begin").addEventListener("click", () => go("code"));
byId("cancel").addEventListener("click", startAgain);
byId("choice-cancel").addEventListener("click", startAgain);
byId("done").addEventListener("click", startAgain);
byId("erase").addEventListener("click", () => {
  if (step === "code") typed.code = typed.code.slice(0, -1);
  else typed.told = typed.told.slice(0, -1);
  render();
});
byId("next").addEventListener("click", () => {
  if (step === "code" && !typed.code) return;
  if (step === "code" && factor() !== "none") go("factor");
  else void send(look);
});
byId("choice-send").addEventListener("click", () => void send(sendChoice));
byId("print").addEventListener("click", () => {
  void printSlips(results.filter(hasTicket), {
    place: opened?.location.name ?? "",
    caption: texts().yourNumber,
    at: timeOf(Date.now()),
  }).catch(() => {
    problem = texts().offline;
    render();
  });
});
addEventListener("pointerdown", rest);
addEventListener("online", () => void refresh());

render();
void run();
// Nobody is at the kiosk, and nothing waits to be sent.
reloadOnNewVersion(() => step === "start" && !problem && !busy && kept.isEmpty);
