// The pages of a ticket, the board and the start page in Chromium, served by the binary.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { Page, PHONE, SCREEN } from "../helpers/browser.js";
import { Clinic } from "../helpers/clinic.js";
import { Curl } from "../helpers/curl.js";
import { browser, clinic, open, useBrowser, useClinic } from "../helpers/fixtures.js";
import { Proxy } from "../helpers/proxy.js";
import { StagedClinic } from "../helpers/staged-clinic.js";
import { until } from "../helpers/until.js";

/** @typedef {import("../helpers/clinic.js").Site} Site */

useClinic("--empty");
useBrowser();

/** @param {Site} site @param {{ticket: string}} ticket @param {string} [url] */
async function openPatient(site, { ticket }, url = site.clinic.url) {
  const token = site.token("patient", { tickets: [ticket] });
  return open(
    await Page.open(browser, `${url}/patient#${new URLSearchParams({ token, ticket })}`, PHONE),
  );
}

/** @param {Site} site @param {string} [url] */
async function openBoard(site, url = site.clinic.url) {
  const { location } = site;
  const keys = new URLSearchParams({ token: site.token("display"), location });
  return open(await Page.open(browser, `${url}/board#${keys}`, SCREEN));
}

/** The errors of a page, without those of a network that the test cut. @param {Page} page */
const complaintsButNetwork = ({ complaints }) =>
  complaints.filter((text) => !/net::ERR_|^WebSocket connection to/.test(text));

describe("the patient's page", () => {
  it("shows place, call, room and end", async () => {
    const site = await clinic.furnish();
    const tickets = await site.issue(5);
    const own = tickets[4];
    const page = await openPatient(site, own);
    await page.shows("#label", own.label);
    await page.shows("#ahead", "4");
    // No room has called from this line yet.
    await page.shows("#wait", "once a room is open");
    await site.callNext();
    await page.shows("#ahead", "3");
    await page.shows("#ahead-text", "people ahead of you");
    await page.shows("#queue-name", "General medicine");
    await page.shows("#link", "Live");
    await page.shows("#wait", /^(about|within) \d/);
    await page.shoot("patient-waiting");

    await site.callNext();
    await page.shows("#ahead", "2");
    await site.callNext();
    await page.shows("#ahead", "1");
    await page.shows("#ahead-text", "person ahead of you");
    await site.callNext();
    await page.shows("#ahead-text", "You’re next");
    await page.shoot("patient-next");
    assert.equal(await page.text("#room"), "");

    await site.callNext(site.room2);
    await page.shows("#your-turn", "It’s your turn");
    await page.shows("#room", "Room 2");
    assert.equal(await page.text("#ahead-text"), "");
    await page.shoot("patient-called");

    await clinic.order(`tickets/${own.ticket}/start`);
    await page.shows("#note-title", "You’re being seen");
    await clinic.order(`tickets/${own.ticket}/complete`);
    await page.shows("#note-title", "All done");
    await page.shoot("patient-completed");
    assert.deepEqual(page.complaints, []);
  });

  it("switches to French", async () => {
    const site = await clinic.furnish();
    const [own] = await site.issue(1);
    const page = await openPatient(site, own);
    await page.page.getByRole("button", { name: "Français" }).click();
    await page.shows("#ahead-text", "Vous êtes en tête de file");
    await clinic.order(`tickets/${own.ticket}/call`, { station: site.room1 });
    await page.shows("#your-turn", "C’est à vous");
    assert.deepEqual(page.complaints, []);
  });

  it("shows a loss and catches up by itself", async () => {
    const site = await clinic.furnish();
    const tickets = await site.issue(4);
    const proxy = open(await Proxy.to(clinic.url));
    const page = await openPatient(site, tickets[3], proxy.url);
    await page.shows("#ahead", "3");
    await page.shows("#link", "Live");

    proxy.cut();
    await page.shows("#link", "Reconnecting…");
    await page.shows("#banner", /^Connection lost \d+\ss ago/);
    await page.shows("#link", "Not connected");
    await page.shoot("patient-disconnected");
    await site.callNext();
    await site.callNext();
    await page.shows("#ahead", "3");

    proxy.mend(clinic.url);
    await page.shows("#ahead", "1");
    await page.shows("#link", "Live");
    await page.shows("#banner", "");
    assert.deepEqual(complaintsButNetwork(page), []);
  });

  it("explains an incomplete or refused link", async () => {
    const site = await clinic.furnish();
    const [own, other] = await site.issue(2);
    const bare = open(await Page.open(browser, `${clinic.url}/patient`, PHONE));
    await bare.shows("#note-title", "Open the link from your ticket");
    const token = site.token("patient", { tickets: [other.ticket] });
    const foreign = open(
      await Page.open(
        browser,
        `${clinic.url}/patient#${new URLSearchParams({ token, ticket: own.ticket })}`,
        PHONE,
      ),
    );
    await foreign.shows("#note-title", "This link no longer works");
    assert.equal(await foreign.text("#label"), "");
  });
});

