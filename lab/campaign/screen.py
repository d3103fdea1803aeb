"""What a run says: lines as cells begin and end, and on a terminal a bar that moves between them.

Whatever a guest said is escaped.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from content.escape import safe
from lab.campaign.plan import Plan
from lab.cells.model import Cell
from lab.cells.words import duration
from lab.results.document import Recorded

SAID_CHARACTERS = 160


class Screen:
    """A console, and the progress of one run on it."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._task = self._progress.add_task("cells", start=False, total=0)
        self._begun = 0
        self._count = 0

    def say(self, text: str) -> None:
        """One line, at once."""
        self._console.print(f"lab: {text}", markup=False, highlight=False, soft_wrap=True)
        self._console.file.flush()

    @contextmanager
    def cells(self, count: int) -> Iterator[None]:
        """While so many cells are carried out."""
        self._count = count
        self._progress.update(self._task, total=count)
        self._progress.start_task(self._task)
        with self._progress:
            yield

    def begins(self, cell: Cell, seconds: float) -> None:
        """A cell is started that will take about so long."""
        self._begun += 1
        self._progress.update(self._task, description=str(cell))
        self.say(f"{self._begun} of {self._count}: {cell}, about {duration(seconds)}")

    def ended(self, recorded: Recorded) -> None:
        """A cell has a result."""
        self._progress.advance(self._task)
        self.say(result_line(recorded))


def result_line(recorded: Recorded) -> str:
    """A result, in one line."""
    result = recorded.result
    measured = result.measured
    if measured is None:
        return f"  {result.cell}: NOT CARRIED OUT: {safe(result.failure)}"
    verdict = "as expected" if result.as_expected else f"EXPECTED {result.expected.outcome}"
    said = f': "{safe(measured.said, SAID_CHARACTERS)}"' if measured.said else ""
    return f"  {result.cell}: {measured.outcome}, {verdict}, {duration(measured.seconds)}{said}"


def plan_lines(plan: Plan) -> list[str]:
    """What will be done, before it is."""
    done = f", {len(plan.done)} of them done already (--fresh runs them again)" if plan.done else ""
    lines = [f"{len(plan.wanted)} cells{done}"]
    if plan.left:
        until = time.strftime("%H:%M", time.localtime(time.time() + plan.seconds))
        lines.append(
            f"{len(plan.left)} to be carried out: about {duration(plan.seconds)}, until {until}; "
            "Ctrl-C ends it, the next run goes on from there"
        )
    return lines
