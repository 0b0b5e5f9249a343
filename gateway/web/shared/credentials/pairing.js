// Pairs a device of the clinic, a screen or a kiosk: it shows a code until staff have approved it,
// and keeps the credential that follows, so that a browser which restarts is not paired again.

/** @typedef {{token: string, location: string}} Pairing */

const RETRY_MS = 5_000;

/**
 * The pairing that this browser keeps. Local storage, because a device has no person who signs in,
 * and session storage ends with the browser. The credential opens only the channels of its device,
 * the pages run no script from elsewhere, and staff can end it from the list of displays.
 * @param {string} place name in the storage
 * @returns {Pairing | undefined}
 */
export function keptPairing(place) {
  try {
    const kept = JSON.parse(localStorage.getItem(place) ?? "null");
    return kept?.token && kept.location ? kept : undefined;
  } catch {
    return undefined; // The browser was told to keep nothing: the device is paired at each start.
  }
}

/** @param {string} place @param {Pairing} pairing */
export function keepPairing(place, pairing) {
  try {
    localStorage.setItem(place, JSON.stringify(pairing));
  } catch {
    // The browser was told to keep nothing.
  }
}

/** Forgets the pairing, whose credential has ended. @param {string} place */
export function forgetPairing(place) {
  try {
    localStorage.removeItem(place);
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
 * Shows codes until staff approve one, for as long as it takes.
 * @param {(code: string) => void} onCode
 * @returns {Promise<Pairing>}
 */
export async function pair(onCode) {
  for (;;) {
    const begun = await ask("pairings", {});
    if (!begun?.ok) {
      await pause(RETRY_MS);
      continue;
    }
    const { code, secret, poll_s: pollS } = await begun.json();
    onCode(code);
    const pairing = await awaitApproval(code, secret, pollS * 1000);
    if (pairing) return pairing;
  }
}

/**
 * Asks for the credential of a code until it is approved. Nothing once the code has expired.
 * @param {string} code
 * @param {string} secret
 * @param {number} pollMs
 * @returns {Promise<Pairing | undefined>}
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
