"""A runner that carries cells out without hosts: outcomes, failures and waits as told."""

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event

from lab.__main__ import main
from lab.campaign.laboratory import Laboratory
from lab.cells.model import Cell, Environment, Measured
from lab.cells.runner import RunnerError
from tests.unit.lab.recorded_cells import BY_ARM, CATALOGUE, HOST

CONSOLE = "console.log"


@dataclass
class PlayedRunner:
    """Measures what was recorded for the arm.

    failing: the words with which cells can't be carried out. impossible: why there can be no host.
    measured: instead of what was recorded. waits: cells that take so many seconds.
    """

    failing: Mapping[Cell, str] = field(default_factory=dict)
    impossible: str = ""
    measured: Mapping[Cell, Measured] = field(default_factory=dict)
    waits: Mapping[Cell, float] = field(default_factory=dict)
    began: Callable[[Cell], None] = lambda _: None
    ran: list[str] = field(default_factory=list)
    name: str = "direct"
    at_once: int = 1
    stopping: Event = field(default_factory=Event)

    def prepare(self) -> Environment:
        """There is a host, or none."""
        if self.impossible:
            raise RunnerError(self.impossible)
        return HOST

    def run(self, cell: Cell, folder: Path) -> Measured:
        """Leave a console, and measure."""
        self.ran.append(str(cell))
        (folder / CONSOLE).write_bytes(f"{cell} <b>\x1b[31m\n".encode())
        self.began(cell)
        if self.stopping.wait(self.waits.get(cell, 0)):
            raise KeyboardInterrupt
        if cell in self.failing:
            raise RunnerError(self.failing[cell])
        return self.measured.get(cell, BY_ARM[cell.arm])

    def stop(self) -> None:
        """Whoever waits is woken."""
        self.stopping.set()

    def estimate_seconds(self, cell: Cell) -> float:
        """As long as it waits, and a second."""
        return 1 + self.waits.get(cell, 0)


def laboratory(folder: Path, runner: PlayedRunner) -> Laboratory:
    """The laboratory with this runner alone."""
    return Laboratory(folder, CATALOGUE, {"direct": lambda: runner})


def _waiting() -> int:
    """As a process: the second cell says that it has begun, and waits."""
    second = Cell("P", "arity-gap")
    runner = PlayedRunner(waits={second: 600}, began=lambda cell: _say(cell, second))
    return main(laboratory(Path(sys.argv[1]), runner), ["--cells", "[KP]/arity-gap"])


def _say(cell: Cell, second: Cell) -> None:
    if cell == second:
        sys.stdout.write("WAITING\n")
        sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(_waiting())
