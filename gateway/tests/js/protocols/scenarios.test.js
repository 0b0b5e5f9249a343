// Scenarios of the npm package `centrifuge`, in JSON and in Protobuf: a node that is behind, a new
// epoch, tokens, limits.

import assert from "node:assert/strict";
import { after, afterEach, before, describe, it } from "node:test";
import { Centrifuge } from "centrifuge";
import { Centrifuge as ProtobufCentrifuge } from "centrifuge/build/protobuf";
import WebSocket from "ws";
import { socketUrl } from "../helpers/centrifuge.js";
import { Clinic, token } from "../helpers/clinic.js";
import { Proxy } from "../helpers/proxy.js";
import { until } from "../helpers/until.js";

/** @typedef {import("centrifuge").StreamPosition} StreamPosition */
/** @typedef {{what: string, epoch: string, offset: number}} Event */

/** The number of channels that one connection may follow. */
const MAX_CHANNELS = 64;

/** The clinic of tests that need no flags. @type {Clinic} */
let shared;
/** Ends what a test has started. @type {(() => unknown)[]} */
const ends = [];

before(async () => {
  shared = await Clinic.start("--empty");
});
after(() => shared?.stop());
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
});

/** @param {...string} flags */
async function start(...flags) {
  const clinic = await Clinic.start("--empty", ...flags);
  ends.push(() => clinic.stop());
  return clinic;
}

/**
 * Sums up the state of a ticket, such as `waiting 2`, or of a line, such as `line of 3`. With
 * Protobuf the data comes as bytes.
 * @param {any} data
 */
function summary(data) {
  const view = data instanceof Uint8Array ? JSON.parse(Buffer.from(data).toString()) : data;
  if (view.entries) return `line of ${Object.keys(view.entries).length - 1}`; // less the queue
  if (view.from !== undefined) return "step";
  return [view.state, view.ahead].join(" ").trim();
}

/** A published client, and what it delivers to its app. */
class Client {
  /** @type {Event[]} */
  #events = [];
  /** Codes of refused connects and subscribes. @type {number[]} */
  refused = [];
  /** @type {string[]} */
  states = [];
  /** The code that ended the client. @type {number | undefined} */
  ended;

  /**
   * @param {typeof Centrifuge} form
   * @param {string} url
   * @param {string} token
   * @param {() => string} [renew] answers each further token
   */
  constructor(form, url, token, renew = () => assert.fail("the token is good for the whole test")) {
    this.centrifuge = new form(socketUrl(url), {
      websocket: WebSocket,
      token,
      getToken: async () => renew(),
      minReconnectDelay: 10,
      maxReconnectDelay: 100,
    });
    this.centrifuge.on("state", ({ newState }) => this.states.push(newState));
    this.centrifuge.on("error", ({ error }) => this.refused.push(error.code));
    this.centrifuge.on("disconnected", ({ code }) => (this.ended = code));
    this.centrifuge.connect();
    ends.push(() => this.centrifuge.disconnect());
  }

  /** @param {string} channel @param {StreamPosition} [since] a position that the app has */
  follow(channel, since) {
    const subscription = this.centrifuge.newSubscription(channel, {
      since,
      minResubscribeDelay: 10,
      maxResubscribeDelay: 100,
    });
    subscription.on("subscribed", ({ recovered, wasRecovering, data, streamPosition }) => {
      const { epoch, offset } = streamPosition ?? assert.fail("a subscription has a position");
      const anew = wasRecovering ? "reset" : "subscribed anew";
      const what = recovered ? "recovered" : `${anew}: ${summary(data)}`;
      this.#events.push({ what, epoch, offset });
    });
    subscription.on("unsubscribed", ({ code }) =>
      this.#events.push({ what: `unsubscribed: ${code}`, epoch: "", offset: 0 }),
    );
    subscription.on("publication", ({ data, offset = 0 }) =>
      this.#events.push({ what: summary(data), epoch: "", offset }),
    );
    subscription.on("error", ({ error }) => this.refused.push(error.code));
    subscription.subscribe();
  }

