"""The loss ledger: whatever was not seen, not evaluated, or evaluated late, by cause.

Causes come from the counters of the probes (a full ring, a full process map), from the collector (a
late look), and from the supervisor itself (an event set aside, an evaluator that was down, reports
without room); content/loss_causes.py lists them. Each addition becomes a loss report; totals and
the last records are part of the status. Uncounted loss is the one thing that never happens.

Times are taken on the clock that runs since boot, which nobody sets, and become Unix time when they
are told, both ends by the same difference: a span never ends before it began, and is as long as it
was.
"""

import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from agent.supervisor.flooding import Flooding, documents, most_refused
from agent.supervisor.limits import LIMITS
from agent.supervisor.rings import Collection
from agent.supervisor.rings import Counter as ProbeCounter
from content.flooders import Flooder
from content.loss_causes import LossCause, Missing, counts_as_lost, missing

Report = Callable[[Mapping[str, Any]], bool]
Key = tuple[str, int]

SECOND = 1_000_000_000

SMALL = {cause for cause in LossCause if cause.missing in (Missing.FIELD, Missing.MATCH)}
"""What may be missing in a good part of all events: reported together, after a while."""


def boot_ns() -> int:
    """Nanoseconds since boot, sleep included."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)


@dataclass(slots=True)
class Span:
    """From when to when (nanoseconds since boot), how many, and of which processes, if known."""

    since: int
    until: int
    count: int = 0
    named: Counter[Flooder] = field(default_factory=Counter)

    def add(self, other: "Span") -> None:
        """Take another one in."""
        self.since = min(self.since, other.since)
        self.until = max(self.until, other.until)
        self.count += other.count
        self.named = most_refused(self.named + other.named)


@dataclass(slots=True)
class Ledger:
    """Totals per cause and Template Type (0 where none applies).

    report: hands a loss report over; False where it found no room, and the loss is kept to be
    reported later. clock: nanoseconds since boot. wall: Unix time in nanoseconds, which may jump.
    """

    run: str
    report: Report
    clock: Callable[[], int] = boot_ns
    wall: Callable[[], int] = time.time_ns
    spans: dict[Key, Span] = field(default_factory=dict)
    records: deque[Mapping[str, Any]] = field(
        default_factory=lambda: deque(maxlen=LIMITS.loss_records)
    )
    _pending: dict[Key, Span] = field(default_factory=dict)
    _seen: dict[Key, int] = field(default_factory=dict)
    _flooding: Flooding = field(default_factory=Flooding)
    _count: int = 0
    _last_look: int = field(init=False)
    _last_glance: int = field(init=False)

    def __post_init__(self) -> None:
        self._last_look = self._last_glance = self.clock()

    def add(
        self,
        cause: str,
        template_type: int,
        count: int,
        since: int | None = None,
        until: int | None = None,
    ) -> None:
        """Count a loss that happened between `since` and `until` (since boot, default now)."""
        if count > 0:
            self.record(cause, template_type, count, since, until)

    def record(
        self,
        cause: str,
        template_type: int,
        count: int,
        since: int | None = None,
        until: int | None = None,
    ) -> None:
        """The same for a stretch of time that is worth telling even if it cost nothing (0)."""
        now = self.clock()
        end = now if until is None else min(until, now)
        span = Span(end if since is None else min(max(0, since), end), end, count)
        if cause == LossCause.FLOOD:
            span.named = self._flooding.take(template_type, count)
        for spans in (self.spans, self._pending):
            found = spans.setdefault((cause, template_type), Span(span.since, span.until))
            found.add(span)
        self._flush(now)

    def watch(self, collection: Collection) -> None:
        """Take over all that was lost since the last look: exact, and not for every turn."""
        since, self._last_look = self._last_look, self.clock()
        self._take_over(collection.skipped(), since)
        self.glance(collection)

    def glance(self, collection: Collection) -> None:
        """Take over what costs next to nothing to read: all but what the kernel has skipped."""
        since, self._last_glance = self._last_glance, self.clock()
        counted = list(collection.counted())
        self._flooding.look(collection.refused())
        self._take_over(counted, since)
        self.report_pending()

    def _take_over(self, counts: Iterable[tuple[ProbeCounter, int]], since: int) -> None:
        for counter, count in counts:
            key = (counter.cause, counter.template_type)
            new = count - self._seen.get(key, 0)
            self._seen[key] = count
            self.add(counter.cause, counter.template_type, new, since)

    def report_pending(self, *, all_of_it: bool = False) -> None:
        """Report losses that found no room so far, or are due by now."""
        if self._pending:
            self._flush(self.clock(), all_of_it=all_of_it)

    def collection_ended(self) -> None:
        """The counters are gone with their map; a new collection counts from zero."""
        self._seen.clear()
        self._flooding.forget()

    @property
    def totals(self) -> dict[Key, int]:
        """How many of each so far."""
        return {key: span.count for key, span in self.spans.items()}

    @property
    def events(self) -> int:
        """All events lost so far."""
        return sum(span.count for (cause, _), span in self.spans.items() if counts_as_lost(cause))

    def documents(self) -> list[dict[str, Any]]:
        """The totals, for the status."""
        return [
            {**self._facts(key, span), "missing": missing(key[0])}
            for key, span in sorted(self.spans.items())
        ]

    def _flush(self, now: int, *, all_of_it: bool = False) -> None:
        for key, span in list(self._pending.items()):
            waits = key[0] in SMALL and now - span.since < LIMITS.small_losses_seconds * SECOND
            if waits and not all_of_it:
                continue
            facts = {"id": f"{self.run}-loss-{self._count + 1}", **self._facts(key, span)}
            if self.report(facts):
                self._count += 1
                self.records.append(facts)
                del self._pending[key]

    def _facts(self, key: Key, span: Span) -> dict[str, Any]:
        booted = self.wall() - self.clock()
        named = {"processes": documents(span.named)} if key[0] == LossCause.FLOOD else {}
        return {
            "from_unix_ns": booted + span.since,
            "to_unix_ns": booted + span.until,
            "cause": str(key[0]),
            "template_type": key[1],
            "count": span.count,
            **named,
        }
