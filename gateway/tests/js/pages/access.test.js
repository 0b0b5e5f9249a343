// Access from outside: every role against every kind of channel on every transport, and against
// every command. The table repeats `gateway/core/src/access.rs`: it is a promise to clinics.

import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { after, before, describe, it } from "node:test";
import { Socket } from "../helpers/centrifuge.js";
import { Clinic, Problem, token } from "../helpers/clinic.js";
import { Curl } from "../helpers/curl.js";
import { App } from "../helpers/socketio.js";
import { until } from "../helpers/until.js";

/** @typedef {import("../helpers/clinic.js").Role} Role */

/** @type {Role[]} */
const ROLES = [
  "patient",
  "display",
  "reception",
  "support_staff",
  "doctor",
  "therapist",
  "counselor",
  "pharmacist",
  "lab_technician",
  "admin",
  "viewer",
  "editor",
  "finance_billing",
  "source",
];
const DESK = "reception support_staff";
const CLINICIANS = "doctor therapist counselor";
const SERVICES = "pharmacist lab_technician";
const ROOMS = `${CLINICIANS} ${SERVICES}`;
const BILLERS = "editor finance_billing";

/**
 * Opens a channel and answers the code of its refusal, or nothing if it started.
 * @typedef {(bearer: string, channel: string) => Promise<string | undefined>} Open
 */

/** @type {[string, Open][]} */
const TRANSPORTS = [
  ["HTTP", openByHttp],
  ["WebSocket", openByWebSocket],
  ["SSE", openBySse],
  ["Socket.IO over a WebSocket", openBySocketIo(["websocket"])],
  ["Socket.IO over long-polling", openBySocketIo(["polling"])],
];

/** @type {Clinic} */
let clinic;
/** Codes that do not tell whether the channel exists. */
const REFUSED = ["forbidden", "unknown_channel", "not_found"];

before(async () => {
  clinic = await Clinic.start("--empty");
});
after(() => clinic?.stop());

/** The code of the problem a request ends in. @param {Promise<unknown>} asked */
async function codeOf(asked) {
  try {
    await asked;
    return undefined;
  } catch (error) {
    if (error instanceof Problem) return error.code;
    throw error;
  }
}

/** @type {Open} */
function openByHttp(bearer, channel) {
  const [kind, id] = channel.split(":");
  return codeOf(clinic.get(`${kind}s/${id}`, bearer));
}

/** @type {Open} */
async function openByWebSocket(bearer, channel) {
  const socket = await Socket.connect(clinic.url, bearer);
  try {
    const { error, subscribe } = await socket.subscribe(channel);
    assert.ok(error || subscribe.data, "a subscription begins with its state");
    return error?.message;
  } finally {
    socket.close();
  }
}

/** @type {Open} */
async function openBySse(bearer, channel) {
  /** @type {string | undefined} */
  let url;
  const refused = await codeOf(
    clinic.streamUrl(bearer, [channel]).then((granted) => (url = granted)),
  );
  if (!url) return refused;
  const curl = new Curl(url);
  try {
    const [{ event, data }] = await curl.heard(1);
    assert.ok(event === "problem" || data.data, "a stream begins with its state");
    return event === "problem" ? data.code : undefined;
  } finally {
    await curl.close();
  }
}

/** @param {("websocket" | "polling")[]} transports @returns {Open} */
function openBySocketIo(transports) {
  return async (bearer, channel) => {
    const app = await new App(clinic.url, { token: bearer }, { transports }).connected();
    try {
      const { error, data } = await app.ask("subscribe", { channel });
      assert.ok(error || data, "a subscription begins with its state");
      return error?.code;
    } finally {
      app.close();
    }
  };
}

/**
 * Two locations, and the claims of each role's token at the first. The claims are the same for all,
 * so that only the role decides.
 */
class Matrix {
  /**
   * @param {import("../helpers/clinic.js").Site} here
   * @param {import("../helpers/clinic.js").Site} there
   */
  constructor(here, there) {
    this.here = here;
    this.there = there;
  }

  static async create() {
    const matrix = new Matrix(await clinic.furnish(), await clinic.furnish());
    const { here, there } = matrix;
    [matrix.own, matrix.other] = (await here.issue(2)).map(({ ticket }) => ticket);
    [matrix.elsewhere] = (await there.issue(1)).map(({ ticket }) => ticket);
    matrix.booked = await tell(here, "own", "dr-roy");
    matrix.checkedIn = await tell(here, "here", "dr-roy");
    matrix.otherBooked = await tell(here, "other", "dr-singh");
    matrix.bookedElsewhere = await tell(there, "own", "dr-roy");
    await clinic.order("check-ins", { appointment: matrix.checkedIn });
    return matrix;
  }

