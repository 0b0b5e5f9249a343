// Dashboards that follow the location's load over Socket.IO, with packets written by hand on a
// WebSocket.
import exec from "k6/execution";
import { check } from "k6";
import { setTimeout } from "k6/timers";
import { WebSocket } from "k6/websockets";
import { location, node, number, read, tokens } from "./target.js";
import { View, backoff, connectionsLost, deliveries, recordToSeen, sessions } from "./seen.js";

export const dashboards = number("DASHBOARDS", 20);
const channel = `load:${location}`;
const token = tokens.doctor || tokens.reception;
// Milliseconds between two comparisons with the snapshot.
const LOOK = 200;

// A dashboard until the given time.
export function dashboard(until) {
  const view = new View();
  const state = { ended: false };
  sessions.add(1);
  follow(node(exec.scenario.iterationInTest), view, state, until, 0);
  setTimeout(() => compare(view, state, 20), until - Date.now());
}

// A demo clinic may change between view and snapshot: compare again.
function compare(view, state, tries) {
  const snapshot = read(`/v1/loads/${location}`, token);
  const agrees = snapshot.status === 200 ? view.agreesWith(snapshot.json()) : false;
  if (agrees === undefined && tries > 0) {
    setTimeout(() => compare(view, state, tries - 1), LOOK);
    return;
  }
  check(agrees, { "the dashboard shows the right last view": (it) => it === true });
  state.ended = true;
  if (state.socket) state.socket.close();
}

function follow(at, view, state, until, attempt) {
  const socket = new WebSocket(`${at.replace("http", "ws")}/socket.io/?EIO=4&transport=websocket`);
  let connected = false;
  let live = view.epoch === "" ? 0 : 1; // the first event of a fresh subscription is its snapshot
  state.socket = socket;
  socket.addEventListener("message", (event) => {
    const received = Date.now();
    const packet = event.data;
    if (packet === "2") {
      socket.send("3");
    } else if (packet.startsWith("0")) {
      const wanted = { channel };
      if (view.epoch !== "") Object.assign(wanted, { epoch: view.epoch, version: view.version });
      socket.send(`40${JSON.stringify({ token, subscribe: [wanted] })}`);
    } else if (packet.startsWith("40")) {
      connected = true;
    } else if (packet.startsWith("42")) {
      const [name, step] = JSON.parse(packet.slice(2));
      if (name === "close") return;
      check(name, { "an event is of the channel": (it) => it === "load" });
      if (name !== "load") return;
      check(step, {
        "an event has its kind and channel": () => step.channel === channel && kindIs(step, live),
      });
      view.take(step.epoch, step.version, step.data);
      if (live > 0) {
        deliveries.add(1);
        recordToSeen.add(received - step.data.at);
      }
      live += 1;
    } else {
      check(packet, { "no packet is unexpected": () => false });
    }
  });
  socket.addEventListener("error", () => {});
  socket.addEventListener("close", () => {
    if (state.ended || Date.now() >= until) return;
    connectionsLost.add(1);
    const tries = connected ? 0 : attempt + 1;
    const wait = Math.min(backoff(tries), until - Date.now());
    setTimeout(() => follow(at, view, state, until, tries), wait);
  });
}

const kindIs = (step, live) => step.type === (live > 0 ? "delta" : "snapshot");
