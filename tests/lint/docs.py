#!/usr/bin/env python3
"""Looks whether links between the documents lead somewhere, and whether docs/operations.md has a word on each alert.

No file named: all Markdown that git knows. Prints what is wrong, one a line, and fails if there is anything.
"""

import re
import subprocess
import sys
from pathlib import Path

ALERTS = "deploy/monitoring"
OPERATIONS = "docs/operations.md"


def without_code(text):
    """A link in an example is no link."""
    return re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)


def anchors(path):
    """The anchors that GitHub makes of headings."""
    headings = re.findall(r"^#+ (.*)$", without_code(path.read_text()), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def broken_links(path):
    for target in re.findall(r"\]\(([^)\s]+)\)", without_code(path.read_text())):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, anchor = target.partition("#")
        found = path.parent / name if name else path
        if not found.exists():
            yield f"{path}: {target}: there is no such file"
        elif anchor and found.suffix == ".md" and anchor not in anchors(found):
            yield f"{path}: {target}: there is no such heading"


def unexplained_alerts():
    explained = anchors(Path(OPERATIONS)) if Path(OPERATIONS).exists() else set()
    for rules in sorted(Path(ALERTS).rglob("*.y*ml")) if Path(ALERTS).is_dir() else []:
        for alert in re.findall(r"^\s*-?\s*alert:\s*(\w+)", rules.read_text(), flags=re.MULTILINE):
            if f"alert-{alert.lower()}" not in explained:
                yield f"{rules}: {alert}: {OPERATIONS} has no heading «Alert: {alert}»"


def main():
    listed = sys.argv[1:] or subprocess.check_output(["git", "ls-files", "*.md"], text=True).splitlines()
    problems = [problem for name in listed for problem in broken_links(Path(name))]
    problems.extend(unexplained_alerts())
    print(*problems, sep="\n", end="\n" if problems else "", file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
