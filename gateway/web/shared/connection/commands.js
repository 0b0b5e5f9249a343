// Sends commands. A lost answer is asked for again under the same key, so nothing happens twice.

import { timeoutSignal } from "./timeout.js";

/** @typedef {{epoch: string, version: number, result?: {ticket?: string, label?: string}}} Applied */
/** @typedef {{applied: Applied} | {code: string}} Answer */

const TIMEOUT_MS = 8_000;
// The server carries out no command after 30 s, so later attempts would bring no other result.
const ATTEMPTS = 3;
const PAUSE_MS = 700;

/**
 * @param {string} token
 * @param {string} path below `v1/`
 * @param {object} body
 * @param {string} [method]
 * @returns {Promise<Answer>} `code` is that of the refusal; `unreachable` without any answer
 */
export async function sendCommand(token, path, body, method = "POST") {
  const headers = {
    authorization: `Bearer ${token}`,
    "content-type": "application/json",
    "idempotency-key": newKey(),
  };
  for (let attempt = 1; ; attempt++) {
    const answer = await ask(`v1/${path}`, method, headers, body);
    if (answer || attempt === ATTEMPTS) return answer ?? { code: "unreachable" };
    await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
  }
}

/**
 * @param {string} url
 * @param {string} method
 * @param {Record<string, string>} headers
 * @param {object} body
 * @returns {Promise<Answer | undefined>} nothing when the same request may bring an answer
 */
async function ask(url, method, headers, body) {
  try {
    const response = await fetch(url, {
      method,
      headers,
      body: JSON.stringify(body),
      signal: timeoutSignal(TIMEOUT_MS),
    });
    const answer = await response.json();
    if (answer.outcome === "applied" || answer.outcome === "moving") return { applied: answer };
    // Made something, such as a pairing.
    if (response.status === 201) return { applied: answer };
    // Not decided yet, or a server that cannot answer now.
    if (response.status === 202 || response.status === 503) return undefined;
    return { code: String(answer.code ?? response.status) };
  } catch {
    return undefined;
  }
}

/** A key of 128 random bits. `randomUUID` is missing where a page has no TLS. */
export function newKey() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}
