// A clinic's morning, at such a speed that four and a half hours pass in MORNING_SECONDS: people come as they do, most
// of them early, stations serve them, screens and dashboards follow all of it.
import exec from 'k6/execution';
import { sleep } from 'k6';
import { number } from './target.js';
import { act, arrive, call } from './desk.js';
import { phone } from './patients.js';

export const seconds = number('MORNING_SECONDS', 60);
export const stations = number('MORNING_STATIONS', 10);
// Arrivals a second at the peak.
const peak = number('MORNING_PEAK', 5);

// Doors open to a line, the peak is reached within the first quarter, and from the middle on fewer and fewer come.
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

// Real seconds of a service: log-normal with a median of 12.1 minutes and a sigma of 0.44, as consultations are.
function serviceSeconds() {
  const normal = Math.sqrt(-2 * Math.log(1 - Math.random())) * Math.cos(2 * Math.PI * Math.random());
  const minutes = 12.1 * Math.exp(0.44 * normal);
  return (minutes * seconds) / (4.5 * 60);
}

// Somebody comes and follows their ticket on a phone.
export function arrival(part, until) {
  const turn = exec.scenario.iterationInTest;
  const ticket = arrive(part, turn);
  if (ticket) phone(ticket, turn, until);
}

// One station, all morning.
export function station(part, until) {
  const name = part.stations[exec.scenario.iterationInTest % part.stations.length];
  while (Date.now() < until) {
    const ticket = call(part, name);
    if (!ticket) {
      sleep(0.5);
    } else {
      act(ticket, 'start');
      sleep(Math.min(serviceSeconds(), Math.max(0, (until - Date.now()) / 1000)));
      act(ticket, 'complete');
    }
  }
}
