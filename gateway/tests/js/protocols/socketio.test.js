// The published Socket.IO client against the one-process binary, on each of its transports.

import assert from "node:assert/strict";
import { once } from "node:events";
import { connect as connectTcp } from "node:net";
import { after, before, describe, it } from "node:test";
import WebSocket from "ws";
import { Clinic, Site, token } from "../helpers/clinic.js";
import { Proxy } from "../helpers/proxy.js";
import { App, Bare, Poller } from "../helpers/socketio.js";
import { until } from "../helpers/until.js";

/** @type {Clinic} */
let clinic;
/** @type {{close: () => unknown}[]} */
const opened = [];

/** @template {{close: () => unknown}} T @param {T} it @returns {T} */
function open(it) {
  opened.push(it);
  return it;
}

/** @typedef {("polling" | "websocket")[]} Transports */
/** @type {[string, Transports][]} */
const TRANSPORTS = [
  ["a WebSocket", ["websocket"]],
  ["long-polling", ["polling"]],
  ["long-polling that upgrades", ["polling", "websocket"]],
];

/** @param {object} auth @param {Transports} [transports] */
const connect = (auth, transports = ["websocket"]) =>
  open(new App(clinic.url, auth, { transports }));
/** @param {Site} site @param {{ticket: string}[]} tickets */
const patient = (site, ...tickets) =>
  site.token("patient", { tickets: tickets.map(({ ticket }) => ticket) });
/** A number the server counts. @param {string} metric with its labels */
async function counted(metric) {
  const text = await (await fetch(`${clinic.url}/metrics`)).text();
  return Number(
    text
      .split("\n")
      .find((line) => line.startsWith(`${metric} `))
      ?.split(" ")[1] ?? 0,
  );
}

before(async () => {
  clinic = await Clinic.start("--empty", "--log", "debug");
});
after(() => clinic?.stop());

describe("a client that leaves the namespace", () => {
  after(closeAll);

  it("keeps its session and can connect again", async () => {
    const site = await clinic.furnish();
    const auth = { token: site.token("reception") };
    const bare = open(await Bare.connect(clinic.url, auth));
    for (let round = 0; round < 3; round++) {
      bare.send(`42${round}["subscribe",{"channel":"board:${site.location}"}]`);
      await bare.heard((packet) => packet.startsWith(`43${round}[{"channel"`));
      bare.packets = [];
      bare.send("41");
      bare.send(`40${JSON.stringify(auth)}`);
      await bare.heard((packet) => packet.startsWith("40{"));
    }
    assert.equal(bare.closed, false);
    bare.send("41");
    await until("a session without a client ends", () => bare.closed);
  });
});

