// Starts the one-process binary for a test file, talks to it like a clinic's systems, and stops it.

import { spawn } from "node:child_process";
import { createHash, createHmac, randomUUID } from "node:crypto";
import { existsSync } from "node:fs";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { until } from "./until.js";

/**
 * @typedef {"patient" | "display" | "reception" | "support_staff" | "doctor" | "therapist"
 *   | "counselor" | "pharmacist" | "lab_technician" | "admin" | "super_admin" | "viewer" | "editor"
 *   | "finance_billing" | "source"} Role
 */

/**
 * Claims of a token. Missing ones get the usual value of the role.
 * @typedef {object} Claims
 * @property {string} [tenant]
 * @property {string} [subject]
 * @property {string} [audience]
 * @property {string[]} [locations]
 * @property {string[]} [queues]
 * @property {string[]} [tickets]
 * @property {string[]} [appointments]
 * @property {string} [doctor]
 * @property {number} [permissionVersion]
 * @property {number} [expiresInMs]
 */

/**
 * The ready file of the binary.
 * @typedef {object} Ready
 * @property {string} url
 * @property {string} tenant
 * @property {Record<string, string>} tokens by role
 * @property {string} location
 * @property {string[]} queues
 * @property {string[]} stations
 * @property {string[]} tickets
 */

/**
 * @typedef {{epoch: string, version: number, at: number, entries: Record<string, any>}} Snapshot
 */

const BINARY =
  process.env.CLINICWIRE_BIN ??
  fileURLToPath(new URL("../../../../target/debug/clinicwire", import.meta.url));

// The tests sign tokens themselves, because they also need expired and foreign ones.
const SECRET = "the edge tests' own secret";
export const TENANT = "demo";

const HOUR_MS = 3_600_000;

/** @param {unknown} value */
const base64url = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");

/**
 * A development token as `gateway::access::auth` defines it.
 * @param {Role} role
 * @param {Claims} [claims]
 */
export function token(
  role,
  {
    tenant = TENANT,
    subject = `test-${role}`,
    audience = "clinicwire",
    locations,
    queues,
    tickets,
    appointments,
    doctor,
    permissionVersion,
    expiresInMs = HOUR_MS,
  } = {},
) {
  const key = createHash("sha256")
    .update(createHash("sha256").update(SECRET).digest())
    .update("token")
    .digest();
  const header = { alg: "HS256", typ: "JWT", kid: "insecure-development-key" };
  const iat = Math.floor(Date.now() / 1000) - 60;
  const exp = (Date.now() + expiresInMs) / 1000;
  const body = {
    iss: "clinicwire-development",
    aud: audience,
    sub: subject,
    iat,
    exp,
    tenant,
    role,
    locations,
    queues,
    tickets,
    appointments,
    doctor,
    permission_version: permissionVersion,
  };
  const signed = `${base64url(header)}.${base64url(body)}`;
  return `${signed}.${createHmac("sha256", key).update(signed).digest("base64url")}`;
}

/** An unexpected answer of the HTTP API. */
export class Problem extends Error {
  /** @param {number} status @param {string} code */
  constructor(status, code) {
    super(`the server answered ${status} ${code}`);
    this.status = status;
    this.code = code;
  }
}

/** A running binary. */
export class Clinic {
  #process;
  #directory;
  #admin;
  /** The whole log so far. */
  log = "";
  /** @type {Ready} */
  ready;

  /**
   * @param {import("node:child_process").ChildProcess} process
   * @param {string} directory
   * @param {Ready} ready
   * @param {string} [admin] the token of its requests
   */
  constructor(process, directory, ready, admin = token("admin")) {
    this.#process = process;
    this.#admin = admin;
    this.#directory = directory;
    this.ready = ready;
  }

  /**
   * Starts one and waits until it serves.
   * @param {...string} flags for the binary, such as `--empty`
   */
  static async start(...flags) {
    if (!existsSync(BINARY)) {
      throw new Error(
        `there is no ${BINARY}: run cargo build -p clinicwire-standalone, or set CLINICWIRE_BIN`,
      );
    }
    const directory = await mkdtemp(join(tmpdir(), "clinicwire-test-"));
    const file = join(directory, "ready.json");
    const fixed = [
      "--listen",
      "127.0.0.1:0",
      "--ready-file",
      file,
      `--insecure-development-key=${SECRET}`,
      // Tests ask faster than any client; those of limits give their own.
      "--limit=all=off",
    ];
    const child = spawn(BINARY, [...fixed, ...flags], { stdio: ["ignore", "ignore", "pipe"] });
    // No server outlives the tests.
    const kill = () => child.kill("SIGKILL");
    process.once("exit", kill);
    child.once("exit", () => process.off("exit", kill));
    let log = "";
    const keep = (/** @type {Buffer} */ text) => (log += text);
    child.stderr.on("data", keep);
    try {
      await until("the clinic serves", () => {
        if (child.exitCode !== null || child.signalCode)
          throw new Error(`the clinic ended at its start:\n${log}`);
        return existsSync(file);
      });
      const clinic = new Clinic(child, directory, JSON.parse(await readFile(file, "utf8")));
      clinic.log = log;
      child.stderr.off("data", keep);
      child.stderr.on("data", (text) => (clinic.log += text));
      return clinic;
    } catch (error) {
      child.kill("SIGKILL");
      await rm(directory, { recursive: true });
      throw error;
    }
  }

