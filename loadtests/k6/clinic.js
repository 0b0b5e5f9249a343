// The scenarios, one after the other, as `run` names them. Each has its own queue at the location.
import exec from "k6/execution";
import { number, openQueue } from "./target.js";
import { callNext, callRate, patients, phone } from "./patients.js";
import { boards, screen } from "./boards.js";
import { dashboard, dashboards } from "./dashboards.js";
import { visit, visitRate } from "./desk.js";
import {
  arrival,
  firstRate,
  seconds as morningSeconds,
  stages,
  station,
  stations,
} from "./morning.js";
import {
  patient,
  rampCallSeconds,
  rampLine,
  rampSeconds,
  rampStages,
  soakRate,
  soakSeconds,
  user,
} from "./long.js";
import { table } from "./table.js";

const usual = ["patients", "boards", "dashboards", "desk", "morning"];
const known = [...usual, "ramp", "soak"];
const letters = ["P", "B", "L", "D", "M", "R", "K"];
const parts = (__ENV.SCENARIOS || usual.join(" ")).split(" ").filter((it) => it !== "");
const partSeconds = number("PART_SECONDS", 15);
// Seconds for clients to connect before the first change, and to receive the last one.
const margin = 5;
const unknown = parts.find((part) => !known.includes(part));
if (unknown) throw new Error(`${unknown} is not one of: ${known.join(", ")}`);
if (parts.includes("patients") && callRate * partSeconds >= patients) {
  throw new Error(`${callRate * partSeconds} calls need a line of more than ${patients} patients`);
}

const seconds = { morning: morningSeconds, ramp: rampSeconds, soak: soakSeconds };
const lasts = (part) => margin + (seconds[part] || partSeconds) + margin;
// Between two scenarios there is a margin in which the clients of the first leave.
const begins = (part) =>
  parts.slice(0, parts.indexOf(part)).reduce((sum, it) => sum + lasts(it) + margin, 0);

function clients(part, exec, vus) {
  const maxDuration = `${lasts(part) + 30}s`;
  const startTime = `${begins(part)}s`;
  return {
    executor: "per-vu-iterations",
    exec,
    vus,
    iterations: 1,
    maxDuration,
    startTime,
    tags: { part },
  };
}

function changes(part, exec, rate) {
  const duration = `${seconds[part] || partSeconds}s`;
  const arrivals = { executor: "constant-arrival-rate", exec, rate, duration };
  return {
    ...arrivals,
    startTime: `${begins(part) + margin}s`,
    preAllocatedVUs: 10,
    maxVUs: 50,
    tags: { part },
  };
}

const all = {
  patients: () => ({
    patients: clients("patients", "followTicket", patients),
    patients_desk: changes("patients", "callPatient", callRate),
  }),
  boards: () => ({
    boards: clients("boards", "followBoard", boards),
    boards_desk: changes("boards", "serveVisit", visitRate),
  }),
  dashboards: () => ({
    dashboards: clients("dashboards", "followLoad", dashboards),
    dashboards_desk: changes("dashboards", "serveVisit", visitRate),
  }),
  desk: () => ({ desk: changes("desk", "serveVisit", visitRate) }),
  morning: () => ({
    morning_boards: clients("morning", "followBoard", boards),
    morning_dashboards: clients("morning", "followLoad", dashboards),
    morning_stations: clients("morning", "serveAll", stations),
    morning_arrivals: {
      executor: "ramping-arrival-rate",
      exec: "come",
      startTime: `${begins("morning") + margin}s`,
      startRate: firstRate,
      stages,
      preAllocatedVUs: 100,
      maxVUs: 1000,
      gracefulStop: "60s",
      tags: { part: "morning" },
    },
  }),
  ramp: () => ({
    ramp_users: {
      executor: "ramping-vus",
      exec: "use",
      startTime: `${begins("ramp") + margin}s`,
      startVUs: 0,
      stages: rampStages,
      tags: { part: "ramp" },
    },
    ramp_desk: { ...changes("ramp", "callPatient", 1), timeUnit: `${rampCallSeconds}s` },
  }),
  soak: () => ({
    soak_boards: clients("soak", "followBoard", boards),
    soak_dashboards: clients("soak", "followLoad", dashboards),
    soak_stations: clients("soak", "serveAll", stations),
    soak_arrivals: {
      ...changes("soak", "stay", soakRate),
      preAllocatedVUs: 50,
      maxVUs: 500,
      gracefulStop: "60s",
    },
  }),
};

function thresholds() {
  const limits = {};
  for (const part of parts) {
    const of = (name) => `${name}{part:${part}}`;
    limits[of("checks")] = ["rate>0.99"];
    limits[of("wrong")] = ["count==0"];
    limits[of("connections_lost")] = ["count==0"];
    limits[of("sessions")] = ["count>0"];
    limits[of("deliveries")] = part === "desk" ? ["count==0"] : ["count>0"];
    limits[of("answered")] = ["p(95)<500"];
    // Changes of a load other than calls may wait one second for their frame.
    limits[of("record_to_seen")] = [
      ["dashboards", "morning", "soak"].includes(part) ? "p(99)<2000" : "p(99)<1000",
    ];
  }
  return limits;
}

export const options = {
  setupTimeout: "120s",
  scenarios: Object.assign({}, ...parts.map((part) => all[part]())),
  summaryTrendStats: ["count", "p(50)", "p(95)", "p(99)", "max"],
  thresholds: thresholds(),
};

export function setup() {
  const line = (part) => ({ patients, ramp: rampLine })[part] || 0;
  const served = (part) => (["morning", "soak"].includes(part) ? stations : 4);
  return Object.fromEntries(
    parts.map((part) => [
      part,
      openQueue(part, letters[known.indexOf(part)], served(part), line(part)),
    ]),
  );
}

const part = () => exec.scenario.name.split("_")[0];
// The end of the part's clients. Arrivals of the morning come a margin later.
const until = (late = 0) => exec.scenario.startTime + (lasts(part()) - late) * 1000;

export function followTicket({ patients: line }) {
  const turn = exec.scenario.iterationInTest;
  phone(line.tickets[turn], turn, until());
}
export const callPatient = (data) => callNext(data[part()]);
export const followBoard = () => screen(until());
export const followLoad = () => dashboard(until());
export const serveVisit = (data) => visit(data[part()]);
export const serveAll = (data) => station(data[part()], until(margin));
export const come = (data) => arrival(data.morning, until(margin));
export const use = (data) => user(data.ramp, until(margin));
export const stay = (data) => patient(data.soak, until(margin));

export function handleSummary(data) {
  const files = { stdout: table(data, parts) };
  if (__ENV.SUMMARY) files[__ENV.SUMMARY] = `${JSON.stringify(data, null, 2)}\n`;
  return files;
}
