// A plausible view of the load of a location on a busy day.

const MINUTE_MS = 60_000;
const QUARTER_MS = 15 * MINUTE_MS;

export const BANDS = { waiting: [8, 15], wait_s: [1800, 3600] };

/** @param {number} now @param {string} [timeZone] */
export function busyDay(now, timeZone = "America/Toronto") {
  // Half a minute from both neighbours, because a page knows the server's clock to a second only.
  const ago = (/** @type {number} */ minutes) => now - (minutes + 0.5) * MINUTE_MS;
  /** @type {Record<string, any>} */
  const entries = {
    load: {
      name: "Harbour Clinic",
      time_zone: timeZone,
      day: new Intl.DateTimeFormat("en-CA", { timeZone }).format(now),
      waiting: 24,
      oldest: ago(67),
      median: ago(23),
      hour: Array.from({ length: 20 }, (_, index) => ({
        at: Math.floor(ago(58 - 3 * index) / MINUTE_MS) * MINUTE_MS,
        called: 1,
        served: index % 4 ? 1 : 0,
      })),
      appointments: { due: 14, late: 3, arrived: 6, fulfilled: 21, no_show: 2, cancelled: 3 },
      facts: { applied: 112, repeated: 4, stale: 2, overruled: 1 },
      bands: BANDS,
    },
    "queue:harbour.general": {
      name: "General medicine",
      state: "open",
      waiting: 16,
      priorities: { 0: 13, 5: 2, 9: 1 },
      oldest: ago(67),
      median: ago(31),
      band: 2,
    },
    "queue:harbour.blood": {
      name: "Blood tests",
      state: "open",
      waiting: 8,
      priorities: { 0: 8 },
      oldest: ago(34),
      median: ago(12),
      band: 1,
    },
    "queue:harbour.vaccination": { name: "Vaccination", state: "paused", waiting: 0, band: 0 },
    "queue:harbour.pharmacy": { name: "Pharmacy", state: "closed", waiting: 0, band: 0 },
    "station:harbour.room-1": {
      name: "Room 1",
      state: "busy",
      with: ["A-041"],
      queue: "harbour.general",
    },
    "station:harbour.room-2": {
      name: "Room 2",
      state: "busy",
      with: ["A-040"],
      queue: "harbour.general",
    },
    "station:harbour.room-3": { name: "Room 3", state: "idle", queue: "harbour.general" },
    "station:harbour.room-4": { name: "Room 4", state: "closed" },
    "station:harbour.counter-1": {
      name: "Counter 1",
      state: "busy",
      with: ["B-017"],
      queue: "harbour.blood",
    },
    "station:harbour.counter-2": { name: "Counter 2", state: "idle" },
  };
  const first = Math.floor(now / QUARTER_MS) * QUARTER_MS - 22 * QUARTER_MS;
  const came = [1, 3, 6, 8, 7, 5, 6, 4, 5, 7, 6, 4, 3, 2, 3, 5, 6, 7, 5, 4, 4, 3, 2];
  const seen = [0, 1, 3, 4, 5, 5, 4, 5, 4, 5, 5, 5, 2, 1, 2, 4, 5, 4, 5, 4, 4, 3, 1];
  const due = [
    2, 3, 3, 4, 4, 3, 3, 2, 3, 4, 3, 2, 0, 0, 2, 3, 4, 4, 3, 3, 3, 2, 3, 4, 4, 3, 3, 2, 2, 1, 2, 1,
  ];
  due.forEach((booked, index) => {
    const counts = {
      arrived: came[index],
      called: seen[index] && seen[index] + (index % 3 ? 0 : 1),
      served: seen[index],
      booked,
    };
    entries[`quarter:${first + index * QUARTER_MS}`] = Object.fromEntries(
      Object.entries(counts).filter(([, count]) => count),
    );
  });
  return entries;
}