describe("an upgrade to a WebSocket", () => {
  after(closeAll);

  for (const fate of /** @type {const} */ (["cut", "stall"])) {
    it(`that a proxy ${fate}s leaves the session as it is`, async () => {
      const site = await clinic.furnish();
      const [own] = await site.issue(1);
      const proxy = open(await Proxy.to(clinic.url));
      proxy.webSockets = fate;
      const polls = 'clinicwire_http_requests_total{route="/socket.io/",status="200"}';
      const before = await counted(polls);
      const app = open(new App(proxy.url, { token: patient(site, own) }));
      const ticket = await app.follow(`ticket:${own.ticket}`);
      for (const step of ["hold", "resume", "hold"]) {
        await clinic.order(`tickets/${own.ticket}/${step}`, step === "hold" ? { reason: "x" } : {});
        const state = step === "hold" ? "on_hold" : "waiting";
        await until(`${step} arrives`, () => ticket.state.state === state);
      }
      assert.deepEqual([app.losses, app.connections, app.transport], [[], 1, "polling"]);
      assert.ok((await counted(polls)) - before < 30, "polls are not answered at once");
    });
  }

  it("that never ends keeps no second one out for ever", async () => {
    const site = await clinic.furnish();
    const base = `${clinic.url}/socket.io/?EIO=4`;
    const opening = await (await fetch(`${base}&transport=polling`)).text();
    const { sid } = JSON.parse(opening.slice(1));
    const probe = () =>
      new WebSocket(`${base.replace("http", "ws")}&transport=websocket&sid=${sid}`);
    const poll = `${base}&transport=polling&sid=${sid}`;
    const auth = JSON.stringify({ token: site.token("reception") });
    const answered = await fetch(poll, { method: "POST", body: `40${auth}` });
    assert.equal(answered.status, 200);
    const first = probe();
    await once(first, "open");
    const second = probe();
    const [, refused] = await once(second, "unexpected-response");
    assert.equal(refused.statusCode, 400, "one probe at a time");
    first.terminate();
    const third = await until("the next probe begins", async () => {
      const socket = probe();
      const event = await Promise.race([
        once(socket, "open").then(() => "open"),
        once(socket, "unexpected-response").then(() => "refused"),
      ]);
      return event === "open" && socket;
    });
    const waiting = fetch(poll);
    third.send("2probe");
    const [pong] = await once(third, "message");
    assert.equal(String(pong), "3probe");
    assert.match(await (await waiting).text(), /^(40|2|6)/);
    // What is sent right behind the upgrade arrives too.
    third.send("5");
    third.send('427["nothing"]');
    const [packet] = await once(third, "message");
    assert.match(String(packet), /^437\[{"error":{"code":"unknown_method"/);
    third.terminate();
  });
});

describe("a request that is not Engine.IO 4", () => {
  for (const [method, query, code] of /** @type {const} */ ([
    ["GET", "EIO=4", 0],
    ["GET", "EIO=4&transport=carrier-pigeon", 0],
    ["GET", "EIO=4&transport=polling&sid=x", 1],
    ["GET", "EIO=4&transport=polling&sid=AAAAAAAAAAAAAAAA", 1],
    ["POST", "EIO=4&transport=polling", 2],
    ["GET", "EIO=3&transport=polling", 5],
    ["GET", "transport=websocket", 5],
  ])) {
    it(`is refused with ${code}: ${method} ${query}`, async () => {
      const answer = await fetch(`${clinic.url}/socket.io/?${query}`, { method });
      assert.equal(answer.status, 400);
      assert.equal((await answer.json()).code, code);
    });
  }

  it("never becomes a WebSocket", async () => {
    const answer = await fetch(`${clinic.url}/socket.io/?EIO=4&transport=websocket`);
    assert.equal(answer.status, 426);
  });

  it("may lack the slash at the end of its path", async () => {
    const answer = await fetch(`${clinic.url}/socket.io?EIO=4&transport=polling`);
    assert.match(await answer.text(), /^0{/);
  });
});

/** Closes everything that the tests of a group opened. */
async function closeAll() {
  for (const it of opened.splice(0)) await it.close();
}

for (const [name, transports] of TRANSPORTS) {
  describe(`a Socket.IO client by ${name}`, () => {
    after(closeAll);

    it("follows a ticket through its life", async () => {
      const site = await clinic.furnish();
      const [, own] = await site.issue(2);
      await site.issue(1, site.blood);
      const app = connect({ token: patient(site, own) }, transports);
      const ticket = await app.follow(`ticket:${own.ticket}`);
      assert.deepEqual([ticket.start.recovered, ticket.start.type], [false, "state"]);
      assert.deepEqual(
        [ticket.state.label, ticket.state.state, ticket.state.ahead],
        [own.label, "waiting", 1],
      );
      await site.callNext();
      await until("nobody is ahead", () => ticket.state.ahead === 0);
      /** @type {[string, object, (state: any) => unknown][]} */
      const steps = [
        ["hold", { reason: "Waiting for a result" }, ({ state }) => state === "on_hold"],
        ["resume", {}, ({ state }) => state === "waiting"],
        [
          "transfer",
          { queue: site.blood },
          ({ queue_name: queue, ahead }) => queue === "Blood tests" && ahead === 1,
        ],
        ["call", { station: site.room2 }, ({ call }) => call?.station === "Room 2"],
        ["start", {}, ({ state }) => state === "in_service"],
        ["complete", {}, ({ state }) => state === "completed"],
      ];
      for (const [step, body, arrived] of steps) {
        await clinic.order(`tickets/${own.ticket}/${step}`, body);
        await until(`${step} arrives`, () => arrived(ticket.state));
      }
      assert.equal(app.connections, 1);
      assert.equal(app.transport, transports.at(-1));
    });

    it("folds channels of its handshake to the HTTP snapshot", async () => {
      const site = await clinic.furnish();
      const reception = site.token("reception");
      const channels = [`board:${site.location}`, `queue:${site.general}`];
      const app = connect(
        { token: reception, subscribe: channels.map((channel) => ({ channel })) },
        transports,
      );
      const [board, queue] = channels.map((channel) => app.watch(channel));
      await until("both begin", () => board.held && queue.held);
      const [first] = await site.issue(4);
      await site.callNext();
      await clinic.order(`tickets/${first.ticket}/start`);
      await site.callNext(site.room2);
      await board.agreesWith(() => clinic.get(`boards/${site.location}`, reception));
      await queue.agreesWith(() => clinic.get(`queues/${site.general}`, reception));
      assert.equal(board.types[0], "snapshot");
      assert.ok(
        queue.types.slice(1).every((type) => type === "delta") && queue.types.length > 1,
        `${queue.types}`,
      );
    });

    it("resumes with one merged delta", async () => {
      const site = await clinic.furnish();
      const reception = site.token("reception");
      const channel = `queue:${site.general}`;
      const before = connect({ token: reception }, transports);
      const held = await before.follow(channel);
      const at = held.position;
      before.close();
      await site.issue(3);
      await site.callNext();

      const after = connect({ token: reception, subscribe: [{ channel, ...at }] }, transports);
      const resumed = after.watch(channel);
      resumed.held = held.held;
      await resumed.agreesWith(() => clinic.get(`queues/${site.general}`, reception));
      assert.deepEqual(resumed.types, ["delta"]);
      assert.equal(after.events[0].data.from, at.version);

      assert.deepEqual(await after.ask("unsubscribe", { channel }), { channel });
      const start = await after.ask("subscribe", { channel, ...at });
      assert.deepEqual(
        [start.recovered, start.type, start.data.from, start.version],
        [true, "delta", at.version, resumed.held?.version],
      );
      await after.ask("unsubscribe", { channel });
      const { recovered, data } = await after.ask("subscribe", { channel, ...resumed.position });
      assert.deepEqual([recovered, data], [true, undefined]);
      await site.issue(1);
      await resumed.agreesWith(() => clinic.get(`queues/${site.general}`, reception));
    });

    it("starts over at the next server", async () => {
      const first = await Clinic.start("--empty");
      /** @type {Clinic | undefined} */
      let second;
      try {
        const site = await first.furnish("harbour");
        await site.issue(3);
        const channel = `queue:${site.general}`;
        const proxy = open(await Proxy.to(first.url));
        const app = open(
          new App(
            proxy.url,
            { token: site.token("reception"), subscribe: [{ channel }] },
            { transports },
          ),
        );
        const queue = app.watch(channel);
        await until("it begins", () => queue.held);
        await until("it has its last transport", () => app.transport === transports.at(-1));
        assert.equal(await first.stop(), 0);
        await until("the client notices", () => app.losses.length > 0);
        assert.deepEqual(app.closes, [{ code: 3001, reason: "shutdown", reconnect: true }]);
        assert.match(app.losses[0], /^transport/);

        second = await Clinic.start("--empty");
        const again = await second.furnish("harbour");
        await again.issue(1);
        proxy.mend(second.url);
        await until("it connects again", () => app.connections === 2);
        await queue.agreesWith(() => again.clinic.get(`queues/${site.general}`));
        assert.equal(queue.held?.entries?.size, 2, "one ticket and the queue itself");
      } finally {
        await first.stop();
        await second?.stop();
      }
    });
  });
}

describe("a node that stops", () => {
  after(closeAll);

  it("tells a client that is between two polls", async () => {
    const stopping = await Clinic.start("--empty");
    try {
      const site = await stopping.furnish("harbour");
      const auth = { token: site.token("reception") };
      const poller = await Poller.connect(stopping.url, auth);
      await poller.until((packet) => packet.startsWith("40"));
      const stopped = stopping.stop();
      await until("it takes no new clients", async () =>
        fetch(`${stopping.url}/health/live`).then(
          (answer) => answer.status === 503,
          () => true,
        ),
      );
      const farewell = await poller.until((packet) => packet.includes("close"));
      assert.equal(farewell, '42["close",{"code":3001,"reason":"shutdown","reconnect":true}]');
      assert.equal(await stopped, 0);
    } finally {
      await stopping.stop();
    }
  });
});

describe("a position", () => {
  after(closeAll);

  it("that is unknown gets a snapshot", async () => {
    const site = await clinic.furnish();
    const app = connect({ token: site.token("reception") });
    const queue = await app.follow(`queue:${site.general}`, { epoch: "1", version: 1 });
    assert.deepEqual([queue.start.recovered, queue.start.type], [false, "snapshot"]);
    assert.ok(queue.held?.entries?.has("queue"));
  });

  it("ahead of this node never gets less", async () => {
    const site = await clinic.furnish();
    const app = connect({ token: site.token("reception") });
    const channel = `queue:${site.blood}`;
    const { epoch, version } = (await app.follow(channel)).position;
    await app.ask("unsubscribe", { channel });
    const [start] = await Promise.all([
      app.ask("subscribe", { channel, epoch, version: version + 1 }),
      site.issue(1, site.blood),
    ]);
    assert.deepEqual([start.recovered, start.data, start.version], [true, undefined, version + 1]);
  });
});

describe("a token", () => {
  after(closeAll);

  it("that is invalid is refused with its code", async () => {
    const good = token("reception");
    /** @type {[object, string][]} */
    const refused = [
      [{}, "token_missing"],
      [{ token: "x" }, "token_invalid"],
      [{ token: `${good.slice(0, -2)}AA` }, "token_invalid"],
      [{ token: token("reception", { audience: "another" }) }, "token_wrong_audience"],
      [{ token: token("reception", { expiresInMs: -1000 }) }, "token_expired"],
      [{ token: 7 }, "malformed"],
      [
        {
          token: good,
          subscribe: Array.from({ length: 65 }, (_, index) => ({ channel: `board:b${index}` })),
        },
        "channel_limit",
      ],
    ];
    for (const [auth, code] of refused) {
      const app = connect(auth);
      await until("it is refused", () => app.refusals.length > 0);
      assert.deepEqual([app.refusals[0], app.connections], [code, 0]);
    }
  });

  for (const [name, transports] of TRANSPORTS) {
    it(`that is refused comes with code, text and whether to retry, by ${name}`, async () => {
      for (const { auth, code, retry } of [
        {
          auth: { token: token("reception", { expiresInMs: -1000 }) },
          code: "token_expired",
          retry: true,
        },
        { auth: {}, code: "token_missing", retry: false },
      ]) {
        const app = connect(auth, transports);
        const [data] = await until("it is refused", () => app.refused.length > 0 && app.refused);
        assert.deepEqual([data.code, data.retry], [code, retry]);
        assert.match(data.message, /token/);
      }
    });
  }

  it("that cannot replace another is refused by an acknowledgement", async () => {
    const site = await clinic.furnish();
    const app = await connect({ token: site.token("reception") }).connected();
    const answer = await app.ask("refresh", { token: "x" });
    assert.deepEqual([answer.error?.code, answer.error?.retry], ["token_invalid", false]);
  });

  it("that has expired is replaced before connecting", async () => {
    const site = await clinic.furnish();
    const tokens = [site.token("reception", { expiresInMs: -1000 }), site.token("reception")];
    const app = connect((/** @type {(auth: object) => void} */ send) =>
      send({ token: tokens.shift() }),
    );
    await until("it is refused", () => app.refusals.length > 0);
    assert.deepEqual(app.refusals, ["token_expired"]);
    app.socket.connect();
    await app.connected();
  });

  it("keeps a position only while the server has it", async () => {
    const site = await clinic.furnish();
    const channel = `queue:${site.general}`;
    const app = connect({ token: site.token("reception") });
    const { epoch, version } = await app.ask("subscribe", { channel });
    await app.ask("unsubscribe", { channel });
    const lost = await app.ask("subscribe", { channel, epoch, version: version + 1000 });
    assert.deepEqual(
      [lost.recovered, lost.reset, lost.type, lost.version],
      [false, true, "snapshot", version],
    );
  });

  it("is renewed without interrupting channels", async () => {
    const site = await clinic.furnish();
    const app = connect({ token: site.token("reception", { expiresInMs: 1500 }) });
    const queue = await app.follow(`queue:${site.general}`);
    const { expires_in: seconds } = await app.ask("refresh", { token: site.token("reception") });
    assert.ok(seconds > 3000 && seconds <= 3600, `${seconds}`);
    assert.equal(
      (await app.ask("refresh", { token: site.token("reception", { expiresInMs: -1 }) })).error
        .code,
      "token_expired",
    );
    await site.issue(1);
    await until("the line grows", () => queue.held?.entries?.size === 2);
    assert.equal(app.connections, 1);
  });

  it("that covers less ends only uncovered channels", async () => {
    const site = await clinic.furnish();
    const [kept, lost] = await site.issue(2);
    const app = connect({ token: patient(site, kept, lost) });
    const first = await app.follow(`ticket:${kept.ticket}`);
    await app.follow(`ticket:${lost.ticket}`);
    await app.ask("refresh", { token: patient(site, kept) });
    const [error] = await until("the other one ends", () => app.errors.length > 0 && app.errors);
    assert.deepEqual(
      [error.channel, error.code, error.retry],
      [`ticket:${lost.ticket}`, "forbidden", false],
    );
    await clinic.order(`tickets/${kept.ticket}/call`, { station: site.room1 });
    await until("the first goes on", () => first.state.state === "called");
  });

  for (const [name, transports] of TRANSPORTS.slice(0, 2)) {
    it(`of another subject ends the connection by ${name}`, async () => {
      const site = await clinic.furnish();
      for (const other of [{ subject: "somebody-else" }, { tenant: "elsewhere" }]) {
        const app = await connect({ token: site.token("reception") }, transports).connected();
        app.socket.emit("refresh", { token: site.token("reception", other) });
        await until("it is closed", () => app.losses.length > 0);
        assert.deepEqual(app.closes, [{ code: 3500, reason: "invalid token", reconnect: false }]);
        assert.deepEqual([app.losses, app.socket.active], [["io server disconnect"], false]);
      }
    });
  }
});

describe("a refused request", () => {
  after(closeAll);

  it("is for a foreign, unknown or duplicate channel", async () => {
    const site = await clinic.furnish();
    const [own, other] = await site.issue(2);
    const app = connect({ token: patient(site, own) });
    await app.follow(`ticket:${own.ticket}`);
    /** @type {[string, string][]} */
    const refused = [
      [`ticket:${own.ticket}`, "already_subscribed"],
      [`ticket:${other.ticket}`, "forbidden"],
      [`queue:${site.general}`, "forbidden"],
      [`board:${site.location}`, "forbidden"],
      ["weather:today", "unknown_channel"],
      ["", "unknown_channel"],
      ["x".repeat(1000), "unknown_channel"],
    ];
    for (const [channel, code] of refused) {
      const { error } = await app.ask("subscribe", { channel });
      assert.deepEqual([error.code, error.retry, typeof error.message], [code, false, "string"]);
      app.socket.emit("subscribe", { channel });
    }
    await until(
      "each is told without an acknowledgement too",
      () => app.errors.length === refused.length,
    );
    assert.deepEqual(
      app.errors.map(({ channel, code }) => [channel, code]),
      refused,
    );
    await clinic.order(`tickets/${own.ticket}/call`, { station: site.room1 });
    await until("the first goes on", () => app.events.some(({ data }) => data.state === "called"));
  });

  it("is for any channel of another tenant", async () => {
    const site = await clinic.furnish();
    const [own] = await site.issue(1);
    const channels = [`ticket:${own.ticket}`, `queue:${site.general}`, `board:${site.location}`];
    const app = connect({
      token: token("admin", { tenant: "elsewhere" }),
      subscribe: channels.map((channel) => ({ channel, epoch: 1, version: 0 })),
    });
    await until("all are refused", () => app.errors.length === channels.length);
    assert.deepEqual(
      app.errors.map(({ channel, code }) => [channel, code]).sort(),
      channels.map((channel) => [channel, "unknown_channel"]).sort(),
    );
    for (const channel of channels)
      assert.equal((await app.ask("subscribe", { channel })).error.code, "unknown_channel");
    await site.issue(1);
    await app.ask("unsubscribe", { channel: channels[0] });
    assert.deepEqual(app.events, []);
  });

  it("is an unknown or malformed event", async () => {
    const site = await clinic.furnish();
    const app = connect({ token: site.token("reception") });
    const channel = `queue:${site.general}`;
    /** @type {[string, any[], string][]} */
    const refused = [
      ["publish", [{ channel, data: {} }], "unknown_method"],
      ['na"me\n', [{ channel }], "unknown_method"],
      ["subscribe", [], "malformed"],
      ["subscribe", [channel], "malformed"],
      ["subscribe", [{ channel }, { channel }], "malformed"],
      ["subscribe", [{ channel: [channel] }], "malformed"],
      ["subscribe", [{ channel, extra: Buffer.from([1, 2, 3]) }], "malformed"],
      ["refresh", [{ token: Buffer.from("x") }], "malformed"],
      ["subscribe", [{ channel, extra: Array(100).fill(Buffer.from([1])) }], "malformed"],
    ];
    for (const [event, args, code] of refused) {
      assert.equal((await app.ask(event, ...args)).error.code, code, event);
      app.socket.emit(event, ...args);
    }
    await until(
      "each is told without an acknowledgement too",
      () => app.errors.length === refused.length,
    );
    assert.deepEqual(
      app.errors.map(({ code }) => code),
      refused.map(([, , code]) => code),
    );
    await app.follow(channel);
    assert.equal(app.connections, 1);
  });

  for (const [name, transports] of TRANSPORTS) {
    it(`that is too large gets its reason before the end, by ${name}`, async () => {
      const site = await clinic.furnish();
      const app = connect({ token: site.token("reception") }, transports);
      const last = /** @type {string} */ (transports.at(-1));
      await until("it is connected", () => app.socket.io.engine?.transport.name === last);
      await app.ask("subscribe", { channel: `board:${site.location}` });
      app.socket.emit("subscribe", { channel: "x".repeat(70_000) });
      await until("it is closed", () => app.closes.length > 0);
      assert.deepEqual(app.closes, [{ code: 4500, reason: "message too large", reconnect: false }]);
    });
  }

  it("is another namespace", async () => {
    const app = open(
      new App(`${clinic.url}/admin`, { token: token("admin") }, { transports: ["websocket"] }),
    );
    await until("it is refused", () => app.refusals.length > 0);
    assert.deepEqual(app.refusals, ["Invalid namespace"]);
  });

  it("is garbage, which closes only its own connection", async () => {
    const site = await clinic.furnish();
    const auth = { token: site.token("reception") };
    const neighbour = connect(auth);
    const queue = await neighbour.follow(`queue:${site.general}`);
    const nonsense = [
      "9",
      "4",
      "4x",
      "42",
      '42{"a":1}',
      Buffer.from([1, 2, 3]),
      `42["subscribe","${"x".repeat(70_000)}"]`,
    ];
    for (const packet of nonsense) {
      const bare = open(await Bare.connect(clinic.url, auth));
      bare.send(packet);
      await until(`${String(packet).slice(0, 20)} ends it`, () => bare.closed, 5000);
    }
    // An event whose attachment never comes, and more events at once than the queue takes.
    const half = open(await Bare.connect(clinic.url, auth));
    for (const packet of ['451-["subscribe",{"_placeholder":true,"num":0}]', '42["publish"]'])
      half.send(packet);
    await until("half an event ends it", () => half.closed, 5000);
    const flood = await Poller.connect(clinic.url, auth);
    await flood.until((packet) => packet.startsWith("40"));
    // As many as one request may carry, which is far more than the queue takes at any speed.
    await flood.post(Array(4000).fill('42["publish"]').join("\x1e"));
    await until("a flood ends it", async () => (await flood.post("3")).status === 400, 5000);
    await site.issue(1);
    await until("the neighbour goes on", () => queue.held?.entries?.size === 2);
    assert.equal(neighbour.connections, 1);
  });

  it("is from a foreign origin", async () => {
    const origin = "https://elsewhere.example";
    const polling = `${clinic.url}/socket.io/?EIO=4&transport=polling`;
    for (const method of ["GET", "POST", "OPTIONS"]) {
      const response = await fetch(polling, { method, headers: { origin } });
      assert.deepEqual(
        [response.status, response.headers.get("access-control-allow-origin")],
        [403, null],
        method,
      );
    }
    const own = await fetch(polling, { headers: { origin: clinic.url } });
    assert.deepEqual(
      [own.status, own.headers.get("access-control-allow-origin")],
      [200, clinic.url],
    );
    const socket = new WebSocket(
      `${clinic.url.replace("http", "ws")}/socket.io/?EIO=4&transport=websocket`,
      { origin },
    );
    const [, response] = await once(socket, "unexpected-response");
    assert.equal(response.statusCode, 403);
    response.destroy();
  });
});

describe("time", { concurrency: true }, () => {
  after(closeAll);

  it("cuts only the client that stops reading", async () => {
    const site = await clinic.furnish();
    const [any] = await site.issue(60);
    const channel = `queue:${site.general}`;
    const auth = { token: site.token("reception") };
    const neighbour = connect(auth);
    const queue = await neighbour.follow(channel);
    const slow = await counted('clinicwire_closes_total{reason="slow"}');

    const { hostname, port } = new URL(clinic.url);
    const socket = connectTcp({ port: Number(port), host: hostname });
    socket.on("error", () => {});
    open({ close: () => socket.destroy() });
    socket.write(
      "GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\n" +
        "upgrade: websocket\r\nsec-websocket-version: 13\r\n" +
        "sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
    );
    socket.write(masked(`40${JSON.stringify(auth)}`));
    let heard = "";
    const listen = (/** @type {Buffer} */ bytes) => (heard += bytes.toString("latin1"));
    socket.on("data", listen);
    await until("it is connected", () => heard.includes('40{"sid"'));
    // While the client follows a ticket of the queue, its view is loaded and each subscribe is
    // answered at once.
    socket.write(
      masked(`4299["subscribe",${JSON.stringify({ channel: `ticket:${any.ticket}` })}]`),
    );
    await until("it follows a ticket", () => heard.includes("4399"));
    socket.off("data", listen).pause();
    // From here on it may be stuck: how long the snapshots take to send depends on the machine.
    const began = Date.now();
    // Enough snapshots to fill the socket buffers of the system, and fewer than the queue takes.
    for (let id = 0; id < 80; id += 2) {
      socket.write(masked(`42${id}["subscribe",${JSON.stringify({ channel })}]`));
      // A subscribe is answered once it is in the audit, as this request is too. An unsubscribe
      // that comes earlier takes it back.
      await clinic.get(`queues/${site.general}`, auth.token);
      socket.write(masked(`42${id + 1}["unsubscribe",${JSON.stringify({ channel })}]`));
    }
    while (!socket.destroyed) {
      assert.ok(Date.now() - began < 60_000, "it is cut");
      // The client answers pings all the time, so that it is cut for not reading.
      socket.write(masked("3"));
      const size = queue.held?.entries?.size ?? 0;
      await site.issue(1);
      await until(
        "the neighbour sees the line grow",
        () => (queue.held?.entries?.size ?? 0) > size,
      );
    }
    assert.ok(Date.now() - began > 9000, "not before ten seconds");
    assert.ok((await counted('clinicwire_closes_total{reason="slow"}')) > slow);
    assert.equal(neighbour.connections, 1);
  });

  it("cuts a client that stops polling", async () => {
    const site = await clinic.furnish();
    const channel = `board:${site.location}`;
    const poller = await Poller.connect(clinic.url, {
      token: site.token("reception"),
      subscribe: [{ channel }],
    });
    await poller.until((packet) => packet.includes("snapshot"));
    const connections = await counted('clinicwire_connections{transport="socketio"}');
    assert.ok(connections >= 1);
    await site.issue(1);
    await until(
      "its polls are refused",
      async () => (await poller.post("3")).status === 400,
      30_000,
    );
    assert.equal((await poller.get()).status, 400);
  });

  it("ends a connection whose token expires", async () => {
    const site = await clinic.furnish();
    const channel = `board:${site.location}`;
    const tokens = [site.token("reception", { expiresInMs: 1000 }), site.token("reception")];
    const app = connect((/** @type {(auth: object) => void} */ send) =>
      send({ token: tokens.shift(), subscribe: [{ channel }] }),
    );
    await until("it is closed", () => app.losses.length > 0, 40_000);
    assert.deepEqual(app.closes, [{ code: 3005, reason: "connection expired", reconnect: true }]);
    await until("it is back", () => app.connections === 2 && app.events.length === 2);
  });
});

/** A text frame as a client sends it. @param {string} text */
function masked(text) {
  const payload = Buffer.from(text);
  const header =
    payload.length < 126
      ? Buffer.from([0x81, 0x80 | payload.length])
      : Buffer.from([0x81, 0x80 | 126, payload.length >> 8, payload.length & 255]);
  // A mask of zeros is valid and changes nothing.
  return Buffer.concat([header, Buffer.alloc(4), payload]);
}

describe("the server's log", () => {
  it("contains no patient data at trace level", async () => {
    const site = await clinic.furnish();
    const [own] = await site.issue(1);
    const bearer = patient(site, own);
    await connect({ token: bearer }).follow(`ticket:${own.ticket}`);
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
