// The published client of the Centrifugal protocol against the one-process binary.

import assert from "node:assert/strict";
import { once } from "node:events";
import { after, before, describe, it } from "node:test";
import WebSocket from "ws";
import { Client, Socket, socketUrl } from "../helpers/centrifuge.js";
import { Clinic, token } from "../helpers/clinic.js";
import { Proxy } from "../helpers/proxy.js";
import { until } from "../helpers/until.js";

/** @typedef {import("../helpers/clinic.js").Site} Site */

/** @type {Clinic} */
let clinic;
/** Clients that are closed after each test. @type {{close: () => unknown}[]} */
const opened = [];

/** @template {{close: () => unknown}} T @param {T} it @returns {T} */
function open(it) {
  opened.push(it);
  return it;
}

/** @param {Partial<import("centrifuge").Options>} options @param {string} [url] */
const connect = (options, url = clinic.url) => open(new Client(url, options));
/** @param {string} bearer */
const connectBare = async (bearer) => open(await Socket.connect(clinic.url, bearer));
/** @param {Site} site @param {{ticket: string}[]} tickets */
const patient = (site, ...tickets) =>
  site.token("patient", { tickets: tickets.map(({ ticket }) => ticket) });

before(async () => {
  clinic = await Clinic.start("--empty", "--log", "debug");
});
after(() => clinic?.stop());

/** Closes everything that the tests of a group opened. */
async function closeAll() {
  for (const it of opened.splice(0)) await it.close();
}

describe("a patient's WebSocket client", () => {
  after(closeAll);

  it("gets its place, then every change until the call", async () => {
    const site = await clinic.furnish();
    const tickets = await site.issue(6);
    // There is no estimate before the first call.
    await site.callNext();
    const own = tickets[5];
    const follower = connect({ token: patient(site, own) }).follow(`ticket:${own.ticket}`);

    const { data } = await follower.started(1);
    assert.equal(data.label, own.label);
    assert.equal(data.state, "waiting");
    assert.equal(data.queue, site.general);
    assert.equal(data.queue_name, "General medicine");
    assert.deepEqual([data.ahead, data.position], [4, 5]);
    assert.ok(data.estimate.from <= data.estimate.to);

    for (let ahead = 3; ahead >= 0; ahead--) {
      await site.callNext();
      await until(`${ahead} are ahead`, () => follower.state.ahead === ahead);
    }
    const { label, ticket } = await site.callNext(site.room2);
    assert.deepEqual({ label, ticket }, own);
    await until("the call arrives", () => follower.state.state === "called");
    assert.equal(follower.state.call.station, "Room 2");
    assert.deepEqual(
      [follower.state.ahead, follower.state.position, follower.state.estimate],
      [undefined, undefined, undefined],
    );

    const places = follower.states
      .filter(({ state }) => state === "waiting")
      .map(({ ahead }) => ahead);
    assert.deepEqual(
      places,
      [...new Set(places)].sort((a, b) => b - a),
      "each place is less than the one before",
    );
  });

  it("gets nothing when its own state does not change", async () => {
    const site = await clinic.furnish();
    const [own, behind] = await site.issue(2);
    const follower = connect({ token: patient(site, own) }).follow(`ticket:${own.ticket}`);
    await follower.started(1);
    await site.issue(3);
    await clinic.order(`tickets/${behind.ticket}/cancel`);
    await clinic.order(`tickets/${own.ticket}/call`, { station: site.room1 });
    await until("the call arrives", () => follower.state.state === "called");
    assert.deepEqual(
      follower.states.map(({ state }) => state),
      ["waiting", "called"],
    );
  });

  it("follows a ticket through every state", async () => {
    const site = await clinic.furnish();
    const [own] = await site.issue(1);
    await site.issue(1, site.blood);
    const follower = connect({ token: patient(site, own) }).follow(`ticket:${own.ticket}`);
    await follower.started(1);
    /** @type {[string, object, (state: any) => unknown][]} */
    const steps = [
      [
        "hold",
        { reason: "Waiting for a result" },
        ({ state, reason }) => state === "on_hold" && reason === "Waiting for a result",
      ],
      ["resume", {}, ({ state, ahead }) => state === "waiting" && ahead === 0],
      [
        "call",
        { station: site.room1 },
        ({ state, call }) => state === "called" && call.recalls === 0,
      ],
      ["recall", {}, ({ state, call }) => state === "called" && call.recalls === 1],
      ["absent", {}, ({ state }) => state === "absent"],
      ["return", {}, ({ state }) => state === "waiting"],
      [
        "transfer",
        { queue: site.blood },
        ({ queue_name: name, ahead }) => name === "Blood tests" && ahead === 1,
      ],
      ["call", { station: site.room2 }, ({ call }) => call?.station === "Room 2"],
      ["start", {}, ({ state }) => state === "in_service"],
      ["complete", {}, ({ state }) => state === "completed"],
      ["revert", {}, ({ state }) => state === "in_service"],
      ["complete", {}, ({ state }) => state === "completed"],
    ];
    for (const [step, body, arrived] of steps) {
      await clinic.order(`tickets/${own.ticket}/${step}`, body);
      await until(`${step} arrives`, () => arrived(follower.state));
    }
  });

  it("gets the last state of an ended ticket", async () => {
    const site = await clinic.furnish();
    const [own] = await site.issue(1);
    await clinic.order(`tickets/${own.ticket}/leave`, {}, patient(site, own));
    const { data } = await connect({ token: patient(site, own) })
      .follow(`ticket:${own.ticket}`)
      .started(1);
    assert.equal(data.state, "left");
  });
});

