// A time limit for requests, for browsers without `AbortSignal.timeout` (Safari 15, Chrome 102).

/** A signal that aborts a request after this time. @param {number} ms */
export function timeoutSignal(ms) {
  const controller = new AbortController();
  setTimeout(() => controller.abort(), ms);
  return controller.signal;
}
