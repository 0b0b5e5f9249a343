// The content of a token. The server checks a token before it answers anything; here its content
// only decides what a page shows and offers.

/**
 * The claims of a token, or none when it cannot be read.
 * @param {string | null} token
 * @returns {Record<string, any>}
 */
export function claimsOf(token) {
  try {
    const payload = (token ?? "").split(".")[1].replaceAll("-", "+").replaceAll("_", "/");
    return JSON.parse(atob(payload)) ?? {};
  } catch {
    return {};
  }
}
