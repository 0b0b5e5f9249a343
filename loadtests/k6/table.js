// One row for each scenario, from the metrics with its tag.
const COLUMNS = [
  "scenario",
  "sessions",
  "delivered",
  "seen p50",
  "p95",
  "p99",
  "answered p50",
  "p95",
  "p99",
  "lost",
  "wrong",
  "checks",
  "thresholds",
];

export function table(data, parts) {
  const rows = [COLUMNS, ...parts.map((part) => row(data.metrics, part))];
  const widths = COLUMNS.map((_, column) => Math.max(...rows.map((cells) => cells[column].length)));
  const line = (cells) =>
    cells
      .map((cell, column) =>
        column === 0 ? cell.padEnd(widths[0]) : cell.padStart(widths[column]),
      )
      .join("  ");
  const missed = failures(data.metrics);
  const note =
    "seen: from a record to the client; answered: a command, or the first byte of a stream; " +
    "milliseconds";
  const thresholds = missed.map((it) => `MISSED ${it}\n`).join("");
  return `\n${rows.map(line).join("\n")}\n\n${note}\n${thresholds}\n`;
}

function row(metrics, part) {
  const of = (name) => metrics[`${name}{part:${part}}`];
  const value = (name, key) =>
    of(name) && of(name).values[key] !== undefined ? of(name).values[key] : undefined;
  const count = (name) => String(value(name, "count") || 0);
  const ms = (name, key) => (value(name, "count") > 0 ? value(name, key).toFixed(1) : "–");
  const checks = of("checks")
    ? `${of("checks").values.passes} of ${of("checks").values.passes + of("checks").values.fails}`
    : "–";
  const own = Object.entries(metrics).filter(([name]) => name.includes(`{part:${part}}`));
  const kept = own.every(([, metric]) =>
    Object.values(metric.thresholds || {}).every((it) => it.ok),
  );
  const quantiles = (name) => ["p(50)", "p(95)", "p(99)"].map((key) => ms(name, key));
  return [
    part,
    count("sessions"),
    count("deliveries"),
    ...quantiles("record_to_seen"),
    ...quantiles("answered"),
    count("connections_lost"),
    count("wrong"),
    checks,
    kept ? "kept" : "MISSED",
  ];
}

function failures(metrics) {
  return Object.entries(metrics).flatMap(([name, metric]) =>
    Object.entries(metric.thresholds || {})
      .filter(([, it]) => !it.ok)
      .map(([expression]) => `${name}: ${expression}`),
  );
}