  own = "";
  other = "";
  elsewhere = "";
  booked = "";
  checkedIn = "";
  otherBooked = "";
  bookedElsewhere = "";

  /** @param {Role} role @param {import("../helpers/clinic.js").Claims} [claims] */
  bearer(role, claims) {
    return token(role, {
      // A list would bind an admin and a source to its locations.
      locations: role === "admin" || role === "source" ? undefined : [this.here.location],
      queues: [this.here.general],
      tickets: [this.own],
      appointments: [this.booked, this.checkedIn],
      doctor: "dr-roy",
      ...claims,
    });
  }

  /** Every kind of channel, own and foreign, with its name. @returns {[string, string][]} */
  channels() {
    const { here, there } = this;
    return [
      [`ticket:${this.own}`, `patient ${DESK} ${ROOMS} admin`],
      [`ticket:${this.checkedIn}`, `patient ${DESK} ${ROOMS} admin`],
      [`ticket:${this.other}`, `${DESK} ${ROOMS} admin`],
      [`ticket:${this.elsewhere}`, "admin"],
      [`queue:${here.general}`, `${DESK} ${ROOMS} admin`],
      [`queue:${here.blood}`, `${DESK} admin`],
      [`queue:${there.general}`, "admin"],
      [`board:${here.location}`, `display ${DESK} ${ROOMS} admin`],
      [`board:${there.location}`, "admin"],
      [`appointment:${this.booked}`, `patient ${DESK} ${CLINICIANS} admin`],
      [`appointment:${this.otherBooked}`, `${DESK} ${CLINICIANS} admin`],
      [`appointment:${this.bookedElsewhere}`, "admin"],
      [`schedule:${here.location}/dr-roy`, `${DESK} ${CLINICIANS} admin`],
      [`schedule:${here.location}/dr-singh`, `${DESK} admin`],
      [`schedule:${there.location}/dr-roy`, "admin"],
      [`load:${here.location}`, `${DESK} ${CLINICIANS} admin`],
      [`load:${there.location}`, "admin"],
    ];
  }
}

/**
 * Reports an appointment that starts now.
 * @param {import("../helpers/clinic.js").Site} site
 * @param {string} key
 * @param {string} doctor
 */
async function tell(site, key, doctor) {
  const { appointment } = await clinic.order(
    "appointments",
    booking(site, `${key} at ${site.location}`, doctor),
    token("source", { subject: "his" }),
  );
  return appointment;
}

/** @param {import("../helpers/clinic.js").Site} site @param {string} key @param {string} doctor */
function booking({ location, general }, key, doctor) {
  const [start, end] = [0, 20].map((minutes) =>
    new Date(Date.now() + minutes * 60_000).toISOString(),
  );
  return {
    location,
    key,
    version: 1,
    status: "booked",
    start,
    end,
    doctor: { id: doctor, name: doctor },
    queue: general,
  };
}

/** Uploads a file that is no export. @param {string} bearer */
function upload(bearer) {
  const headers = { authorization: `Bearer ${bearer}`, "content-type": "text/csv" };
  return fetch(`${clinic.url}/v1/files`, { method: "POST", headers, body: "a;b" });
}

/**
 * Uploads a file and requests its check.
 * @param {string} bearer
 * @returns {Promise<string>} the run
 */
async function startRun(bearer) {
  const { file } = await (await upload(bearer)).json();
  const headers = { authorization: `Bearer ${bearer}`, "content-type": "application/json" };
  const asked = await fetch(`${clinic.url}/v1/runs`, {
    method: "POST",
    headers,
    body: JSON.stringify({ file }),
  });
  assert.equal(asked.status, 202);
  const { run } = await asked.json();
  await until("the run is known", async () => !(await codeOf(clinic.get(`runs/${run}`, bearer))));
  return run;
}

/** @param {string} promised @param {Role} role */
const allows = (promised, role) => promised.split(" ").includes(role);

