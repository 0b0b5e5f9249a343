// Streams of server-sent events, read by `curl -N`.

import assert from "node:assert/strict";
import { after, afterEach, before, describe, it } from "node:test";
import { Clinic, token } from "../helpers/clinic.js";
import { Curl } from "../helpers/curl.js";
import { until } from "../helpers/until.js";
import { fold } from "../../../web/shared/connection/fold.js";

/** @type {Clinic} */
let clinic;
/** @type {Curl[]} */
const opened = [];

before(async () => {
  clinic = await Clinic.start("--empty");
});
after(() => clinic?.stop());
afterEach(() => Promise.all(opened.splice(0).map((curl) => curl.close())));

/** @param {string} url @param {string} [lastEventId] */
function read(url, lastEventId) {
  const curl = new Curl(url, lastEventId);
  opened.push(curl);
  return curl;
}

/**
 * Folds the events of one channel.
 * @param {import("../helpers/curl.js").Event[]} events
 * @param {import("../../../web/shared/connection/fold.js").View} [held]
 */
function foldAll(events, held) {
  for (const { event, data } of events) {
    const next = fold(
      held,
      /** @type {import("../../../web/shared/connection/fold.js").Kind} */ (event),
      data,
    );
    if (next === "gap" || next === "old") assert.fail(`an event folds to ${next}`);
    held = next;
  }
  return held;
}

/**
 * Waits until the stream has reached the HTTP snapshot.
 * @param {() => import("../../../web/shared/connection/fold.js").View | undefined} hold
 * @param {string} path
 */
async function agree(hold, path) {
  const snapshot = await until("the stream is as new as the snapshot", async () => {
    const snapshot = await clinic.get(path);
    return hold()?.version === snapshot.version && snapshot;
  });
  const held = hold();
  assert.equal(String(held?.epoch), snapshot.epoch);
  assert.deepEqual(Object.fromEntries(held?.entries ?? []), snapshot.entries);
}

describe("a stream", () => {
  it("starts with a snapshot, then deltas with ids", async () => {
    const site = await clinic.furnish();
    const channel = `queue:${site.general}`;
    const stream = read(await clinic.streamUrl(site.token("reception"), [channel]));
    const [snapshot] = await stream.heard(1);
    assert.equal(await stream.status(), 200);
    assert.equal(stream.header("content-type"), "text/event-stream");
    assert.match(stream.header("cache-control") ?? "", /no-store/);
    assert.deepEqual(
      [snapshot.event, snapshot.data.channel, Object.keys(snapshot.data.data.entries)],
      ["snapshot", channel, ["queue"]],
    );

    await site.issue(3);
    await site.callNext();
    await agree(() => foldAll(stream.events), `queues/${site.general}`);
    const [, ...rest] = stream.events;
    assert.ok(rest.length > 0 && rest.every(({ event }) => event === "delta"));
    for (const { id, data } of stream.events) {
      assert.match(id ?? "", /^[\w.:-]+$/);
      assert.ok(id?.startsWith(`${data.epoch}.${data.offset}:`), "an id begins with the position");
    }
    assert.equal(new Set(stream.events.map(({ id }) => id)).size, stream.events.length);
  });

  it("goes back with a mark when its position was lost", async () => {
    const site = await clinic.furnish();
    const channel = `queue:${site.general}`;
    const url = await clinic.streamUrl(site.token("reception"), [channel]);
    const [{ id, data }] = await read(url).heard(1);
    const lost = String(id).replace(/^(\d+)\.\d+:/, "$1.1000000:");
    const back = read(url, lost);
    const [{ event, data: reset }] = await back.heard(1);
    assert.deepEqual([event, reset.offset, reset.reset], ["snapshot", data.offset, true]);
    await site.issue(1);
    const [, step] = await back.heard(2);
    assert.deepEqual([step.event, step.data.reset], ["delta", undefined]);
  });

  it("sends patients their own state only", async () => {
    const site = await clinic.furnish();
    const [ahead, own, behind] = await site.issue(3);
    const stream = read(
      await clinic.streamUrl(site.token("patient", { tickets: [own.ticket] }), [
        `ticket:${own.ticket}`,
      ]),
    );
    await stream.heard(1);
    await site.callNext();
    await stream.heard(2);
    await clinic.order(`tickets/${own.ticket}/call`, { station: site.room2 });
    const events = await stream.heard(3);
    assert.deepEqual(
      events.map(({ event }) => event),
      ["state", "state", "state"],
    );
    assert.deepEqual(
      events.map(({ data }) => data.data.ahead),
      [1, 0, undefined],
    );
    assert.equal(events[2].data.data.call.station, "Room 2");
    for (const other of [ahead, behind]) {
      assert.ok(!stream.text.includes(other.label) && !stream.text.includes(other.ticket));
    }
  });

  it("carries several channels and their positions", async () => {
    const site = await clinic.furnish();
    const [own] = await site.issue(1);
    const channels = [`board:${site.location}`, `ticket:${own.ticket}`, `queue:${site.blood}`];
    const url = await clinic.streamUrl(site.token("reception"), channels);
    const stream = read(url);
    const started = await stream.heard(3);
    assert.deepEqual(started.map(({ data }) => data.channel).sort(), [...channels].sort());
    assert.match(started[2].id ?? "", /^\d+\.\d+_\d+\.\d+_\d+\.\d+:/);
    await stream.close();

    await site.issue(1, site.blood);
    const resumed = read(url, started[2].id);
    const events = await resumed.heard(2);
    assert.deepEqual(events.map(({ event, data }) => [event, data.channel]).sort(), [
      ["delta", channels[0]],
      ["delta", channels[2]],
    ]);
  });
});

