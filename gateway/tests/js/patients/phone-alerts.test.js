// Alerts to phones: a real gateway and sender, and a push service that decrypts. Chromium reaches
// no push service here, so that the page gets the subscription of the testing one.

import assert from "node:assert/strict";
import { after, afterEach, before, describe, it } from "node:test";
import { assertAccessible } from "../helpers/accessibility.js";
import { Page, PHONE } from "../helpers/browser.js";
import { Clinic, token } from "../helpers/clinic.js";
import { browser, open, useBrowser } from "../helpers/fixtures.js";
import { PushService } from "../helpers/push-service.js";
import { until } from "../helpers/until.js";

/** @type {Clinic} */
let clinic;
/** @type {PushService} */
let service;

useBrowser();
before(async () => {
  service = await PushService.start();
  clinic = await Clinic.start("--empty", `--push-service=${service.url}`);
});
after(async () => {
  await clinic?.stop();
  await service?.close();
});
afterEach(async () => {
  service.answers = 201;
  service.taken = [];
  service.requests = [];
});

/** Puts the testing push service in place of the browser's own. */
function fakePushManager() {
  const here = /** @type {any} */ (globalThis);
  /** @type {any} */
  let held = null;
  /** @param {Uint8Array} bytes */
  const base64url = (bytes) =>
    btoa(String.fromCharCode(...bytes))
      .replaceAll("+", "-")
      .replaceAll("/", "_")
      .replace(/=+$/, "");
  here.PushManager.prototype.subscribe = async (/** @type {any} */ options) => {
    const { endpoint, keys } = await here.subscribeAtService(
      base64url(options.applicationServerKey),
    );
    held = { endpoint, toJSON: () => ({ endpoint, expirationTime: null, keys }) };
    return held;
  };
  here.PushManager.prototype.getSubscription = async () => held;
}

/**
 * The page of the last of some people in line, in a browser that grants notifications.
 * @param {string} language
 * @param {number} [people]
 */
async function openTicket(language, people = 1) {
  const site = await clinic.furnish();
  const issued = await site.issue(people);
  const mine = /** @type {{ticket: string, label: string}} */ (issued.at(-1));
  const { link } = await linkOf(mine.ticket);
  const page = await Page.open(browser, "about:blank", PHONE);
  open(page);
  const context = page.page.context();
  await context.grantPermissions(["notifications"], { origin: clinic.url });
  await page.page.exposeFunction("subscribeAtService", (/** @type {string} */ key) =>
    service.subscribe(key),
  );
  await page.page.addInitScript(fakePushManager);
  const [path, hash] = link.path.split("#");
  const address = `${clinic.url}${path}?lang=${language}#${hash}`;
  await page.page.goto(address);
  return { site, mine, page, address };
}

const REDELIVER_AFTER_MS = 3_000;

/** @param {string} ticket */
async function linkOf(ticket) {
  return { link: /** @type {any} */ (await clinic.get(`tickets/${ticket}/link`)) };
}

/** @param {Page} page */
async function turnOn(page) {
  const button = page.page.locator("#phone-alerts");
  await button.click();
  await until("alerts are on", async () => (await button.getAttribute("aria-checked")) === "true");
}

/**
 * Gives a message to the service worker, as the browser does, and answers what it shows.
 * @param {Page} page
 * @param {unknown} message
 */
async function deliver({ page }, message) {
  // A message to a worker that is not active yet is dropped, and `ready` does not wait for the end
  // of the activation.
  await page.evaluate(async () => {
    const { active } = await navigator.serviceWorker.ready;
    if (!active || active.state === "activated") return;
    await new Promise((resolve) => active.addEventListener("statechange", resolve));
  });
  const devtools = await page.context().newCDPSession(page);
  const origin = new URL(page.url()).origin;
  /** @type {string | undefined} */
  let registrationId;
  devtools.on("ServiceWorker.workerRegistrationUpdated", ({ registrations }) => {
    const ours = registrations.find(({ scopeURL }) => scopeURL.startsWith(origin));
    registrationId = ours?.registrationId ?? registrationId;
  });
  await devtools.send("ServiceWorker.enable");
  const id = await until("the service worker is known", () => registrationId);
  const data = JSON.stringify(message);
  let deliveredAt = 0;
  return until("a notification is shown", async () => {
    // Unlike a push service, the protocol of the developer tools keeps no message for a worker that
    // is being stopped or started. A repeat replaces the notification of the first.
    if (Date.now() - deliveredAt > REDELIVER_AFTER_MS) {
      deliveredAt = Date.now();
      const delivery = { origin, registrationId: id, data };
      await devtools.send("ServiceWorker.deliverPushMessage", delivery);
    }
    return page.evaluate(async () => {
      const { getNotifications } = /** @type {any} */ (await navigator.serviceWorker.ready);
      const shown = await getNotifications.call(await navigator.serviceWorker.ready);
      const one = shown[0];
      return one && { title: one.title, body: one.body, lang: one.lang, data: one.data };
    });
  });
}

