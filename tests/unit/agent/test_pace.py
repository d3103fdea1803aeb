"""The supervisor sleeps until something is due, and not a moment longer."""

import math
from dataclasses import dataclass, field
from typing import Any

import pytest

from agent.supervisor.limits import LIMITS
from agent.supervisor.pace import LossWatch, pause

NOW = 1000.0


@dataclass(frozen=True, slots=True)
class Due:
    """A part whose next step is due at some moment."""

    at: float

    def due(self, _now: float) -> float:
        """That moment."""
        return self.at


@dataclass(slots=True)
class Ledger:
    """Remembers how it was told to look."""

    looks: list[str] = field(default_factory=list)

    def watch(self, _collection: object) -> None:
        """At everything."""
        self.looks.append("all")

    def glance(self, _collection: object) -> None:
        """At what is cheap."""
        self.looks.append("cheap")


@pytest.mark.parametrize(
    ("moments", "seconds"),
    [
        ([NOW + 3.0, NOW + 2.0, math.inf], 2.0),
        ([NOW + 3.0, NOW], LIMITS.tick_seconds),
        ([NOW - 7.0, NOW + 0.01], LIMITS.tick_seconds),
        ([NOW + 0.01], pytest.approx(0.01)),
    ],
)
def test_the_earliest_step_decides(moments: list[float], seconds: float) -> None:
    """A silent evaluator would be ended late, or an idle host be woken for nothing."""
    assert pause(NOW, [Due(at) for at in moments]) == seconds


def test_losses_are_looked_up_when_they_are_due() -> None:
    """Losses would be reported late, or hundreds of system calls be made each second."""
    ledger: Any = Ledger()
    collection: Any = object()
    watch, now = LossWatch(ledger), NOW
    while now < NOW + LIMITS.skipped_seconds + LIMITS.losses_seconds:
        watch.reconcile(collection, now)
        assert watch.due(now) == now + LIMITS.losses_seconds
        watch.reconcile(collection, now + LIMITS.losses_seconds / 2)
        now += LIMITS.losses_seconds
    cheap = int(LIMITS.skipped_seconds / LIMITS.losses_seconds) - 1
    assert ledger.looks == ["all", *["cheap"] * cheap, "all"]
