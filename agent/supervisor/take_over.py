"""What one evaluator leaves to the next: events to be careful with, and events to step over."""

from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field

from agent.supervisor.rings import Collection


@dataclass(slots=True)
class TakeOver:
    """What the next worker must know about events that earlier ones died on."""

    careful: dict[int, int] = field(default_factory=dict)
    aside: dict[int, set[int]] = field(default_factory=dict)

    def careful_field(self) -> dict[str, int]:
        """As the `go` message carries it."""
        return {str(ring): until for ring, until in self.careful.items()}

    def aside_field(self) -> dict[str, list[int]]:
        """As the `go` message carries it."""
        return {str(ring): sorted(at) for ring, at in self.aside.items()}

    def aside_between(self, ring: int, start: int, end: int) -> int:
        """How many events in that stretch of a ring are set aside."""
        return sum(start <= at < end for at in self.aside.get(ring, ()))

    def prune(self, collection: Collection) -> None:
        """Forget what lies behind the positions."""
        for number, ring in collection.rings.items():
            if self.careful.get(number, 0) <= ring.position:
                self.careful.pop(number, None)
            ahead = {at for at in self.aside.get(number, ()) if at >= ring.position}
            self.aside[number] = ahead

    def keep_only(self, rings: AbstractSet[int]) -> None:
        """Forget what was said of rings that are there no more."""
        for gone in self.careful.keys() - rings:
            del self.careful[gone]
        for gone in self.aside.keys() - rings:
            del self.aside[gone]
