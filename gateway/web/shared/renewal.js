// Renews the token of a page while it is open, so that no screen goes dark when its first token
// ends. Which tokens may be renewed, and for how long, is a setting of their issuer.

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
  try {
    const payload = token.split(".")[1].replaceAll("-", "+").replaceAll("_", "/");
    return 1000 * Number(JSON.parse(atob(payload)).exp) || 0;
  } catch {
    return 0;
  }
}

/** Where a reloaded page finds the successor of the token in its link. @param {string} token */
const placeOf = (token) => `renewed:${token.split(".")[2] ?? ""}`;

/**
 * The newest known successor of the token in the page's link.
 * @param {string} token
 */
export function newest(token) {
  const renewed = sessionStorage.getItem(placeOf(token));
  return renewed && endOf(renewed) > Date.now() ? renewed : token;
}

/**
 * Replaces `bearer.token` by newer ones for as long as the server allows it.
 * @param {Bearer} bearer
 * @param {{first: string, now: () => number, onRenewed: () => void, signal?: AbortSignal}} options
 *   `first` is the token of the page's link, `now` the server's clock, `signal` ends it
 */
export function keepRenewed(bearer, { first, now, onRenewed, signal }) {
  /** @param {number} pause */
  const later = (pause) => {
    const bounded = Math.min(Math.max(pause, SHORTEST_MS), LONGEST_MS);
    setTimeout(() => void renew(), bounded);
  };
  const schedule = () => {
    const end = endOf(bearer.token);
    if (end) later((end - now()) * SHARE);
  };
  async function renew() {
    if (signal?.aborted) return undefined;
    /** @type {Response | undefined} */
    let response;
    try {
      response = await fetch("v1/tokens/renew", {
        method: "POST",
        headers: { authorization: `Bearer ${bearer.token}` },
        cache: "no-store",
        signal: AbortSignal.timeout(TIMEOUT_MS),
      });
    } catch {
      return later(RETRY_MS);
    }
    if (!response.ok) {
      const passes = response.status >= 500 || [408, 425, 429].includes(response.status);
      return passes ? later(RETRY_MS) : undefined;
    }
    const { token } = await response.json();
    // At the end of all renewals the server gives a token that ends with the old one.
    if (endOf(token) <= endOf(bearer.token)) return undefined;
    bearer.token = token;
    sessionStorage.setItem(placeOf(first), token);
    onRenewed();
    return schedule();
  }
  schedule();
}