  get url() {
    return this.ready.url;
  }

  /**
   * Ends the binary, and answers its exit status or the signal that killed it.
   * @param {NodeJS.Signals} [signal]
   */
  async stop(signal = "SIGTERM") {
    const child = this.#process;
    if (child.exitCode === null && !child.signalCode) {
      const ended = new Promise((resolve) => child.once("exit", resolve));
      child.kill(signal);
      await ended;
    }
    await rm(this.#directory, { recursive: true, force: true });
    return child.exitCode ?? child.signalCode;
  }

  /**
   * @param {string} method
   * @param {string} path below `/v1/`
   * @param {object} [body]
   * @param {string} [bearer]
   * @returns {Promise<any>}
   */
  async ask(method, path, body, bearer = this.#admin) {
    const response = await fetch(`${this.url}/v1/${path}`, {
      method,
      headers: {
        authorization: `Bearer ${bearer}`,
        "content-type": "application/json",
        "clinicwire-reason": "A test of clients",
      },
      body: body && JSON.stringify(body),
    });
    const answer = await response.json();
    // A move to another location is answered before it is settled.
    const done = response.ok && answer.outcome !== "pending";
    if (!done) throw new Problem(response.status, answer.code);
    return answer;
  }

  /**
   * Gives a command and answers its result.
   * @param {string} path below `/v1/`
   * @param {object} [body]
   * @param {string} [bearer]
   */
  async order(path, body = {}, bearer) {
    return (await this.ask("POST", path, body, bearer)).result;
  }

  /**
   * A channel's snapshot, as the HTTP API has it.
   * @param {string} path below `/v1/`
   * @param {string} [bearer]
   */
  get(path, bearer) {
    return this.ask("GET", path, undefined, bearer);
  }

  /** Creates a location of its own for a test, with two open queues and two rooms. */
  furnish(location = `l-${randomUUID()}`, timeZone = "America/Toronto") {
    return Site.create(this, location, timeZone);
  }

  /**
   * A one-time ticket for a stream, and the address it opens.
   * @param {string} bearer
   * @param {string[]} channels
   */
  async streamUrl(bearer, channels) {
    const { ticket } = await this.ask("POST", "stream-tickets", { channels }, bearer);
    const query = new URLSearchParams({ ticket });
    for (const channel of channels) query.append("channel", channel);
    return `${this.url}/v1/stream?${query}`;
  }
}

/** One location of a clinic. */
export class Site {
  /** @param {Clinic} clinic @param {string} location */
  constructor(clinic, location) {
    this.clinic = clinic;
    this.location = location;
    this.general = `${location}.general`;
    this.blood = `${location}.blood`;
    this.room1 = `${location}.room-1`;
    this.room2 = `${location}.room-2`;
  }

  /** @param {Clinic} clinic @param {string} location @param {string} timeZone */
  static async create(clinic, location, timeZone) {
    const site = new Site(clinic, location);
    const place = {
      name: "Riverside Health Centre",
      time_zone: timeZone,
      languages: ["fr", "en"],
    };
    await clinic.ask("PUT", `locations/${location}`, place);
    await clinic.ask("PUT", `queues/${site.general}`, { name: "General medicine", prefix: "A" });
    await clinic.ask("PUT", `queues/${site.blood}`, { name: "Blood tests", prefix: "B" });
    await clinic.ask("PUT", `stations/${site.room1}`, { name: "Room 1" });
    await clinic.ask("PUT", `stations/${site.room2}`, { name: "Room 2" });
    await clinic.order(`queues/${site.general}/open`);
    await clinic.order(`queues/${site.blood}/open`);
    return site;
  }

  /**
   * A token of a person who works here, or of a patient with these tickets.
   * @param {Role} role
   * @param {Claims} [claims]
   */
  token(role, claims) {
    return token(role, {
      locations: role === "patient" ? undefined : [this.location],
      queues: role === "doctor" ? [this.general] : undefined,
      ...claims,
    });
  }

  /**
   * Puts people in line and answers their tickets.
   * @param {number} count
   * @param {string} [queue]
   * @returns {Promise<{ticket: string, label: string}[]>}
   */
  async issue(count, queue = this.general) {
    const issued = [];
    while (issued.length < count) issued.push(await this.clinic.order(`queues/${queue}/tickets`));
    return issued;
  }

  /**
   * Calls the next in line. A patient who is still called to the station counts as absent.
   * @param {string} [station]
   * @param {string} [queue]
   * @returns {Promise<{ticket: string, label: string, station: string}>}
   */
  callNext(station = this.room1, queue = this.general) {
    return this.clinic.order(`queues/${queue}/call-next`, { station, force: true });
  }
}
