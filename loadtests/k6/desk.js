// A desk over HTTP: patients arrive with or without an appointment, and are called and served.
import exec from "k6/execution";
import { check, sleep } from "k6";
import { accepted, command, location, number, tokens } from "./target.js";
import { sessions } from "./seen.js";

export const visitRate = number("VISIT_RATE", 5);
// The longest wait for the outcome of an accepted command: this many steps of this many seconds.
const STEPS = 20;
const STEP_SECONDS = 0.1;

// A patient arrives: by appointment when there is a token of a source, at the kiosk, or at the
// counter.
export function arrive(part, turn) {
  const { queue } = part;
  if (turn % 3 === 0 && tokens.source) return checkIn(part, turn);
  const [path, body] =
    turn % 3 === 1 ? ["/v1/check-ins", { queue }] : [`/v1/queues/${queue}/tickets`, {}];
  const response = command(path, body);
  check(response, { "a ticket is issued": accepted });
  return result(response, "ticket");
}

// A source reports an appointment, and its patient checks in on time.
function checkIn({ queue }, turn) {
  const start = Date.now() + 5 * 60 * 1000;
  const report = command(
    "/v1/appointments",
    {
      location,
      queue,
      key: `k6-${Date.now()}-${exec.vu.idInTest}-${turn}`,
      version: 1,
      status: "booked",
      start: new Date(start).toISOString(),
      end: new Date(start + 15 * 60 * 1000).toISOString(),
    },
    tokens.source,
  );
  check(report, { "an appointment is accepted": accepted });
  const appointment = result(report, "appointment");
  const response = command("/v1/check-ins", { appointment });
  check(response, { "a patient checks in": accepted });
  return result(response, "ticket");
}

// The result of a command, polled while it is not decided.
function result(response, field) {
  let answer = response;
  for (let step = 0; answer.status === 202 && step < STEPS; step += 1) {
    sleep(STEP_SECONDS);
    answer = command(response.headers.Location, undefined, tokens.reception, "GET");
  }
  return answer.status === 200 ? answer.json(`result.${field}`) : undefined;
}

// Calls the next in line to the station; undefined when nobody waits, or when a patient is still
// called to the station.
export function call({ queue }, station) {
  const response = command(`/v1/queues/${queue}/call-next`, { station });
  if (response.status === 409) return undefined;
  check(response, { "the next in line is called": accepted });
  return result(response, "ticket");
}

export function act(ticket, verb) {
  check(command(`/v1/tickets/${ticket}/${verb}`), { "a service starts and ends": accepted });
}

// One complete visit without pauses.
export function visit(part) {
  const turn = exec.scenario.iterationInTest;
  sessions.add(1);
  arrive(part, turn);
  const ticket = call(part, part.stations[turn % part.stations.length]);
  if (!ticket) return;
  act(ticket, "start");
  act(ticket, "complete");
}
