"""The ladder's page: its table and its figure come from what was measured."""

import re
from typing import Any

import pytest

from bench import ladder_page
from bench.ladder_workload import PARTS
from content.definitions import Rung

PAGE = f"# Words\n\n{ladder_page.BEGIN}old\n{ladder_page.END}x -->\nmore words\n"


def result() -> dict[str, Any]:
    """What bench.ladder writes, with a different value everywhere."""
    names = [f"{rung}: {part}, seen" for rung in Rung for part in PARTS]
    figures = [
        {"name": name, "value": float(value), "unit": "%", "bar": None, "peer": None}
        for value, name in enumerate(names)
    ]
    environment = {
        "commit": "c", "measured": "2026-01-01", "kernel": "k", "distribution": "d",
        "processor": "p", "cores": 2, "memory_bytes": 2**30, "python": "3", "virtual": True,
    }  # fmt: skip
    return {"command": "run", "quick": False, "figures": figures, "environment": environment}


def test_the_table_has_every_figure_in_its_column() -> None:
    """If it failed, a rung would be shown with another one's figure."""
    rows = {
        cells[1].strip(): [cell.strip() for cell in cells[2:-1]]
        for line in ladder_page.table(result()).splitlines()
        if len(cells := line.split("|")) > len(Rung) + 2
    }
    assert rows[""] == [f"`{rung}`" for rung in Rung]
    for place, part in enumerate(PARTS):
        expected = [f"{place + column * len(PARTS)} %" for column in range(len(Rung))]
        assert rows[f"{part}, seen"] == expected


def test_bars_are_as_long_as_what_was_seen() -> None:
    """If it failed, the figure would show something else than the table."""
    seen = ladder_page.shares(result())
    picture = ladder_page.svg(seen)
    room = ladder_page.WIDTH - ladder_page.LEFT - ladder_page.RIGHT
    for rung, colour in ladder_page.COLOURS.items():
        widths = re.findall(rf'x="{ladder_page.LEFT}".* width="([\d.]+)".*fill="{colour}"', picture)
        drawn = [100 * float(width) / room for width in widths]
        assert drawn == [pytest.approx(seen[part][rung], abs=0.1) for part in PARTS]


def test_words_around_the_table_stay() -> None:
    """If it failed, a measurement would delete what people wrote."""
    page = ladder_page.with_measured(PAGE, "new\n", "picture")
    assert page.startswith("# Words\n\n<!-- measured")
    assert page.endswith("-->\nmore words\n")
    assert "old" not in page


@pytest.mark.parametrize("what", ["table", "picture"])
def test_an_edited_figure_is_found(what: str) -> None:
    """If it failed, somebody could type a better figure."""
    page = ladder_page.with_measured(PAGE, "seen 12 %\n", "picture")
    assert ladder_page.is_sealed(page, "picture")
    if what == "table":
        assert not ladder_page.is_sealed(page.replace("12", "99"), "picture")
    else:
        assert not ladder_page.is_sealed(page, "another picture")


def test_a_page_without_markers_is_refused() -> None:
    """If it failed, the page would be replaced by a table."""
    with pytest.raises(ValueError, match="measured"):
        ladder_page.with_measured("# Words\n", "new\n", "")
