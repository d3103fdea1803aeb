"""A rollout's life as a picture: its stages in a row, or in a column where a screen is narrow.

Each stage has its share of the fleet, what became of it, and a bar for its bake time; below are the
gates of the stage that it is in, or was halted in. The page has all of it as a table, too.
"""

from datetime import UTC, datetime

from markupsafe import Markup

from cloud.console.drawing import Drawing
from cloud.console.life import Life, Stage, Standing
from cloud.rollout.gates import Outcome
from cloud.rollout.table import STAGES, State

NANOSECONDS = 1_000_000_000
MINUTE = 60
GAP = 14.0
CELL = (200.0, 132.0)
INSET = 12.0
LINE = 20.0
NARROW = 336.0
GATES_DRAWN = 16
GATE_COLUMNS = 2
MARKS = {Outcome.PASSED: "✓", Outcome.OPEN: "…", Outcome.FAILED: "✗"}
WORDS = {
    Standing.PASSED: "passed",
    Standing.WAIVED: "taken as passed",
    Standing.HERE: "is here",
    Standing.STOPPED: "halted here",
    Standing.LEFT: "superseded here",
    Standing.AHEAD: "ahead",
}


def picture(life: Life, title: str, *, narrow: bool) -> Markup:
    """The drawing for a wide or a narrow screen."""
    cells = len(life.stages) + 1
    columns = 1 if narrow else cells
    width = NARROW if narrow else columns * CELL[0] + (columns - 1) * GAP
    top = -(-cells // columns) * (CELL[1] + GAP)
    gates = list(life.gates[:GATES_DRAWN])
    gate_columns = 1 if narrow else GATE_COLUMNS
    rows = -(-len(gates) // gate_columns) + (1 if gates else 0)
    drawing = Drawing(
        (width, top + rows * LINE + (INSET if rows else 0)),
        title,
        _told(life),
        "narrow" if narrow else "wide",
    )
    cell = (width if narrow else CELL[0], CELL[1])
    places = [_place(index, columns, cell) for index in range(cells)]
    for index in range(1, cells):
        _arrow(drawing, places[index - 1], places[index], cell, narrow=narrow)
    for place, stage in zip(places, life.stages, strict=False):
        _stage(drawing, place, cell, stage, life)
    _end(drawing, places[-1], cell, life)
    if gates:
        _gates(drawing, life, top, (width, gate_columns))
    return drawing.markup()


def _place(index: int, columns: int, cell: tuple[float, float]) -> tuple[float, float]:
    row, column = divmod(index, columns)
    return column * (cell[0] + GAP), row * (cell[1] + GAP)


def _arrow(
    drawing: Drawing,
    begin: tuple[float, float],
    end: tuple[float, float],
    cell: tuple[float, float],
    *,
    narrow: bool,
) -> None:
    if narrow:
        middle = begin[0] + cell[0] / 2
        drawing.line((middle, begin[1] + cell[1]), (middle, end[1]), "way")
    else:
        middle = begin[1] + cell[1] / 2
        drawing.line((begin[0] + cell[0], middle), (end[0], middle), "way")


def _stage(
    drawing: Drawing,
    place: tuple[float, float],
    cell: tuple[float, float],
    stage: Stage,
    life: Life,
) -> None:
    x, y = place[0] + INSET, place[1]
    room = cell[0] - 2 * INSET
    word = _word(stage, life)
    drawing.box(place, cell, f"stage {stage.standing}")
    drawing.text((x, y + 1.2 * LINE), stage.state.replace("_", " "), "name", room)
    drawing.text((x, y + 2.2 * LINE), f"{stage.plan.share:.1%} of hosts", "fact", room)
    drawing.text((x, y + 3.2 * LINE), word, f"word {stage.standing}", room)
    when = stage.left or stage.entered
    if when:
        drawing.text((x, y + 4.2 * LINE), _moment(when), "fact", room)
    _bake(drawing, (x, y + 5 * LINE), room, stage)


def _word(stage: Stage, life: Life) -> str:
    if stage.standing is Standing.HERE and life.paused:
        return "paused here"
    if stage.standing is Standing.AHEAD and life.state not in STAGES:
        return "never reached"
    return WORDS[stage.standing]


def _bake(drawing: Drawing, place: tuple[float, float], room: float, stage: Stage) -> None:
    needed = stage.plan.bake_seconds
    done = stage.standing in (Standing.PASSED, Standing.WAIVED)
    share = 1.0 if done or not needed else min(1.0, stage.baked / needed)
    if stage.standing is Standing.AHEAD:
        share = 0.0
    drawing.box(place, (room, 4), "bar")
    if share:
        drawing.box(place, (room * share, 4), f"baked {stage.standing}")
    baked = "" if done or not stage.baked else f"{_duration(stage.baked)} of "
    drawing.text((place[0], place[1] + LINE), f"bakes {baked}{_duration(needed)}", "fact", room)


def _end(
    drawing: Drawing, place: tuple[float, float], cell: tuple[float, float], life: Life
) -> None:
    x, y = place[0] + INSET, place[1]
    room = cell[0] - 2 * INSET
    over = life.state not in STAGES
    state = life.state if over else State.COMPLETE
    kind = {State.HALTED: "stopped", State.SUPERSEDED: "left"}.get(state, "passed")
    drawing.box(place, cell, f"stage {kind if over else 'ahead'}")
    drawing.text((x, y + 1.2 * LINE), state, "name", room)
    if not over:
        drawing.text((x, y + 2.2 * LINE), "all hosts", "fact", room)
        drawing.text((x, y + 3.2 * LINE), "ahead", "word ahead", room)
    elif life.last is not None:
        drawing.text((x, y + 2.2 * LINE), _moment(life.last.time_unix_ns), "fact", room)
        drawing.text((x, y + 3.2 * LINE), f"by {life.last.by}", "fact", room)
        if state is State.HALTED:
            drawing.text((x, y + 4.2 * LINE), "taken back", f"word {kind}", room)


def _gates(drawing: Drawing, life: Life, top: float, layout: tuple[float, int]) -> None:
    width, columns = layout
    room = width / columns
    more = len(life.gates) - GATES_DRAWN
    head = f"gates of {life.where.replace('_', ' ')}" + (f", {more} more below" if more > 0 else "")
    drawing.text((0, top + LINE), head, "name", width)
    for index, gate in enumerate(life.gates[:GATES_DRAWN]):
        row, column = divmod(index, columns)
        x, y = column * room, top + (row + 2) * LINE
        drawing.text((x, y), MARKS[gate.outcome], f"mark {gate.outcome}")
        drawing.text((x + LINE, y), f"{gate.gate}: {gate.found}", "fact", room - 1.5 * LINE)


def _told(life: Life) -> str:
    stages = "; ".join(f"{one.state}: {_word(one, life)}" for one in life.stages)
    return f"{life.state}{', paused' if life.paused else ''}. {stages}"


def _moment(unix_ns: int) -> str:
    try:
        return datetime.fromtimestamp(unix_ns // NANOSECONDS, UTC).strftime("%d %b %H:%M:%S")
    except (OverflowError, OSError, ValueError):
        return "?"


def _duration(seconds: float) -> str:
    if seconds < MINUTE:
        return f"{seconds:.0f} s"
    return f"{seconds / MINUTE:.0f} min"