describe("a move to another location", () => {
  const ticket = {
    ticket: "harbour.t",
    label: "A-042",
    queue: "harbour.general",
    queue_name: "General medicine",
    queue_state: "open",
    issued_at: 1,
    clinic: { name: "Harbour Clinic", time_zone: "America/Toronto" },
  };
  const away = { ...ticket, state: "transferred", successor: "hill-side.t" };
  const there = { ...ticket, ticket: "hill-side.t", label: "L-007", queue_name: "Laboratory" };
  const PATH = "patient#token=t&ticket=harbour.t";

  it("leads the patient's page to the ticket that continues there", async () => {
    const [from, to] = [await clinic.furnish(), await clinic.furnish()];
    const [own] = await from.issue(1);
    const [, second] = await to.issue(2, to.blood);
    const [page, board] = [await openPatient(from, own), await openBoard(to)];
    await page.shows("#ahead-text", "You’re next");
    await clinic.order(`tickets/${own.ticket}/transfer`, { queue: to.blood });
    await page.shows("#label", "B-003");
    await page.shows("#ahead", "2");
    await page.shows("#queue-name", "Blood tests");
    await page.shows("#link", "Live");
    await to.callNext(to.room1, to.blood);
    await page.shows("#ahead", "1");
    await clinic.order(`tickets/${second.ticket}/leave`);
    await page.shows("#ahead-text", "You’re next");
    // The first link keeps leading there.
    await clinic.order(`queues/${to.blood}/pause`);
    await page.page.reload();
    await page.shows("#label", "B-003");
    await page.shows("#queue-notice", /^The line is paused/);
    await board.shows("#queues", /Blood tests/);
    assert.deepEqual(page.complaints, []);
  });

  it("leaves the patient in line when it is refused", async () => {
    const [from, to] = [await clinic.furnish(), await clinic.furnish()];
    const [first, own] = await from.issue(2);
    const page = await openPatient(from, own);
    await clinic.order(`queues/${to.blood}/close`);
    await clinic.order(`tickets/${own.ticket}/transfer`, { queue: to.blood });
    await page.shows("#ahead", "1");
    await clinic.order(`tickets/${first.ticket}/leave`);
    await page.shows("#ahead-text", "You’re next");
    await page.shows("#label", own.label);
    assert.deepEqual(page.complaints, []);
  });

  it("is shown while it waits for an answer, in both languages", async () => {
    const stage = open(await StagedClinic.start());
    const leaving = { ...ticket, state: "leaving", moving_to: "hill-side.lab" };
    stage.state("ticket:harbour.t", leaving);
    const page = open(await Page.open(browser, `${stage.url}/${PATH}`, PHONE));
    await page.shows("#note-title", "You’re being moved to Hill side");
    await page.shows("#note-text", "You keep your place here until they have accepted.");
    assert.equal(
      await page.page.locator("#status").textContent(),
      "You’re being moved to Hill side. You keep your place here until they have accepted.",
    );
    await page.shoot("patient-leaving");
    await page.page.getByRole("button", { name: "Français" }).click();
    await page.shows("#note-title", "On vous transfère vers Hill side");
    await page.shows("#note-text", /^Vous gardez votre place ici/);
    assert.deepEqual(page.complaints, []);
  });

  it("says whom to ask when the link does not open the new ticket", async () => {
    const stage = open(await StagedClinic.start());
    stage.state("ticket:harbour.t", away);
    const page = open(await Page.open(browser, `${stage.url}/${PATH}`, PHONE));
    await until("the successor was asked for", () =>
      stage.subscribed.some(({ channel }) => channel === "ticket:hill-side.t"),
    );
    await page.shows("#note-title", "Your place has moved");
  });

  it("leads the page of an appointment to the ticket that continues there", async () => {
    const stage = open(await StagedClinic.start());
    const seen = { appointment: "harbour.7", status: "fulfilled", ticket: "harbour.t" };
    const appointment = { ...seen, clinic: ticket.clinic };
    stage.show("appointment:harbour.7", { appointment });
    stage.state("ticket:hill-side.t", { ...there, state: "waiting", ahead: 3 });
    stage.state("ticket:harbour.t", { ...ticket, state: "in_service" });
    const url = `${stage.url}/appointment#token=a&appointment=harbour.7`;
    const page = open(await Page.open(browser, url, PHONE));
    await page.shows("#note-title", "You’re being seen");
    stage.state("ticket:harbour.t", away);
    await page.shows("#label", "L-007");
    await page.shows("#ahead", "3");
    stage.state("ticket:hill-side.t", { ...there, state: "completed" });
    await page.shows("#note-title", "All done");
    assert.deepEqual(page.complaints, []);
  });

  it("is on the board, with where to go", async () => {
    const stage = open(await StagedClinic.start());
    const board = { name: "Harbour", languages: ["en", "fr"], messages: [] };
    const queue = { name: "General medicine", state: "open", waiting: 3 };
    const move = { label: "A-050", to: "hill-side" };
    stage.show("board:harbour", { board, "queue:harbour.a": queue, "move:1/A-050": move });
    const path = "board#token=d&location=harbour";
    const page = open(await Page.open(browser, `${stage.url}/${path}`, SCREEN));
    await page.shows("#moves-title", /Being moved.*Transferts/s);
    await page.shows("#moves", /^A-050\s+Hill side$/);
    await page.shoot("board-moves");
    /** @type {Record<string, object>} */
    const more = {};
    for (const label of ["A-051", "A-052", "A-053"]) more[`move:1/${label}`] = { label, to: "b" };
    stage.show("board:harbour", more);
    const busy = open(await Page.open(browser, `${stage.url}/${path}`, SCREEN));
    await busy.shows("#moves", /^A-050\s+Hill side\s+A-051\s+B\s+A-052\s+B\s+A-053\s+B$/);
  });
});

