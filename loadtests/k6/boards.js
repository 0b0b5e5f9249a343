// Waiting-room screens over SSE. k6 has no event stream: a GET that is given up after a while hands over the events it
// read, and the next one resumes behind the last of them by Last-Event-ID, as a browser's reconnect does. When each
// event came is not known, so that order, gaps and the view in the end are checked, and the delay to the first byte
// is measured, but no delay of an event.
import http from 'k6/http';
import exec from 'k6/execution';
import { check, sleep } from 'k6';
import { location, node, number, read, tokens } from './target.js';
import { View, answered, connectionsLost, deliveries, sessions } from './seen.js';

export const boards = number('BOARDS', 20);
// Seconds for which one GET listens.
const listens = number('BOARD_GET_SECONDS', 3);
// k6's code for a request that it gave up after its timeout: the end of every stream here.
const GAVE_UP = 1050;
const channel = `board:${location}`;

// A screen from now until then.
export function screen(until) {
  const turn = exec.scenario.iterationInTest;
  const stream = { address: '', id: '', view: new View() };
  sessions.add(1);
  while (Date.now() < until) listen(stream, turn, Math.min(listens, (until - Date.now()) / 1000));
  let agrees;
  // A clinic that lives on may be ahead: listen for a moment, and look again.
  for (let tries = 0; agrees === undefined && tries < 10; tries += 1) {
    const snapshot = read(`/v1/boards/${location}`, tokens.display);
    agrees = snapshot.status === 200 ? stream.view.agreesWith(snapshot.json()) : false;
    if (agrees === undefined) listen(stream, turn, 0.5);
  }
  check(agrees, { 'the board shows the right last view': (it) => it === true });
}

function listen(stream, turn, seconds) {
  if (stream.address === '') stream.address = open(turn);
  const params = {
    headers: stream.id === '' ? {} : { 'Last-Event-ID': stream.id },
    timeout: Math.max(100, Math.ceil(seconds * 1000)),
    tags: { name: 'stream' },
  };
  const response = http.get(stream.address, params);
  const whole = response.error_code === GAVE_UP && typeof response.body === 'string' && response.body !== '';
  if (whole) {
    answered.add(response.timings.waiting);
  } else {
    connectionsLost.add(1);
    // Nothing was read: the one-time ticket may be spent without a position to resume from.
    if (stream.id === '') stream.address = '';
    sleep(0.5);
  }
  const first = stream.view.epoch === '';
  const taken = take(stream, response.body || '', first ? 'snapshot' : 'delta');
  check(taken, { 'the stream has only what may follow': (it) => it });
}

function open(turn) {
  const params = { headers: { Authorization: `Bearer ${tokens.display}`, 'Content-Type': 'application/json' } };
  const given = http.post(`${node(turn)}/v1/stream-tickets`, JSON.stringify({ channels: [channel] }), params);
  check(given, { 'a stream is allowed': (answer) => answer.status === 200 });
  return `${node(turn)}/v1/stream?ticket=${given.json('ticket')}&channel=${channel}`;
}

// Takes all whole events of a body; a screen that resumes must get deltas, never a snapshot.
function take(stream, body, expected) {
  let right = true;
  let begins = expected === 'snapshot';
  const events = body.split('\n\n');
  events.pop(); // what was cut in the middle
  for (const event of events) {
    const fields = {};
    for (const line of event.split('\n')) {
      const colon = line.indexOf(':');
      if (colon > 0) fields[line.slice(0, colon)] = line.slice(colon + 1).replace(/^ /, '');
    }
    if (fields.event === 'error' || fields.event === 'end') {
      right = false;
    } else if (fields.event === 'snapshot' || fields.event === 'delta') {
      const told = JSON.parse(fields.data);
      const kind = begins ? 'snapshot' : 'delta';
      right = fields.event === kind && stream.view.take(told.epoch, told.offset, told.data) && right;
      if (!begins) deliveries.add(1);
      begins = false;
    }
    if (fields.id) stream.id = fields.id;
  }
  return right;
}
