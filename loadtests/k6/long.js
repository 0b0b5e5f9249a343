// Two shapes that are run by name only, because they take minutes or hours: a ramp of users, and a
// clinic at a constant pace.
import exec from "k6/execution";
import { number } from "./target.js";
import { phone } from "./patients.js";
import { arrival } from "./morning.js";

// Users of the ramp at its top, and the seconds of each of its steps.
const rampUsers = number("RAMP_USERS", 5000);
const stepSeconds = number("RAMP_STEP_SECONDS", 30);
// Seconds that a user of the ramp, or a patient of the soak, looks at a phone.
const look = number("LOOK_SECONDS", 60);
export const soakSeconds = 60 * number("SOAK_MINUTES", 60);
// Arrivals per second. The stations serve about three.
export const soakRate = number("SOAK_RATE", 1);

const step = (target) => [
  { target, duration: `${stepSeconds}s` },
  { target, duration: `${stepSeconds}s` },
];
// To 10, to 50 and to the top, and as long at each.
export const rampStages = [10, 50, rampUsers].flatMap(step);
export const rampSeconds = rampStages.length * stepSeconds;
// Seconds between two calls. Every user's position changes with each: with one a second, k6 itself
// would need more than two cores for 5,000 users.
export const rampCallSeconds = number("RAMP_CALL_SECONDS", 5);
// The line must not end before the ramp.
export const rampLine = Math.ceil(rampSeconds / rampCallSeconds) + 50;

const soon = (until) => Math.min(Date.now() + look * 1000, until);

// A user opens a ticket, looks at it, and comes again.
export function user(part, until) {
  const turn = exec.vu.idInTest;
  if (Date.now() >= until) return;
  phone(part.tickets[turn % part.tickets.length], turn, soon(until), false);
}

// A patient arrives, and looks at the phone for a while.
export const patient = (part, until) => arrival(part, soon(until), false);
