"""Write what bench.ladder measured into docs/ladder.md and docs/images/ladder.svg.

The page's words are written by people; its table stands between two markers and is made here, and
so is the figure. The second marker holds a checksum of both, so that `--check` finds a figure that
was changed by hand. Without a full result in build/bench nothing is touched.
"""

import argparse
import hashlib
import json
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from bench.figures import origin
from bench.harness import CHECKOUT, RESULTS, number
from bench.ladder_workload import PARTS
from content.definitions import Rung

PAGE = CHECKOUT / "docs" / "ladder.md"
PICTURE = CHECKOUT / "docs" / "images" / "ladder.svg"
BEGIN = "<!-- measured: written by bench.ladder_page -->\n"
END = "<!-- end of what was measured; sha256 of table and figure: "

COLOURS: Mapping[Rung, str] = {
    Rung.BPF_BTF: "#1b6ca8",
    Rung.BPF_TRACEPOINT: "#4aa3a2",
    Rung.PROCESS_CONNECTOR: "#e0a030",
    Rung.PSUTIL: "#b5533c",
}
WIDTH, LEFT, RIGHT = 760, 230, 60
BAR, GAP, GROUP, TOP = 12, 2, 16, 40

Figures = Mapping[str, Mapping[str, Any]]
"""By name, as bench.harness writes them."""


def main() -> int:
    """Write both, or check them; the exit status is 1 with the reason on standard error."""
    parser = argparse.ArgumentParser(prog="python -m bench.ladder_page", description=__doc__)
    parser.add_argument("--check", action="store_true", help="only see whether they were edited")
    text = PAGE.read_text(encoding="utf-8")
    if parser.parse_args().check:
        picture = PICTURE.read_text(encoding="utf-8") if PICTURE.exists() else ""
        if is_sealed(text, picture):
            return 0
        print("ladder_page: docs/ladder.md or its figure was edited: run make bench")
        return 1
    result = _full_result()
    if result is None:
        print("ladder_page: no full result of bench.ladder: left as it is")
        return 0
    picture = svg(shares(result))
    PICTURE.write_text(picture, encoding="utf-8")
    PAGE.write_text(with_measured(text, table(result), picture), encoding="utf-8")
    print("ladder_page: docs/ladder.md and docs/images/ladder.svg")
    return 0


def with_measured(text: str, measured: str, picture: str) -> str:
    """The page with another table between its markers; ValueError if it has none."""
    before, _, rest = text.partition(BEGIN)
    _, found, after = rest.partition(END)
    if not found:
        raise ValueError(f"no {BEGIN.strip()} … {END.strip()} in the page")
    after = after.partition(" -->\n")[2]
    return f"{before}{BEGIN}{measured}{END}{_checksum(measured, picture)} -->\n{after}"


def is_sealed(text: str, picture: str) -> bool:
    """Whether table and figure are as they were written."""
    measured, found, after = text.partition(BEGIN)[2].partition(END)
    return bool(found) and after.startswith(f"{_checksum(measured, picture)} -->")


def table(result: Mapping[str, Any]) -> str:
    """One row for each figure, one column for each rung."""
    figures: Figures = {one["name"]: one for one in result["figures"]}
    names = dict.fromkeys(name.partition(": ")[2] for name in figures)
    rows = [_row(name, figures) for name in names]
    head = f"| | {' | '.join(f'`{rung}`' for rung in Rung)} |"
    return "\n".join(["", head, f"|---|{'---|' * len(Rung)}", *rows, "", *_origin(result)]) + "\n"


def shares(result: Mapping[str, Any]) -> dict[str, dict[Rung, float]]:
    """Part of the workload → rung → how many percent of its events were seen."""
    values = {one["name"]: float(one["value"]) for one in result["figures"]}
    return {part: {rung: values[f"{rung}: {part}, seen"] for rung in Rung} for part in PARTS}


def svg(seen: Mapping[str, Mapping[Rung, float]]) -> str:
    """Bars: how much each rung sees of each part."""
    lines = [_text(LEFT, 20, "share of the workload's events that each rung saw", "start", 14)]
    top = TOP
    for part, values in seen.items():
        middle = top + (len(values) * (BAR + GAP)) / 2
        lines.append(_text(LEFT - 10, middle + 4, part, "end", 13))
        for rung, value in values.items():
            lines += _bar(top, rung, value)
            top += BAR + GAP
        top += GROUP
    lines += _legend(top)
    height = top + 30
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}"'
        ' font-family="sans-serif">'
    )
    return "\n".join(
        [head, f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>', *lines, "</svg>\n"]
    )


def _full_result() -> dict[str, Any] | None:
    path = RESULTS / "ladder.json"
    if not path.exists():
        return None
    result: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return None if result["quick"] else result


def _row(name: str, figures: Figures) -> str:
    cells = [_cell(figures.get(f"{rung}: {name}")) for rung in Rung]
    return f"| {name} | {' | '.join(cells)} |"


def _cell(figure: Mapping[str, Any] | None) -> str:
    if figure is None:
        return ""
    value = f"{number(figure['value'])} {figure['unit']}"
    peer = figure["peer"]
    return f"{value} ({peer['name']}: {number(peer['value'])})" if peer else value


def _origin(result: Mapping[str, Any]) -> Sequence[str]:
    return (f"`{result['command']}`: {origin(result['environment'])}", "")


def _bar(top: float, rung: Rung, value: float) -> list[str]:
    room = WIDTH - LEFT - RIGHT
    length = room * min(value, 100) / 100
    return [
        f'<rect x="{LEFT}" y="{top}" width="{room}" height="{BAR}" fill="#eeeeee"/>',
        f'<rect x="{LEFT}" y="{top}" width="{length:.1f}" height="{BAR}" fill="{COLOURS[rung]}"/>',
        _text(WIDTH - RIGHT + 6, top + BAR - 2, f"{number(value)} %", "start", 11),
    ]


def _legend(top: float) -> list[str]:
    lines, left = [], 40
    for rung, colour in COLOURS.items():
        lines.append(f'<rect x="{left}" y="{top}" width="12" height="12" fill="{colour}"/>')
        lines.append(_text(left + 18, top + 11, str(rung), "start", 13))
        left += 180
    return lines


def _text(x: float, y: float, words: str, anchor: str, size: int) -> str:
    return (
        f'<text x="{x}" y="{y}" text-anchor="{anchor}" font-size="{size}" fill="#222222">'
        f"{words}</text>"
    )


def _checksum(measured: str, picture: str) -> str:
    return hashlib.sha256((measured + picture).encode()).hexdigest()


if __name__ == "__main__":
    sys.exit(main())