describe("the board", () => {
  it("shows calls with rooms, never ticket ids", async () => {
    const site = await clinic.furnish();
    const board = await openBoard(site);
    await board.shows("#nobody", /Aucun appel pour le moment/);
    await board.shows("#name", "Riverside Health Centre");
    const tickets = await site.issue(5);
    await board.shows("#queues", /General medicine\s+5/);

    const first = await site.callNext(site.room1);
    await board.shows("#calls li:first-child .label", first.label);
    await board.shows("#calls li:first-child .room", "Room 1");
    const second = await site.callNext(site.room2);
    await board.shows("#calls li:first-child .label", second.label);
    await board.shows("#calls li:first-child .room", "Room 2");
    await board.shows("#calls li:nth-child(2) .label", first.label);
    await clinic.order(`tickets/${first.ticket}/start`);
    await board.shows("#recent", new RegExp(`${first.label}\\s+Room 1`));
    await clinic.order(`tickets/${second.ticket}/recall`);
    await board.shows("#calls li:first-child .flag", /Rappel/);
    await board.shows("#queues", /General medicine\s+3/);
    await board.shoot("board");

    const seen = `${await board.page.content()}${board.heard.join()}`;
    assert.ok(board.heard.length >= 4, "its stream was overheard");
    for (const { ticket } of tickets) assert.ok(!seen.includes(ticket.split(".")[1]));
    assert.deepEqual(board.complaints, []);
  });

  it("changes together with the patient's page", async () => {
    const site = await clinic.furnish();
    const [own] = await site.issue(1);
    const [board, page] = [await openBoard(site), await openPatient(site, own)];
    await page.shows("#ahead-text", "You’re next");
    await site.callNext(site.room2);
    await Promise.all([page.shows("#room", "Room 2"), board.shows("#calls .room", "Room 2")]);
    await clinic.order(`tickets/${own.ticket}/revert`);
    await Promise.all([page.shows("#ahead-text", "You’re next"), board.shows("#calls", "")]);
  });

  it("survives a killed server", async () => {
    const first = await Clinic.start("--empty");
    /** @type {Clinic | undefined} */
    let second;
    try {
      const site = await first.furnish("harbour");
      const [own] = await site.issue(3);
      const proxy = open(await Proxy.to(first.url));
      const [board, page] = [
        await openBoard(site, proxy.url),
        await openPatient(site, own, proxy.url),
      ];
      const called = await site.callNext(site.room1);
      await board.shows("#calls .label", called.label);
      await page.shows("#room", "Room 1");

      assert.equal(await first.stop("SIGKILL"), "SIGKILL");
      await Promise.all([
        board.shows("#banner", /Hors connexion depuis \d+\ss.*Not connected for \d+\ss/s),
        page.shows("#banner", /^Connection lost/),
      ]);
      await page.shows("#link", "Not connected");
      await board.shoot("board-disconnected");
      await page.shoot("patient-called-disconnected");

      second = await Clinic.start("--empty");
      const again = await second.furnish("harbour");
      await again.issue(2, again.blood);
      const next = await again.callNext(again.room2, again.blood);
      proxy.mend(second.url);
      await board.shows("#calls li:first-child .label", next.label);
      await board.shows("#banner", "");
      await again.callNext(again.room1, again.blood);
      await board.shows("#calls li:first-child .room", "Room 1");
      // The ticket was in the memory of the killed process: the page must not show its old place.
      await page.shows("#note-title", "This link no longer works");
      assert.deepEqual([...complaintsButNetwork(board), ...complaintsButNetwork(page)], []);
    } finally {
      await first.stop();
      await second?.stop();
    }
  });
});

