// Waits for a condition.

// Far longer than anything takes, so that no test fails on a busy machine.
const WITHIN_MS = 20_000;
const LOOK_EVERY_MS = 10;

/**
 * Polls a condition until it answers something true, and answers that.
 * @template T
 * @param {string} what for the failure message
 * @param {() => T | Promise<T>} condition
 * @param {number} [withinMs]
 * @returns {Promise<Exclude<NonNullable<T>, false>>}
 */
export async function until(what, condition, withinMs = WITHIN_MS) {
  const deadline = Date.now() + withinMs;
  for (;;) {
    const found = await condition();
    if (found) return /** @type {any} */ (found);
    if (Date.now() > deadline) throw new Error(`${what}: did not happen within ${withinMs} ms`);
    await new Promise((resolve) => setTimeout(resolve, LOOK_EVERY_MS));
  }
}
