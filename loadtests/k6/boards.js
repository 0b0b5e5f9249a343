// Waiting-room screens over SSE. k6 has no event stream: a GET that is given up after a while
// returns the events so far, and the next one resumes after the last of them with Last-Event-ID, as
// a browser does. Order, gaps and the last view are checked, and the delay of the first byte is
// measured. The arrival time of an event is unknown.
import http from "k6/http";
import exec from "k6/execution";
import { check, sleep } from "k6";
import { location, node, number, read, tokens } from "./target.js";
import { View, answered, connectionsLost, deliveries, sessions } from "./seen.js";

export const boards = number("BOARDS", 20);
// Seconds of one GET.
const listens = number("BOARD_GET_SECONDS", 3);
// k6's error code of a request timeout, which ends every stream here.
const GAVE_UP = 1050;
const channel = `board:${location}`;

// A screen until the given time.
export function screen(until) {
  const turn = exec.scenario.iterationInTest;
  const stream = { address: "", id: "", view: new View() };
  sessions.add(1);
  while (Date.now() < until) listen(stream, turn, Math.min(listens, (until - Date.now()) / 1000));
  let agrees;
  // A demo clinic may be ahead of the view: listen for a moment, and compare again.
  for (let tries = 0; agrees === undefined && tries < 10; tries += 1) {
    const snapshot = read(`/v1/boards/${location}`, tokens.display);
    agrees = snapshot.status === 200 ? stream.view.agreesWith(snapshot.json()) : false;
    if (agrees === undefined) listen(stream, turn, 0.5);
  }
  check(agrees, { "the board shows the right last view": (it) => it === true });
}

function listen(stream, turn, seconds) {
  if (stream.address === "") stream.address = open(turn);
  const params = {
    headers: stream.id === "" ? {} : { "Last-Event-ID": stream.id },
    timeout: Math.max(100, Math.ceil(seconds * 1000)),
    tags: { name: "stream" },
  };
  const response = http.get(stream.address, params);
  const whole =
    response.error_code === GAVE_UP && typeof response.body === "string" && response.body !== "";
  if (whole) {
    answered.add(response.timings.waiting);
  } else {
    connectionsLost.add(1);
    // The one-time ticket may be spent, and there is no position to resume from.
    if (stream.id === "") stream.address = "";
    sleep(0.5);
  }
  const first = stream.view.epoch === "";
  const taken = take(stream, response.body || "", first ? "snapshot" : "delta");
  check(taken, { "the stream continues the view": (it) => it });
}

function open(turn) {
  const params = {
    headers: { Authorization: `Bearer ${tokens.display}`, "Content-Type": "application/json" },
  };
  const given = http.post(
    `${node(turn)}/v1/stream-tickets`,
    JSON.stringify({ channels: [channel] }),
    params,
  );
  check(given, { "a stream is allowed": (answer) => answer.status === 200 });
  return `${node(turn)}/v1/stream?ticket=${given.json("ticket")}&channel=${channel}`;
}

// Takes the complete events of a body. A resuming screen must get deltas, never a snapshot.
function take(stream, body, expected) {
  let right = true;
  let begins = expected === "snapshot";
  const events = body.split("\n\n");
  events.pop(); // cut off by the timeout
  for (const event of events) {
    const fields = {};
    for (const line of event.split("\n")) {
      const colon = line.indexOf(":");
      if (colon > 0) fields[line.slice(0, colon)] = line.slice(colon + 1).replace(/^ /, "");
    }
    if (fields.event === "error" || fields.event === "end") {
      right = false;
    } else if (fields.event === "snapshot" || fields.event === "delta") {
      const step = JSON.parse(fields.data);
      const kind = begins ? "snapshot" : "delta";
      right =
        fields.event === kind && stream.view.take(step.epoch, step.offset, step.data) && right;
      if (!begins) deliveries.add(1);
      begins = false;
    }
    if (fields.id) stream.id = fields.id;
  }
  return right;
}