describe("a stream that reconnects", () => {
  it("gets what it missed with a spent ticket", async () => {
    const site = await clinic.furnish();
    const url = await clinic.streamUrl(site.token("display"), [`board:${site.location}`]);
    const stream = read(url);
    await site.issue(2);
    await agree(() => foldAll(stream.events), `boards/${site.location}`);
    await stream.close();
    const before = foldAll(stream.events);

    await site.callNext();
    await site.issue(3);
    await site.callNext(site.room2);
    const resumed = read(url, stream.events.at(-1)?.id);
    const [missed] = await resumed.heard(1);
    assert.equal(missed.event, "delta");
    await agree(() => foldAll(resumed.events, before), `boards/${site.location}`);
    assert.equal(resumed.events.length, 1, "all it missed came as one");

    await site.callNext();
    await agree(() => foldAll(resumed.events, before), `boards/${site.location}`);
  });

  it("gets nothing if it missed nothing", async () => {
    const site = await clinic.furnish();
    const url = await clinic.streamUrl(site.token("reception"), [`queue:${site.general}`]);
    const stream = read(url);
    const [{ id }] = await stream.heard(1);
    await stream.close();
    const resumed = read(url, id);
    assert.equal(await resumed.status(), 200);
    await site.issue(1);
    const [first] = await resumed.heard(1);
    assert.equal(first.event, "delta");
    await agree(() => foldAll([...stream.events, ...resumed.events]), `queues/${site.general}`);
  });

  it("resumes from a position in the URL", async () => {
    const site = await clinic.furnish();
    const bearer = site.token("reception");
    const channel = `queue:${site.general}`;
    const stream = read(await clinic.streamUrl(bearer, [channel]));
    const [{ id }] = await stream.heard(1);
    await stream.close();
    await site.issue(1);
    const resumed = read(
      `${await clinic.streamUrl(bearer, [channel])}&last_event_id=${encodeURIComponent(id ?? "")}`,
    );
    assert.equal((await resumed.heard(1))[0].event, "delta");
    await agree(() => foldAll([...stream.events, ...resumed.events]), `queues/${site.general}`);
  });
});

describe("a request that is not for a stream", () => {
  for (const method of ["HEAD", "POST", "DELETE"]) {
    it(`is refused: ${method}`, async () => {
      const answer = await fetch(`${clinic.url}/v1/stream?ticket=x`, { method });
      assert.deepEqual([answer.status, answer.headers.get("allow")], [405, "GET"]);
    });
  }
});

