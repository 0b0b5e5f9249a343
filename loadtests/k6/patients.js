// Patients follow their tickets over the Centrifugal protocol in JSON while the reception calls the
// line.
import exec from "k6/execution";
import { check } from "k6";
import { setTimeout } from "k6/timers";
import { WebSocket } from "k6/websockets";
import { accepted, command, node, number, read, tokens } from "./target.js";
import { backoff, connectionsLost, deliveries, recordToSeen, sessions, wrong } from "./seen.js";

export const patients = number("PATIENTS", 200);
export const callRate = number("CALL_RATE", 10);

// Calls the next in line. A patient who is still called to the station counts as absent.
export function callNext(part) {
  const { queue, stations } = part;
  const station = stations[exec.scenario.iterationInTest % stations.length];
  const response = command(`/v1/queues/${queue}/call-next`, { station, force: true });
  check(response, { "the next in line is called": accepted });
}

// A phone until the given time. Its last state must equal the snapshot of the ticket, unless the
// line still moves then.
export function phone(ticket, turn, until, isLast = true) {
  const shown = { epoch: "", offset: 0, state: "", position: 0, over: false };
  sessions.add(1);
  follow(node(turn), ticket, shown, until, 0);
  if (!isLast) return;
  setTimeout(() => {
    check(read(`/v1/tickets/${ticket}`, tokens.reception), {
      "the phone shows the right last state": (answer) =>
        answer.status === 200 &&
        answer.json("state") === shown.state &&
        (answer.json("position") || 0) === shown.position,
    });
  }, until - Date.now());
}

function follow(at, ticket, shown, until, attempt) {
  const socket = new WebSocket(`${at.replace("http", "ws")}/connection/websocket`);
  let ended = false;
  let pong = false;
  let subscribed = false;
  setTimeout(() => {
    ended = true;
    socket.close();
  }, until - Date.now());
  socket.addEventListener("open", () => {
    const subscribe = { channel: `ticket:${ticket}` };
    if (shown.offset > 0) {
      Object.assign(subscribe, { recover: true, epoch: shown.epoch, offset: shown.offset });
    }
    const connect = { id: 1, connect: { token: tokens.reception, name: "k6" } };
    socket.send(`${JSON.stringify(connect)}\n${JSON.stringify({ id: 2, subscribe })}`);
  });
  socket.addEventListener("message", (event) => {
    const received = Date.now();
    for (const line of event.data.split("\n")) {
      const reply = line === "" ? {} : JSON.parse(line);
      if (line === "{}") {
        if (pong) socket.send("{}");
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
        recordToSeen.add(received - data.at);
      } else if (reply.error) {
        check(reply, { "no command is refused": () => false });
        ended = true;
        socket.close();
      }
    }
  });
  // A failed connection also has a close event. Without this listener k6 reports a script error.
  socket.addEventListener("error", () => {});
  socket.addEventListener("close", () => {
    if (ended || Date.now() >= until) return;
    connectionsLost.add(1);
    const tries = subscribed ? 0 : attempt + 1;
    const wait = Math.min(backoff(tries), until - Date.now());
    setTimeout(() => follow(at, ticket, shown, until, tries), wait);
  });
}

function show(shown, offset, data) {
  const rises =
    shown.state === "waiting" && data.state === "waiting" && data.position > shown.position;
  if (offset < shown.offset || rises) wrong.add(1);
  shown.offset = offset;
  shown.state = data.state;
  shown.position = data.position || 0;
}
