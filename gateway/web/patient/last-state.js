// The data of its ticket that a phone keeps: the last state, to show it offline with its age, and
// in an installed page the key of the link. Both are deleted when the ticket ends.

/** @typedef {import("../shared/visit/ticket.js").Ticket} Ticket */
/** @typedef {{link: string} | {code: string}} Key */

const STATE = "last-ticket";
const KEY = "installed-link";
// No visit lasts longer, and a phone must not show an older ticket to its next user.
const KEEP_MS = 12 * 60 * 60_000;
const LIVE = new Set(["expected", "waiting", "called", "in_service", "on_hold", "absent"]);

/** Tells links apart without keeping them (FNV-1a). @param {string} text */
function tagOf(text) {
  let hash = 0x811c9dc5;
  for (const byte of new TextEncoder().encode(text)) hash = Math.imul(hash ^ byte, 0x01000193);
  return (hash >>> 0).toString(36);
}

/** @param {string} of the link, code or id by which the page was opened @param {Ticket} ticket */
export function remember(of, ticket) {
  try {
    if (ticket.successor || LIVE.has(ticket.state) || ticket.state === "leaving") {
      const kept = { of: tagOf(of), at: Date.now(), ticket };
      return localStorage.setItem(STATE, JSON.stringify(kept));
    }
    forget();
  } catch {
    // The browser was told to keep nothing.
  }
}

/**
 * The last state of this ticket, and when it was shown.
 * @param {string} of
 * @returns {{at: number, ticket: Ticket} | undefined}
 */
export function recall(of) {
  try {
    const kept = JSON.parse(localStorage.getItem(STATE) ?? "null");
    const fits = kept?.of === tagOf(of) && Date.now() - kept.at < KEEP_MS;
    return fits ? kept : undefined;
  } catch {
    return undefined;
  }
}

/** Keeps the key of the link for the installed page, which starts without it. @param {Key} key */
export function keepKey(key) {
  try {
    localStorage.setItem(KEY, JSON.stringify(key));
  } catch {
    // The installed page asks for the link.
  }
}

/** @returns {Key | undefined} */
export function keptKey() {
  try {
    return JSON.parse(localStorage.getItem(KEY) ?? "null") ?? undefined;
  } catch {
    return undefined;
  }
}

/** Removes everything that this phone keeps of a ticket. */
export function forget() {
  try {
    localStorage.removeItem(STATE);
    localStorage.removeItem(KEY);
  } catch {
    // The browser was told to keep nothing.
  }
}
