"""Prints the commands of the runbooks that tests run, as one script of bash: runbooks.py PAGE…"""

import pathlib
import re
import sys

BLOCK = re.compile(r"^( *)<!-- tested -->\n\1```console\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)


def commands(page):
    """The commands of a page's tested blocks, with their continuation lines."""
    for indent, block in BLOCK.findall(page):
        lines = [line[len(indent) :] for line in block.splitlines()]
        yield from (line.removeprefix("$ ") for line in lines)


def main():
    """Prints the script. Each page runs in the same shell, and the first failure ends it."""
    print("set -euo pipefail")
    for name in sys.argv[1:]:
        page = pathlib.Path(name)
        lines = list(commands(page.read_text()))
        print(f"echo '=== {page}'")
        print("\n".join(lines))


main()
