// The page of claims checks: takes a file, follows its check, and shows what was found.

import { byId, fragment, restartOnNewLink, setIcon, setText } from "../shared/page.js";
import { Api, codeOf, roleOf } from "./api.js";
import { Findings } from "./findings.js";
import { progressText, readView, renderRules, renderRun, SEVERITIES, stateName, stateText } from "./run.js";
import { Messages } from "./messages.js";
import { Recent } from "./recent.js";
import { Intake } from "./upload.js";
import { problemText, texts } from "./texts.js";
import { Wire } from "../shared/connection.js";
import { ageText, firstSpoken } from "../shared/texts.js";

/** @typedef {import("./run.js").RunView} RunView */

// The browser repairs short losses by itself: the small line at the bottom says so at once, the banner only when it lasts.
const BANNER_AFTER_MS = 5_000;

// A screen reader is told how far it is now and then, and of a new state at once.
const SAY_EVERY_MS = 10_000;

const GONE = ["forbidden", "not_found", "unknown_channel", "run_unknown", "invalid_id"];
const KEPT_OUT = ["forbidden", "token_expired", "token_invalid", "token_wrong_audience", "token_wrong_issuer"];

const asked = fragment();
const token = asked.get("token");
const run = asked.get("run");
const role = roleOf(token);
// The server decides what is allowed; a viewer is not even offered it.
const mayAct = role !== "viewer";

let language = firstSpoken([new URLSearchParams(location.search).get("lang"), ...navigator.languages]);
/** @type {import("../shared/connection.js").Link} */
let link = { name: "connecting" };
/** @type {RunView | undefined} */
let view;
/** @type {Intake | undefined} */
let intake;
/** @type {Recent | undefined} */
let recent;
/** @type {Findings | undefined} */
let findings;
/** @type {Messages | undefined} */
let messages;
/** The tenant's rules as they are now. @type {{id: string, name: {fr: string, en: string}, enabled: boolean}[]} */
let rules = [];
let runProblem = "";
let saidState = "";
let saidAt = 0;

const text = () => texts[language];

/** @param {string} [other] a run @returns {string} */
function linkTo(other) {
  return `#${new URLSearchParams({ token: token ?? "", ...(other && { run: other }) })}`;
}

/** @param {string} rule */
function nameOf(rule) {
  return rule === "file" ? text().fileRule : (rules.find(({ id }) => id === rule)?.name[language] ?? rule);
}

/** @returns {keyof import("./texts.js").Texts["notes"] | undefined} */
function noteOf() {
  if (!token) return "missing";
  // What has ended does not change any more: it stays, even when the link has not.
  if (link.name === "refused" && !over()) return GONE.includes(link.code) ? "gone" : "refused";
  if (recent && KEPT_OUT.includes(recent.problem)) return "refused";
  return run && !view && link.name === "lost" ? "unreachable" : undefined;
}

function render() {
  const root = document.documentElement;
  root.lang = language;
  root.dataset.link = link.name;
  const note = noteOf();
  byId("note").hidden = !note;
  byId("intake").hidden = byId("recent").hidden = Boolean(run || note);
  byId("run").hidden = !view || Boolean(note);
  renderTop();
  if (note) {
    setIcon(byId("note-icon"), note === "unreachable" ? "unplugged" : "info");
    [byId("note-title"), byId("note-text")].forEach((part, index) => setText(part, text().notes[note][index]));
    document.title = `${text().notes[note][0]} · ${text().title}`;
  } else if (run) renderView();
  else renderStart();
  renderLink();
}

function renderTop() {
  const home = /** @type {HTMLAnchorElement} */ (byId("home"));
  home.hidden = !run || !token;
  home.href = /** @type {HTMLAnchorElement} */ (byId("another")).href = linkTo();
  setText(home, text().back);
  setText(byId("page-name"), run ? "" : "Clinicwire");
  for (const button of byId("languages").querySelectorAll("button")) {
    button.setAttribute("aria-pressed", String(button.value === language));
  }
}

function renderStart() {
  document.title = text().title;
  setText(byId("intake-title"), mayAct ? text().intake : text().title);
  setText(byId("intake-hint"), mayAct ? text().intakeHint : text().watchHint);
  if (mayAct) intake?.render(text());
  recent?.render(text());
}