describe("a screen's WebSocket client", () => {
  after(closeAll);

  it("folds board and queue to the HTTP snapshot", async () => {
    const site = await clinic.furnish();
    const reception = site.token("reception");
    const client = connect({ token: reception });
    const board = client.follow(`board:${site.location}`);
    const queue = client.follow(`queue:${site.general}`);
    await board.started(1);
    await queue.started(1);
    await liveliness(site);
    await board.agreesWith(() => clinic.get(`boards/${site.location}`, reception));
    await queue.agreesWith(() => clinic.get(`queues/${site.general}`, reception));
    assert.ok(
      client.lines.some(({ push }) => push?.pub.data.from !== undefined),
      "deltas came",
    );
  });

  it("gets labels and rooms without ticket ids", async () => {
    const site = await clinic.furnish();
    const client = connect({ token: site.token("display") });
    const board = client.follow(`board:${site.location}`);
    await board.started(1);
    const tickets = await site.issue(4);
    const called = await site.callNext(site.room2);
    await until("the call is on the board", () => {
      const entries = [...(board.held?.entries ?? [])];
      return entries.some(
        ([key, call]) =>
          key.startsWith("call:") &&
          call.label === called.label &&
          call.station === "Room 2" &&
          call.current,
      );
    });
    await until(
      "three wait",
      () => board.held?.entries?.get(`queue:${site.general}`)?.waiting === 3,
    );
    const heard = JSON.stringify(client.lines);
    for (const { ticket } of tickets) assert.ok(!heard.includes(ticket.split(".")[1]));
  });
});

/** Every kind of thing that happens in a clinic, in both queues. @param {Site} site */
async function liveliness(site) {
  const [first, second, third, fourth, fifth, sixth] = await site.issue(6);
  await site.issue(2, site.blood);
  /** @type {[string, object?][]} */
  const orders = [
    [`tickets/${fifth.ticket}/prioritise`, { priority: 5 }],
    [`queues/${site.general}/call-next`, { station: site.room1 }],
    [`tickets/${fifth.ticket}/start`],
    [`queues/${site.general}/reorder`, { tickets: [third.ticket, first.ticket] }],
    [`tickets/${second.ticket}/hold`],
    [`tickets/${fourth.ticket}/transfer`, { queue: site.blood }],
    [`tickets/${fifth.ticket}/complete`],
    [`queues/${site.general}/call-next`, { station: site.room2 }],
    [`tickets/${third.ticket}/recall`],
    [`tickets/${third.ticket}/no-show`],
    [`queues/${site.general}/pause`],
    [`tickets/${sixth.ticket}/cancel`, { reason: "Came back another day" }],
    [`queues/${site.general}/resume`],
  ];
  for (const [path, body] of orders) await clinic.order(path, body);
  return first;
}

