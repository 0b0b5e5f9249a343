// Keeps the files of the patient's page for a phone that is offline. Answers of the server and the
// keys of links are never kept here.
//
// Online, every file comes from the server, as without this script. So a page is never older than
// its server, and the kept files are one whole version.

/** The gateway writes its version and the paths of the files here. */
const SHELL = { version: "development", files: [""] };

const CACHE = `clinicwire-shell-${SHELL.version}`;
const FILES = new Set(SHELL.files.filter(Boolean));
const BASE = new URL("./", self.location.href);

/** The types of a service worker are not among those of a page. @type {any} */
const worker = self;

worker.addEventListener("install", (/** @type {any} */ event) => {
  worker.skipWaiting();
  event.waitUntil(keepFiles());
});

async function keepFiles() {
  const cache = await caches.open(CACHE);
  // The HTTP cache may hold an older version.
  await cache.addAll([...FILES].map((path) => new Request(path, { cache: "no-cache" })));
}

worker.addEventListener("activate", (/** @type {any} */ event) => {
  event.waitUntil(dropOthers().then(() => worker.clients.claim()));
});

async function dropOthers() {
  const names = await caches.keys();
  const old = names.filter((name) => name.startsWith("clinicwire-shell-") && name !== CACHE);
  await Promise.all(old.map((name) => caches.delete(name)));
}

worker.addEventListener("fetch", (/** @type {any} */ event) => {
  /** @type {Request} */
  const request = event.request;
  const url = new URL(request.url);
  if (request.method !== "GET" || !url.href.startsWith(BASE.href)) return;
  const path = url.pathname.slice(BASE.pathname.length);
  const code = /^t\/([^/]+)$/.exec(path)?.[1];
  if (FILES.has(path)) event.respondWith(fetch(request).catch(() => kept(path)));
  else if (code && request.mode === "navigate" && FILES.has("patient")) {
    const page = new URL(`patient#code=${code}`, BASE);
    event.respondWith(fetch(request).catch(() => Response.redirect(page.href)));
  }
});

/** @param {string} path */
async function kept(path) {
  const cache = await caches.open(CACHE);
  return (await cache.match(path)) ?? Response.error();
}
