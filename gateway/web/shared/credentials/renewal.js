// Renews the token of a page while it is open, so that no screen goes dark when its first token
// ends. Which tokens may be renewed, and for how long, is a setting of their issuer.

import { timeoutSignal } from "../connection/timeout.js";
import { claimsOf } from "./token.js";

/** @typedef {{token: string}} Bearer */

// A token is renewed halfway to its end: a server may then be away for the other half.
const SHARE = 0.5;
const SHORTEST_MS = 1_000;
// Longer timers overflow.
const LONGEST_MS = 24 * 3_600_000;
// After a failure that may pass, such as a lost network.
const RETRY_MS = 30_000;
const TIMEOUT_MS = 10_000;

/**
 * When the token ends, in ms, or 0 when it does not say.
 * @param {string} token
 */
function endOf(token) {
  return 1000 * Number(claimsOf(token).exp) || 0;
}

/**
 * Whether the token may be renewed after its end: that of a paired display, which is switched off
 * at night.
 * @param {string} token
 */
export function isRenewableLate(token) {
  const { credential } = claimsOf(token);
  return typeof credential === "object" && credential !== null && "display" in credential;
}

/**
 * Whether the token must be renewed before it opens anything.
 * @param {string} token
 * @param {number} now the server's clock
 */
export function mustRenew(token, now) {
  return isRenewableLate(token) && endOf(token) <= now;
}

/**
 * Where successors are kept. That of a display outlives the browser: a screen that restarts would
 * otherwise come back with an old credential, which looks copied.
 * @param {string} token
 */
const storeOf = (token) => (isRenewableLate(token) ? localStorage : sessionStorage);

/** Where a reloaded page finds the successor of the token in its link. @param {string} token */
const placeOf = (token) => `renewed:${token.split(".")[2] ?? ""}`;

/**
 * The newest known successor of the token in the page's link. A display is renewed with its newest
 * token alone, although that has ended: an older one would look copied.
 * @param {string} token
 */
export function newest(token) {
  const renewed = kept(token);
  if (!renewed) return token;
  return endOf(renewed) > Date.now() || isRenewableLate(renewed) ? renewed : token;
}

/** @param {string} token */
function kept(token) {
  try {
    return storeOf(token).getItem(placeOf(token));
  } catch {
    return null; // The browser was told to keep nothing.
  }
}

/** @param {string} first @param {string} token */
function keep(first, token) {
  try {
    storeOf(first).setItem(placeOf(first), token);
  } catch {
    // The browser was told to keep nothing.
  }
}

/**
 * Replaces `bearer.token` by newer ones for as long as the server allows it.
 * @param {Bearer} bearer
 * @param {{first: string, now: () => number, onRenewed: () => void,
 *   onRefused: (code: string) => void, signal?: AbortSignal}} options `first` is the token of the
 *   page's link, `now` the server's clock, `signal` ends it. `onRefused` gets the code for a token
 *   that will never be renewed.
 * @returns {() => void} renews at once: the timers of a device stand still while it sleeps
 */
export function keepRenewed(bearer, { first, now, onRenewed, onRefused, signal }) {
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let timer;
  let busy = false;
  /** @param {number} pause */
  const later = (pause) => {
    const bounded = Math.min(Math.max(pause, SHORTEST_MS), LONGEST_MS);
    clearTimeout(timer);
    timer = setTimeout(renew, bounded);
  };
  const schedule = () => {
    const end = endOf(bearer.token);
    if (end) later((end - now()) * SHARE);
  };
  async function ask() {
    /** @type {Response} */
    let response;
    try {
      response = await fetch("v1/tokens/renew", {
        method: "POST",
        headers: { authorization: `Bearer ${bearer.token}` },
        cache: "no-store",
        signal: timeoutSignal(TIMEOUT_MS),
      });
    } catch {
      return later(RETRY_MS);
    }
    if (!response.ok) {
      const passes = response.status >= 500 || [408, 425, 429].includes(response.status);
      if (passes) return later(RETRY_MS);
      const problem = await response.json().catch(() => ({}));
      return onRefused(String(problem.code ?? response.status));
    }
    const { token } = await response.json();
    // At the end of all renewals the server gives a token that ends with the old one.
    if (endOf(token) <= endOf(bearer.token)) return undefined;
    bearer.token = token;
    keep(first, token);
    onRenewed();
    return schedule();
  }
  function renew() {
    if (busy || signal?.aborted) return;
    // Another tab of a display may have renewed it: a second renewal would look like a copy.
    const known = newest(first);
    if (endOf(known) > endOf(bearer.token)) {
      bearer.token = known;
      onRenewed();
      return void schedule();
    }
    busy = true;
    void ask().finally(() => (busy = false));
  }
  schedule();
  return renew;
}
