// The clinic and its HTTP API. READY_FILE is the ready file of the server.
import http from "k6/http";
import exec from "k6/execution";
import { fail } from "k6";
import { answered } from "./seen.js";

export const ready = JSON.parse(open(__ENV.READY_FILE));
const nodes = ready.nodes && ready.nodes.length > 0 ? ready.nodes : [ready.url];
export const { location, tokens } = ready;

export const node = (turn) => nodes[turn % nodes.length];

export function number(name, otherwise) {
  const given = Number(__ENV[name] || otherwise);
  if (!(given > 0)) throw new Error(`${name} must be a number above 0`);
  return given;
}

// With a key k6 sends a request again whose kept connection the server has just closed.
const key = () => `${Date.now()}-${Math.random().toString(36).slice(2)}`;

const as = (token, name, headers = {}) => ({
  headers: { Authorization: `Bearer ${token}`, "Content-Type": "application/json", ...headers },
  // One name for all requests, because addresses have ids of tickets and queues.
  tags: { name },
});

// Sends one command and times its answer.
export function command(path, body = {}, token = tokens.reception, method = "POST") {
  const at = node(exec.vu.idInTest || 0) + path;
  const response = http.request(
    method,
    at,
    method === "GET" ? null : JSON.stringify(body),
    as(token, "command", method === "GET" ? {} : { "Idempotency-Key": key() }),
  );
  answered.add(response.timings.duration);
  return response;
}

export const read = (path, token) => http.get(node(0) + path, as(token, "snapshot"));

// Whether a command was applied, or accepted and not decided yet.
export const accepted = (response) => response.status === 200 || response.status === 202;

function must(response, what) {
  if (response.status !== 200) fail(`${what}: status ${response.status}`);
}

// Opens a new queue with this many stations and tickets in line.
export function openQueue(part, letter, stations, people) {
  const queue = `${location}.k6-${part}-${Date.now()}`;
  // Unique in the location: the letter of the part and three characters of the clock.
  const clock = Math.floor(Date.now() / 1000)
    .toString(36)
    .toUpperCase()
    .slice(-3);
  const prefix = `${letter}${clock}`;
  must(
    command(`/v1/queues/${queue}`, { name: `k6 ${part}`, prefix }, tokens.admin, "PUT"),
    "create a queue",
  );
  const names = Array.from({ length: stations }, (_, at) => `${queue}-${at + 1}`);
  names.forEach((station, at) => {
    const body = { name: `k6 ${part} ${at + 1}` };
    must(command(`/v1/stations/${station}`, body, tokens.admin, "PUT"), "create a station");
  });
  // A server may create queues open.
  command(`/v1/queues/${queue}/open`);
  const tickets = [];
  for (let issued = 0; issued < people; issued += 1) {
    const response = command(`/v1/queues/${queue}/tickets`);
    must(response, "issue a ticket");
    tickets.push(response.json("result.ticket"));
  }
  return { queue, stations: names, tickets };
}
