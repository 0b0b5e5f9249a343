// The page behind the code of a poster: patients check themselves in with their own phones.

import { byId, fragment, restartOnNewLink, setText } from "../shared/look/page.js";
import { LanguageSwitch } from "../shared/words/language.js";
import { hasTicket, newKey, Scan } from "../shared/visit/scan.js";
import { sayCode, scanTexts } from "../shared/words/scan-texts.js";
import { timeText } from "../shared/words/times.js";

/** @typedef {import("../shared/visit/scan.js").Opened} Opened */
/** @typedef {import("../shared/visit/scan.js").Result} Result */
/** @typedef {import("../shared/visit/scan.js").Told} Told */

/** Most people of one scan, as the server has it. */
const MOST_PEOPLE = 8;
/** How long the phone may look for its place. */
const LOCATE_MS = 10_000;

const scan = new Scan({ point: fragment([]).get("point") ?? "" });
const language = new LanguageSwitch(render);
const form = /** @type {HTMLFormElement} */ (byId("form"));
const choice = /** @type {HTMLFormElement} */ (byId("choice"));

/** @type {Opened | undefined} */
let opened;
/** @type {string | undefined} the code of what went wrong; `offline` without an answer */
let problem;
/** @type {Result[]} */
let found = [];
/** @type {Result[]} */
let results = [];
/** @type {Told[]} */
let told = [];
let people = 1;
let busy = false;
// One attempt has one key, so that a lost answer costs nobody a second ticket.
let key = newKey();

/**
 * @template {keyof HTMLElementTagNameMap} K
 * @param {K} name
 * @param {string} [className]
 * @returns {HTMLElementTagNameMap[K]}
 */
function element(name, className) {
  const made = document.createElement(name);
  if (className) made.className = className;
  return made;
}

function render() {
  const texts = scanTexts(language.current);
  language.render();
  document.title = texts.title;
  setText(byId("title"), texts.title);
  setText(byId("clinic"), opened?.location.name ?? "");
  for (const [id, text] of Object.entries({
    intro: texts.intro,
    add: texts.add,
    send: busy ? texts.sending : texts.send,
    "walk-in-title": texts.walkIn,
    locating: texts.locating,
    "choice-title": texts.choose,
    "choice-send": busy ? texts.sending : texts.chooseSend,
    "choice-back": texts.back,
    again: texts.again,
  })) {
    setText(byId(id), text);
  }
  const note = byId("problem");
  note.hidden = !problem;
  if (problem) setText(note, problem === "offline" ? texts.offline : sayCode(texts, problem));
  const done = results.length > 0;
  form.hidden = !opened || done || found.length > 0;
  choice.hidden = done || !found.length;
  byId("results").hidden = !done;
  byId("again").hidden = !done;
  byId("locating").hidden = !opened?.asks_position;
  byId("add").hidden = people >= MOST_PEOPLE;
  byId("walk-in").hidden = !opened?.walk_in.length;
  for (const button of document.querySelectorAll("main button")) {
    /** @type {HTMLButtonElement} */ (button).disabled = busy;
  }
  renderPeople();
  renderQueues();
  renderChoice();
  byId("results").replaceChildren(...results.map(resultOf));
}

/** Adds the fields of people who are not on the page, and names all of them. */
function renderPeople() {
  const texts = scanTexts(language.current);
  const holder = byId("people");
  while (holder.children.length < people) holder.append(personFields());
  [...holder.children].forEach((group, index) => {
    const legend = /** @type {HTMLElement} */ (group.querySelector("legend"));
    legend.hidden = people === 1;
    setText(legend, `${texts.person} ${index + 1}`);
    setText(/** @type {Element} */ (group.querySelector(".code-label")), texts.code);
    const factor = opened?.factor ?? "none";
    const field = /** @type {HTMLElement} */ (group.querySelector(".factor"));
    field.hidden = factor === "none";
    setText(/** @type {Element} */ (field.querySelector("span")), texts.factor[factor]);
    setText(/** @type {Element} */ (field.querySelector("small")), texts.factorHint[factor]);
  });
}

function personFields() {
  const group = element("fieldset");
  const code = element("label");
  const codeInput = element("input");
  Object.assign(codeInput, { autocomplete: "off", maxLength: 40, spellcheck: false });
  codeInput.autocapitalize = "characters";
  codeInput.name = "code";
  code.append(element("span", "code-label"), codeInput);
  const factor = element("label", "factor");
  const factorInput = element("input");
  Object.assign(factorInput, { autocomplete: "off", maxLength: 16, inputMode: "numeric" });
  factorInput.name = "told";
  factor.append(element("span"), element("small", "hint"), factorInput);
  group.append(element("legend"), code, factor);
  return group;
}

function renderQueues() {
  const buttons = (opened?.walk_in ?? []).map(({ queue, name }) => {
    const button = element("button");
    button.type = "button";
    button.textContent = name;
    button.disabled = busy;
    button.addEventListener("click", () => void send(() => takeTicket(queue)));
    return button;
  });
  byId("walk-in-queues").replaceChildren(...buttons);
}

