// The browser and the clinic that the tests of a file share, and what a single test opens.

import { after, afterEach, before } from "node:test";
import { launch } from "./browser.js";
import { Clinic } from "./clinic.js";

/** Runs for a file that calls `useBrowser`. @type {import("playwright-core").Browser} */
export let browser;
/** Runs for a file that calls `useClinic`. @type {Clinic} */
export let clinic;
/** @type {{close: () => unknown}[]} */
const opened = [];

/** Starts a browser for the tests of a file. */
export function useBrowser() {
  before(async () => {
    browser = await launch();
  });
  after(() => browser?.close());
}

/** Starts a clinic for the tests of a file. @param {Parameters<typeof Clinic.start>} flags */
export function useClinic(...flags) {
  before(async () => {
    clinic = await Clinic.start(...flags);
  });
  after(() => clinic?.stop());
}

/**
 * Closes what a test opened once the test has ended, the last first.
 * @template {{close: () => unknown}} T
 * @param {T} it
 * @returns {T}
 */
export function open(it) {
  opened.push(it);
  return it;
}

afterEach(async () => {
  for (const it of opened.splice(0).reverse()) await it.close();
});
