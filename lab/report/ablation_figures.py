"""Figures of the ablation: all combinations of safeguards, and which make which redundant."""

from collections.abc import Sequence

from lab.ablation.replay import Outcome, redundant
from lab.ablation.safeguards import Safeguard
from lab.report.drawing import Drawing

LEFT = 196
COLUMN = 12
BARS = 90
TOP = 44
ROW = 26
RIGHT = 196
MARGIN = 16
BASE = 5
SQUARE = 34
HEADING = 60
STOPPED, REACHED, CRASHED = "edge-contained", "agent-gone", "edge-host-lost"


def combinations(outcomes: Sequence[Outcome]) -> str:
    """A column for each combination: hosts that crashed, safeguards in it, the one that stopped."""
    ordered = sorted(outcomes, key=_order)
    width = LEFT + COLUMN * len(ordered) + RIGHT
    rows = TOP + BARS + MARGIN
    height = rows + ROW * len(Safeguard) + MARGIN + 2 * ROW
    drawing = Drawing(width, height, "July 2024 under all combinations of six safeguards")
    _scale(drawing, ordered[0].hosts, LEFT + COLUMN * len(ordered))
    for row, safeguard in enumerate(Safeguard):
        middle = rows + ROW * (row + 0.5)
        words = f"{safeguard.finding} {safeguard}"
        drawing.text((LEFT - 12, middle + BASE), words, "ink", "end")
        stopped = sum(one.stopped_by is safeguard for one in ordered)
        at = LEFT + COLUMN * len(ordered) + 12
        drawing.text((at, middle + BASE), f"first to stop it in {stopped}", "faint")
    for column, outcome in enumerate(ordered):
        _column(drawing, LEFT + COLUMN * (column + 0.5), rows, outcome)
    _legend(drawing, height - MARGIN)
    return drawing.svg()


def _order(outcome: Outcome) -> tuple[int, int, int, list[int]]:
    """Most harm first, then by what stopped it, then by how many safeguards there are."""
    findings = [one.finding for one in Safeguard if one in outcome.safeguards]
    stopped = 0 if outcome.stopped_by is None else outcome.stopped_by.finding
    return -outcome.crashed, -stopped, len(findings), findings


def _scale(drawing: Drawing, hosts: int, right: float) -> None:
    for share, words in ((0, "0"), (1, f"all {hosts:,}")):
        y = TOP + BARS * (1 - share)
        drawing.line((LEFT, y), (right, y))
        drawing.text((LEFT - 12, y + BASE), words, "faint", "end")
    drawing.text((LEFT, TOP - 18), "hosts, of a simulated fleet with the real checks", "heading")


def _column(drawing: Drawing, x: float, rows: float, outcome: Outcome) -> None:
    names = ", ".join(str(one) for one in Safeguard if one in outcome.safeguards) or "none"
    hosts = f"of {outcome.hosts:,} hosts {outcome.reached:,} reached, {outcome.crashed:,} crashed"
    hint = f"{names}: {hosts}"
    for count, style in ((outcome.reached, REACHED), (outcome.crashed, CRASHED)):
        if count:
            # A bar of a single host has to be seen.
            height = max(2.0, BARS * count / outcome.hosts)
            drawing.box(x - COLUMN / 2 + 1, TOP + BARS - height, COLUMN - 2, height, style, hint)
    for row, safeguard in enumerate(Safeguard):
        middle = rows + ROW * (row + 0.5)
        if safeguard is outcome.stopped_by:
            drawing.box(x - 5, middle - 8, 10, 16, STOPPED, hint)
        elif safeguard in outcome.safeguards:
            drawing.dot(x, middle, 3.5, "ink", hint)
        else:
            drawing.dot(x, middle, 1.5, "rule", hint)


def _legend(drawing: Drawing, y: float) -> None:
    drawing.box(LEFT, y - 13, 10, 16, STOPPED)
    drawing.text((LEFT + 18, y), "was the first to stop something", "faint")
    drawing.dot(LEFT + 256, y - 5, 3.5, "ink")
    drawing.text((LEFT + 268, y), "was there", "faint")
    drawing.dot(LEFT + 356, y - 5, 1.5, "rule")
    drawing.text((LEFT + 368, y), "was not", "faint")
    drawing.box(LEFT + 446, y - 13, 10, 16, REACHED)
    drawing.text((LEFT + 464, y), "given July's file", "faint")
    drawing.box(LEFT + 596, y - 13, 10, 16, CRASHED)
    drawing.text((LEFT + 614, y), "crashed", "faint")


def redundancy(outcomes: Sequence[Outcome]) -> str:
    """Six by six: where the one of the row is there, the one of the column changes nothing."""
    pairs = set(redundant(outcomes))
    size = SQUARE * len(Safeguard)
    height = HEADING + size + MARGIN + ROW
    drawing = Drawing(LEFT + size + 300, height, "Which safeguard makes which redundant")
    drawing.text((LEFT, 22), "changes nothing once the one on the left is there", "heading")
    for row, one in enumerate(Safeguard):
        middle = HEADING + SQUARE * (row + 0.5)
        drawing.text((LEFT - 12, middle + BASE), f"{one.finding} {one}", "ink", "end")
        drawing.text((LEFT + SQUARE * (row + 0.5), HEADING - 12), str(one.finding), "ink", "middle")
        for column, other in enumerate(Safeguard):
            place = (LEFT + SQUARE * column + 2, middle - SQUARE / 2 + 2, SQUARE - 4, SQUARE - 4)
            if (one, other) in pairs:
                drawing.box(*place, "contained", f"{one} makes {other} redundant")
                drawing.text((place[0] + place[2] / 2, middle + BASE), "●", STOPPED, "middle")
            elif one is not other:
                drawing.box(*place, "unaffected", f"{other} still counts beside {one}")
    words = "●: no combination with the one on the left crashes fewer hosts by it"
    drawing.text((LEFT, height - MARGIN), words, "faint")
    return drawing.svg()
