"""Runs check.sql on a claims file in DuckDB and writes what it found and what it cost as JSON.

Usage: check.py FILE --codes FILE --establishments FILE [--threads N]
"""

import argparse
import json
import pathlib
import time

import duckdb

FINDINGS = "SELECT rule, count(*), sum(cents)::BIGINT, sum(row)::BIGINT FROM findings GROUP BY rule"
PASSES = "SELECT rule, sum(passes)::BIGINT FROM passes GROUP BY rule"


def peak_kib() -> int:
    status = pathlib.Path("/proc/self/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM:"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file")
    parser.add_argument("--codes", required=True)
    parser.add_argument("--establishments", required=True)
    parser.add_argument("--threads", type=int)
    args = parser.parse_args()

    sql = pathlib.Path(__file__).with_name("check.sql").read_text()
    db = duckdb.connect(":memory:")
    if args.threads:
        db.execute(f"SET threads = {args.threads}")
    db.execute("SET VARIABLE file = ?", [args.file])
    db.execute("SET VARIABLE codes = ?", [args.codes])
    db.execute("SET VARIABLE establishments = ?", [args.establishments])

    began, began_cpu = time.perf_counter(), time.process_time()
    db.execute(sql)
    seconds, cpu_seconds = time.perf_counter() - began, time.process_time() - began_cpu

    none = {"findings": 0, "cents": 0, "rows": 0, "passes": 0}
    rules = {}
    for rule, findings, cents, rows in db.execute(FINDINGS).fetchall():
        rules[rule] = none | {"findings": findings, "cents": cents, "rows": rows}
    for rule, passes in db.execute(PASSES).fetchall():
        rules.setdefault(rule, dict(none))["passes"] = passes
    threads = db.execute("SELECT current_setting('threads')").fetchone()[0]
    figures = {
        "rows": db.execute("SELECT count(*) FROM typed").fetchone()[0],
        "seconds": seconds,
        "cpu_seconds": cpu_seconds,
        "peak_kib": peak_kib(),
        "rules": rules,
        "by": f"DuckDB {duckdb.__version__}, threads={threads}",
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
