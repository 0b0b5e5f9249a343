// Requests of the claims page to the HTTP API. The token goes in a header, never in a URL.

import { timeoutSignal } from "../shared/connection/timeout.js";
import { claimsOf } from "../shared/credentials/token.js";

/** @typedef {import("../shared/schemas.js").RunState} RunState */
/** @typedef {import("../shared/schemas.js").Severity} Severity */
/** @typedef {import("../shared/schemas.js").FindingCounts} Counts */
/** @typedef {import("../shared/schemas.js").RuleTally} Tally */
/** @typedef {import("../shared/schemas.js").RunProgress} Progress */
/** @typedef {import("../shared/schemas.js").RunHead} Head the entry `run` of a run's view */
/** @typedef {Head & {run: string}} ListedRun a run in the list of runs */
/** @typedef {import("../shared/schemas.js").Finding & {message?: string}} Finding */

const REQUEST_TIMEOUT_MS = 15_000;

// A start is safe to repeat because its idempotency key makes a second one the first. So a short
// loss
// of the network does not trouble the clerk.
const START_ATTEMPTS = 3;
const START_PAUSE_MS = 1_500;

/** The server refused a request, or could not be reached (code `network`). */
export class Problem extends Error {
  /** @param {string} code */
  constructor(code) {
    super("the server refused, or could not be reached");
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
 * The role in a token, if it can be read. It only decides what is offered: the server decides what
 * is allowed.
 * @param {string | null} token
 */
export function roleOf(token) {
  return /** @type {string | undefined} */ (claimsOf(token).role);
}

export class Api {
  #token;

  /** @param {string} token */
  constructor(token) {
    this.#token = token;
  }

  /** @param {string} path below `v1/` @param {RequestInit} [more] */
  async _request(path, more = {}) {
    const headers = { authorization: `Bearer ${this.#token}`, ...more.headers };
    const signal = timeoutSignal(REQUEST_TIMEOUT_MS);
    const answer = await fetch(`v1/${path}`, { cache: "no-store", signal, ...more, headers }).catch(
      cutOff,
    );
    if (!answer.ok) throw problemIn(answer, await answer.text().catch(() => ""));
    return answer;
  }

  /**
   * @param {string} path
   * @param {Record<string, string | undefined>} [query]
   * @returns {Promise<any>}
   */
  async get(path, query = {}) {
    return (await this._request(withQuery(path, query))).json().catch(cutOff);
  }

  /**
   * @param {string} path
   * @param {object} [body]
   * @param {Record<string, string>} [headers]
   * @returns {Promise<any>}
   */
  async post(path, body = {}, headers = {}) {
    const json = { "content-type": "application/json", ...headers };
    return (
      await this._request(path, { method: "POST", headers: json, body: JSON.stringify(body) })
    )
      .json()
      .catch(cutOff);
  }

  /**
   * The whole response as a file, without a timeout: it may contain thousands of findings.
   * @param {string} path
   * @param {Record<string, string | undefined>} query
   */
  async blob(path, query) {
    const answer = await this._request(withQuery(path, query), { signal: null });
    return answer.blob().catch(cutOff);
  }

  /**
   * Sends a file and answers its id. The file is part of a form because its name belongs in no URL.
   * `fetch` reports no progress of an upload, so this uses an `XMLHttpRequest`.
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

  /**
   * Requests the check of an uploaded file and answers the run's id.
   * @param {string} file
   * @param {boolean} listPasses
   */
  async start(file, listPasses) {
    const key = { "idempotency-key": randomKey() };
    for (let attempt = 1; ; attempt++) {
      try {
        return /** @type {string} */ (
          (await this.post("runs", { file, list_passes: listPasses }, key)).run
        );
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

/** Replaces `crypto.randomUUID`, which browsers lack on a clinic's network over plain HTTP. */
function randomKey() {
  return [...crypto.getRandomValues(new Uint8Array(16))]
    .map((byte) => byte.toString(16).padStart(2, "0"))
    .join("");
}

/**
 * The error of a request in words, and the next step.
 * @param {import("../languages/all.js").Texts["runs"]} text
 * @param {string} code
 */
export function problemText(text, code) {
  return text.problems[code] ?? text.problem(code);
}