describe("many tabs of one browser", () => {
  it("are all live at once, and requests beside them too", async () => {
    const site = await clinic.furnish();
    const [own] = await site.issue(1);
    const token = site.token("patient", { tickets: [own.ticket] });
    const url = `${clinic.url}/patient#${new URLSearchParams({ token, ticket: own.ticket })}`;
    const context = await browser.newContext({ viewport: PHONE, locale: "en-CA" });
    open({ close: () => context.close() });
    let sockets = 0;
    context.on("page", (page) => page.on("websocket", () => sockets++));
    const pages = [];
    for (let tab = 0; tab < 9; tab++) pages.push(new Page(await context.newPage()));
    for (const { page } of pages) await page.goto(url);
    for (const page of pages) await page.shows("#link", "Live");
    // A browser has six connections to one host over HTTP/1.1; sockets are not among them.
    assert.equal(sockets, 9);
    await site.callNext(site.room2);
    for (const page of pages) await page.shows("#room", "Room 2");
  });

  it("use streams where no WebSocket passes", async () => {
    const site = await clinic.furnish();
    const [own] = await site.issue(1);
    const token = site.token("patient", { tickets: [own.ticket] });
    const url = `${clinic.url}/patient#${new URLSearchParams({ token, ticket: own.ticket })}`;
    const page = open(await Page.open(browser, "about:blank", PHONE));
    await page.page.routeWebSocket(/./, (socket) => socket.close({ code: 1011 }));
    await page.page.goto(url);
    await page.shows("#link", "Live");
    await site.callNext(site.room2);
    await page.shows("#room", "Room 2");
  });

  it("ask for another stream when their network fails before its first event", async () => {
    const site = await clinic.furnish();
    const [own] = await site.issue(1);
    const token = site.token("patient", { tickets: [own.ticket] });
    const url = `${clinic.url}/patient#${new URLSearchParams({ token, ticket: own.ticket })}`;
    const page = open(await Page.open(browser, "about:blank", PHONE));
    await page.page.routeWebSocket(/./, (socket) => socket.close({ code: 1011 }));
    // The browser comes back by itself, with a ticket that it has spent.
    await page.page.route(
      /\/v1\/stream\?/,
      async (route) => {
        const stream = new Curl(route.request().url());
        await stream.heard(1);
        await stream.close();
        await route.fulfill({ contentType: "text/event-stream", body: "retry: 10\n\n" });
      },
      { times: 1 },
    );
    await page.page.goto(url);
    await page.shows("#link", "Live");
    await site.callNext(site.room2);
    await page.shows("#room", "Room 2");
  });
});