for (const [name, open] of TRANSPORTS) {
  describe(`by ${name}`, () => {
    /** @type {Matrix} */
    let matrix;
    before(async () => {
      matrix = await Matrix.create();
    });

    for (const role of ROLES) {
      it(`${role} opens exactly the channels of its role`, async () => {
        for (const [channel, promised] of matrix.channels()) {
          assert.equal(
            await open(matrix.bearer(role), channel),
            allows(promised, role) ? undefined : "forbidden",
            channel,
          );
        }
      });

      it(`${role} of another tenant opens nothing`, async () => {
        for (const [channel] of matrix.channels()) {
          const code = await open(matrix.bearer(role, { tenant: "another" }), channel);
          assert.ok(code && REFUSED.includes(code), `${channel}: ${code}`);
        }
      });
    }

    it("empty token opens nothing unless it is an admin's", async () => {
      const nothing = { locations: [], queues: [], tickets: [], appointments: [] };
      for (const role of ROLES) {
        for (const [channel] of matrix.channels()) {
          assert.equal(
            await open(matrix.bearer(role, nothing), channel),
            role === "admin" ? undefined : "forbidden",
            channel,
          );
        }
      }
    });

    it("run opens for its starter, viewers and admins", async () => {
      for (const biller of /** @type {Role[]} */ (BILLERS.split(" "))) {
        const run = await startRun(token(biller));
        for (const role of ROLES) {
          const opens = [biller, "viewer", "admin"].includes(role);
          assert.equal(
            await open(token(role), `run:${run}`),
            opens ? undefined : "forbidden",
            `${role}, ${biller}'s`,
          );
        }
        const colleague = token(biller, { subject: "a-colleague" });
        assert.equal(await open(colleague, `run:${run}`), "forbidden");
        assert.ok(
          REFUSED.includes(
            (await open(token("admin", { tenant: "another" }), `run:${run}`)) ?? "opened",
          ),
        );
      }
    });
  });
}

