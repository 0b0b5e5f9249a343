#!/usr/bin/env python3
"""Applies each mutation of mutants.toml to a scratch copy, and writes docs/mutations.md.

Arguments are the names of mutations to run; without any, all are run. Results of earlier runs stay
in the table until their mutation is run again or changes. SEEDS bounds the search for a seed
(default 400).
`--check` only looks whether every mutation fits the code, and whether the table is fresh.
"""

import filecmp
import hashlib
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tomllib

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
SCRATCH = ROOT / "target/mutants/tree"
# Built crates of the workspace are not shared with the checkout, those of registries are.
TARGET = pathlib.Path(os.environ.get("MUTANTS_TARGET", ROOT / "target"))
RESULTS = HERE / "mutants.json"
PAGE = ROOT / "docs/mutations.md"
MARK, END = "<!-- written by make mutants -->", "<!-- end -->"
SEEDS = os.environ.get("SEEDS", "400")
# A command in front of cargo, for machines that share their cores.
WRAPPER = os.environ.get("MUTANTS_WRAPPER", "").split()


def copy():
    SCRATCH.mkdir(parents=True, exist_ok=True)
    files = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        check=True,
        capture_output=True,
    ).stdout
    for name in files.decode().split("\0"):
        source, target = ROOT / name, SCRATCH / name
        # Only changed files get a new time, so that builds stay incremental.
        if name and source.is_file() and not (target.exists() and filecmp.cmp(source, target)):
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target)


def edit(text, change, path):
    find, replace = change["find"].removesuffix("\n"), change["replace"].removesuffix("\n")
    if text.count(find) != 1:
        sys.exit(f"{path}: not once: {find!r}")
    return text.replace(find, replace)


def cargo(arguments, servers=False, **environment):
    env = {**os.environ, **environment, "CARGO_TERM_COLOR": "never"}
    command = [*WRAPPER, "cargo", "test", "-q", "--target-dir", str(TARGET), *arguments]
    if servers:
        command = [str(ROOT / "deploy/dev/servers"), "run", "--", *command]
    return subprocess.run(
        command, check=False, cwd=SCRATCH, env=env, capture_output=True, text=True
    )


def judge(mutant):
    """What noticed the mutation, or None."""
    # With the features of the whole workspace, whose dependencies are built already.
    simulation = ["--workspace", "--test", "simulation"]
    built = cargo([*simulation, "--no-run"])
    if built.returncode:
        sys.exit(f"{mutant['name']} does not compile:\n{built.stderr}{built.stdout}")
    if "test" in mutant:
        done = cargo(mutant["test"].split(), servers=mutant.get("servers", False))
        # Servers that do not start notice nothing.
        noticed = "test result: FAILED" in done.stdout
        return f"`cargo test {mutant['test']}`" if noticed else None
    search = [*simulation, "--", "--ignored", "--nocapture", "many_seeds"]
    done = cargo(search, SEEDS=SEEDS, STOP="1")
    output = done.stdout + done.stderr
    failed = re.search(r"^seed (\d+): .*\n\s+.*?\b(I\d+)\b", output, re.MULTILINE)
    if failed:
        return f"seed {failed[1]} ({failed[2]})"
    failed = re.search(r"^seed (\d+): ", output, re.MULTILINE)
    if failed:
        return f"seed {failed[1]}"
    return "a panic" if done.returncode else None


def digest(mutant):
    """A digest of a mutation, by which a result belongs to it."""
    return hashlib.sha256(json.dumps(mutant, sort_keys=True).encode()).hexdigest()[:12]


def noticed(mutant, results):
    """What noticed the mutation as it is now, None for nothing, or `not run`."""
    result = results.get(mutant["name"], {})
    return result["noticed"] if result.get("mutation") == digest(mutant) else "not run"


def run(mutants):
    results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    for mutant in mutants:
        copy()
        path = SCRATCH / mutant["file"]
        original = text = path.read_text()
        for change in [mutant, *mutant.get("also", [])]:
            text = edit(text, change, mutant["file"])
        path.write_text(text)
        try:
            results[mutant["name"]] = {"mutation": digest(mutant), "noticed": judge(mutant)}
        finally:
            path.write_text(original)
        print(f"{mutant['name']}: {noticed(mutant, results) or 'SURVIVES'}", flush=True)
        RESULTS.write_text(json.dumps(results, indent=1, sort_keys=True) + "\n")
    return results


def page(mutants, results):
    """The page with its table made anew."""
    lines = [MARK, "", "| mutation | file | noticed by |", "|---|---|---|"]
    for mutant in mutants:
        by = noticed(mutant, results) or "**nothing**"
        lines.append(f"| {mutant['name']} | `{mutant['file']}` | {by} |")
    before, rest = PAGE.read_text().split(MARK)
    return before + "\n".join(lines) + "\n\n" + END + rest.split(END)[1]


def main():
    mutants = tomllib.loads((HERE / "mutants.toml").read_text())["mutant"]
    for mutant in mutants:
        text = (ROOT / mutant["file"]).read_text()
        for change in [mutant, *mutant.get("also", [])]:
            edit(text, change, mutant["file"])
    if sys.argv[1:] == ["--check"]:
        results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
        is_fresh = PAGE.read_text() == page(mutants, results)
        sys.exit(0 if is_fresh else "docs/mutations.md does not show mutants.json")
    if unknown := set(sys.argv[1:]) - {mutant["name"] for mutant in mutants}:
        sys.exit(f"no such mutations: {sorted(unknown)}")
    chosen = [mutant for mutant in mutants if not sys.argv[1:] or mutant["name"] in sys.argv[1:]]
    results = run(chosen)
    PAGE.write_text(page(mutants, results))
    survivors = [mutant["name"] for mutant in chosen if noticed(mutant, results) is None]
    sys.exit(f"nothing noticed: {survivors}" if survivors else 0)


main()
