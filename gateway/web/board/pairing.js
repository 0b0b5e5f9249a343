// Pairs this screen: shows a code until staff approve it, and keeps the credential that follows, so
// that a screen which restarts its browser is not paired again.

/** @typedef {{token: string, location: string}} Display */

// Local storage: a screen has no person who signs in, and session storage ends with the browser.
// The credential opens one board and nothing else, the page runs no script from elsewhere, and
// staff end it from the list of screens.
const PLACE = "display";
const RETRY_MS = 5_000;

/** The display that this browser was paired as. @returns {Display | undefined} */
export function keptDisplay() {
  try {
    const kept = JSON.parse(localStorage.getItem(PLACE) ?? "null");
    return kept?.token && kept.location ? kept : undefined;
  } catch {
    return undefined; // The browser was told to keep nothing.
  }
}

/** @param {Display} display */
function keepDisplay(display) {
  try {
    localStorage.setItem(PLACE, JSON.stringify(display));
  } catch {
    // The browser was told to keep nothing.
  }
}

/** Forgets the display, whose credential has ended. */
export function forgetDisplay() {
  try {
    localStorage.removeItem(PLACE);
    // Its renewed tokens end with it.
    for (const key of Object.keys(localStorage)) {
      if (key.startsWith("renewed:")) localStorage.removeItem(key);
    }
  } catch {
    // The browser was told to keep nothing.
  }
}

/** @param {number} ms */
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** @param {string} path below `v1/displays/` @param {object} body */
async function ask(path, body) {
  try {
    return await fetch(`v1/displays/${path}`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(body),
      cache: "no-store",
    });
  } catch {
    return undefined;
  }
}

/**
 * Shows codes until staff approve one.
 * @param {(code: string) => void} onCode
 * @returns {Promise<Display>}
 */
export async function pairDisplay(onCode) {
  for (;;) {
    const begun = await ask("pairings", {});
    if (!begun?.ok) {
      await pause(RETRY_MS);
      continue;
    }
    const { code, secret, poll_s: pollS } = await begun.json();
    onCode(code);
    const display = await awaitApproval(code, secret, pollS * 1000);
    if (!display) continue;
    keepDisplay(display);
    return display;
  }
}

/**
 * Asks for the credential of a code until it is approved. Nothing once the code is over.
 * @param {string} code
 * @param {string} secret
 * @param {number} pollMs
 * @returns {Promise<Display | undefined>}
 */
async function awaitApproval(code, secret, pollMs) {
  for (;;) {
    await pause(pollMs);
    const answer = await ask(`pairings/${encodeURIComponent(code)}/credential`, { secret });
    if (answer?.status === 200) {
      const { token, location } = await answer.json();
      return { token, location };
    }
    const ended = answer && answer.status !== 202 && answer.status < 500 && answer.status !== 429;
    if (ended) return undefined;
  }
}
