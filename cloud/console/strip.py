"""Crash reports on a line of time, one line for each culprit, by the cloud's clock. Pure."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from cloud.console.drawing import Drawing

WIDE, NARROW = 960.0, 336.0
LANE = 44.0
LABEL = 16.0
EDGE = 8.0
BOTTOM = 24.0
LANES = 8
RADIUS = 5.0
OTHERS = "other culprits"
HALF = 2


@dataclass(frozen=True, slots=True)
class Crash:
    """When the cloud learned of it (ns), what is suspected, and what the sensor did then."""

    time_unix_ns: int
    culprit: str
    action: str
    told: str


def strip(crashes: Sequence[Crash], span: tuple[str, str], *, narrow: bool) -> Markup:
    """The drawing; span: the first and the last moment in words."""
    counts = Counter(one.culprit for one in crashes)
    named = [name for name, _ in counts.most_common(LANES)]
    lanes = [*named, OTHERS] if len(counts) > LANES else named
    width = NARROW if narrow else WIDE
    drawing = Drawing(
        (width, len(lanes) * LANE + BOTTOM),
        "Crash reports over time, by culprit",
        "; ".join(f"{name}: {counts[name]}" for name in named),
        "narrow" if narrow else "wide",
    )
    for index, name in enumerate(lanes):
        count = counts.get(name, sum(counts[one] for one in counts if one not in named))
        y = index * LANE
        drawing.text((EDGE, y + LABEL), f"{count}: {name}", "name", width - 2 * EDGE)
        drawing.line((EDGE, y + 2 * LABEL), (width - EDGE, y + 2 * LABEL), "lane")
    _dots(drawing, crashes, named, width)
    y = len(lanes) * LANE + LABEL
    drawing.text((EDGE, y), span[0], "fact")
    if not narrow:
        drawing.text((width - EDGE, y), span[1], "fact end")
    return drawing.markup()


def _dots(drawing: Drawing, crashes: Sequence[Crash], named: Sequence[str], width: float) -> None:
    first = min(one.time_unix_ns for one in crashes)
    length = max(one.time_unix_ns for one in crashes) - first
    for one in crashes:
        lane = named.index(one.culprit) if one.culprit in named else len(named)
        share = (one.time_unix_ns - first) / length if length else 1 / HALF
        x = EDGE + RADIUS + share * (width - HALF * (EDGE + RADIUS))
        kind = "crash contained" if one.action else "crash"
        drawing.dot((x, lane * LANE + HALF * LABEL), RADIUS, kind, one.told)