describe("commands", () => {
  /** @type {Matrix} */
  let matrix;
  before(async () => {
    matrix = await Matrix.create();
  });

  /**
   * Method, path below `/v1/`, body and the roles that may. For an allowed command the test asks
   * only that access was granted: other tests cover its outcome.
   * @typedef {[string, string, object, string]} Route
   */

  /**
   * Every command to a location.
   * @param {import("../helpers/clinic.js").Site} site
   * @param {string} ticket
   * @param {string} appointment
   * @returns {Route[]}
   */
  function routes(site, ticket, appointment) {
    const { location, general, room1 } = site;
    const place = {
      name: "Riverside Health Centre",
      time_zone: "America/Toronto",
      languages: ["fr", "en"],
    };
    /** @param {string} verb @param {string} promised @param {object} [body] @returns {Route} */
    const move = (verb, promised, body = {}) => [
      "POST",
      `tickets/${ticket}/${verb}`,
      body,
      promised,
    ];
    /** @param {string} verb @param {string} promised @param {object} [body] @returns {Route} */
    const queue = (verb, promised, body = {}) => [
      "POST",
      `queues/${general}/${verb}`,
      body,
      promised,
    ];
    const rooms = `${DESK} ${ROOMS} admin`;
    return [
      ["PUT", `locations/${location}`, place, "admin"],
      ["PUT", `queues/${general}`, { name: "General medicine", prefix: "A" }, "admin"],
      ["PUT", `stations/${room1}`, { name: "Room 1" }, "admin"],
      ["POST", `stations/${room1}/close`, {}, rooms],
      ["POST", `stations/${room1}/open`, {}, rooms],
      queue("close", `${DESK} admin`),
      queue("open", `${DESK} admin`),
      queue("pause", rooms),
      queue("resume", rooms),
      queue("reorder", `${DESK} admin`, { tickets: [ticket] }),
      queue("tickets", `${DESK} admin`),
      queue("call-next", rooms, { station: room1 }),
      move("call", rooms, { station: room1 }),
      move("recall", rooms),
      move("start", rooms),
      move("complete", rooms),
      move("hold", rooms),
      move("resume", rooms),
      move("absent", rooms),
      move("return", `patient ${rooms}`),
      move("no-show", rooms),
      move("transfer", rooms, { queue: general }),
      move("revert", rooms),
      move("prioritise", `${DESK} admin`, { priority: 1 }),
      move("cancel", `${DESK} admin`),
      move("leave", `patient ${DESK} admin`),
      ["POST", "check-ins", { appointment }, `${DESK} admin`],
      ["POST", `appointments/${appointment}/undo-check-in`, {}, `${DESK} admin`],
      ["POST", "check-ins", { queue: general }, `${DESK} admin`],
      ["POST", "appointments", booking(site, `told-${randomUUID()}`, "dr-roy"), "source"],
    ];
  }

  /** @param {Route} route @param {string} bearer @param {boolean} allowed */
  async function judged([method, path, body], bearer, allowed) {
    const headers = { authorization: `Bearer ${bearer}`, "content-type": "application/json" };
    const answer = await fetch(`${clinic.url}/v1/${path}`, {
      method,
      headers,
      body: JSON.stringify(body),
    });
    const { code } = await answer.json();
    if (allowed) {
      assert.ok(
        [200, 202, 409].includes(answer.status),
        `${method} ${path}: ${answer.status} ${code}`,
      );
    } else {
      assert.deepEqual([answer.status, code], [403, "forbidden"], `${method} ${path}`);
    }
  }

  for (const role of ROLES) {
    it(`${role} gives the commands of its role at its location`, async () => {
      for (const route of routes(matrix.here, matrix.own, matrix.booked)) {
        await judged(route, matrix.bearer(role), allows(route[3], role));
      }
    });

    it(`${role} gives none elsewhere unless admin or source`, async () => {
      for (const route of routes(matrix.there, matrix.elsewhere, matrix.bookedElsewhere)) {
        const everywhere = role === "admin" || role === "source";
        await judged(route, matrix.bearer(role), everywhere && allows(route[3], role));
      }
    });
  }

  it("assigned queues and own tickets limit commands", async () => {
    const { here } = matrix;
    for (const role of /** @type {Role[]} */ (ROOMS.split(" "))) {
      for (const verb of ["call-next", "pause", "resume"]) {
        const body = verb === "call-next" ? { station: here.room1 } : {};
        await judged(
          ["POST", `queues/${here.blood}/${verb}`, body, ""],
          matrix.bearer(role),
          false,
        );
      }
    }
    await judged(
      ["POST", `tickets/${matrix.other}/leave`, {}, ""],
      matrix.bearer("patient"),
      false,
    );
    await judged(
      ["POST", `tickets/${matrix.checkedIn}/leave`, {}, ""],
      matrix.bearer("patient"),
      true,
    );
  });

  it("transfer needs rights at the other location", async () => {
    const { there, other } = matrix;
    for (const role of ROLES) {
      await judged(
        ["POST", `tickets/${other}/transfer`, { queue: there.general }, ""],
        matrix.bearer(role),
        role === "admin",
      );
    }
  });

  it("runs and rules accept commands of permitted roles", async () => {
    const run = await startRun(token("editor"));
    const foreign = await startRun(token("editor", { subject: "a-colleague" }));
    const rule = {
      name: { fr: "Code présent", en: "Code there" },
      category: "form",
      severity: "warning",
      kind: "required",
      column: "code",
    };
    /** @type {Route[]} */
    const table = [
      ["POST", `runs/${run}/cancel`, {}, "editor admin"],
      ["POST", `runs/${run}/retry`, {}, "editor admin"],
      ["POST", `runs/${foreign}/cancel`, {}, "admin"],
      ["POST", `runs/${foreign}/retry`, {}, "admin"],
      ["PUT", "rules/a-rule", rule, "admin"],
      ["POST", "rules/a-rule/disable", {}, "admin"],
      ["POST", "rules/a-rule/enable", {}, "admin"],
    ];
    for (const role of ROLES) {
      for (const route of table) await judged(route, token(role), allows(route[3], role));
      const works = allows(`${BILLERS} admin`, role);
      const uploaded = await upload(token(role));
      assert.equal(uploaded.status, works ? 201 : 403, `${role} uploads`);
      // A file is deleted with its run, so each role gets a new one.
      const { file } = await (works ? uploaded : await upload(token("admin"))).json();
      await judged(["POST", "runs", { file }, ""], token(role), works);
      const colleague = await upload(token("editor", { subject: "a-colleague" }));
      const { file: their } = await colleague.json();
      const theirs = clinic.ask("POST", "runs", { file: their }, token(role));
      const code = role === "admin" ? undefined : works ? "file_unknown" : "forbidden";
      assert.equal(await codeOf(theirs), code, `${role} checks a colleague's file`);
      for (const [path, promised] of [
        ["runs", `${BILLERS} viewer admin`],
        ["rules", `${BILLERS} viewer admin`],
      ]) {
        assert.equal(
          await codeOf(clinic.get(path, token(role))),
          allows(promised, role) ? undefined : "forbidden",
          path,
        );
      }
    }
  });
});