describe("the start page", () => {
  it("links into a live demo clinic", async () => {
    const demo = await Clinic.start("--speed", "120");
    try {
      const start = open(await Page.open(browser, demo.url, SCREEN));
      await start.shows("#patient-label", /^[A-Z]-\d{3}$/);
      await start.shows("#board-waiting", /^\d+ waiting now$/);
      await start.shoot("start", { fullPage: true });
      const policy = (await start.page.reload())?.headers()["content-security-policy"];
      assert.match(policy ?? "", /default-src 'self'/);
      await start.shows("#board-waiting", /^\d+ waiting now$/);

      const board = open(
        await Page.open(browser, new URL(await link(start, "#board-link"), demo.url).href, SCREEN),
      );
      const page = open(
        await Page.open(browser, new URL(await link(start, "#patient-link"), demo.url).href, PHONE),
      );
      await page.shows("#label", /^[A-Z]-\d{3}$/);
      await page.shows("#link", "Live");
      await board.shows("#calls li:first-child .label", /^[A-Z]-\d{3}$/);
      const count = board.heard.length;
      await until("the clinic moves", () => board.heard.length > count + 3);
      await board.shows("#calls li:first-child .label", /^[A-Z]-\d{3}$/);
      await until("somebody waits", () =>
        start.page
          .locator("#call-queue option:checked", { hasText: /\([1-9]\d* waiting\)/ })
          .count(),
      );
      // The clinic's own staff may call somebody to that room in the same moment.
      await until("somebody is called", async () => {
        const outcome = await start.text("#outcome");
        if (/^[A-Z]-\d{3} was called to .+\. See the phone/.test(outcome)) return true;
        await start.page.getByRole("button", { name: "Call next" }).click();
        return false;
      });
      const [called] = (await start.text("#outcome")).split(" ");
      await board.shows("#calls", new RegExp(called));
      await board.shoot("demo-board");
      await page.shoot("demo-patient");
      const refusals = start.complaints.filter((text) => !text.includes("409"));
      assert.deepEqual([...refusals, ...board.complaints, ...page.complaints], []);
    } finally {
      await demo.stop();
    }
  });

  it("offers no demo without one", async () => {
    const start = open(await Page.open(browser, `${clinic.url}/health/live`, SCREEN));
    const [answer] = await Promise.all([
      start.page.waitForResponse(/\/v1\/demo$/),
      start.page.goto(clinic.url),
    ]);
    assert.equal(answer.status(), 404);
    await start.shows("h1", /Everyone in the clinic/);
    // Its links lead to pages that say what they need.
    await start.shows("#no-demo", /a link or a code/);
    assert.equal(await start.text("#demo"), "");
    assert.equal(await link(start, "#board-link"), "board");
  });
});

/** @param {Page} page @param {string} selector */
async function link(page, selector) {
  return (
    (await page.page.locator(selector).getAttribute("href")) ??
    assert.fail(`${selector} leads nowhere`)
  );
}
