// A clinic's morning of four and a half hours in MORNING_SECONDS: most patients arrive early,
// stations serve them, screens and dashboards follow.
import exec from "k6/execution";
import { sleep } from "k6";
import { number } from "./target.js";
import { act, arrive, call } from "./desk.js";
import { phone } from "./patients.js";

export const seconds = number("MORNING_SECONDS", 60);
export const stations = number("MORNING_STATIONS", 10);
// Arrivals per second at the peak.
const peak = number("MORNING_PEAK", 5);

// The peak is reached in the first quarter, and arrivals decline from the middle on.
export const stages = [
  { target: peak, duration: share(0.25) },
  { target: peak, duration: share(0.25) },
  { target: Math.ceil(peak / 3), duration: share(0.3) },
  { target: 0, duration: share(0.2) },
];
export const firstRate = Math.ceil(peak / 3);

function share(part) {
  return `${Math.round(seconds * part * 1000)}ms`;
}

// Duration of a service in accelerated seconds: log-normal with a median of 12.1 minutes and a
// sigma of 0.44, as consultations have.
function serviceSeconds() {
  const normal =
    Math.sqrt(-2 * Math.log(1 - Math.random())) * Math.cos(2 * Math.PI * Math.random());
  const minutes = 12.1 * Math.exp(0.44 * normal);
  return (minutes * seconds) / (4.5 * 60);
}

// A patient arrives and follows the ticket on a phone.
export function arrival(part, until, isLast = true) {
  const turn = exec.scenario.iterationInTest;
  const ticket = arrive(part, turn);
  if (ticket) phone(ticket, turn, until, isLast);
}

// One station for the whole morning.
export function station(part, until) {
  const name = part.stations[exec.scenario.iterationInTest % part.stations.length];
  while (Date.now() < until) {
    const ticket = call(part, name);
    if (!ticket) {
      sleep(0.5);
    } else {
      act(ticket, "start");
      sleep(Math.min(serviceSeconds(), Math.max(0, (until - Date.now()) / 1000)));
      act(ticket, "complete");
    }
  }
}
