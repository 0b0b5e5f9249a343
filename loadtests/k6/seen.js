// Metrics of what clients received, and the check of positions.
import { Counter, Trend } from "k6/metrics";

// From a record's append time to the client's receipt, by this machine's clock.
export const recordToSeen = new Trend("record_to_seen", true);
// From a request to the answer of a command, or to the first byte of a stream.
export const answered = new Trend("answered", true);
export const sessions = new Counter("sessions");
export const deliveries = new Counter("deliveries");
export const connectionsLost = new Counter("connections_lost");
// Versions below the held one, deltas that begin after it, and positions that rose.
export const wrong = new Counter("wrong");

// The backoff of the SDKs: full jitter above half a second, doubling up to twenty seconds.
export const backoff = (tries) =>
  Math.min(20000, 500 + Math.random() * Math.min(20000, 500 * 2 ** tries));

// A keyed view as a client holds it: position and entries.
export class View {
  constructor() {
    this.epoch = "";
    this.version = 0;
    this.entries = {};
  }

  // Takes a snapshot or a delta with this position; false when it breaks a promise.
  take(epoch, version, data) {
    if (this.epoch !== "" && epoch !== this.epoch) return this.refuse();
    if (version < this.version) return this.refuse();
    if (data.entries) {
      this.entries = { ...data.entries };
    } else if (version === this.version) {
      return true; // a duplicate is dropped
    } else {
      if (data.from > this.version || data.to !== version) return this.refuse();
      for (const key of data.remove || []) delete this.entries[key];
      Object.assign(this.entries, data.set || {});
    }
    this.epoch = epoch;
    this.version = version;
    return true;
  }

  refuse() {
    wrong.add(1);
    return false;
  }

  // Whether the view equals the snapshot; undefined while their versions differ.
  agreesWith(snapshot) {
    if (snapshot.epoch !== this.epoch || snapshot.version !== this.version) return undefined;
    return same(snapshot.entries, this.entries);
  }
}

function same(one, other) {
  if (one === null || other === null || typeof one !== "object" || typeof other !== "object")
    return one === other;
  const keys = Object.keys(one);
  return (
    keys.length === Object.keys(other).length &&
    keys.every((key) => key in other && same(one[key], other[key]))
  );
}
