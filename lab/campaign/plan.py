"""Which cells a run is of, which of them are done already, and how long the rest will take. Pure.

A cell is done if it was measured from the same inputs: sources, host and runner (inputs.py). One
that could not be carried out is tried again.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from lab.cells.model import Cell, Expectation
from lab.results.document import Recorded

QUICK_ARMS = ("K", "P", "W", "G")
QUICK_FAULTS = ("arity-gap", "bad-content-at-boot")
QUICK = tuple(f"{arm}/{fault}" for arm in QUICK_ARMS for fault in QUICK_FAULTS)
"""The cells of `make lab-quick`."""


class PlanError(Exception):
    """A pattern that no cell has; the message names the pattern and what there is."""


@dataclass(frozen=True, slots=True)
class Catalogue:
    """What there is: titles of arms and faults by name, and what is expected of each cell."""

    arms: Mapping[str, str]
    faults: Mapping[str, str]
    expectations: Mapping[Cell, Expectation]


@dataclass(frozen=True, slots=True)
class Plan:
    """Cells to be carried out, those that are done, and about how long the former will take."""

    wanted: tuple[Cell, ...]
    done: Mapping[Cell, Recorded]
    seconds: float

    @property
    def left(self) -> tuple[Cell, ...]:
        """Cells to be carried out, in order."""
        return tuple(cell for cell in self.wanted if cell not in self.done)


def choose(catalogue: Catalogue, patterns: Sequence[str]) -> tuple[Cell, ...]:
    """Cells that fit a pattern like K/* (all without any), fault by fault; PlanError if none."""
    cells = [Cell(arm, fault) for fault in catalogue.faults for arm in catalogue.arms]
    for pattern in patterns:
        if not any(fnmatchcase(str(cell), pattern) for cell in cells):
            raise PlanError(
                f"CELLS_UNKNOWN: --cells {pattern!r} fits no cell; arms are "
                f"{', '.join(catalogue.arms)}; faults are {', '.join(catalogue.faults)}"
            )
    fits = patterns or ("*",)
    return tuple(one for one in cells if any(fnmatchcase(str(one), fit) for fit in fits))


def plan(
    wanted: Sequence[Cell],
    found: Mapping[Cell, Recorded],
    inputs: str,
    estimate: Callable[[Cell], float],
) -> Plan:
    """What is left to do of the wanted cells, given what is kept of them."""
    done = {
        cell: found[cell]
        for cell in wanted
        if cell in found and found[cell].inputs == inputs and found[cell].result.measured
    }
    left = [cell for cell in wanted if cell not in done]
    return Plan(tuple(wanted), done, sum(map(estimate, left)))
