// A page renews its token while it is open, with a server that the test plays.

import assert from "node:assert/strict";
import { afterEach, beforeEach, describe, it } from "node:test";
import { keepRenewed, mustRenew, newest } from "../../../web/shared/credentials/renewal.js";

const HOUR_MS = 3_600_000;

/**
 * A token that ends at `end` ms.
 * @param {number} end
 * @param {string} signature
 * @param {unknown} [credential]
 */
function token(end, signature, credential) {
  const text = JSON.stringify({ exp: end / 1000, credential });
  const payload = Buffer.from(text).toString("base64url");
  return `head.${payload}.${signature}`;
}

/** Lets answers arrive. */
const settled = () => new Promise((resolve) => setImmediate(resolve));

const { setTimeout: realTimeout } = globalThis;
const realNow = Date.now;

/** A clock that the test moves, with the timers of the page. */
class FakeClock {
  now = 0;
  /** @type {{at: number, run: () => void}[]} */
  timers = [];

  constructor() {
    Date.now = () => this.now;
    const later = (/** @type {() => void} */ run, pause = 0) =>
      this.timers.push({ at: this.now + pause, run });
    Object.assign(globalThis, { setTimeout: later });
  }

  restore() {
    Date.now = realNow;
    globalThis.setTimeout = realTimeout;
  }

  /** @param {number} ms */
  tick(ms) {
    this.now += ms;
    const due = this.timers.filter(({ at }) => at <= this.now);
    this.timers = this.timers.filter(({ at }) => at > this.now);
    for (const { run } of due) run();
  }
}

describe("a page's token", () => {
  /** @type {{status: number, token?: string, code?: string}[]} */
  let answers = [];
  /** @type {string[]} */
  let asked = [];

  /** @type {FakeClock} */
  let clock;

  beforeEach(() => {
    clock = new FakeClock();
    [answers, asked] = [[], []];
    const kept = new Map();
    const store = {
      getItem: (/** @type {string} */ name) => kept.get(name) ?? null,
      setItem: (/** @type {string} */ name, /** @type {string} */ value) => kept.set(name, value),
    };
    Object.assign(globalThis, {
      sessionStorage: store,
      localStorage: store,
      fetch: async (/** @type {string} */ _url, /** @type {any} */ { headers }) => {
        asked.push(headers.authorization);
        const { status, ...body } = answers.shift() ?? { status: 503 };
        return { ok: status === 200, status, json: async () => body };
      },
    });
  });

  afterEach(() => clock.restore());

  /** @param {string} first */
  function page(first) {
    const bearer = { token: first };
    let renewals = 0;
    /** @type {string[]} */
    const refusals = [];
    const renewNow = keepRenewed(bearer, {
      first,
      now: () => Date.now(),
      onRenewed: () => void renewals++,
      onRefused: (code) => void refusals.push(code),
    });
    return { bearer, renewals: () => renewals, refusals, renewNow };
  }

  it("is renewed halfway, and survives a reload", async () => {
    const [first, second] = [token(HOUR_MS, "one"), token(2 * HOUR_MS, "two")];
    answers = [{ status: 200, token: second }];
    const { bearer, renewals } = page(first);
    clock.tick(HOUR_MS / 2 - 1);
    assert.equal(asked.length, 0);
    clock.tick(1);
    await settled();
    assert.deepEqual([bearer.token, renewals(), asked], [second, 1, [`Bearer ${first}`]]);
    assert.equal(newest(first), second);
    assert.equal(newest(token(HOUR_MS, "another")), token(HOUR_MS, "another"));
  });

  it("is asked for again after a failure that passes", async () => {
    const [first, second] = [token(HOUR_MS, "one"), token(2 * HOUR_MS, "two")];
    answers = [{ status: 503 }, { status: 200, token: second }];
    const { bearer } = page(first);
    clock.tick(HOUR_MS / 2);
    await settled();
    assert.equal(bearer.token, first);
    clock.tick(30_000);
    await settled();
    assert.equal(bearer.token, second);
  });

  it("is left alone when it cannot be renewed", async () => {
    answers = [{ status: 403, code: "not_renewable" }];
    const { renewals, refusals } = page(token(HOUR_MS, "one"));
    for (let hours = 0; hours < 5; hours++) {
      clock.tick(HOUR_MS);
      await settled();
    }
    assert.deepEqual([asked.length, renewals(), refusals], [1, 0, ["not_renewable"]]);
  });

  it("is renewed after its end if it is a display's, always with the newest", async () => {
    const display = (/** @type {number} */ generation) => ({ display: { generation } });
    const first = token(HOUR_MS, "one", display(0));
    const second = token(2 * HOUR_MS, "two", display(1));
    answers = [{ status: 200, token: second }];
    page(first).renewNow();
    await settled();
    // The screen is switched off, with its timers.
    clock.timers = [];
    clock.now = 50 * HOUR_MS;
    assert.equal(newest(first), second);
    assert.ok(mustRenew(second, clock.now));
    assert.ok(!mustRenew(token(HOUR_MS, "one", "issued"), clock.now));
    const third = token(51 * HOUR_MS, "three", display(2));
    answers = [{ status: 200, token: third }];
    const { bearer } = page(second);
    clock.tick(1_000);
    await settled();
    assert.deepEqual([bearer.token, asked[1]], [third, `Bearer ${second}`]);
  });

  it("is asked for once at a time", async () => {
    answers = [{ status: 200, token: token(2 * HOUR_MS, "two") }];
    const { renewNow } = page(token(HOUR_MS, "one"));
    renewNow();
    renewNow();
    await settled();
    assert.equal(asked.length, 1);
  });

  it("of a display is taken from another tab instead of being renewed twice", async () => {
    const credential = { display: {} };
    const first = token(HOUR_MS, "first", credential);
    const next = token(3 * HOUR_MS, "next", credential);
    const bearer = { token: first };
    /** @type {string[]} */
    const renewed = [];
    const renew = keepRenewed(bearer, {
      first,
      now: () => clock.now,
      onRenewed: () => renewed.push(bearer.token),
      onRefused: () => assert.fail("it is renewed"),
    });
    localStorage.setItem("renewed:first", next);
    renew();
    await settled();
    assert.deepEqual([renewed, asked], [[next], []]);
    assert.equal(newest(first), next);
  });
});
