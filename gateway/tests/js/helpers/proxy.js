// A TCP proxy that can fail on command.

import { once } from "node:events";
import { connect, createServer } from "node:net";

/** An address that stays while the server behind it changes. */
export class Proxy {
  #server = createServer((socket) => this.#pass(socket));
  /** @type {Set<import("node:net").Socket>} */
  #sockets = new Set();
  /** @type {URL | undefined} */
  #target;

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
      socket.pipe(other);
    }
  }
}
