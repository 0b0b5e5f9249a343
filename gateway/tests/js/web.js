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

/** @typedef {import("../../web/fold.js").Held} Held */
/** @typedef {import("../../web/fold.js").Frame} Frame */
/** @typedef {import("../../web/fold.js").Kind} Kind */

/** @type {typeof import("../../web/fold.js")} */
export const { fold } = await fromPages("fold.js");
/** @type {typeof import("../../web/wait.js")} */
export const { waitFrom } = await fromPages("wait.js");
/** @type {typeof import("../../web/load.js")} */
export const load = await fromPages("load.js");
/** @type {typeof import("../../web/day.js")} */
export const day = await fromPages("day.js");
