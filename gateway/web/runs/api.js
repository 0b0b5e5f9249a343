// What the page of claims checks asks of the HTTP API. The token goes in a header, never in a URL.

/** @typedef {"queued" | "running" | "completed" | "failed" | "cancelled"} RunState */
/** @typedef {"error" | "warning" | "optimisation" | "pass"} Severity */
/** @typedef {Record<Severity, number>} Counts */
/** @typedef {Counts & {took_us?: number}} Tally */
/** @typedef {Record<string, number | string>} Params */
/** @typedef {{code: string, params?: Params, retryable: boolean}} Failure */
/**
 * @typedef {{rows: number, rows_unreadable: number, counts: Counts, at_risk_cents: number, to_gain_cents: number,
 *   took_ms: number, stored: number}} Summary
 */
/**
 * @typedef {{phase: "reading" | "concluding" | "storing", permille: number, rows_done: number, rows_total?: number,
 *   rows_per_s: number, eta_ms?: number}} Progress
 */
/**
 * The entry `run` of a run's view; the list has the same facts beside the run's id.
 * @typedef {object} Head
 * @property {RunState} state
 * @property {string} name
 * @property {number} bytes
 * @property {number} requested_at
 * @property {number} attempt
 * @property {number} [ahead]
 * @property {boolean} [cancelling]
 * @property {Failure} [failure]
 * @property {Summary} [summary]
 */
/** @typedef {Head & {run: string}} Listed */
/**
 * @typedef {{row: number, rule: string, severity: Severity, outcome: string, params?: Params, cents: number,
 *   message?: string}} Finding
 */

const ASK_TIMEOUT_MS = 15_000;

// A start is safe to repeat, because its key makes the second the first: a short loss is not the clerk's trouble.
const START_ATTEMPTS = 3;
const START_PAUSE_MS = 1_500;

/** The server said no, or (`network`) could not be asked. */
export class Problem extends Error {
  /** @param {string} code */
  constructor(code) {
    super("the server refused, or could not be asked");
    this.code = code;
  }
}

/** @returns {never} */
function cutOff() {
  throw new Problem("network");
}

/** @param {unknown} error */
export function codeOf(error) {
  if (error instanceof Problem) return error.code;
  throw error;
}

/** @param {Response | XMLHttpRequest} answer @param {string} body */
function problemIn(answer, body) {
  try {
    return new Problem(String(JSON.parse(body).code ?? answer.status));
  } catch {
    return new Problem(String(answer.status));
  }
}

/**
 * What the token says its bearer is; the server decides what that allows. Undefined where we cannot read it.
 * @param {string | null} token
 */
export function roleOf(token) {
  try {
    const claims = (token ?? "").split(".")[1].replaceAll("-", "+").replaceAll("_", "/");
    return /** @type {string | undefined} */ (JSON.parse(atob(claims)).role);
  } catch {
    return undefined;
  }
}

export class Api {
  #token;

  /** @param {string} token */
  constructor(token) {
    this.#token = token;
  }

  /** @param {string} path below `v1/` @param {RequestInit} [more] */
  async #ask(path, more = {}) {
    const headers = { authorization: `Bearer ${this.#token}`, ...more.headers };
    const signal = AbortSignal.timeout(ASK_TIMEOUT_MS);
    const answer = await fetch(`v1/${path}`, { cache: "no-store", signal, ...more, headers }).catch(cutOff);
    if (!answer.ok) throw problemIn(answer, await answer.text().catch(() => ""));
    return answer;
  }

  /** @param {string} path @param {Record<string, string | undefined>} [query] @returns {Promise<any>} */
  async get(path, query = {}) {
    return (await this.#ask(withQuery(path, query))).json().catch(cutOff);
  }

  /** @param {string} path @param {object} [body] @param {Record<string, string>} [headers] @returns {Promise<any>} */
  async post(path, body = {}, headers = {}) {
    const json = { "content-type": "application/json", ...headers };
    return (await this.#ask(path, { method: "POST", headers: json, body: JSON.stringify(body) })).json().catch(cutOff);
  }

  /**
   * The whole answer as a file: as long as it takes, since thousands of findings may be in it.
   * @param {string} path @param {Record<string, string | undefined>} query
   */
  async blob(path, query) {
    const answer = await this.#ask(withQuery(path, query), { signal: null });
    return answer.blob().catch(cutOff);
  }

  /**
   * Sends a file and answers its id. As a form, because its name belongs in no URL. `fetch` could not tell how far it is.
   * @param {File} file
   * @param {(share: number) => void} onProgress from 0 to 1
   * @param {AbortSignal} signal
   * @returns {Promise<string>}
   */
  upload(file, onProgress, signal) {
    const form = new FormData();
    form.append("file", file);
    return new Promise((resolve, reject) => {
      const request = new XMLHttpRequest();
      request.open("POST", "v1/files");
      request.setRequestHeader("authorization", `Bearer ${this.#token}`);
      request.upload.onprogress = ({ loaded, total }) => onProgress(total ? loaded / total : 0);
      request.onload = () => {
        if (request.status === 201) resolve(JSON.parse(request.responseText).file);
        else reject(problemIn(request, request.responseText));
      };
      request.onerror = () => reject(new Problem("upload_broken"));
      request.onabort = () => reject(new Problem("stopped"));
      signal.addEventListener("abort", () => request.abort());
      request.send(form);
    });
  }

  /** Asks for a check of an uploaded file and answers the run's id. @param {string} file @param {boolean} listPasses */
  async start(file, listPasses) {
    const key = { "idempotency-key": randomKey() };
    for (let attempt = 1; ; attempt++) {
      try {
        return /** @type {string} */ ((await this.post("runs", { file, list_passes: listPasses }, key)).run);
      } catch (error) {
        const passing = ["network", "try_again", "draining"].includes(codeOf(error));
        if (!passing || attempt === START_ATTEMPTS) throw error;
        await new Promise((resolve) => setTimeout(resolve, START_PAUSE_MS));
      }
    }
  }
}

/** @param {string} path @param {Record<string, string | undefined>} query */
function withQuery(path, query) {
  const given = Object.entries(query).flatMap(([key, value]) => (value ? [[key, value]] : []));
  return given.length ? `${path}?${new URLSearchParams(given)}` : path;
}

/** `crypto.randomUUID` is missing where a clinic's network speaks plain HTTP. */
function randomKey() {
  return [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}
