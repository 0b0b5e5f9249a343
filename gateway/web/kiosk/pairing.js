// Pairs a kiosk, as a screen is paired: it shows a code until staff have approved it.

const PLACE = "kiosk-credential";
const RETRY_MS = 5_000;

/** The credential of this kiosk, if it has one. The device keeps it over restarts. */
export function keptCredential() {
  try {
    return localStorage.getItem(PLACE);
  } catch {
    return null; // The browser was told to keep nothing: the kiosk is paired at each start.
  }
}

/** @param {string | null} token */
export function keepCredential(token) {
  try {
    if (token) localStorage.setItem(PLACE, token);
    else localStorage.removeItem(PLACE);
  } catch {
    // See above.
  }
}

/** @param {string} path @param {object} body */
async function post(path, body) {
  const response = await fetch(`v1/displays/pairings${path}`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body),
    cache: "no-store",
  });
  return { status: response.status, body: await response.json().catch(() => ({})) };
}

/** @param {number} ms */
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/**
 * Waits until staff have approved this kiosk, for as long as it takes.
 * @param {(code: string) => void} onCode shows the code
 * @returns {Promise<string>} the credential
 */
export async function pair(onCode) {
  for (;;) {
    try {
      const begun = await post("", {});
      if (begun.status === 201) {
        onCode(begun.body.code);
        const token = await poll(begun.body);
        if (token) return token;
        continue;
      }
    } catch {
      // No connection: the next try may have one.
    }
    await pause(RETRY_MS);
  }
}

/**
 * Asks until the pairing is approved. Answers nothing when its code is over.
 * @param {{code: string, secret: string, poll_s: number}} pairing
 * @returns {Promise<string | undefined>}
 */
async function poll({ code, secret, poll_s }) {
  for (;;) {
    const answer = await post(`/${encodeURIComponent(code)}/credential`, { secret });
    if (answer.status === 200) return answer.body.token;
    if (answer.status === 404) return undefined;
    await pause(poll_s * 1000);
  }
}
