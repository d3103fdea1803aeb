"""What the witness needs of a placement; one class each, chosen by the order."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol


@dataclass(frozen=True, slots=True)
class Detected:
    """A detection: the instance, and the path that it was about."""

    instance: str
    what: str


@dataclass(frozen=True, slots=True)
class Death:
    """A process of the placement that died: name, pid, how, and when (time.time)."""

    name: str
    pid: int
    how: str
    at: float


class PlacementError(Exception):
    """The placement can't be started; the message is "REASON_CODE: words"."""


class Host(Protocol):
    """A placement on this host."""

    def start(self) -> None:
        """Begin to protect; PlacementError where that can't be."""

    def push(self) -> None:
        """The file that is pushed arrives."""

    def settled(self) -> str:
        """What became of the pushed file, in a word or a reason code; "" while that is open."""

    def detections(self) -> Iterable[Detected]:
        """Those that have come since the last call."""

    def deaths(self) -> list[Death]:
        """All that there were in this boot."""

    def gone(self) -> str:
        """Why it will not come back by itself, in words; "" while it may."""

    def repair(self) -> list[str]:
        """What a person does on this host to have protection again; the steps, by name."""

    def facts(self) -> Mapping[str, Any]:
        """What it says of itself at the end: events_lost, events_uncounted, said."""

    def stop(self) -> None:
        """End what was started."""
