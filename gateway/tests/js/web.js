// The pages' own modules, for tests in Node.

import { readFile } from "node:fs/promises";

/**
 * Imports a module of the pages that imports no other. Node takes a `.js` file for an ES module only where
 * a `package.json` says so, and the pages need none.
 * @param {string} name
 */
async function fromPages(name) {
  const source = await readFile(new URL(`../../web/${name}`, import.meta.url));
  return import(`data:text/javascript;base64,${source.toString("base64")}`);
}

// `wire.js` is checked with the types of a browser, which are not those of Node.
/** @typedef {{epoch: bigint, version: number, at: number, entries?: ReadonlyMap<string, any>, state?: any}} Held */
/** @typedef {{channel: string, epoch: string, offset: number, data: any}} Frame */
/** @typedef {"snapshot" | "delta" | "state"} Kind */

/** @type {{fold: (held: Held | undefined, kind: Kind, frame: Frame) => Held | "old" | "gap"}} */
export const { fold } = await fromPages("wire.js");
/** @type {typeof import("../../web/wait.js")} */
export const { waitFrom } = await fromPages("wait.js");
