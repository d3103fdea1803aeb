"""The loss ledger: every event that was produced or due but not evaluated, by cause.

Causes come from the kernel's counters (a full ring, a full process map) and from the supervisor
itself (an event set aside, a ring given up with a backlog, reports without room). Each addition
becomes a loss report; totals are part of the status. Uncounted loss is the one thing that never
happens.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from agent.supervisor.rings import Collection

Report = Callable[[Mapping[str, Any]], bool]

# Counters that speak of a field, of lineage or of one instance: the event was still evaluated.
NOT_EVENTS = frozenset(
    {
        "LINEAGE_FULL",
        "SEED_FULL",
        "READ_FAULT",
        "FAMILY_UNKNOWN",
        "PROBE_SKIPPED",
        "INSTANCE_SKIPPED",
    }
)


@dataclass(slots=True)
class Ledger:
    """Totals per cause and Template Type (0 where none applies).

    report: hands a loss report over; False where it found no room, and the loss is kept to be
    reported later.
    """

    run: str
    report: Report
    totals: dict[tuple[str, int], int] = field(default_factory=dict)
    _pending: dict[tuple[str, int], list[int]] = field(default_factory=dict)
    _seen: dict[tuple[str, int], int] = field(default_factory=dict)
    _count: int = 0
    _last_look: int = field(default_factory=time.time_ns)

    def add(self, cause: str, template_type: int, count: int, since: int | None = None) -> None:
        """Count a loss that happened between `since` (Unix ns, default now) and now."""
        if count <= 0:
            return
        key, now = (cause, template_type), time.time_ns()
        self.totals[key] = self.totals.get(key, 0) + count
        waiting = self._pending.setdefault(key, [now if since is None else since, 0])
        waiting[1] += count
        self._flush(now)

    def watch(self, collection: Collection) -> None:
        """Take over what the kernel has counted since the last look."""
        since, self._last_look = self._last_look, time.time_ns()
        for counter, count in collection.lost():
            key = (counter.cause, counter.template_type)
            new = count - self._seen.get(key, 0)
            self._seen[key] = count
            self.add(counter.cause, counter.template_type, new, since)
        self.report_pending()

    def report_pending(self) -> None:
        """Report losses that found no room so far."""
        if self._pending:
            self._flush(time.time_ns())

    def collection_ended(self) -> None:
        """The counters are gone with their map; a new collection counts from zero."""
        self._seen.clear()

    @property
    def events(self) -> int:
        """All events lost so far."""
        return sum(n for (cause, _), n in self.totals.items() if cause not in NOT_EVENTS)

    def documents(self) -> list[dict[str, Any]]:
        """The totals, for the status."""
        return [
            {"cause": cause, "template_type": number, "count": count}
            for (cause, number), count in sorted(self.totals.items())
        ]

    def _flush(self, now: int) -> None:
        for (cause, number), (since, count) in list(self._pending.items()):
            facts = {
                "id": f"{self.run}-loss-{self._count + 1}",
                "from_unix_ns": since,
                "to_unix_ns": now,
                "cause": cause,
                "template_type": number,
                "count": count,
            }
            if self.report(facts):
                self._count += 1
                del self._pending[(cause, number)]
