"""The commands of the runbooks. The comment above a block of them says what runs it:

`tested` is run against private servers, and `package` in the trial of the package; a block may have
both. `run by FILE` names a test or script that runs the same commands in its own way, and
`not run: REASON` says what a test would lack.

  runbooks.py script PAGE…        prints the tested blocks as one script of bash
  runbooks.py package DIR PAGE…   writes the package's blocks to DIR/PAGE-1, DIR/PAGE-2, …
  runbooks.py check PAGE…         fails for a block without such a comment
"""

import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
BLOCK = re.compile(
    r"^( *)(?:<!-- ([^>]*) -->\n\1)?```console\n(.*?)^\1```$", re.MULTILINE | re.DOTALL
)
RUNS = {"tested", "package"}


def blocks(page):
    """The mark of each block of commands, and its lines."""
    for indent, mark, block in BLOCK.findall(pathlib.Path(page).read_text()):
        lines = [line[len(indent) :] for line in block.splitlines()]
        yield mark, [line.removeprefix("$ ") for line in lines]


def runs(mark):
    """What runs a block with this mark."""
    return set(mark.split(", ")) & RUNS


def script(pages):
    """Prints the script. Each page runs in the same shell, and the first failure ends it."""
    print("set -euo pipefail")
    for page in pages:
        print(f"echo '=== {page}'")
        for mark, lines in blocks(page):
            if "tested" in runs(mark):
                print("\n".join(lines))


def package(directory, pages):
    """Writes the blocks that the trial of the package runs, a file each."""
    for page in map(pathlib.Path, pages):
        own = [lines for mark, lines in blocks(page) if "package" in runs(mark)]
        for number, lines in enumerate(own, 1):
            pathlib.Path(directory, f"{page.stem}-{number}").write_text("\n".join(lines) + "\n")


def fault(mark):
    """What is wrong with the mark of a block, or None."""
    if mark.startswith("not run: ") or runs(mark) and runs(mark) == set(mark.split(", ")):
        return None
    if match := re.fullmatch(r"run by (\S+)", mark):
        file = ROOT / match[1]
        return None if file.is_file() else f"{match[1]} is no file"
    return "nothing says who runs it"


def check(pages):
    """Every block says who runs it."""
    faults, count = [], {}
    for page in pages:
        for mark, lines in blocks(page):
            if wrong := fault(mark):
                faults.append(f"{page}: {lines[0]}: {wrong}")
            for part in runs(mark) or {re.match("run by|not run|", mark)[0]}:
                count[part] = count.get(part, 0) + 1
    if faults:
        sys.exit("\n".join(faults))
    print("blocks of commands in the runbooks:", ", ".join(f"{n} {by}" for by, n in count.items()))


def main():
    """Reads the arguments."""
    mode, *rest = sys.argv[1:]
    if mode == "package":
        package(rest[0], rest[1:])
    else:
        {"script": script, "check": check}[mode](rest)


main()