describe("a client that reconnects", () => {
  after(closeAll);

  it("resumes with at most one publication", async () => {
    const site = await clinic.furnish();
    const reception = site.token("reception");
    const [, , own] = await site.issue(3);
    const client = connect({ token: reception });
    const followers = [
      `ticket:${own.ticket}`,
      `board:${site.location}`,
      `queue:${site.general}`,
    ].map((channel) => client.follow(channel));
    const [ticket, board, queue] = followers;
    for (const follower of followers) await follower.started(1);

    client.centrifuge.disconnect();
    await site.callNext();
    await site.issue(2);
    await site.callNext();
    client.centrifuge.connect();

    for (const follower of followers) {
      const { recovered, wasRecovering } = await follower.started(2);
      assert.deepEqual(
        { recovered, wasRecovering },
        { recovered: true, wasRecovering: true },
        follower.channel.split(":")[0],
      );
    }
    for (const { publications = [], data } of client.starts.slice(3)) {
      assert.equal(publications.length, 1);
      assert.equal(data, undefined);
    }
    await until("nobody is ahead", () => ticket.state.ahead === 0);
    assert.deepEqual(
      ticket.states.map(({ ahead }) => ahead),
      [2, 0],
    );
    await board.agreesWith(() => clinic.get(`boards/${site.location}`, reception));
    await queue.agreesWith(() => clinic.get(`queues/${site.general}`, reception));
  });

  it("resumes with nothing if it missed nothing", async () => {
    const site = await clinic.furnish();
    const reception = site.token("reception");
    const client = connect({ token: reception });
    const queue = client.follow(`queue:${site.general}`);
    await queue.started(1);
    client.centrifuge.disconnect();
    client.centrifuge.connect();
    assert.equal((await queue.started(2)).recovered, true);
    assert.equal(client.starts[1].publications, undefined);
    await site.issue(1);
    await queue.agreesWith(() => clinic.get(`queues/${site.general}`, reception));
    assert.equal(queue.held?.entries?.size, 2);
  });

  it("resumes after a silent network failure", async () => {
    const site = await clinic.furnish();
    const reception = site.token("reception");
    const [, own] = await site.issue(2);
    const proxy = open(await Proxy.to(clinic.url));
    const client = connect({ token: reception }, proxy.url);
    const queue = client.follow(`queue:${site.general}`);
    const ticket = client.follow(`ticket:${own.ticket}`);
    await queue.started(1);
    await ticket.started(1);

    proxy.cut();
    await until(
      "the client notices",
      () => client.states.includes("connecting") && client.centrifuge.state === "connecting",
    );
    await liveliness(site);
    await site.callNext();
    proxy.mend(clinic.url);

    for (const follower of [queue, ticket])
      assert.equal((await follower.started(2)).recovered, true);
    for (const { publications = [] } of client.starts.slice(2)) assert.ok(publications.length <= 1);
    await queue.agreesWith(() => clinic.get(`queues/${site.general}`, reception));
    const now = await clinic.get(`tickets/${own.ticket}`, reception);
    await until(
      "the ticket is as the server has it",
      () => ticket.state.state === now.state && ticket.state.ahead === now.ahead,
    );
  });

  it("never gets an older position than it has seen", async () => {
    const site = await clinic.furnish();
    const socket = await connectBare(site.token("reception"));
    // The last change at this location was in this queue, so its next version is one more.
    const channel = `queue:${site.blood}`;
    const { epoch, offset } = (await socket.subscribe(channel)).subscribe;
    assert.ok((await socket.ask({ unsubscribe: { channel } })).unsubscribe);
    // As if another node, one version ahead, had sent this position.
    const [{ subscribe }] = await Promise.all([
      socket.ask({ subscribe: { channel, recover: true, epoch, offset: offset + 1 } }),
      site.issue(1, site.blood),
    ]);
    const { recovered, publications, data } = subscribe;
    assert.deepEqual(
      [recovered, publications, data, subscribe.offset],
      [true, undefined, undefined, offset + 1],
    );
    await site.issue(1, site.blood);
    const { push } = await until("the next change arrives", () =>
      socket.lines.find(({ push }) => push),
    );
    assert.deepEqual([push.pub.offset, push.pub.data.from], [offset + 2, offset + 1]);
  });

  it("gets a snapshot for an unknown position", async () => {
    const site = await clinic.furnish();
    const socket = await connectBare(site.token("reception"));
    const { subscribe } = await socket.ask({
      subscribe: { channel: `queue:${site.general}`, recover: true, epoch: "1", offset: 1 },
    });
    assert.deepEqual(
      [subscribe.recovered, subscribe.was_recovering, subscribe.recoverable],
      [undefined, true, true],
    );
    assert.ok(subscribe.data.entries.queue);
    assert.notEqual(subscribe.epoch, "1");
  });
});

