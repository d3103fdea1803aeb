"""Figures of cells: what became of each, and when protection was back."""

import math
from collections.abc import Mapping, Sequence

from lab.campaign.plan import Catalogue
from lab.cells.model import Cell, Measured, Result
from lab.cells.words import duration
from lab.report.drawing import Drawing
from lab.report.looks import LOOKS, name
from lab.report.words import PROTECTION_WENT_ON

LEFT = 250
"""Room for the names of rows."""

ROW = 34
TOP = 58
CELL = 128
MARGIN = 16
BASE = 5
"""From the middle of a row down to the base line of its text."""

SCALE = 480
NEVER = 190
DECADES = (0.1, 1.0, 10.0, 100.0, 1000.0)
"""Seconds at which the scale of times has a rule."""


def matrix(results: Mapping[Cell, Result], catalogue: Catalogue) -> str:
    """Faults down, arms across; a frame is around what was not expected."""
    arms = [arm for arm in catalogue.arms if any(cell.arm == arm for cell in results)]
    faults = [fault for fault in catalogue.faults if any(c.fault == fault for c in results)]
    size = (LEFT + CELL * len(arms) + MARGIN, TOP + ROW * len(faults) + MARGIN + ROW)
    drawing = Drawing(*size, "What became of a host, by placement and fault")
    for column, arm in enumerate(arms):
        drawing.text((LEFT + CELL * (column + 0.5), TOP - 14), arm, "heading", "middle")
    for row, fault in enumerate(faults):
        middle = TOP + ROW * (row + 0.5)
        drawing.text((LEFT - 12, middle + BASE), fault, "ink", "end")
        for column, arm in enumerate(arms):
            result = results.get(Cell(arm, fault))
            if result is not None:
                _cell(drawing, LEFT + CELL * column, middle, result)
    legend = "a thick frame: not as expected; empty: not carried out"
    drawing.text((LEFT, size[1] - MARGIN), legend, "faint")
    return drawing.svg()


def _cell(drawing: Drawing, left: float, middle: float, result: Result) -> None:
    top, width, height = middle - ROW / 2 + 2, CELL - 4, ROW - 4
    if result.measured is None:
        drawing.text((left + CELL / 2, middle + BASE), "no figure", "faint", "middle")
        return
    outcome = result.measured.outcome
    drawing.box(left + 2, top, width, height, name(outcome), str(result.cell))
    words = f"{LOOKS[outcome].sign} {outcome}"
    drawing.text((left + CELL / 2, middle + BASE), words, "ink", "middle")
    if not result.as_expected:
        drawing.box(left + 3, top + 1, width - 2, height - 2, "difference")


def restored(results: Sequence[Result]) -> str:
    """For each cell in which protection was lost: how long, on a scale of powers of ten."""
    arms = list(dict.fromkeys(one.cell.arm for one in results))
    rows = [
        (result, result.measured)
        for result in sorted(results, key=lambda one: arms.index(one.cell.arm))
        if result.measured and result.measured.outcome not in PROTECTION_WENT_ON
    ]
    height = TOP + ROW * len(rows) + MARGIN
    drawing = Drawing(LEFT + SCALE + NEVER, height, "Seconds until protection was back")
    for seconds in DECADES:
        drawing.line((_x(seconds), TOP - 8), (_x(seconds), height - MARGIN))
        drawing.text((_x(seconds), TOP - 16), f"{seconds:g} s", "faint", "middle")
    drawing.text((LEFT + SCALE + NEVER - MARGIN, TOP - 16), "not by itself", "faint", "end")
    for row, (result, measured) in enumerate(rows):
        middle = TOP + ROW * (row + 0.5)
        drawing.text((LEFT - 12, middle + BASE), str(result.cell), "ink", "end")
        _time(drawing, middle, measured)
    return drawing.svg()


def _time(drawing: Drawing, middle: float, measured: Measured) -> None:
    sign = LOOKS[measured.outcome].sign
    style = f"edge-{name(measured.outcome)}"
    if measured.restored_seconds is None:
        steps = len(measured.manual_steps)
        by_hand = f"{steps} steps by hand" if steps else "not repaired"
        at = LEFT + SCALE + NEVER - MARGIN
        drawing.text((at, middle + BASE), f"{by_hand} {sign}", style, "end")
        return
    x = _x(measured.restored_seconds)
    drawing.dot(x, middle, 6, style, f"{measured.restored_seconds:.2f} s")
    words = f"{duration(measured.restored_seconds)} {sign}"
    # To the left of the dot where there is no room to its right.
    inside = x < LEFT + SCALE * 0.8
    place = (x + (12 if inside else -12), middle + BASE)
    drawing.text(place, words, "label", "start" if inside else "end")


def _x(seconds: float) -> float:
    """Where a time is on the scale; what is beyond its ends is at its ends."""
    low, high = math.log10(DECADES[0]), math.log10(DECADES[-1])
    share = (math.log10(max(seconds, DECADES[0])) - low) / (high - low)
    return LEFT + 20 + min(share, 1.0) * (SCALE - 40)
