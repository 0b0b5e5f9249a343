// A gateway on real servers that trusts a real OpenID Connect provider: npm's certified
// `oidc-provider`. It issues access tokens, and its keys rotate while the gateway runs and pages
// are open.

import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { generateKeyPairSync, randomUUID } from "node:crypto";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { Provider } from "oidc-provider";
import { Page, PHONE, SCREEN } from "../helpers/browser.js";
import { Clinic } from "../helpers/clinic.js";
import { browser, open, useBrowser } from "../helpers/fixtures.js";
import { until } from "../helpers/until.js";

const SERVERS = ["CLINICWIRE_KAFKA", "CLINICWIRE_REDIS", "CLINICWIRE_POSTGRES"];
const missing = SERVERS.filter((name) => !process.env[name]);
const RESOURCE = "urn:clinicwire";
/** What a token says unless a test says otherwise. */
const RECEPTION = {
  "https://clinic.example/roles": ["offline_access", "RECEPTIONIST"],
  "https://clinic.example/locations": ["riverside"],
};
const ADMIN = { "https://clinic.example/roles": ["CLINIC_ADMIN"] };
/** Seconds for which the tokens of pages are valid: a page is open within half of them. */
const LIFE = 16;
const CLIENT = { client_id: "front-desk", client_secret: "a secret of the test" };
const TARGET = new URL("../../../../target/debug/", import.meta.url);