describe("a refused stream", () => {
  /** @param {Curl} curl @param {string} code */
  async function assertRefused(curl, code) {
    const [error, ...rest] = await curl.end();
    assert.equal(await curl.status(), 200);
    assert.deepEqual(rest, []);
    assert.deepEqual(
      [error.event, error.id, error.data.code, error.data.retry],
      ["problem", "refused", code, false],
    );
  }

  it("gets a problem event, then 204", async () => {
    const site = await clinic.furnish();
    const url = await clinic.streamUrl(site.token("display"), [`board:${site.location}`]);
    await read(url).heard(1);
    const again = read(url);
    await assertRefused(again, "stream_ticket_invalid");
    const last = read(url, again.events[0].id);
    assert.deepEqual(await last.end(), []);
    assert.equal(await last.status(), 204);
  });

  it("has an unknown ticket or uncovered channels", async () => {
    const site = await clinic.furnish();
    const bearer = site.token("reception");
    const [general, blood] = [`queue:${site.general}`, `queue:${site.blood}`];
    const unknown = new URLSearchParams({ ticket: "0".repeat(32), channel: general });
    await assertRefused(read(`${clinic.url}/v1/stream?${unknown}`), "stream_ticket_invalid");
    await assertRefused(
      read(`${await clinic.streamUrl(bearer, [general])}&channel=${blood}`),
      "stream_ticket_invalid",
    );
    await assertRefused(
      read(`${await clinic.streamUrl(bearer, [general])}&channel=weather:today`),
      "unknown_channel",
    );
    await assertRefused(read(`${clinic.url}/v1/stream?channel=${general}`), "token_missing");
  });

  it("has a forged or foreign event id", async () => {
    const site = await clinic.furnish();
    const bearer = site.token("reception");
    const url = await clinic.streamUrl(bearer, [`queue:${site.general}`]);
    const [{ id = "" }] = await read(url).heard(1);
    const last = id.endsWith("A") ? "B" : "A";
    await assertRefused(read(url, id.slice(0, -1) + last), "stream_ticket_invalid");
    const other = new URL(url);
    other.searchParams.set("channel", `queue:${site.blood}`);
    await assertRefused(read(other.href, id), "stream_ticket_invalid");
  });

  it("has a token without access to the channel", async () => {
    const site = await clinic.furnish();
    const [own, other] = await site.issue(2);
    const bearer = site.token("patient", { tickets: [own.ticket] });
    for (const channel of [
      `ticket:${other.ticket}`,
      `queue:${site.general}`,
      `board:${site.location}`,
    ]) {
      await assert.rejects(clinic.streamUrl(bearer, [channel]), { status: 403, code: "forbidden" });
    }
    await assert.rejects(clinic.streamUrl(token("admin", { expiresInMs: -1 }), ["board:x"]), {
      status: 401,
      code: "token_expired",
    });
    await assert.rejects(clinic.streamUrl("", ["board:x"]), { status: 401 });
  });
});

describe("a stream whose token expires", () => {
  it("is told so and ends, and not before", async () => {
    const site = await clinic.furnish();
    const expires = Date.now() + 2_000;
    const bearer = site.token("display", { expiresInMs: expires - Date.now() });
    const stream = read(await clinic.streamUrl(bearer, [`board:${site.location}`]));
    await stream.heard(1);
    const last = (await stream.end()).at(-1);
    const early = expires - Date.now();
    assert.deepEqual(
      [last?.event, last?.data.code, last?.data.retry],
      ["problem", "token_expired", true],
    );
    assert.ok(early < 50, `it ended ${early} ms before its token`);
  });
});

describe("a stream of a stopping server", () => {
  it("ends with the time to reconnect", async () => {
    const stopping = await Clinic.start("--empty");
    try {
      const site = await stopping.furnish();
      const stream = read(
        await stopping.streamUrl(site.token("display"), [`board:${site.location}`]),
      );
      await stream.heard(1);
      assert.equal(await stopping.stop(), 0);
      await stream.end();
      assert.equal(stream.ended, 0, "the response ended as it should");
      assert.match(stream.text.slice(stream.text.lastIndexOf("id: ")), /\nretry: \d+\n/);
    } finally {
      await stopping.stop();
    }
  });
});
