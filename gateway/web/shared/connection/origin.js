// The message of a page that its server takes for a foreign one, because a proxy in front changes
// the address under which the page was requested.

const CODES = new Set(["origin_mismatch", "origin_not_allowed", "host_not_allowed"]);

/**
 * Whether the server refused the page for its address, and not for its link.
 * @param {string} code
 */
export function isOriginProblem(code) {
  return CODES.has(code);
}

/** The address of this page. Tests without a browser have none. */
export const ORIGIN = globalThis.location?.origin ?? "https://…";
