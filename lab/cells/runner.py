"""What carries cells out: direct QEMU, or Vagrant."""

from pathlib import Path
from typing import Protocol

from lab.cells.model import Cell, Environment, Measured


class RunnerError(Exception):
    """A cell can't be carried out here; the message is "REASON_CODE: words"."""


class Runner(Protocol):
    """Hosts for cells. Whatever it has started has ended when a call returns or raises."""

    name: str
    at_once: int
    """How many cells may be carried out at the same time, each in a thread of its own if many."""

    def prepare(self) -> Environment:
        """Make or find what all cells need; RunnerError where there can be no host at all."""

    def run(self, cell: Cell, folder: Path) -> Measured:
        """Carry out one cell; consoles and logs are left in the folder. RunnerError where not."""

    def stop(self) -> None:
        """Called where cells run in threads: their `run` is to end soon, with KeyboardInterrupt."""

    def estimate_seconds(self, cell: Cell) -> float:
        """About how long `run` will take."""
