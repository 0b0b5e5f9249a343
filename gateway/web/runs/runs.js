// The page of claims checks: takes a file, follows its check, and shows the findings.

import { Connection } from "../shared/connection/connection.js";
import { crossingBanner } from "../shared/credentials/crossing.js";
import { LanguageSwitch } from "../shared/words/language.js";
import { isOriginProblem } from "../shared/connection/origin.js";
import { byId, fragment, restartOnNewLink, setIcon, setText } from "../shared/look/page.js";
import { ageText } from "../shared/words/times.js";
import { Api, codeOf, problemText, roleOf } from "./api.js";
import { Findings } from "./findings.js";
import { Messages } from "./messages.js";
import { Recent } from "./recent.js";
import {
  progressText,
  readView,
  renderRules,
  renderRun,
  SEVERITIES,
  stateName,
  stateText,
} from "./run.js";
import { Intake } from "./upload.js";
import { TEXTS, textsOf } from "../languages/all.js";

const connectionTexts = textsOf("connection");
const texts = textsOf("runs");

/** @typedef {import("./run.js").RunView} RunView */

// The browser repairs short losses by itself. The line at the bottom shows them at once, the banner
// only if they last.
const BANNER_AFTER_MS = 5_000;

// Screen readers hear a new state at once, and the progress at most this often.
const ANNOUNCE_EVERY_MS = 10_000;

const GONE = ["forbidden", "not_found", "unknown_channel", "run_unknown", "invalid_id"];
const KEPT_OUT = [
  "forbidden",
  "token_expired",
  "token_invalid",
  "token_wrong_audience",
  "token_wrong_issuer",
];

const params = fragment();
const token = params.get("token");
const run = params.get("run");
const role = roleOf(token);
// The server decides what is allowed. Viewers are not offered what they may not do.
const mayAct = role !== "viewer";

const languages = new LanguageSwitch(render);
const showCrossing = crossingBanner(token);
/** @type {import("../shared/connection/connection.js").ConnectionState} */
let state = { name: "connecting" };
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
/**
 * The tenant's current rules.
 * @type {{id: string, name: {fr: string, en: string}, enabled: boolean}[]}
 */
let rules = [];
let runProblem = "";
let announcedState = "";
let announcedAt = 0;

const text = () => texts[languages.current];

/** @param {string} [other] a run @returns {string} */
function linkTo(other) {
  return `#${new URLSearchParams({ token: token ?? "", ...(other && { run: other }) })}`;
}

/** @param {string} rule */
function nameOf(rule) {
  return rule === "file"
    ? text().fileRule
    : (rules.find(({ id }) => id === rule)?.name[TEXTS[languages.current].findings] ?? rule);
}

/** @returns {keyof import("../languages/all.js").Texts["runs"]["notes"] | undefined} */
function noteOf() {
  if (!token) return "missing";
  const refusal = state.name === "refused" ? state.code : (recent?.problem ?? "");
  if (isOriginProblem(refusal)) return "origin";
  // A run that is over does not change any more: it stays on the page although its link expired.
  if (state.name === "refused" && !over()) return GONE.includes(state.code) ? "gone" : "refused";
  if (recent && KEPT_OUT.includes(recent.problem)) return "refused";
  return run && !view && state.name === "lost" ? "unreachable" : undefined;
}

function render() {
  const root = document.documentElement;
  root.dataset.link = state.name;
  const note = noteOf();
  byId("note").hidden = !note;
  byId("intake").hidden = byId("recent").hidden = Boolean(run || note);
  byId("run").hidden = !view || Boolean(note);
  byId("opening").hidden = !run || Boolean(view || note);
  setText(byId("opening"), text().opening);
  renderTop();
  if (note) {
    setIcon(byId("note-icon"), note === "unreachable" ? "unplugged" : "info");
    [byId("note-title"), byId("note-text")].forEach((part, index) =>
      setText(part, text().notes[note][index]),
    );
    document.title = `${text().notes[note][0]} · ${text().title}`;
  } else if (run) renderView();
  else renderStart();
  renderConnection();
}