describe("alerts to phones", () => {
  it("tell that the turn is near and that it is there, in the language of the page", async () => {
    const { site, mine, page } = await openTicket("fr", 5);
    await page.shows("#phone-alerts-text", "Avertir ce téléphone");
    await assertAccessible(page.page, "alerts offered");
    await page.shoot("patient-phone-alerts", { fullPage: true });
    await turnOn(page);
    await page.shows("#phone-alerts-hint", /^Activé/);
    await assertAccessible(page.page, "alerts on");
    await page.shoot("patient-phone-alerts-on", { fullPage: true });

    await site.callNext();
    await site.callNext();
    await until("the turn is near", () => service.taken.length === 1);
    assert.deepEqual(service.taken[0], { kind: "near", ticket: mine.ticket, label: mine.label });
    await clinic.order(`tickets/${mine.ticket}/call`, { station: site.room2 });
    await until("the turn is there", () => service.taken.length === 2);
    const called = { kind: "called", ticket: mine.ticket, label: mine.label, room: "Room 2" };
    assert.deepEqual(service.taken[1], called);
    assert.ok(service.requests.every(({ urgency }) => urgency === "high"));
    assert.equal(new Set(service.requests.map(({ topic }) => topic)).size, 1);

    const shown = await deliver(page, called);
    assert.equal(shown.title, `${mine.label} · C’est votre tour`);
    assert.equal(shown.body, "Présentez-vous ici\u00a0: Room 2");
    assert.equal(shown.lang, "fr");
  });

  it("open the page of the ticket at a tap", async () => {
    const { mine, page, address } = await openTicket("hi");
    await turnOn(page);
    const message = { kind: "called", ticket: mine.ticket, label: mine.label, room: "Room 2" };
    const shown = await deliver(page, message);
    assert.equal(shown.title, `${mine.label} · आपकी बारी आ गई`);
    const [worker] = page.page.context().serviceWorkers();
    assert.ok(worker, "the service worker runs");
    const openedAddress = await worker.evaluate(async () => {
      const scope = /** @type {any} */ (globalThis);
      const [notification] = await scope.registration.getNotifications();
      scope.clients.matchAll = async () => [];
      const opening = new Promise((resolve) => {
        scope.clients.openWindow = async (/** @type {string} */ url) => resolve(url);
      });
      scope.dispatchEvent(new scope.NotificationEvent("notificationclick", { notification }));
      return opening;
    });
    assert.equal(openedAddress, address.replace("?lang=hi", ""));
  });

  it("end at the switch and with the ticket", async () => {
    const { site, mine, page } = await openTicket("en");
    await turnOn(page);
    await page.page.locator("#phone-alerts").click();
    await page.shows("#phone-alerts-hint", /^When your turn is near/);
    await site.callNext();
    await clinic.order(`tickets/${mine.ticket}/recall`);
    const [other] = await site.issue(1);
    await subscribe(other.ticket);
    await site.callNext(site.room2);
    await until("the other phone is alerted", () => service.taken.length === 1);
    assert.equal(service.taken[0]?.ticket, other.ticket, "this one was silent");
    const cached = () =>
      page.page.evaluate(
        async () => (await (await caches.open("clinicwire-alerts")).keys()).length,
      );
    assert.equal(await cached(), 0, "the phone keeps no words");
  });

  it("are repeated after a failure, and delay nobody", async () => {
    const site = await clinic.furnish();
    const [{ ticket }] = await site.issue(1);
    await subscribe(ticket);
    service.answers = "hang";
    await site.callNext();
    await until("the push service hangs", () => service.requests.length === 1);
    // A command that waited for the push service would have no outcome in time.
    assert.ok((await site.issue(20)).every(({ label }) => label));
    service.answers = 503;
    await clinic.order(`tickets/${ticket}/recall`);
    await until("the push service is busy", () => service.requests.length >= 2);
    service.answers = 201;
    await until("the alert arrives", () => service.taken.length === 1);
    assert.equal(service.taken[0]?.kind, "called");
  });

  it("forget a phone that its push service has forgotten", async () => {
    const site = await clinic.furnish();
    const [{ ticket }] = await site.issue(1);
    for (let phone = 1; phone <= 3; phone++) await subscribe(ticket);
    service.answers = 410;
    await site.callNext();
    await until("the push service was asked", () => service.requests.length === 3);
    service.answers = 201;
    // The three count no longer.
    await until("another phone may subscribe", () =>
      subscribe(ticket).then(
        () => true,
        (/** @type {any} */ problem) => problem.code !== "too_many_devices",
      ),
    );
    await subscribe(ticket);
    await subscribe(ticket);
    await clinic.order(`tickets/${ticket}/recall`);
    await until("the other phones are alerted", () => service.taken.length === 3);
    assert.equal(service.requests.length, 6, "the first three get none");
  });

  it("refuse push services that nobody listed, strangers, and a fourth phone", async () => {
    const site = await clinic.furnish();
    const [{ ticket }, { ticket: foreign }] = await site.issue(2);
    const own = site.token("patient", { tickets: [ticket] });
    const key = await clinic.get(`tickets/${ticket}/alerts`, own);
    const good = await service.subscribe(/** @type {any} */ (key).public_key);
    /** @param {string} id @param {object} body @param {string} bearer */
    const refusal = (id, body, bearer) =>
      clinic.order(`tickets/${id}/subscribe-alerts`, body, bearer).then(
        () => "",
        (/** @type {any} */ problem) => problem.code,
      );
    for (const endpoint of ["http://127.0.0.1:1/x", "https://169.254.169.254/x", "file:///x"]) {
      assert.equal(await refusal(ticket, { ...good, endpoint }, own), "push_service_unknown");
    }
    assert.equal(await refusal(foreign, good, own), "forbidden");
    assert.equal(await refusal(ticket, good, site.token("reception")), "forbidden");
    for (let phone = 1; phone <= 3; phone++) await subscribe(ticket);
    assert.equal(await refusal(ticket, good, own), "too_many_devices");
  });
});

/** Subscribes another phone of a ticket, as the page does. @param {string} ticket */
async function subscribe(ticket) {
  const bearer = token("patient", { tickets: [ticket] });
  const key = /** @type {any} */ (await clinic.get(`tickets/${ticket}/alerts`, bearer));
  const subscription = await service.subscribe(key.public_key);
  await clinic.order(`tickets/${ticket}/subscribe-alerts`, subscription, bearer);
  return subscription;
}