describe("a client ahead of the server", () => {
  after(closeAll);

  it("gets the whole state, and goes on from there", async () => {
    const site = await clinic.furnish();
    const channel = `queue:${site.general}`;
    const known = await clinic.get(`queues/${site.general}`);
    const client = connect({ token: site.token("reception") });
    const subscription = client.centrifuge.newSubscription(channel, {
      since: { epoch: known.epoch, offset: known.version + 1000 },
    });
    /** @type {import("centrifuge").SubscribedContext[]} */
    const starts = [];
    /** @type {number[]} */
    const offsets = [];
    subscription.on("subscribed", (context) => starts.push(context));
    subscription.on("publication", ({ offset = 0 }) => offsets.push(offset));
    subscription.subscribe();
    const [start] = await until("it is subscribed", () => starts.length > 0 && starts, 10_000);
    assert.deepEqual([start.wasRecovering, start.recovered], [true, false]);
    assert.equal(start.streamPosition?.offset, known.version);
    assert.ok(start.data.entries);
    await site.issue(1);
    await until("a step arrives", () => offsets.length > 0);
    assert.ok(offsets[0] <= known.version + 2, `${offsets[0]}`);
    assert.deepEqual(client.states, ["connecting", "connected"]);
  });
});

describe("a token that expires", () => {
  after(closeAll);

  it("is replaced before the first connection", async () => {
    const site = await clinic.furnish();
    let asked = 0;
    const client = connect({
      token: site.token("reception", { expiresInMs: -1000 }),
      getToken: async () => {
        asked++;
        return site.token("reception");
      },
    });
    await client.follow(`board:${site.location}`).started(1);
    assert.equal(asked, 1);
    assert.deepEqual(client.lines[0].error.code, 109);
  });

  it("is refreshed without interrupting subscriptions", async () => {
    const site = await clinic.furnish();
    const client = connect({
      token: site.token("reception", { expiresInMs: 1500 }),
      getToken: async () => site.token("reception"),
    });
    const queue = client.follow(`queue:${site.general}`);
    await queue.started(1);
    const { refresh } = await until("the server takes the new token", () =>
      client.lines.find((line) => line.refresh),
    );
    assert.ok(refresh.expires && refresh.ttl > 3000, `${refresh.ttl}`);
    await site.issue(1);
    await until("the line grows", () => queue.held?.entries?.size === 2);
    assert.deepEqual(client.states, ["connecting", "connected"]);
    assert.equal(client.starts.length, 1);
  });

  it("cannot be replaced by another subject's token", async () => {
    const site = await clinic.furnish();
    for (const other of [{ subject: "somebody-else" }, { tenant: "elsewhere" }]) {
      const socket = await connectBare(site.token("reception"));
      socket.socket.send(
        JSON.stringify({ id: 9, refresh: { token: site.token("reception", other) } }),
      );
      assert.equal((await socket.farewell()).code, 3500);
    }
  });
});

