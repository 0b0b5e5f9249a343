// A gateway on real servers that trusts a real OpenID Connect provider: npm's certified
// `oidc-provider`. It issues access tokens, and its keys rotate while the gateway runs.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { generateKeyPairSync, randomUUID } from "node:crypto";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { Provider } from "oidc-provider";
import { until } from "../helpers/until.js";

const SERVERS = ["CLINICWIRE_KAFKA", "CLINICWIRE_REDIS", "CLINICWIRE_POSTGRES"];
const missing = SERVERS.filter((name) => !process.env[name]);
const RESOURCE = "urn:clinicwire";
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
            accessTokenTTL: 600,
            accessTokenFormat: "jwt",
            jwt: { sign: { alg: "RS256" } },
          }),
        },
      },
      extraTokenClaims: () => ({
        "https://clinic.example/roles": ["offline_access", "RECEPTIONIST"],
        "https://clinic.example/locations": ["riverside"],
      }),
    });
    const callback = provider.callback();
    this.#serve = (request, response) => {
      if (request.url === "/jwks") this.fetches += 1;
      void callback(request, response);
    };
  }

  /** An access token. @returns {Promise<string>} */
  async token(resource = RESOURCE) {
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

describe("an OpenID Connect provider", { skip: missing.length > 0 && "needs the servers" }, () => {
  const issuer = new Issuer();
  /** @type {import("node:child_process").ChildProcess} */
  let gateway;
  let [directory, node] = ["", ""];
  const [first, second] = [key("first"), key("second")];

  before(async () => {
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
    const program = fileURLToPath(new URL("clinicwire-gateway", TARGET));
    gateway = spawn(program, ["run"], { env, stdio: ["ignore", "ignore", "pipe"] });
    process.once("exit", () => gateway.kill("SIGKILL"));
    let log = "";
    gateway.stderr?.on("data", (text) => (log += text));
    node = `http://${listen}`;
    await until("the gateway is ready", async () => {
      if (gateway.exitCode !== null) throw new Error(`the gateway ended:\n${log}`);
      const answer = await fetch(`${node}/health/ready`).catch(() => undefined);
      return answer?.status === 200;
    });
  });

  after(async () => {
    gateway?.kill("SIGKILL");
    issuer.stop();
    await rm(directory, { recursive: true, force: true });
  });

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
    const [head, ...rest] = token.split(".");
    const kid = { ...JSON.parse(Buffer.from(head, "base64url").toString()), kid: "unknown" };
    const unknown = [Buffer.from(JSON.stringify(kid)).toString("base64url"), ...rest].join(".");
    await until("the old key is forgotten", async () => {
      await ask(unknown);
      return (await ask(old)) === "token_invalid";
    });
    assert.equal(await ask(token), "not_found");
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
