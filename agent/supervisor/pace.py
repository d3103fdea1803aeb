"""When the supervisor has to do something although nobody has said anything.

Whatever a role says, and its end, wakes the supervisor. What is left is time: a silence that lasts
too long, a restart that is due, losses to be looked up. Each part says when its next step is due;
while a step is under way, which a full queue or the system can hold up, it is tried at short
intervals.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from agent.supervisor.ledger import Ledger
from agent.supervisor.limits import LIMITS
from agent.supervisor.rings import Collection


class Part(Protocol):
    """Something that takes steps of its own."""

    def due(self, now: float) -> float:
        """When its next step is due if nobody says anything; `now` while one is under way."""


def pause(now: float, parts: Iterable[Part]) -> float:
    """Seconds to sleep, at most."""
    due = min(part.due(now) for part in parts)
    return due - now if due > now else LIMITS.tick_seconds


@dataclass(slots=True)
class LossWatch:
    """Has the ledger look at the counters: often at the cheap ones, rarely at the others."""

    ledger: Ledger
    _glanced: float = -math.inf
    _looked: float = -math.inf

    def due(self, _now: float) -> float:
        """Counters don't announce themselves."""
        return self._glanced + LIMITS.losses_seconds

    def reconcile(self, collection: Collection, now: float) -> None:
        """Look where it is due."""
        if now - self._looked >= LIMITS.skipped_seconds:
            self._looked = self._glanced = now
            self.ledger.watch(collection)
        elif now - self._glanced >= LIMITS.losses_seconds:
            self._glanced = now
            self.ledger.glance(collection)
