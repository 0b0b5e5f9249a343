// The Protobuf encoding of the Centrifugal protocol: the published client, and bytes that it would
// never send.

import assert from "node:assert/strict";
import { once } from "node:events";
import { after, before, describe, it } from "node:test";
import { Centrifuge } from "centrifuge/build/protobuf";
import WebSocket from "ws";
import { socketUrl } from "../helpers/centrifuge.js";
import { Clinic } from "../helpers/clinic.js";
import { Proxy } from "../helpers/proxy.js";
import { until } from "../helpers/until.js";

/** @type {Clinic} */
let clinic;

before(async () => {
  clinic = await Clinic.start("--empty");
});
after(() => clinic?.stop());

/** Data is JSON text in this form too. @param {Uint8Array} data */
const read = (data) => JSON.parse(Buffer.from(data).toString());

describe("the published client in Protobuf", () => {
  it("follows a ticket through its life and a reconnect", async () => {
    const site = await clinic.furnish();
    const [first, second, own] = await site.issue(3);
    const proxy = await Proxy.to(clinic.url);
    const centrifuge = new Centrifuge(socketUrl(proxy.url), {
      websocket: WebSocket,
      token: site.token("patient", { tickets: [own.ticket] }),
      minReconnectDelay: 10,
      maxReconnectDelay: 100,
    });
    /** How each subscription began, and the received states. @type {string[]} */
    const heard = [];
    /** @type {number[]} */
    const offsets = [];
    /** @param {Uint8Array} data */
    const state = (data) => {
      const { state, ahead } = read(data);
      return [state, ahead].join(" ").trim();
    };
    const subscription = centrifuge.newSubscription(`ticket:${own.ticket}`);
    subscription.on("subscribed", ({ recovered, data }) =>
      heard.push(recovered ? "recovered" : `anew: ${state(data)}`),
    );
    subscription.on("publication", ({ data, offset = 0 }) => {
      heard.push(state(data));
      offsets.push(offset);
    });
    /** @param {...string} expected */
    const hears = async (...expected) => {
      await until(expected.join(", "), () => heard.length >= expected.length);
      assert.deepEqual(heard.splice(0), expected);
    };
    try {
      subscription.subscribe();
      centrifuge.connect();
      await hears("anew: waiting 2");
      /** @param {{ticket: string}} ticket */
      const call = ({ ticket }) =>
        clinic.order(`tickets/${ticket}/call`, { station: site.room1, force: true });
      await call(first);
      await hears("waiting 1");

      proxy.cut();
      await until("the client notices", () => centrifuge.state === "connecting");
      await call(second);
      proxy.mend(clinic.url);
      await hears("recovered", "waiting 0");

      await call(own);
      await hears("called");
      for (const [step, becomes] of [
        ["start", "in_service"],
        ["complete", "completed"],
      ]) {
        await clinic.order(`tickets/${own.ticket}/${step}`);
        await hears(becomes);
      }
      assert.deepEqual(
        offsets,
        [...new Set(offsets)].sort((a, b) => a - b),
        "positions only grow",
      );
    } finally {
      centrifuge.disconnect();
      await proxy.close();
    }
  });

  it("folds a queue to the HTTP snapshot", async () => {
    const site = await clinic.furnish();
    await site.issue(2);
    const centrifuge = new Centrifuge(socketUrl(clinic.url), {
      websocket: WebSocket,
      token: site.token("reception"),
    });
    const subscription = centrifuge.newSubscription(`queue:${site.general}`);
    /** @type {any} */
    let snapshot;
    /** @type {any[]} */
    const deltas = [];
    subscription.on("subscribed", ({ data }) => (snapshot = read(data)));
    subscription.on("publication", ({ data }) => deltas.push(read(data)));
    try {
      subscription.subscribe();
      centrifuge.connect();
      await until("the line comes", () => snapshot);
      const { entries, version } = await clinic.get(`queues/${site.general}`);
      assert.deepEqual(snapshot.entries, entries);
      await site.issue(1);
      await until("a step comes", () => deltas.length);
      assert.equal(deltas[0].from, version);
    } finally {
      centrifuge.disconnect();
    }
  });
});

