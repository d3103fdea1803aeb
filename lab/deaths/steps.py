"""Death at a named step of the evaluator's cycle, before it or right after it.

The steps are the product's own functions, wrapped in the process that is to die; the product has no
hook and no switch for it. Between reading a batch and committing its position:

    read → note → evaluate → pack → undecided → held → frame → commit → fault, progress

`held` is a frame that accounts for no event yet, because more of the same event, or of the same
batch, follows. `go` and `drained` are the two ends of a worker's time: hand-over.
"""

import ctypes
import mmap
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, NoReturn

from agent.attribution import Attribution
from agent.evaluator import loop
from content.interpreter import Interpreter
from probes.ring import Ring


class Moment(StrEnum):
    """Which side of a step."""

    BEFORE = "before"
    AFTER = "after"


@dataclass(frozen=True, slots=True)
class Step:
    """Where to die: a step, which side of it, and at which time that it is taken."""

    name: str
    moment: Moment
    time: int = 1

    def __str__(self) -> str:
        return f"{self.moment} {self.name} {self.time}"


MESSAGES = ("undecided", "held", "frame", "fault", "progress", "drained")
"""Steps that are messages to the supervisor."""

_CALLS: Mapping[str, tuple[Any, str]] = {
    "go": (loop.EventLoop, "_take_over"),
    "read": (Ring, "read"),
    "note": (Attribution, "batch"),
    "evaluate": (Interpreter, "evaluate"),
    "pack": (loop, "frames"),
    "commit": (Ring, "commit"),
}
STEPS: Sequence[str] = (*_CALLS, *MESSAGES)


class Ending(StrEnum):
    """How a process ends at its step."""

    KILLED = "killed"
    """It says so in `Doom` and waits; somebody else kills it. Its sandbox has no call for that."""
    CRASH = "crash"
    """A write to address 0 in C."""


class Doom:
    """One byte that is shared with whoever is to kill this process."""

    def __init__(self) -> None:
        self._shared = mmap.mmap(-1, mmap.PAGESIZE)

    @property
    def reached(self) -> bool:
        """Whether the step was reached."""
        return self._shared[0] == 1

    def reach(self, ending: Ending) -> NoReturn:
        """This is the step."""
        self._shared[0] = 1
        if ending is Ending.CRASH:
            ctypes.memset(0, 0, 1)
        while True:
            time.sleep(1.0)


def die_at(step: Step, ending: Ending, doom: Doom) -> None:
    """Let this process die at a step. For good: only for a process of its own."""
    if step.name in _CALLS:
        owner, attribute = _CALLS[step.name]
        _wrap(owner, attribute, step, lambda: doom.reach(ending), lambda *_: True)
    elif step.name in MESSAGES:

        def fits(_: object, kind: str, **said: Any) -> bool:
            return step.name == _named(kind, said)

        _wrap(loop, "send", step, lambda: doom.reach(ending), fits)
    else:
        raise ValueError(f"{step.name} is none of {', '.join(STEPS)}")


def _named(kind: str, said: Mapping[str, Any]) -> str:
    return "held" if kind == "frame" and said["payload"] and not said["evaluated"] else kind


def _wrap(
    owner: Any, attribute: str, step: Step, die: Callable[[], None], fits: Callable[..., bool]
) -> None:
    real = getattr(owner, attribute)
    taken = 0

    def deadly(*arguments: Any, **named: Any) -> Any:
        nonlocal taken
        here = fits(*arguments, **named)
        taken += here
        here = here and taken == step.time
        if here and step.moment is Moment.BEFORE:
            die()
        result = real(*arguments, **named)
        if here and step.moment is Moment.AFTER:
            die()
        return result

    setattr(owner, attribute, deadly)
