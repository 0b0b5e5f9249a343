// Loads a page again when its server has newer files, because no person reloads a screen on a wall.

// Nodes of two versions answer in turn while they are replaced, and the page must not flicker.
const LOOK_EVERY_MS = 10 * 60_000;

/** The files that this page was made of. */
function files() {
  const loaded = performance.getEntriesByType("resource").map(({ name }) => name);
  const own = loaded.filter((name) => /^[^?#]+\.(js|css)$/.test(name));
  return [location.href.split("#")[0], ...own.filter((name) => name.startsWith(location.origin))];
}

/** The versions of these files, or undefined while the server does not tell. */
async function versions() {
  const tags = await Promise.all(
    files().map(async (name) => {
      const response = await fetch(name, { method: "HEAD", cache: "no-store" });
      return response.ok ? response.headers.get("etag") : undefined;
    }),
  ).catch(() => []);
  return tags.length && tags.every(Boolean) ? tags.join() : undefined;
}

/** @param {() => boolean} isFree whether this is a good moment to load the page again */
export function reloadOnNewVersion(isFree) {
  /** @type {string | undefined} */
  let first;
  const look = async () => {
    const found = await versions();
    if (found && first && found !== first && isFree()) location.reload();
    first ??= found;
  };
  void look();
  setInterval(() => void look(), LOOK_EVERY_MS);
}