function renderView() {
  if (!view) {
    document.title = text().title;
    return;
  }
  const focused = document.activeElement;
  renderRun(text(), view, mayAct, (column) => messages?.word(language, "column", column) ?? column);
  const known = rules.filter(({ enabled }) => enabled).map(({ id }) => id);
  renderRules(text(), view, known, nameOf);
  findings?.render(text(), language, view, nameOf);
  byId("run-problem").hidden = !runProblem;
  setText(byId("run-problem"), runProblem && problemText(text(), runProblem));
  const { head, progress } = view;
  const where = head.state === "running" && progress ? text().percentText(progress.permille) : stateName(text(), head);
  document.title = `${where} · ${head.name}`;
  // A button that has gone must not take the keyboard with it.
  const gone = focused instanceof HTMLElement && focused.closest("#actions") && !focused.offsetParent;
  if (gone) byId("run-name").focus({ preventScroll: true });
  say();
}

function over() {
  return view !== undefined && view.head.state !== "queued" && view.head.state !== "running";
}

/** How long we have been without the server, or undefined while we are with it, or need no more of it. */
function lossMs() {
  return !over() && (link.name === "lost" || link.name === "stale") ? Date.now() - link.since : undefined;
}

function renderLink() {
  const loss = lossMs();
  const doubtful = view !== undefined && loss !== undefined && loss >= BANNER_AFTER_MS;
  byId("banner").hidden = !doubtful;
  if (doubtful) setText(byId("banner-text"), (link.name === "lost" ? text().lost : text().stale)(ageText(loss)));
  document.documentElement.classList.toggle("doubtful", doubtful);
  const { connecting, live, reconnecting, notConnected, ended } = text();
  const names = { connecting, live, stale: notConnected, lost: doubtful ? notConnected : reconnecting, refused: "", ended };
  setText(byId("link"), run && token ? names[link.name] : "");
}

/** What screen readers hear, politely: each state and phase at once, how far it is now and then. */
function say() {
  if (!view) return;
  const { head, progress, counts } = view;
  const state = `${stateName(text(), head)}. ${stateText(text(), view)}`;
  if (state === saidState && Date.now() - saidAt < SAY_EVERY_MS) return;
  const found = counts && SEVERITIES.filter((severity) => severity !== "pass" && counts[severity])
    .map((severity) => `${text().severities[severity]}: ${text().number(counts[severity])}`).join(", ");
  const parts = [state, head.state === "running" && progress && progressText(text(), progress), found];
  saidState = state;
  saidAt = Date.now();
  setText(byId("status"), parts.filter(Boolean).join(" · "));
}

/** @param {import("./api.js").Api} api @param {"cancel" | "retry"} action */
async function act(api, action) {
  const button = byId(action);
  if (button.getAttribute("aria-disabled") === "true") return;
  button.setAttribute("aria-disabled", "true");
  runProblem = "";
  try {
    await api.post(`runs/${run}/${action}`);
  } catch (error) {
    runProblem = codeOf(error);
  }
  button.removeAttribute("aria-disabled");
  render();
}

/** Names for people; without them the ids serve. @param {import("./api.js").Api} api */
async function loadRuleNames(api) {
  try {
    rules = (await api.get("rules")).rules;
    render();
  } catch (error) {
    codeOf(error);
  }
}

/** @param {import("../shared/page.js").Language} next */
function speak(next) {
  language = next;
  const url = new URL(location.href);
  url.searchParams.set("lang", next);
  history.replaceState(null, "", url);
  render();
}

/** @param {import("./api.js").Api} api @param {string} token @param {string} run */
function follow(api, token, run) {
  messages = new Messages(api, render);
  findings = new Findings(api, run, messages, render);
  byId("cancel").addEventListener("click", () => act(api, "cancel"));
  byId("retry").addEventListener("click", () => act(api, "retry"));
  void loadRuleNames(api);
  new Wire({
    token,
    channels: [`run:${run}`],
    onView: (_channel, held) => {
      view = readView(held.entries ?? new Map());
      render();
    },
    onLink: (next) => {
      link = next;
      render();
    },
  });
  // The age of a loss.
  setInterval(renderLink, 1_000);
}

function start() {
  for (const button of byId("languages").querySelectorAll("button")) {
    button.addEventListener("click", () => speak(button.value === "fr" ? "fr" : "en"));
  }
  // Opening a run is following a link: the run is in the address, so that a reload resumes it.
  restartOnNewLink();
  if (token) {
    const api = new Api(token);
    if (run) follow(api, token, run);
    else {
      if (mayAct) intake = new Intake(api, text(), (started) => (location.hash = linkTo(started)));
      recent = new Recent(api, linkTo, render);
    }
  }
  render();
}

start();
