// Patients follow their tickets over the Centrifugal protocol in JSON while the reception calls the line.
// READY_FILE names the JSON that the server wrote when it was ready. PATIENTS, CALL_RATE (a second) and
// CALL_SECONDS change the size of the day; their product of calls has to stay below PATIENTS.
import http from 'k6/http';
import exec from 'k6/execution';
import { check, fail } from 'k6';
import { Counter, Trend } from 'k6/metrics';
import { setTimeout } from 'k6/timers';
import { WebSocket } from 'k6/websockets';

const ready = JSON.parse(open(__ENV.READY_FILE));
const nodes = ready.nodes && ready.nodes.length > 0 ? ready.nodes : [ready.url];
const patients = Number(__ENV.PATIENTS || 200);
const callRate = Number(__ENV.CALL_RATE || 10);
const callSeconds = Number(__ENV.CALL_SECONDS || 15);
// Patients have this long to connect before the first call, and to see the last one.
const margin = 5;
const followSeconds = margin + callSeconds + margin;

if (callRate * callSeconds >= patients) {
  throw new Error(`${callRate * callSeconds} calls need a line of more than ${patients} patients`);
}

const delay = new Trend('record_to_phone', true);
const deliveries = new Counter('deliveries');
const fallingOffsets = new Counter('falling_offsets');
const risingPositions = new Counter('rising_positions');
const connectionsLost = new Counter('connections_lost');

export const options = {
  setupTimeout: '120s',
  scenarios: {
    patients: {
      executor: 'per-vu-iterations',
      exec: 'patient',
      vus: patients,
      iterations: 1,
      maxDuration: `${followSeconds + 30}s`,
    },
    reception: {
      executor: 'constant-arrival-rate',
      exec: 'reception',
      startTime: `${margin}s`,
      rate: callRate,
      duration: `${callSeconds}s`,
      preAllocatedVUs: 10,
      maxVUs: 50,
    },
  },
  thresholds: {
    record_to_phone: ['p(99)<1000'],
    checks: ['rate>0.99'],
    deliveries: ['count>0'],
    falling_offsets: ['count==0'],
    rising_positions: ['count==0'],
  },
};

function command(method, path, token, body) {
  const turn = exec.vu.idInTest || 0;
  const params = {
    headers: { Authorization: `Bearer ${token}`, 'Content-Type': 'application/json' },
    // One name for all: the address holds the id of a ticket or queue.
    tags: { name: 'command' },
  };
  return http.request(method, nodes[turn % nodes.length] + path, JSON.stringify(body), params);
}

export function setup() {
  const { admin, reception } = ready.tokens;
  const queue = `${ready.location}.k6-${Date.now()}`;
  // Unique among the location's queues: K and three characters of the clock.
  const prefix = `K${Math.floor(Date.now() / 1000).toString(36).toUpperCase().slice(-3)}`;
  const must = (response, what) => response.status === 200 || fail(`${what}: status ${response.status}`);
  must(command('PUT', `/v1/queues/${queue}`, admin, { name: 'Load test', prefix }), 'create a queue');
  must(command('PUT', `/v1/stations/${queue}-1`, admin, { name: 'Load test 1' }), 'create a station');
  // A new queue may be open from its beginning.
  command('POST', `/v1/queues/${queue}/open`, reception, {});
  const tickets = [];
  for (let issued = 0; issued < patients; issued += 1) {
    const response = command('POST', `/v1/queues/${queue}/tickets`, reception, {});
    must(response, 'issue a ticket');
    tickets.push(response.json('result.ticket'));
  }
  return { queue, station: `${queue}-1`, tickets };
}

export function reception({ queue, station }) {
  const response = command('POST', `/v1/queues/${queue}/call-next`, ready.tokens.reception, { station });
  check(response, { 'the next in line is called': (answer) => answer.status === 200 || answer.status === 202 });
}

export function patient({ tickets }) {
  const number = exec.scenario.iterationInTest;
  const ticket = tickets[number];
  const node = nodes[number % nodes.length];
  const shown = { epoch: '', offset: 0, state: '', position: 0 };
  const until = Date.now() + followSeconds * 1000;
  follow(node, ticket, shown, until, 0);
  setTimeout(() => {
    // Only the ticket's own snapshot tells what this phone should show by now.
    const response = http.get(`${node}/v1/tickets/${ticket}`, {
      headers: { Authorization: `Bearer ${ready.tokens.reception}` },
      tags: { name: 'ticket' },
    });
    check(response, {
      'the phone shows the right last state': (answer) =>
        answer.status === 200 &&
        answer.json('state') === shown.state &&
        (answer.json('position') || 0) === shown.position,
    });
  }, followSeconds * 1000);
}

function follow(node, ticket, shown, until, attempt) {
  const socket = new WebSocket(`${node.replace('http', 'ws')}/connection/websocket`);
  let ended = false;
  let pong = false;
  let subscribed = false;
  setTimeout(() => {
    ended = true;
    socket.close();
  }, until - Date.now());
  socket.addEventListener('open', () => {
    const subscribe = { channel: `ticket:${ticket}` };
    if (shown.offset > 0) {
      Object.assign(subscribe, { recover: true, epoch: shown.epoch, offset: shown.offset });
    }
    const connect = { id: 1, connect: { token: ready.tokens.reception, name: 'k6' } };
    socket.send(`${JSON.stringify(connect)}\n${JSON.stringify({ id: 2, subscribe })}`);
  });
  socket.addEventListener('message', (event) => {
    const received = Date.now();
    for (const line of event.data.split('\n')) {
      const reply = line === '' ? {} : JSON.parse(line);
      if (line === '{}') {
        if (pong) socket.send('{}');
      } else if (reply.connect) {
        pong = reply.connect.pong === true;
      } else if (reply.subscribe) {
        const result = reply.subscribe;
        subscribed = true;
        shown.epoch = result.epoch;
        if (result.data) show(shown, result.offset, result.data);
        for (const missed of result.publications || []) show(shown, missed.offset, missed.data);
      } else if (reply.push && reply.push.pub) {
        const { data, offset } = reply.push.pub;
        show(shown, offset, data);
        deliveries.add(1);
        delay.add(received - data.at);
      } else if (reply.error) {
        check(reply, { 'no command is refused': () => false });
        ended = true;
        socket.close();
      }
    }
  });
  // A failed connection ends with a close event too; without a listener k6 would report it as an error of the script.
  socket.addEventListener('error', () => {});
  socket.addEventListener('close', () => {
    if (ended || Date.now() >= until) return;
    connectionsLost.add(1);
    // As the SDKs do: full jitter above half a second, doubling up to twenty.
    const tries = subscribed ? 0 : attempt + 1;
    const wait = Math.min(20000, 500 + Math.random() * Math.min(20000, 500 * 2 ** tries));
    setTimeout(() => follow(node, ticket, shown, until, tries), Math.min(wait, until - Date.now()));
  });
}

function show(shown, offset, data) {
  if (offset < shown.offset) fallingOffsets.add(1);
  if (shown.state === 'waiting' && data.state === 'waiting' && data.position > shown.position) {
    risingPositions.add(1);
  }
  shown.offset = offset;
  shown.state = data.state;
  shown.position = data.position || 0;
}