describe("a refused request", () => {
  after(closeAll);

  it("gets code 105, 103 or 102", async () => {
    const site = await clinic.furnish();
    const [own, other] = await site.issue(2);
    const socket = await connectBare(patient(site, own));
    const channel = `ticket:${own.ticket}`;
    assert.ok((await socket.subscribe(channel)).subscribe.data);
    assert.equal((await socket.subscribe(channel)).error.code, 105);
    for (const forbidden of [
      `ticket:${other.ticket}`,
      `queue:${site.general}`,
      `board:${site.location}`,
    ]) {
      assert.equal((await socket.subscribe(forbidden)).error.code, 103, forbidden.split(":")[0]);
    }
    for (const unknown of [
      "weather:today",
      "ticket:",
      "ticket:no-hex",
      "queue:general",
      `queue:${site.general}x y`,
      "",
    ]) {
      assert.equal((await socket.subscribe(unknown)).error.code, 102, unknown);
    }
    await clinic.order(`tickets/${own.ticket}/call`, { station: site.room1 });
    await until("the first subscription goes on", () =>
      socket.lines.some(({ push }) => push?.pub.data.state === "called"),
    );
  });

  it("gets 102 for a missing channel if permitted", async () => {
    const site = await clinic.furnish();
    const socket = await connectBare(token("admin"));
    const nobody = `${site.location}.${"0".repeat(32)}`;
    for (const channel of [`ticket:${nobody}`, `queue:${site.location}.nowhere`, "board:nowhere"]) {
      assert.equal((await socket.subscribe(channel)).error.code, 102, channel);
    }
  });

  it("tells another tenant nothing by socket or HTTP", async () => {
    const site = await clinic.furnish();
    const [own] = await site.issue(1);
    for (const bearer of [
      token("admin", { tenant: "elsewhere" }),
      site.token("patient", { tenant: "elsewhere", tickets: [own.ticket] }),
    ]) {
      const socket = await connectBare(bearer);
      const { error } = await socket.subscribe(`ticket:${own.ticket}`);
      assert.equal(error.code, 102);
      await assert.rejects(clinic.get(`tickets/${own.ticket}`, bearer), { status: 404 });
    }
    const foreign = await connectBare(token("admin", { tenant: "elsewhere" }));
    assert.equal((await foreign.subscribe(`queue:${site.general}`)).error.code, 102);
    assert.equal((await foreign.subscribe(`board:${site.location}`)).error.code, 102);
  });

  it("closes with 3500 for an invalid token", async () => {
    const good = token("reception");
    for (const bad of [
      "",
      "x",
      `${good.slice(0, -2)}AA`,
      token("reception", { audience: "another" }),
    ]) {
      const socket = open(await Socket.open(clinic.url));
      assert.equal((await socket.ask({ connect: { token: bad } })).error.code, 101);
      assert.equal((await socket.farewell()).code, 3500);
    }
  });

  it("closes only the socket that sends garbage", async () => {
    const site = await clinic.furnish();
    const neighbour = connect({ token: site.token("reception") }).follow(`queue:${site.general}`);
    await neighbour.started(1);
    const hello = JSON.stringify({ id: 1, connect: { token: site.token("reception") } });
    /** @type {[string | Buffer, number][]} */
    const nonsense = [
      ["{", 3501],
      [Buffer.from([1, 2, 3]), 3501],
      [JSON.stringify({ id: 1, subscribe: { channel: `queue:${site.general}` } }), 3501],
      [`${hello}\n${hello}`, 3501],
      [JSON.stringify({ id: 1, connect: { token: "x".repeat(70_000) } }), 4500],
    ];
    for (const [text, code] of nonsense) {
      const socket = open(await Socket.open(clinic.url));
      socket.socket.send(text);
      assert.equal((await socket.farewell()).code, code, `${String(text).slice(0, 30)}`);
    }
    await site.issue(1);
    await until("the neighbour goes on", () => neighbour.held?.entries?.size === 2);
  });

  it("is refused for a foreign origin", async () => {
    const socket = new WebSocket(socketUrl(clinic.url), { origin: "https://elsewhere.example" });
    const [, response] = await once(socket, "unexpected-response");
    assert.equal(response.statusCode, 403);
    response.destroy();
  });

  it("is refused for unsupported methods", async () => {
    const socket = await connectBare(token("reception"));
    assert.equal((await socket.ask({ rpc: { method: "x", data: {} } })).error.code, 108);
    assert.equal((await socket.ask({ publish: { channel: "board:x", data: {} } })).error.code, 108);
  });
});

describe("a stopping server", () => {
  after(closeAll);

  it("closes with 3001, and clients start over elsewhere", async () => {
    const first = await Clinic.start("--empty");
    /** @type {Clinic | undefined} */
    let second;
    try {
      const site = await first.furnish("harbour");
      await site.issue(3);
      const proxy = open(await Proxy.to(first.url));
      const client = connect({ token: site.token("reception") }, proxy.url);
      const queue = client.follow(`queue:${site.general}`);
      await queue.started(1);
      const bare = open(await Socket.connect(first.url, site.token("reception")));
      /** @type {number[]} */
      const codes = [];
      client.centrifuge.on("connecting", ({ code }) => codes.push(code));

      const [ended, farewell] = await Promise.all([first.stop(), bare.farewell()]);
      assert.equal(ended, 0);
      assert.equal(farewell.code, 3001);
      assert.equal(codes[0], 3001);

      second = await Clinic.start("--empty");
      const again = await second.furnish("harbour");
      await again.issue(1);
      proxy.mend(second.url);
      const { recovered, wasRecovering } = await queue.started(2);
      assert.deepEqual({ recovered, wasRecovering }, { recovered: false, wasRecovering: true });
      const snapshot = () => again.clinic.get(`queues/${site.general}`);
      await queue.agreesWith(snapshot);
      assert.equal(queue.held?.entries?.size, 2, "one ticket and the queue itself");
      await again.issue(1);
      await queue.agreesWith(snapshot);
    } finally {
      await first.stop();
      await second?.stop();
    }
  });
});

describe("the server's log", () => {
  it("contains no patient data at trace level", async () => {
    const site = await clinic.furnish();
    const [own] = await site.issue(1);
    const bearer = patient(site, own);
    const client = open(new Client(clinic.url, { token: bearer }));
    await client.follow(`ticket:${own.ticket}`).started(1);
    await clinic.order(`tickets/${own.ticket}/hold`, { reason: "a private reason" });
    await closeAll();
    assert.match(clinic.log, /DEBUG/);
    for (const secret of [
      own.ticket.split(".")[1],
      own.label,
      bearer,
      "a private reason",
      "test-patient",
    ]) {
      assert.ok(!clinic.log.includes(secret));
    }
  });
});
