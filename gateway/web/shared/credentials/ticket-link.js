// The link by which a patient opens a ticket. It stays in the address bar, where the patient finds
// it again, and ends with the ticket. The page exchanges it for a token of half an hour.

import { timeoutSignal } from "../connection/timeout.js";

const TIMEOUT_MS = 10_000;

/**
 * Exchanges the key of a link, or a short code. Answers the code of a refusal, and throws while the
 * server cannot be reached or is busy.
 * @param {{link: string} | {code: string}} key
 * @returns {Promise<{token: string, ticket: string} | {code: string}>}
 */
export async function exchangeLink(key) {
  const response = await fetch("v1/ticket-links/exchange", {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(key),
    cache: "no-store",
    signal: timeoutSignal(TIMEOUT_MS),
  });
  if (response.ok) return await response.json();
  const temporary = response.status >= 500 || [408, 425, 429].includes(response.status);
  if (temporary) throw new Error("the server is busy");
  const problem = await response.json().catch(() => ({}));
  return { code: String(problem.code ?? response.status) };
}
