"""What a cell of the laboratory is: an arm, a fault, what was expected and what was measured. Pure.

An arm is a placement of the interpreter; a fault is something that happens to it. A cell is one arm
under one fault, carried out on a host that is started for it and thrown away afterwards. Arms are
the modules of `lab.arms`, faults those of `lab.faults`; each has one constant, `ARM` or `FAULT`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class Outcome(StrEnum):
    """What became of a host, from the least harm to the most."""

    REFUSED = "refused"  # what was wrong never came to be evaluated; protection went on
    UNAFFECTED = "unaffected"  # it was evaluated, and nothing happened
    WRONG_ANSWER = "wrong answer"  # nothing died, and what was said of an event is not true
    CONTAINED = "contained"  # a process died; protection came back by itself
    AGENT_GONE = "agent gone"  # the agent does not come back, or dies again; the host runs
    HOST_RESTARTED = "host restarted"  # the operating system went down, and came back by itself
    HOST_LOST = "host lost"  # it does not come back until somebody repairs it


@dataclass(frozen=True, slots=True)
class Expectation:
    """What the author of a fault expects of an arm, and why, in one sentence."""

    outcome: Outcome
    why: str


@dataclass(frozen=True, slots=True)
class Cell:
    """Names of an arm ("K") and of a fault ("arity-gap")."""

    arm: str
    fault: str

    def __str__(self) -> str:
        return f"{self.arm}/{self.fault}"


@dataclass(frozen=True, slots=True)
class Measured:
    """What one cell showed. Seconds are of the clock on the wall, of a machine that may be slow.

    boots: boot ids, one for each time that the host came up, in order; without a repair's.
    panics: panics of the kernel that the console showed.
    restored_seconds: from the fault's taking effect until a canary was detected that ran after it;
    None where that never came about by itself.
    gap_seconds: the longest time without protection, from canary to canary.
    events_lost, events_uncounted: events that were not evaluated, and those of them that no ledger
    has; None where the arm keeps no account.
    manual_steps: what had to be done by hand, in order, until protection was back.
    died: processes that ended, as "name (pid)", and "kernel" for all at once.
    said: the words by which the outcome was told: a line of the console, a reason code.
    """

    outcome: Outcome
    boots: tuple[str, ...]
    panics: int
    restored_seconds: float | None
    gap_seconds: float | None
    events_lost: int | None
    events_uncounted: int | None
    manual_steps: tuple[str, ...]
    died: tuple[str, ...]
    said: str
    seconds: float

    @property
    def host_up(self) -> bool:
        """Whether the operating system ran all the time."""
        # A host that hangs neither panics nor boots again.
        return self.outcome not in (Outcome.HOST_RESTARTED, Outcome.HOST_LOST)


@dataclass(frozen=True, slots=True)
class Environment:
    """Where a cell ran: runner, accelerator, release, kernel, processors and memory of the host."""

    runner: str
    accelerator: str
    release: str
    kernel: str
    processors: int
    memory_mebibytes: int


@dataclass(frozen=True, slots=True)
class Result:
    """A cell that was carried out, or could not be: exactly one of measured and failure is there.

    failure: why there is no figure, as "REASON_CODE: words".
    files: what was kept of it, by name, as paths below the results' folder.
    """

    cell: Cell
    expected: Expectation
    environment: Environment
    started: str
    measured: Measured | None
    failure: str = ""
    files: Mapping[str, str] = field(default_factory=dict)

    @property
    def as_expected(self) -> bool | None:
        """Whether the outcome is the expected one; None where there is none."""
        return None if self.measured is None else self.measured.outcome is self.expected.outcome
