// Clinicians' dashboards over Socket.IO: its packets written by hand on a WebSocket, following the location's load.
import exec from 'k6/execution';
import { check } from 'k6';
import { setTimeout } from 'k6/timers';
import { WebSocket } from 'k6/websockets';
import { location, node, number, read, tokens } from './target.js';
import { View, backoff, connectionsLost, deliveries, recordToSeen, sessions } from './seen.js';

export const dashboards = number('DASHBOARDS', 20);
const channel = `load:${location}`;
const token = tokens.doctor || tokens.reception;
// Milliseconds between looks whether the snapshot has the dashboard's own version.
const LOOK = 200;

// A dashboard from now until then.
export function dashboard(until) {
  const view = new View();
  const state = { ended: false };
  sessions.add(1);
  follow(node(exec.scenario.iterationInTest), view, state, until, 0);
  setTimeout(() => compare(view, state, 20), until - Date.now());
}

// A clinic that lives on may be ahead of one of the two: look again.
function compare(view, state, tries) {
  const snapshot = read(`/v1/loads/${location}`, token);
  const agrees = snapshot.status === 200 ? view.agreesWith(snapshot.json()) : false;
  if (agrees === undefined && tries > 0) {
    setTimeout(() => compare(view, state, tries - 1), LOOK);
    return;
  }
  check(agrees, { 'the dashboard shows the right last view': (it) => it === true });
  state.ended = true;
  if (state.socket) state.socket.close();
}

function follow(at, view, state, until, attempt) {
  const socket = new WebSocket(`${at.replace('http', 'ws')}/socket.io/?EIO=4&transport=websocket`);
  let connected = false;
  let live = view.epoch === '' ? 0 : 1; // the first event of a fresh subscription is its snapshot
  state.socket = socket;
  socket.addEventListener('message', (event) => {
    const received = Date.now();
    const packet = event.data;
    if (packet === '2') {
      socket.send('3');
    } else if (packet.startsWith('0')) {
      const wanted = { channel };
      if (view.epoch !== '') Object.assign(wanted, { epoch: view.epoch, version: view.version });
      socket.send(`40${JSON.stringify({ token, subscribe: [wanted] })}`);
    } else if (packet.startsWith('40')) {
      connected = true;
    } else if (packet.startsWith('42')) {
      const [name, told] = JSON.parse(packet.slice(2));
      if (name === 'close') return;
      check(name, { 'an event is of the channel': (it) => it === 'load' });
      if (name !== 'load') return;
      check(told, { 'an event has its kind and channel': () => told.channel === channel && kindIs(told, live) });
      view.take(told.epoch, told.version, told.data);
      if (live > 0) {
        deliveries.add(1);
        recordToSeen.add(received - told.data.at);
      }
      live += 1;
    } else {
      check(packet, { 'no packet is unexpected': () => false });
    }
  });
  socket.addEventListener('error', () => {});
  socket.addEventListener('close', () => {
    if (state.ended || Date.now() >= until) return;
    connectionsLost.add(1);
    const tries = connected ? 0 : attempt + 1;
    const wait = Math.min(backoff(tries), until - Date.now());
    setTimeout(() => follow(at, view, state, until, tries), wait);
  });
}

const kindIs = (told, live) => told.type === (live > 0 ? 'delta' : 'snapshot');
