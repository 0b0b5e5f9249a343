// Turns the two times of an estimate into a wait that a person can read.

const MINUTE_MS = 60_000;
// The step hides precision that the estimate does not have.
const STEP_MIN = 5;

/**
 * - `soon`: under one step
 * - `late`: the estimate has passed by more than one step
 * - `within`: at most `high` minutes
 * - `about`: between `low` and `high` minutes, which may be equal
 * @typedef {{kind: "soon"} | {kind: "late"} | {kind: "within", high: number}
 *   | {kind: "about", low: number, high: number}} Wait
 */

/**
 * @param {{from: number, to: number}} estimate times in ms
 * @param {number} now ms, by the same clock
 * @returns {Wait}
 */
export function waitFrom({ from, to }, now) {
  const high = (to - now) / MINUTE_MS;
  if (high < -STEP_MIN) return { kind: "late" };
  if (high < STEP_MIN) return { kind: "soon" };
  const low = toStep((from - now) / MINUTE_MS);
  const highStep = Math.max(toStep(high), STEP_MIN);
  if (low <= 0) return { kind: "within", high: highStep };
  return { kind: "about", low: Math.min(low, highStep), high: highStep };
}

/** @param {number} minutes */
function toStep(minutes) {
  return Math.round(minutes / STEP_MIN) * STEP_MIN;
}