function renderTop() {
  const home = /** @type {HTMLAnchorElement} */ (byId("home"));
  home.hidden = !run || !token;
  home.href = /** @type {HTMLAnchorElement} */ (byId("another")).href = linkTo();
  setText(home, text().back);
  setText(byId("page-name"), run ? "" : "Clinicwire");
  languages.render();
  showCrossing(languages.current);
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
  renderRun(
    text(),
    view,
    mayAct,
    (column) => messages?.word(languages.current, "column", column) ?? column,
  );
  const known = rules.filter(({ enabled }) => enabled).map(({ id }) => id);
  renderRules(text(), view, known, nameOf);
  findings?.render(text(), languages.current, view, nameOf);
  byId("run-problem").hidden = !runProblem;
  setText(byId("run-problem"), runProblem && problemText(text(), runProblem));
  const { head, progress } = view;
  const where =
    head.state === "running" && progress
      ? text().percentText(progress.permille)
      : stateName(text(), head);
  document.title = `${where} · ${head.name}`;
  // A button that disappears must not take the focus with it.
  const gone =
    focused instanceof HTMLElement && focused.closest("#actions") && !focused.offsetParent;
  if (gone) byId("run-name").focus({ preventScroll: true });
  announce();
}

function over() {
  return view !== undefined && view.head.state !== "queued" && view.head.state !== "running";
}

/** Time since the connection was lost, or undefined while it is not lost or no longer needed. */
function lossMs() {
  return !over() && (state.name === "lost" || state.name === "stale")
    ? Date.now() - state.since
    : undefined;
}

function renderConnection() {
  const loss = lossMs();
  const showBanner = view !== undefined && loss !== undefined && loss >= BANNER_AFTER_MS;
  byId("banner").hidden = !showBanner;
  if (showBanner) {
    const age = ageText(loss, languages.current);
    setText(byId("banner-text"), state.name === "lost" ? text().lost(age) : text().stale(age));
  }
  document.documentElement.classList.toggle("doubtful", showBanner);
  const { connecting, live, reconnecting, notConnected, finished } =
    connectionTexts[languages.current];
  const names = {
    connecting,
    live,
    stale: notConnected,
    lost: showBanner ? notConnected : reconnecting,
    refused: "",
    ended: finished,
  };
  setText(byId("link"), run && token ? names[state.name] : "");
}

/** Announces each state and phase to screen readers at once, and the progress now and then. */
function announce() {
  if (!view) return;
  const { head, progress, counts } = view;
  const sentence = `${stateName(text(), head)}. ${stateText(text(), view)}`;
  if (sentence === announcedState && Date.now() - announcedAt < ANNOUNCE_EVERY_MS) return;
  const found =
    counts &&
    SEVERITIES.filter((severity) => severity !== "pass" && counts[severity])
      .map((severity) => `${text().severities[severity]}: ${text().number(counts[severity])}`)
      .join(", ");
  const parts = [
    sentence,
    head.state === "running" && progress && progressText(text(), progress),
    found,
  ];
  announcedState = sentence;
  announcedAt = Date.now();
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

/**
 * Loads the names of rules. Without them the page shows their ids.
 * @param {import("./api.js").Api} api
 */
async function loadRuleNames(api) {
  try {
    rules = (await api.get("rules")).rules;
    render();
  } catch (error) {
    codeOf(error);
  }
}

/** @param {import("./api.js").Api} api @param {string} token @param {string} run */
function follow(api, token, run) {
  messages = new Messages(api, render);
  findings = new Findings(api, run, messages, render);
  byId("cancel").addEventListener("click", () => act(api, "cancel"));
  byId("retry").addEventListener("click", () => act(api, "retry"));
  void loadRuleNames(api);
  new Connection({
    token,
    channels: [`run:${run}`],
    onView: (_channel, next) => {
      view = readView(next.entries ?? new Map());
      render();
    },
    onState: (next) => {
      state = next;
      render();
    },
  });
  // The age of a loss.
  setInterval(renderConnection, 1_000);
}

function start() {
  // The run is part of the address, so that a reload resumes it.
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
