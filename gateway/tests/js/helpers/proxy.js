// A TCP proxy that can fail on command.

import { once } from "node:events";
import { connect, createServer } from "node:net";

/** An address that stays while the server behind it changes. */
export class Proxy {
  #server = createServer((socket) => this.#pass(socket));
  /** @type {Set<import("node:net").Socket>} */
  #sockets = new Set();
  /** Those on which a WebSocket was opened. @type {WeakSet<import("node:net").Socket>} */
  #opened = new WeakSet();
  /** @type {URL | undefined} */
  #target;
  /** What happens to a WebSocket once it is open. @type {"pass" | "cut" | "stall"} */
  webSockets = "pass";
  /** The host that requests are passed on with, in place of the proxy's own. */
  host = "";

  /** @param {string} target where to pass connections on to */
  static async to(target) {
    const proxy = new Proxy();
    proxy.mend(target);
    proxy.#server.listen(0, "127.0.0.1");
    await once(proxy.#server, "listening");
    return proxy;
  }

  get url() {
    const { port } = /** @type {import("node:net").AddressInfo} */ (this.#server.address());
    return `http://127.0.0.1:${port}`;
  }

  /** Resets every connection, and each new one. */
  cut() {
    this.#target = undefined;
    for (const socket of this.#sockets) socket.resetAndDestroy();
  }

  /** @param {string} target */
  mend(target) {
    this.#target = new URL(target);
  }

  async close() {
    this.cut();
    this.#server.close();
    await once(this.#server, "close");
  }

  /**
   * Passes on what a client sends, except over a WebSocket that shall fail.
   * @param {Buffer} bytes
   * @param {import("node:net").Socket} near
   * @param {import("node:net").Socket} far
   */
  #passOn(bytes, near, far) {
    if (this.webSockets !== "pass" && this.#opened.has(near)) {
      if (this.webSockets === "cut") near.resetAndDestroy();
      return;
    }
    if (/^upgrade: *websocket/im.test(bytes.toString("latin1"))) this.#opened.add(near);
    if (!this.host) return void far.write(bytes);
    // Heads arrive whole: the tests send small ones.
    const text = bytes.toString("latin1").replace(/^host: .*$/gim, `host: ${this.host}`);
    far.write(Buffer.from(text, "latin1"));
  }

  /** @param {import("node:net").Socket} near */
  #pass(near) {
    if (!this.#target) {
      near.resetAndDestroy();
      return;
    }
    const far = connect(Number(this.#target.port), this.#target.hostname);
    for (const [socket, other] of [
      [near, far],
      [far, near],
    ]) {
      this.#sockets.add(socket);
      socket.on("error", () => other.destroy());
      socket.on("close", () => {
        this.#sockets.delete(socket);
        other.destroy();
      });
    }
    near.on("data", (bytes) => this.#passOn(bytes, near, far));
    near.on("end", () => far.end());
    far.pipe(near);
  }
}