/** @param {string} kid */
function key(kid) {
  const { privateKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
  return { ...privateKey.export({ format: "jwk" }), kid, use: "sig", alg: "RS256" };
}

/** A provider at one address, whose keys can be replaced. */
class Issuer {
  /** @type {import("node:http").RequestListener} */
  #serve = () => {};
  #server = createServer((request, response) => this.#serve(request, response));
  /** The claims of the next token, and the seconds for which it is valid. @type {object} */
  #claims = RECEPTION;
  #life = 600;
  fetches = 0;
  url = "";

  async start() {
    await new Promise((done) => this.#server.listen(0, "127.0.0.1", () => done(undefined)));
    const address = /** @type {import("node:net").AddressInfo} */ (this.#server.address());
    this.url = `http://127.0.0.1:${address.port}`;
  }

  stop() {
    this.#server.closeAllConnections();
    this.#server.close();
  }

  /** @param {ReturnType<typeof key>[]} keys the first one signs */
  use(...keys) {
    const provider = new Provider(this.url, {
      clients: [
        {
          ...CLIENT,
          grant_types: ["client_credentials"],
          redirect_uris: [],
          response_types: [],
          token_endpoint_auth_method: "client_secret_post",
        },
      ],
      jwks: { keys },
      features: {
        clientCredentials: { enabled: true },
        devInteractions: { enabled: false },
        resourceIndicators: {
          enabled: true,
          getResourceServerInfo: (_context, resource) => ({
            scope: "",
            audience: resource,
            accessTokenTTL: this.#life,
            accessTokenFormat: "jwt",
            jwt: { sign: { alg: "RS256" } },
          }),
        },
      },
      extraTokenClaims: () => ({ ...this.#claims }),
    });
    const callback = provider.callback();
    this.#serve = (request, response) => {
      if (request.url === "/jwks") this.fetches += 1;
      void callback(request, response);
    };
  }

  /**
   * An access token, valid for `life` seconds.
   * @param {string} [resource]
   * @param {{ claims?: object, life?: number }} [options]
   * @returns {Promise<string>}
   */
  async token(resource = RESOURCE, { claims = RECEPTION, life = 600 } = {}) {
    [this.#claims, this.#life] = [claims, life];
    const body = { ...CLIENT, grant_type: "client_credentials", resource };
    const response = await fetch(`${this.url}/token`, {
      method: "POST",
      body: new URLSearchParams(body),
    });
    const answer = await response.json();
    assert.equal(response.status, 200, JSON.stringify(answer));
    return answer.access_token;
  }
}

/**
 * Runs a program to its end.
 * @param {string} name
 * @param {string[]} args
 * @param {NodeJS.ProcessEnv} env
 */
async function run(name, args, env) {
  const child = spawn(fileURLToPath(new URL(name, TARGET)), args, {
    env,
    stdio: ["ignore", "ignore", "pipe"],
  });
  let log = "";
  child.stderr.on("data", (text) => (log += text));
  const status = await new Promise((resolve) => child.once("exit", resolve));
  assert.equal(status, 0, log);
}

/**
 * The claims of somebody with this role word at a location.
 * @param {string} role
 * @param {string} location
 */
const claimsOf = (role, location) => ({
  "https://clinic.example/roles": [role],
  "https://clinic.example/locations": [location],
});

/**
 * A database of its own, because its processors have topics of their own.
 * @param {string} given the address of any database of the server
 */
function createDatabase(given) {
  const name = `t_${randomUUID().replaceAll("-", "")}`;
  const ask = (/** @type {string} */ sql) => execFileSync("psql", [given, "-qc", sql]);
  ask(`CREATE DATABASE ${name}`);
  return {
    url: `${given.slice(0, given.lastIndexOf("/"))}/${name}`,
    drop: () => ask(`DROP DATABASE ${name} WITH (FORCE)`),
  };
}

describe("an OpenID Connect provider", { skip: missing.length > 0 && "needs the servers" }, () => {
  const issuer = new Issuer();
  /** @type {import("node:child_process").ChildProcess[]} */
  const programs = [];
  /** @type {ReturnType<typeof createDatabase>} */
  let database;
  let [directory, node] = ["", ""];
  const [first, second, third] = [key("first"), key("second"), key("third")];
  useBrowser();

  before(async () => {
    database = createDatabase(process.env.CLINICWIRE_POSTGRES ?? "");
    await issuer.start();
    issuer.use(first);
    directory = await mkdtemp(join(tmpdir(), "clinicwire-oidc-"));
    const file = join(directory, "issuers.json");
    const trusted = {
      issuer: issuer.url,
      audience: RESOURCE,
      jwks_url: `${issuer.url}/jwks`,
      algorithms: ["RS256"],
      tenant: "demo",
      claims: {
        role: "https://clinic.example/roles",
        locations: "https://clinic.example/locations",
      },
      cooldown_s: 1,
      renew_s: { reception: 12 * 3600 },
    };
    await writeFile(file, JSON.stringify({ issuers: [trusted] }));
    const secret = join(directory, "secret");
    await writeFile(secret, randomUUID() + randomUUID());
    const listen = `127.0.0.1:${20_000 + Math.floor(Math.random() * 10_000)}`;
    const topic = (/** @type {string} */ name) => `clinicwire.${name}.v1.${randomUUID()}`;
    const { CLINICWIRE_INSECURE_DEVELOPMENT_KEY: _, ...inherited } = process.env;
    const env = {
      ...inherited,
      CLINICWIRE_CARE_TOPIC: topic("care"),
      CLINICWIRE_RUNS_TOPIC: topic("runs"),
      CLINICWIRE_VIEWS_TOPIC: topic("views"),
      CLINICWIRE_AUDIT_TOPIC: topic("audit"),
      CLINICWIRE_EVENTS_TOPIC: topic("events"),
      CLINICWIRE_ACCESS_TOPIC: topic("access"),
      CLINICWIRE_PARTITIONS: "1",
      CLINICWIRE_POSTGRES: database.url,
      CLINICWIRE_GROUP: randomUUID(),
      CLINICWIRE_INSTANCE: "one",
      CLINICWIRE_METRICS_LISTEN: "127.0.0.1:0",
      CLINICWIRE_FILES: `file://${directory}`,
      CLINICWIRE_ISSUERS: file,
      CLINICWIRE_GRANT_SECRET_FILE: secret,
      CLINICWIRE_LISTEN: listen,
      CLINICWIRE_INSECURE_POSTGRES_LOGIN: "true",
      CLINICWIRE_LIMIT: "all=off",
      CLINICWIRE_DRAIN: "0",
      CLINICWIRE_DRAIN_DELAY: "0",
    };
    await run("clinicwire-gateway", ["check-config"], env);
    await run("clinicwire-processors", ["prepare"], env);
    let log = "";
    for (const name of ["clinicwire-gateway", "clinicwire-processors"]) {
      const path = fileURLToPath(new URL(name, TARGET));
      const program = spawn(path, ["run"], { env, stdio: ["ignore", "ignore", "pipe"] });
      process.once("exit", () => program.kill("SIGKILL"));
      program.stderr?.on("data", (text) => (log += text));
      programs.push(program);
    }
    node = `http://${listen}`;
    await until("the gateway is ready", async () => {
      const ended = programs.some(({ exitCode }) => exitCode !== null);
      if (ended) throw new Error(`a program ended:\n${log}`);
      const answer = await fetch(`${node}/health/ready`).catch(() => undefined);
      return answer?.status === 200;
    });
  });

  after(async () => {
    for (const program of programs) program.kill("SIGKILL");
    issuer.stop();
    database?.drop();
    await rm(directory, { recursive: true, force: true });
  });

  /** The token, as if signed with a key that nobody published. @param {string} token */
  function unknownKey(token) {
    const [head, ...rest] = token.split(".");
    const kid = { ...JSON.parse(Buffer.from(head, "base64url").toString()), kid: "unknown" };
    return [Buffer.from(JSON.stringify(kid)).toString("base64url"), ...rest].join(".");
  }

  /** The code of a read of a board that nobody configured. @param {string} token */
  async function ask(token, location = "riverside") {
    const headers = { authorization: `Bearer ${token}` };
    const answer = await fetch(`${node}/v1/boards/${location}`, { headers });
    return (await answer.json()).code;
  }

  it("issues tokens that are accepted with their mapped claims", async () => {
    const token = await issuer.token();
    assert.equal(await ask(token), "not_found");
    assert.equal(await ask(token, "north"), "forbidden", "the locations of the token bind");
  });

  it("issues tokens for other services, which are refused", async () => {
    assert.equal(await ask(await issuer.token("urn:billing")), "token_wrong_audience");
    const [head, body, signature] = (await issuer.token()).split(".");
    const forged = `${head}.${body}.${signature.slice(2)}AA`;
    assert.equal(await ask(forged), "token_invalid");
  });

  it("rotates its keys without a restart of the gateway", async () => {
    const old = await issuer.token();
    // The usual rotation: the new key signs while the old one is still published.
    issuer.use(second, first);
    const token = await issuer.token();
    await until("the new key is fetched", async () => {
      const code = await ask(token);
      assert.ok(["try_again", "not_found"].includes(code), code);
      return code === "not_found";
    });
    assert.equal(await ask(old), "not_found", "tokens of the old key live on");
    // A withdrawn key counts no more once the document was fetched again.
    issuer.use(second);
    await until("the old key is forgotten", async () => {
      await ask(unknownKey(token));
      return (await ask(old)) === "token_invalid";
    });
    assert.equal(await ask(token), "not_found");
  });

  /** A furnished location with three people in line. */
  async function furnish() {
    const admin = await issuer.token(RESOURCE, { claims: ADMIN });
    const ready = { url: node, tenant: "demo", tokens: {}, location: "" };
    const lists = { queues: [], stations: [], tickets: [] };
    const site = await new Clinic(programs[0], directory, { ...ready, ...lists }, admin).furnish();
    const tickets = await site.issue(3);
    return { site, last: tickets[2].ticket };
  }

  /** Waits until the page shows its state. @param {{name: string, page: Page}} page */
  const live = ({ name, page }) =>
    name === "board" ? page.shows("#queues", /General medicine/) : page.shows("#link", "Live");

  /**
   * Opens a board, the page of a patient and a console, each with a token of `life` seconds.
   * @param {import("../helpers/clinic.js").Site} site
   * @param {string} ticket
   * @param {number} life
   */
  async function openPages({ location }, ticket, life) {
    const links = {
      board: { claims: claimsOf("display", location), keys: { location } },
      patient: {
        claims: { ...claimsOf("patient", location), tickets: [ticket] },
        keys: { ticket },
      },
      console: { claims: claimsOf("RECEPTIONIST", location), keys: { location } },
    };
    const pages = [];
    for (const [name, { claims, keys }] of Object.entries(links)) {
      const token = await issuer.token(RESOURCE, { claims, life });
      const url = `${node}/${name}#${new URLSearchParams({ token, ...keys })}`;
      const page = open(await Page.open(browser, url, name === "patient" ? PHONE : SCREEN));
      await live({ name, page });
      const news = { renewed: false };
      page.page.on("response", (response) => {
        if (response.url().endsWith("/v1/tokens/renew")) news.renewed ||= response.ok();
      });
      pages.push({ name, page, token, news });
    }
    return pages;
  }

  /**
   * Waits until each page goes on with a renewed token, and its first one is refused.
   * @param {Awaited<ReturnType<typeof openPages>>} pages
   */
  async function outlive(pages) {
    for (const { name, token, news } of pages) {
      await until(`${name} renews its token`, () => news.renewed);
      await until(`${name}'s first token ends`, async () => (await ask(token)) === "token_expired");
    }
  }

  /**
   * Calls somebody, and requires that each page shows it.
   * @param {import("../helpers/clinic.js").Site} site
   * @param {Awaited<ReturnType<typeof openPages>>} pages
   * @param {string} ahead how many are ahead of the patient after the call
   */
  async function showCall(site, [board, patient, desk], ahead) {
    const call = { station: site.room1, force: true };
    const admin = await issuer.token(RESOURCE, { claims: ADMIN });
    const { label } = await site.clinic.order(`queues/${site.general}/call-next`, call, admin);
    await board.page.shows("#calls", new RegExp(label));
    await patient.page.shows("#ahead", ahead);
    await desk.page.shows("#content", new RegExp(`${label}[^]*called`));
  }

  it("may let pages renew tokens that end at night", async () => {
    const { site, last } = await furnish();
    const pages = await openPages(site, last, LIFE);
    await outlive(pages);
    await showCall(site, pages, "1");
    for (const { name, page } of pages) assert.deepEqual([name, page.complaints], [name, []]);
  });

  it("rotates its keys while pages are open", async () => {
    issuer.use(second);
    const old = await issuer.token();
    await until("the key is fetched", async () => (await ask(old)) === "not_found");
    const { site, last } = await furnish();
    const pages = await openPages(site, last, LIFE);
    issuer.use(third, second);
    const token = await issuer.token();
    await until("the new key is fetched", async () => (await ask(token)) === "not_found");
    assert.equal(await ask(old), "not_found", "tokens of the old key live on");
    // The old key is withdrawn once the tokens that pages began with have ended.
    await outlive(pages);
    issuer.use(third);
    await until("the old key is forgotten", async () => {
      await ask(unknownKey(token));
      return (await ask(old)) === "token_invalid";
    });
    await showCall(site, pages, "1");
    for (const { name, page } of pages) {
      assert.deepEqual([name, page.complaints], [name, []]);
      // A reloaded page finds its renewed token.
      await page.page.reload();
      await live({ name, page });
    }
  });

  it("is asked at most once a cooldown, whatever tokens name", async () => {
    const token = await issuer.token();
    const [, ...rest] = token.split(".");
    const fetches = issuer.fetches;
    const began = Date.now();
    for (let index = 0; index < 200; index++) {
      const header = { alg: "RS256", typ: "at+jwt", kid: `k-${index}` };
      await ask([Buffer.from(JSON.stringify(header)).toString("base64url"), ...rest].join("."));
    }
    const seconds = (Date.now() - began) / 1000;
    assert.ok(
      issuer.fetches - fetches <= seconds + 2,
      `${issuer.fetches - fetches} in ${seconds} s`,
    );
    assert.equal(await ask(token), "not_found");
  });
});