function renderChoice() {
  const list = byId("choice-list");
  if (list.children.length === found.length) return;
  list.replaceChildren(
    ...found.map(({ booking, start, doctor }) => {
      const option = element("label", "option");
      const box = element("input");
      Object.assign(box, { type: "checkbox", name: "booking", value: booking, checked: true });
      const text = element("span");
      text.textContent = [timeOf(start), doctor].filter(Boolean).join(" · ") || String(booking);
      option.append(box, text);
      return option;
    }),
  );
}

/** @param {number | null | undefined} at */
function timeOf(at) {
  return at ? timeText(at, language.current, opened?.location.time_zone) : "";
}

/** @param {Result} result */
function resultOf(result) {
  const texts = scanTexts(language.current);
  const card = element("article", "card result");
  const heading = element("h2");
  const code = result.code ?? "other";
  heading.textContent = result.outcome === "checked_in" ? texts.checkedIn : sayCode(texts, code);
  const which = element("p", "hint");
  which.textContent = [result.booking, timeOf(result.start), result.doctor]
    .filter(Boolean)
    .join(" · ");
  card.append(heading, which);
  if (hasTicket(result)) {
    const number = element("p");
    const caption = element("span");
    caption.textContent = texts.yourNumber;
    const label = element("strong", "number");
    label.textContent = result.label ?? "";
    number.append(caption, label);
    const follow = element("a", "follow");
    follow.textContent = texts.follow;
    follow.href = (result.link?.path ?? "").replace(/^\//, "");
    card.append(number, follow);
  }
  return card;
}

/** @param {() => Promise<void>} step */
async function send(step) {
  if (busy) return;
  [busy, problem] = [true, undefined];
  render();
  try {
    await step();
  } catch {
    problem = "offline";
  }
  busy = false;
  render();
  if (problem) byId("problem").scrollIntoView({ block: "nearest" });
}

/** @returns {Promise<import("../shared/visit/scan.js").Position | undefined>} */
function position() {
  if (!opened?.asks_position || !navigator.geolocation) return Promise.resolve(undefined);
  return new Promise((resolve) => {
    navigator.geolocation.getCurrentPosition(
      ({ coords: { latitude, longitude, accuracy } }) =>
        resolve({ latitude, longitude, accuracy_m: accuracy }),
      () => resolve(undefined),
      { timeout: LOCATE_MS, maximumAge: 60_000, enableHighAccuracy: true },
    );
  });
}

/** Finds the appointments of the codes. One appointment for each code is checked in at once. */
async function findBookings() {
  const asked = told.filter(({ code }) => code);
  const answer = await scan.find(asked);
  if ("refused" in answer) {
    problem = answer.refused;
    return;
  }
  const proved = answer.appointments.filter(({ code }) => !code);
  if (!proved.length) {
    problem = answer.appointments[0]?.code ?? "no_appointment_found";
  } else if (proved.length === asked.length) {
    await checkIn(asked);
  } else {
    // Several appointments of one person, or a family of which one code is wrong.
    found = proved;
    problem = answer.appointments.find(({ code }) => code)?.code;
  }
}

/** @param {Told[]} bookings */
async function checkIn(bookings) {
  const answer = await scan.checkIn(bookings, key, await position());
  if ("refused" in answer) problem = answer.refused;
  else results = answer.results;
}

/** @param {string} queue */
async function takeTicket(queue) {
  const answer = await scan.walkIn(queue, key, await position());
  if ("refused" in answer) problem = answer.refused;
  else results = [answer];
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  told = [...byId("people").children].map((group) => {
    const value = (/** @type {string} */ name) =>
      /** @type {HTMLInputElement} */ (group.querySelector(`[name=${name}]`)).value.trim();
    return { code: value("code"), told: value("told") };
  });
  if (!told.some(({ code }) => code)) {
    problem = "no_appointment_found";
    render();
    return;
  }
  void send(findBookings);
});

choice.addEventListener("submit", (event) => {
  event.preventDefault();
  const chosen = [...choice.querySelectorAll("input:checked")].map(
    (box) => /** @type {HTMLInputElement} */ (box).value,
  );
  // The person of each appointment has told the same factor: the server proves each again.
  const factors = [...new Set(told.map((one) => one.told))];
  const bookings = chosen.map((code) => ({ code, told: factors[0] ?? "" }));
  const own = new Map(told.map((one) => [plain(one.code), one.told]));
  for (const booking of bookings) booking.told = own.get(plain(booking.code)) ?? booking.told;
  if (bookings.length) void send(() => checkIn(bookings));
});

/** A code without differences in case, spaces and hyphens. @param {string} code */
function plain(code) {
  return code.replaceAll(/[\s-]/g, "").toUpperCase();
}

byId("add").addEventListener("click", () => {
  people += 1;
  render();
  const inputs = byId("people").lastElementChild?.querySelectorAll("input");
  inputs?.[0]?.focus();
});

byId("choice-back").addEventListener("click", startAgain);
byId("again").addEventListener("click", startAgain);

function startAgain() {
  [found, results, told, people, key, problem] = [[], [], [], 1, newKey(), undefined];
  byId("people").replaceChildren();
  render();
}

async function open() {
  const answer = await scan.open();
  if ("refused" in answer) problem = answer.refused;
  else opened = answer;
}

restartOnNewLink();
render();
void send(open);
