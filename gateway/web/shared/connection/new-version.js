// Loads a page again when its server has newer files, because no person reloads a screen on a wall.

import { timeoutSignal } from "./timeout.js";

const TIMEOUT_MS = 30_000;
const LOOK_EVERY_MS = 10 * 60_000;
// Nodes of two versions answer in turn while they are replaced, and a proxy may answer each request
// with another tag: the page loads again only for a version that it finds twice in a row. So a page
// that stays old after it has loaded again does so at most once in these two pauses.
const LOOK_AGAIN_MS = 60_000;

/** The files that this page was made of. */
function files() {
  const loaded = performance.getEntriesByType("resource").map(({ name }) => name);
  const own = loaded.filter((name) => /^[^?#]+\.(js|css)$/.test(name));
  const here = own.filter((name) => name.startsWith(location.origin));
  return [...new Set([location.href.split("#")[0], ...here])];
}

/**
 * The versions of these files, or undefined while the server does not tell.
 * @param {readonly string[]} names
 */
async function versions(names) {
  const tags = await Promise.all(
    names.map(async (name) => {
      const signal = timeoutSignal(TIMEOUT_MS);
      const response = await fetch(name, { method: "HEAD", cache: "no-store", signal });
      return response.ok ? response.headers.get("etag") : undefined;
    }),
  ).catch(() => []);
  return tags.length && tags.every(Boolean) ? tags.join() : undefined;
}

/**
 * @param {() => boolean} isFree whether this is a good moment to load the page again
 * @param {{everyMs?: number, againMs?: number}} [pauses] after a look
 */
export function reloadOnNewVersion(
  isFree,
  { everyMs = LOOK_EVERY_MS, againMs = LOOK_AGAIN_MS } = {},
) {
  // Once only: each request for a version adds an entry of its own, as later files do.
  const names = files();
  /** @type {string | undefined} */
  let first;
  /** @type {string | undefined} */
  let last;
  const look = async () => {
    const found = await versions(names);
    first ??= found;
    const isNew = found !== undefined && found !== first;
    if (isNew && found === last && isFree()) return location.reload();
    last = found;
    setTimeout(() => void look(), isNew ? againMs : everyMs);
  };
  void look();
}
