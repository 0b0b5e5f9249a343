"""Fails when a page of docs/ is not in docs/SUMMARY.md, which the book would then leave out."""

import pathlib
import sys

DOCS = pathlib.Path(__file__).resolve().parent.parent.parent / "docs"


def main():
    """Prints the pages that are missing."""
    summary = (DOCS / "SUMMARY.md").read_text()
    pages = sorted(str(page.relative_to(DOCS)) for page in DOCS.rglob("*.md"))
    missing = [page for page in pages if page != "SUMMARY.md" and f"({page})" not in summary]
    if missing:
        sys.exit("docs/SUMMARY.md lacks " + ", ".join(missing))


main()
