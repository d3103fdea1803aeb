"""What happened in a cell, boot by boot, as its runner saw it; and what to do next. Pure.

Each line that a host's witness said has the time at which it reached the runner, so that times go
across boots. A host that does not come back is repaired under one of two rules: it panicked at the
same point in three boots in a row (or ended otherwise before its witness did), or nothing was heard
of it for five minutes.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

SAME_ENDS = 3
SILENCE_SECONDS = 300.0
"""Of the clock on the wall, however slow the host is: a person would not wait longer either."""

MOST_BOOTS = 12
PANIC = re.compile(r"Kernel panic - not syncing: [^\r\n]*")
_INSTRUCTION = re.compile(r"RIP: 0010:(\S+)")

SWITCH_OFF = "switch the host off"
RESCUE = (
    "start the host from another medium",
    "mount its disk",
    "delete the file",
    "start the host again",
)
"""The steps of a rescue, by hand; the laboratory's runners carry them out by script."""


class End(StrEnum):
    """How a boot ended."""

    DONE = "done"  # the witness came to its end
    PANICKED = "panicked"
    SILENT = "silent"  # nothing was heard for too long; it was switched off
    CUT = "cut"  # its power was cut on purpose
    ENDED = "ended"  # it ended otherwise


class Next(StrEnum):
    """What to do after a boot."""

    FINISH = "finish"
    START_AGAIN = "start again"  # as firmware does after a panic
    RESCUE = "rescue"
    GIVE_UP = "give up"


@dataclass(frozen=True, slots=True)
class Line:
    """What was said, and when it was heard (monotonic seconds of the runner)."""

    at: float
    said: Mapping[str, Any]

    @property
    def what(self) -> str:
        """Its kind."""
        return str(self.said.get("what"))


@dataclass(frozen=True, slots=True)
class Boot:
    """One boot. point: where it panicked, as the console says. rescued: a rescue came before it."""

    lines: Sequence[Line]
    began: float
    ended: float
    end: End
    point: str = ""
    panic: str = ""
    rescued: bool = False

    @property
    def boot_id(self) -> str:
        """The kernel's id of this boot; "" where the witness was never started."""
        return next((str(one.said.get("id")) for one in self.lines if one.what == "boot"), "")

    @property
    def failure(self) -> str:
        """Why the witness could not do its work; "" where it could."""
        return next((str(one.said.get("why")) for one in self.lines if one.what == "failed"), "")


def after(boots: Sequence[Boot]) -> Next:
    """What to do after the last of these boots."""
    last = boots[-1]
    if last.end is End.DONE:
        return Next.FINISH
    if last.failure:
        return Next.GIVE_UP
    # One that never came as far as its witness is no host that a fault has taken.
    if len(boots) >= MOST_BOOTS or not any(one.boot_id for one in boots):
        return Next.GIVE_UP
    rescued = any(one.rescued for one in boots)
    if last.end is End.SILENT or same_ends(boots):
        return Next.GIVE_UP if rescued else Next.RESCUE
    return Next.START_AGAIN


def same_ends(boots: Sequence[Boot]) -> bool:
    """Whether the last boots ended badly in a row, all at one point."""
    latest = boots[-SAME_ENDS:]
    return (
        len(latest) == SAME_ENDS
        and all(one.end in (End.PANICKED, End.ENDED) for one in latest)
        and len({(one.end, one.point) for one in latest}) == 1
    )


def panic_of(console: str) -> tuple[str, str]:
    """Where and how a kernel panicked, by its console: instruction and words, "" if it did not."""
    panic = PANIC.search(console)
    instruction = _INSTRUCTION.search(console)
    if panic is None:
        return "", ""
    return instruction[1] if instruction else panic[0], panic[0]


def repair_steps(boots: Sequence[Boot]) -> tuple[str, ...]:
    """All that had to be done by hand, in order: on the host, and from outside."""
    steps: list[str] = []
    for number, boot in enumerate(boots, 1):
        steps += [str(one.said["step"]) for one in boot.lines if one.what == "repair"]
        if boot.end is End.SILENT:
            steps.append(SWITCH_OFF)
        if number < len(boots) and after(boots[:number]) is Next.RESCUE:
            steps += RESCUE
    return tuple(steps)
