"""Make docs/figures.md from build/bench/*.json: every figure of the project, nobody types one.

The page ends with a checksum of itself, so that `--check` (part of `make lint`) finds a figure that
was changed by hand. Results of quick runs are refused: they are for CI. A section whose program was
not run again stays as it is, with its own date and commit.
"""

import argparse
import hashlib
import json
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench.harness import CHECKOUT, RESULTS, meets, number, peers_in_words, programs

PAGE = CHECKOUT / "docs" / "figures.md"
HEADING = """# Measured figures

Every figure comes from a program in `bench/` and is written here by `make bench`. Run a command in
a checkout that was set up to measure it again on your machine.
"""
COMMAND = re.compile(r"^`(\S+ -m bench\.(\w+)\b.*)`$", re.MULTILINE)
"""What a section was measured with, and its program."""
SEAL = "<!-- generated; sha256 of everything above: "


def main() -> int:
    """Write the page, or check it; the exit status is 1 with the reason on standard error."""
    parser = argparse.ArgumentParser(prog="python -m bench.figures", description=__doc__)
    parser.add_argument("--check", action="store_true", help="only see whether it was edited")
    if parser.parse_args().check:
        return _check()
    results = load(RESULTS)
    if not results:
        print("figures: no full results in build/bench: run make bench", file=sys.stderr)
        return 1
    PAGE.write_text(sealed(page(results, _kept())), encoding="utf-8")
    print(f"figures: {PAGE.relative_to(CHECKOUT)} from {len(results)} benchmarks")
    return 0


def load(folder: Path) -> list[dict[str, Any]]:
    """All full results, in order of their names; what a quick run wrote is left out, and said."""
    results = []
    for path in sorted(folder.glob("*.json")):
        result = json.loads(path.read_text(encoding="utf-8"))
        if result["quick"]:
            print(f"figures: {path.name} is of a quick run: left out", file=sys.stderr)
        else:
            results.append(result)
    return results


def page(results: list[dict[str, Any]], kept: Mapping[str, str]) -> str:
    """The page's text without its seal.

    kept: sections of earlier runs by their command, which newer results take the place of.
    """
    sections = {**kept, **{result["command"]: _section(result) for result in results}}
    parts, absent = [HEADING], []
    for name in programs():
        own = [sections[one] for one in sorted(sections) if _program(one) == name]
        parts += own
        absent += [] if own else [name]
    if absent:
        parts.append(f"Not measured yet: {', '.join(absent)}.\n")
    return "\n".join(parts)


def sections_of(text: str) -> dict[str, str]:
    """The sections of a page by their command."""
    body, _, _ = text.rpartition(f"\n{SEAL}")
    found = {}
    for section in body.partition("\n## ")[2].split("\n## "):
        if named := COMMAND.search(section):
            found[named[1]] = "## " + section.split("\nNot measured")[0].rstrip("\n") + "\n"
    return found


def _program(command: str) -> str:
    named = COMMAND.match(f"`{command}`")
    return named[2] if named else ""


def _kept() -> dict[str, str]:
    text = PAGE.read_text(encoding="utf-8") if PAGE.exists() else ""
    return sections_of(text) if is_sealed(text) else {}


def sealed(text: str) -> str:
    """The text with its checksum as a last line."""
    return f"{text}\n{SEAL}{hashlib.sha256(text.encode()).hexdigest()} -->\n"


def is_sealed(text: str) -> bool:
    """Whether a page is as it was written."""
    body, found, _ = text.rpartition(f"\n{SEAL}")
    return bool(found) and text == sealed(body)


def _section(result: dict[str, Any]) -> str:
    rows = [_row(figure) for figure in result["figures"]]
    return "\n".join(
        [
            f"## {result['question']}\n",
            f"`{result['command']}`\n",
            "| Figure | Value | Bar | Peer in the same run | Samples |",
            "|---|---|---|---|---|",
            *rows,
            "",
            *(f"- {text}\n" for text in result.get("notes", ())),
            origin(result["environment"]),
            "",
        ]
    )


def origin(where: dict[str, Any]) -> str:
    """Where and when figures were measured, in one sentence."""
    machine = "virtual machine" if where["virtual"] else "real machine"
    return (
        f"{where['measured']}, commit {where['commit']}, {where['distribution']}, kernel "
        f"{where['kernel']}, {where['cores']} cores of {where['processor']} ({machine}), "
        f"{where['memory_bytes'] / 2**30:.0f} GiB, Python {where['python']}."
    )


def _row(figure: dict[str, Any]) -> str:
    bar = figure["bar"]
    held = "" if not bar else f"{bar} " + ("met" if meets(bar, figure["value"]) else "**missed**")
    beside = peers_in_words(figure)
    value = f"{number(figure['value'])} {figure['unit']}"
    return f"| {figure['name']} | {value} | {held} | {beside} | {len(figure['samples']) or 1} |"


def _check() -> int:
    if not PAGE.exists() or is_sealed(PAGE.read_text(encoding="utf-8")):
        return 0
    print(
        f"figures: {PAGE.relative_to(CHECKOUT)} was edited by hand: run make bench", file=sys.stderr
    )
    return 1


if __name__ == "__main__":
    sys.exit(main())
