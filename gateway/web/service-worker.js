// Keeps the files of the patient's page for a phone that is offline, and shows its alerts. Answers
// of the server are never kept here. The page itself keeps the words of its alerts, and the address
// that a tap opens, while the patient wants alerts.
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

/** The cache in which the page keeps the words of alerts. */
const ALERTS = "clinicwire-alerts";

/**
 * An alert, as the server sends it. Only a call has a room.
 * @typedef {{kind: "near" | "called" | "moved", ticket: string, label: string,
 *   room?: string}} Alert
 */
/**
 * What the page stored about a ticket.
 * @typedef {{language: string, address: string, near: string, called: string, goTo: string,
 *   moved: string}} Words
 */

worker.addEventListener("push", (/** @type {any} */ event) => {
  event.waitUntil(show(event.data.json()));
});

/** @param {Alert} alert */
async function show(alert) {
  const cache = await caches.open(ALERTS);
  const stored = await cache.match(`alerts/${encodeURIComponent(alert.ticket)}`);
  /** @type {Words | undefined} */
  const words = await stored?.json();
  const { title, body } = textOf(alert, words);
  await worker.registration.showNotification(title, {
    body,
    lang: words?.language,
    // A newer alert of a ticket replaces an older one, and is heard again.
    tag: alert.ticket,
    renotify: true,
    requireInteraction: alert.kind === "called",
    vibrate: alert.kind === "called" ? [400, 200, 400, 200, 400] : [200],
    icon: new URL("patient/icon-192.png", BASE).href,
    data: { address: words?.address ?? "patient" },
  });
}

/**
 * Without the words of the page, label and room are understood in every language.
 * @param {Alert} alert
 * @param {Words} [words]
 */
function textOf(alert, words) {
  const { kind, label, room } = alert;
  if (!words) return { title: label, body: room ?? "" };
  if (kind !== "called") return { title: label, body: words[kind] };
  return { title: `${label} · ${words.called}`, body: room ? `${words.goTo} ${room}` : "" };
}

worker.addEventListener("notificationclick", (/** @type {any} */ event) => {
  event.notification.close();
  event.waitUntil(openPage(new URL(event.notification.data.address, BASE).href));
});

/** Shows the page of a ticket: an open one, or a new one. @param {string} address */
async function openPage(address) {
  const pages = await worker.clients.matchAll({ type: "window", includeUncontrolled: true });
  // A page may have a language in its query.
  const wanted = new URL(address);
  const page = pages.find((/** @type {any} */ one) => {
    const { pathname, hash } = new URL(one.url);
    return pathname === wanted.pathname && hash === wanted.hash;
  });
  return page ? page.focus() : worker.clients.openWindow(address);
}
