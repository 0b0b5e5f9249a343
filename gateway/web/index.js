// The start page: says what Clinicwire is and, where a demo runs or the link carries tokens, leads to the pages.

import { byId, fragment, restartOnNewLink, setText } from "./page.js";
import { Wire } from "./wire.js";

/**
 * What the links need.
 * @typedef {{patient?: string, tickets: string[], display?: string, location?: string, editor?: string, viewer?: string}} Keys
 */

// A browser opens few connections to one server, and a page few eyes: the first tickets are enough.
const MOST_TICKETS = 6;

const stateNames = new Map([
  ["in_service", "being seen"], ["on_hold", "on hold"], ["no_show", "missed"], ["transferred", "moved"], ["left", "left"],
]);

/** @returns {Keys | undefined} */
function keysOfLink() {
  const asked = fragment();
  const [patient, display] = [asked.get("patient") ?? undefined, asked.get("display") ?? undefined];
  const [editor, viewer] = [asked.get("editor") ?? undefined, asked.get("viewer") ?? undefined];
  if (!patient && !display && !editor && !viewer) return undefined;
  return { patient, tickets: asked.get("ticket")?.split(",") ?? [], display, location: asked.get("location") ?? undefined, editor, viewer };
}

/** @returns {Promise<Keys | undefined>} */
async function keysOfDemo() {
  const response = await fetch("v1/demo", { cache: "no-store" }).catch(() => undefined);
  if (!response?.ok) return undefined;
  const { tokens, tickets, location } = await response.json();
  byId("demo").hidden = false;
  setText(byId("command"), command(tokens.display, location));
  return { patient: tokens.patient, tickets, display: tokens.display, location, editor: tokens.editor, viewer: tokens.viewer };
}

/** @param {string} token @param {string} location */
function command(token, location) {
  const base = new URL("v1/", document.baseURI);
  return [
    `ticket=$(curl -s ${base}stream-tickets -H 'content-type: application/json' \\`,
    `  -H 'authorization: Bearer ${token}' \\`,
    `  -d '{"channels":["board:${location}"]}' | sed 's/.*"ticket":"\\([^"]*\\)".*/\\1/')`,
    `curl -N "${base}stream?ticket=$ticket&channel=board:${location}"`,
  ].join("\n");
}

/** @param {string} page @param {Record<string, string>} keys */
function linkTo(page, keys) {
  return `${page}#${new URLSearchParams(keys)}`;
}

/** @param {string} token @param {string[]} tickets */
function showPatient(token, tickets) {
  const links = tickets.slice(0, MOST_TICKETS).map((ticket) => {
    const item = byId("tickets").appendChild(document.createElement("li"));
    const link = item.appendChild(document.createElement("a"));
    link.href = linkTo("patient", { token, ticket });
    link.textContent = "…";
    return { channel: `ticket:${ticket}`, link };
  });
  if (!links.length) return;
  byId("patient-links").hidden = false;
  const lead = /** @type {HTMLAnchorElement} */ (byId("patient-link"));
  lead.href = links[0].link.href;
  /** @type {Map<string, any>} */
  const states = new Map();
  new Wire({
    token,
    channels: links.map(({ channel }) => channel),
    onView: (channel, { state }) => {
      states.set(channel, state);
      // The one that still has something to tell: first who waits, then who is called.
      const best = ["waiting", "called"].flatMap((name) => links.filter((one) => states.get(one.channel)?.state === name))[0];
      if (best) {
        lead.href = best.link.href;
        setText(byId("patient-label"), states.get(best.channel).label);
        setText(byId("patient-state"), shortState(states.get(best.channel)));
      }
      for (const one of links) {
        const known = states.get(one.channel);
        if (known) setText(one.link, `${known.label} · ${shortState(known)}`);
      }
    },
    onLink: ({ name }) => byId("patient").classList.toggle("doubtful", name === "lost" || name === "stale" || name === "refused"),
  });
}

/** @param {{state: string, ahead?: number, call?: {station: string}}} ticket */
function shortState({ state, ahead, call }) {
  if (state === "waiting") return ahead ? `${ahead} ahead` : "next";
  if (state === "called") return call?.station ?? "called";
  return stateNames.get(state) ?? state;
}

/** @param {string} token @param {string} location */
function showBoard(token, location) {
  byId("board-links").hidden = false;
  /** @type {HTMLAnchorElement} */ (byId("board-link")).href = linkTo("board", { token, location });
  new Wire({
    token,
    channels: [`board:${location}`],
    onView: (_channel, { entries = new Map() }) => {
      const all = [...entries];
      const waiting = all.filter(([key]) => key.startsWith("queue:")).reduce((sum, [, queue]) => sum + queue.waiting, 0);
      const last = all.filter(([key]) => key.startsWith("call:")).map(([, call]) => call).sort((a, b) => b.at - a.at)[0];
      setText(byId("board-waiting"), `${waiting} waiting now`);
      if (!last) return;
      setText(byId("board-label"), last.label);
      setText(byId("board-room"), last.station);
    },
    onLink: ({ name }) => byId("board").classList.toggle("doubtful", name === "lost" || name === "stale" || name === "refused"),
  });
}

/** @param {string} [editor] a token @param {string} [viewer] a token */
function showClaims(editor, viewer) {
  byId("claims-links").hidden = !editor && !viewer;
  for (const [id, token] of /** @type {const} */ ([["claims-link", editor], ["watch-link", viewer]])) {
    const link = /** @type {HTMLAnchorElement} */ (byId(id));
    link.hidden = !token;
    if (token) link.href = linkTo("runs", { token });
  }
}

async function start() {
  restartOnNewLink();
  const keys = keysOfLink() ?? (await keysOfDemo());
  if (keys?.patient) showPatient(keys.patient, keys.tickets);
  if (keys?.display && keys.location) showBoard(keys.display, keys.location);
  showClaims(keys?.editor, keys?.viewer);
}

void start();