describe("a handshake", () => {
  /** @type {[string, string[], string, boolean][]} */
  const table = [
    ["", ["centrifuge-json"], "centrifuge-json", false],
    ["", ["centrifuge-protobuf"], "centrifuge-protobuf", true],
    ["?format=protobuf", [], "", true],
    ["?cf_protocol=protobuf", [], "", true],
    ["?format=json", [], "", false],
    ["", [], "", false],
  ];
  for (const [query, offered, agreed, binary] of table) {
    const request = `${query || "no query"} and ${offered[0] ?? "no subprotocol"}`;
    it(`with ${request} selects ${binary ? "Protobuf" : "JSON"}`, async () => {
      const socket = new WebSocket(socketUrl(clinic.url) + query, offered);
      await once(socket, "open");
      assert.equal(socket.protocol, agreed);
      // {id: 1, connect: {token: ""}} is refused in the encoding of the request.
      socket.send(binary ? Buffer.from([4, 8, 1, 0x22, 0]) : '{"id":1,"connect":{"token":""}}');
      const [message, isBinary] = await once(socket, "message");
      assert.equal(isBinary, binary);
      assert.ok(String(message).includes("token"));
      socket.close();
    });
  }

  it("with unknown subprotocols only is refused", async () => {
    const socket = new WebSocket(socketUrl(clinic.url), ["graphql-ws"]);
    const [, response] = await once(socket, "unexpected-response");
    assert.equal(response.statusCode, 400);
    response.destroy();
  });
});

describe("bytes that are not a command", () => {
  /** @type {[string, string | Buffer][]} */
  const table = [
    ["a text frame", '{"id":1,"connect":{"token":""}}'],
    ["a length that the frame does not hold", Buffer.from([5, 8, 1])],
    ["a length of four gigabytes", Buffer.from([0xff, 0xff, 0xff, 0xff, 0x0f, 8])],
    ["a pong that nobody asked for", Buffer.from([0])],
    ["a field of another type", Buffer.from([2, 0x20, 1])],
  ];
  for (const [what, bytes] of table) {
    it(`end the connection: ${what}`, async () => {
      const socket = new WebSocket(socketUrl(clinic.url), ["centrifuge-protobuf"]);
      await once(socket, "open");
      socket.send(bytes);
      const [code] = await once(socket, "close");
      assert.equal(code, 3501);
    });
  }

  it("refuse those commands that are more than a frame may carry", async () => {
    const socket = new WebSocket(socketUrl(clinic.url), ["centrifuge-protobuf"]);
    await once(socket, "open");
    /** @type {Buffer[]} */
    const messages = [];
    socket.on("message", (bytes) => messages.push(/** @type {Buffer} */ (bytes)));
    const token = Buffer.from(clinic.ready.tokens.admin);
    // A field is its tag, its length and its bytes. {id: 1, connect: {token}}, then {id: 2, ping:
    // {}}.
    const connect = Buffer.concat([Buffer.from([8, 1]), field(0x22, field(0x0a, token))]);
    const ping = Buffer.from([4, 8, 2, 0x5a, 0]);
    socket.send(Buffer.concat([varint(connect.length), connect]));
    socket.send(Buffer.concat(Array(128).fill(ping)));
    await until("each is answered", () => messages.length === 129);
    socket.send(Buffer.concat(Array(129).fill(ping)));
    await until("each is answered", () => messages.length === 2 * 129);
    // {id: 2, error: {code: 106, …}} after its length.
    const refusal = messages.at(-1) ?? Buffer.of();
    assert.deepEqual(
      [...refusal.subarray(1, 3), refusal[3], refusal[5], refusal[6]],
      [8, 2, 0x12, 8, 106],
    );
    assert.equal(socket.readyState, WebSocket.OPEN);
    socket.terminate();
  });
});

/** @param {number} value below 2^14 */
const varint = (value) => Buffer.from(value < 0x80 ? [value] : [(value & 0x7f) | 0x80, value >> 7]);
/** @param {number} tag @param {Buffer} bytes */
const field = (tag, bytes) => Buffer.concat([Buffer.from([tag]), varint(bytes.length), bytes]);