  /** Asserts that the next event is this one. @param {string} what */
  async expect(what) {
    await until(what, () => this.#events.length > 0);
    const [event] = this.#events.splice(0, 1);
    assert.equal(event.what, what);
    return event;
  }

  /** Waits until a connect or a subscribe is refused. @param {number} code */
  async expectRefusal(code) {
    await until("a refusal", () => this.refused.length > 0);
    assert.equal(this.refused[0], code);
  }
}

const FORMS = {
  JSON: Centrifuge,
  Protobuf: /** @type {typeof Centrifuge} */ (/** @type {unknown} */ (ProtobufCentrifuge)),
};

for (const [name, form] of Object.entries(FORMS)) {
  describe(`the published client in ${name}`, () => {
    it("waits for a node that is behind", async () => {
      const clinic = await start();
      const site = await clinic.furnish();
      const [{ ticket }] = await site.issue(1);
      const { epoch, version } = await clinic.get(`tickets/${ticket}`);
      const client = new Client(form, clinic.url, token("admin"));
      // The position is one version ahead of this node, as another node may be.
      client.follow(`ticket:${ticket}`, { epoch, offset: version + 1 });
      await until("the server has received the subscribe", async () => {
        const metrics = await (await fetch(`${clinic.url}/metrics`)).text();
        return metrics.includes('clinicwire_subscriptions{kind="ticket"} 1\n');
      });
      await clinic.order(`tickets/${ticket}/hold`);
      assert.equal((await client.expect("recovered")).offset, version + 1);
      await clinic.order(`tickets/${ticket}/resume`);
      assert.equal((await client.expect("waiting 0")).offset, version + 2);
    });

    it("starts over after a change of the epoch", async () => {
      const first = await start();
      const site = await first.furnish("harbour");
      await site.issue(3);
      const proxy = await Proxy.to(first.url);
      ends.push(() => proxy.close());
      const client = new Client(form, proxy.url, token("admin"));
      client.follow(`queue:${site.general}`);
      const old = await client.expect("subscribed anew: line of 3");
      proxy.cut();
      await first.stop();
      // A program that keeps nothing restarts with fewer changes than the client has seen.
      const second = await start();
      // Epochs are seconds, and one more for each further location of the same second.
      await second.furnish();
      const again = await second.furnish("harbour");
      await again.issue(1);
      proxy.mend(second.url);
      const renewed = await client.expect("reset: line of 1");
      assert.ok(BigInt(old.epoch) < BigInt(renewed.epoch), `${old.epoch}, ${renewed.epoch}`);
      await again.issue(1);
      await client.expect("step");
    });

    it("survives a refresh by a token that expired on its way", async () => {
      const site = await shared.furnish();
      const [{ ticket }] = await site.issue(1);
      const tokens = [token("admin", { expiresInMs: -1000 }), token("admin")];
      const client = new Client(
        form,
        shared.url,
        token("admin", { expiresInMs: 1500 }),
        () => tokens.shift() ?? assert.fail("two tokens are enough"),
      );
      client.follow(`ticket:${ticket}`);
      await client.expect("subscribed anew: waiting 0");
      await client.expect("recovered");
      await shared.order(`tickets/${ticket}/hold`);
      await client.expect("on_hold");
    });

    it("refreshes its token, which ends only what the new one does not cover", async () => {
      const site = await shared.furnish();
      const [own, other] = (await site.issue(2)).map(({ ticket }) => ticket);
      // The client asks for a token after seven seconds.
      const both = token("patient", { tickets: [own, other], expiresInMs: 10_000 });
      const client = new Client(form, shared.url, both, () => token("patient", { tickets: [own] }));
      client.follow(`ticket:${own}`);
      await client.expect("subscribed anew: waiting 0");
      client.follow(`ticket:${other}`);
      await client.expect("subscribed anew: waiting 1");
      await client.expect("unsubscribed: 2000");
      await shared.order(`tickets/${own}/hold`);
      await client.expect("on_hold");
      assert.deepEqual(client.states, ["connecting", "connected"]);
    });

    it("is refused another ticket, renews its token, and ends once it is revoked", async () => {
      const site = await shared.furnish();
      const [own, other] = (await site.issue(2)).map(({ ticket }) => ticket);
      const subject = `phone-${name}`;
      /** @param {number} permissionVersion */
      const rights = (permissionVersion) =>
        token("patient", { subject, tickets: [own], permissionVersion });
      const client = new Client(form, shared.url, rights(1), () => rights(2));
      client.follow(`ticket:${other}`);
      await client.expect("unsubscribed: 103");
      client.follow(`ticket:${own}`);
      await client.expect("subscribed anew: waiting 0");
      const permissions = { kind: "permissions", id: subject, permission_version: 2 };
      await shared.ask("POST", "revocations", permissions);
      await client.expect("recovered");
      await shared.ask("POST", "revocations", { kind: "subject", id: subject });
      assert.equal(await until("the client ends", () => client.ended), 3507);
    });

    it("connects once another connection of its subject has ended", async () => {
      const clinic = await start("--limit=connections-subject=1");
      const site = await clinic.furnish();
      const [{ ticket }] = await site.issue(1);
      const first = new Client(form, clinic.url, token("admin"));
      await until("the first connects", () => first.states.includes("connected"));
      const second = new Client(form, clinic.url, token("admin"));
      second.follow(`ticket:${ticket}`);
      await second.expectRefusal(111);
      first.centrifuge.disconnect();
      await second.expect("subscribed anew: waiting 0");
    });

    it("subscribes again once its rate allows", async () => {
      const clinic = await start("--limit=subscribes-subject=1/3600");
      const site = await clinic.furnish();
      const [own, other] = (await site.issue(2)).map(({ ticket }) => ticket);
      const client = new Client(form, clinic.url, token("admin"));
      client.follow(`ticket:${own}`);
      await client.expect("subscribed anew: waiting 0");
      client.follow(`ticket:${other}`);
      await client.expectRefusal(111);
      const limits = { "subscribes-subject": "off" };
      await clinic.ask("PUT", "limits", { limits }, token("super_admin"));
      await client.expect("subscribed anew: waiting 1");
    });

    it("follows as many channels as it may, and is refused one more", async () => {
      const site = await shared.furnish();
      const tickets = await site.issue(MAX_CHANNELS + 1);
      const client = new Client(form, shared.url, token("admin"));
      for (const [ahead, { ticket }] of tickets.slice(0, MAX_CHANNELS).entries()) {
        client.follow(`ticket:${ticket}`);
        await client.expect(`subscribed anew: waiting ${ahead}`);
      }
      client.follow(`ticket:${tickets[MAX_CHANNELS].ticket}`);
      await client.expect("unsubscribed: 106");
      await shared.order(`tickets/${tickets[MAX_CHANNELS - 1].ticket}/hold`);
      await client.expect("on_hold");
    });
  });
}
