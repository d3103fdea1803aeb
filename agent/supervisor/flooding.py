"""Which processes were refused room in a ring: from the places behind the loss counters to names.

A place counts anew when it passes to another process; else what it has counted since the last look
is new. Counters are read before places; a name that comes too early by that waits
for the count that it belongs to, so a record never names more than it counts.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from agent.supervisor.limits import LIMITS
from content.flooders import Flooder, Place


@dataclass(slots=True)
class Flooding:
    """What was seen of each place, and who was refused and has not been told of yet."""

    _seen: dict[int, Place] = field(default_factory=dict)
    _waiting: dict[int, Counter[Flooder]] = field(default_factory=dict)

    def look(self, places: Iterable[tuple[int, Place]]) -> None:
        """Take over what the places, each with its Template Type, have counted since."""
        for index, (template_type, place) in enumerate(places):
            before, self._seen[index] = self._seen.get(index, place._replace(refused=0)), place
            same = before.process == place.process and before.refused <= place.refused
            new = place.refused - before.refused if same else place.refused
            if new > 0:
                flooder = place.flooder(template_type)
                waiting = self._waiting.setdefault(template_type, Counter())
                if flooder in waiting or len(waiting) < LIMITS.waiting_processes:
                    waiting[flooder] += new

    def take(self, template_type: int, count: int) -> Counter[Flooder]:
        """Whose events are among so many refused ones; those that were refused most come first."""
        waiting = self._waiting.get(template_type, Counter())
        taken: Counter[Flooder] = Counter()
        for flooder, refused in waiting.most_common():
            taken[flooder] = min(refused, count)
            count -= taken[flooder]
        self._waiting[template_type] = waiting - taken
        return +taken

    def forget(self) -> None:
        """The places are gone; a new collection counts from zero."""
        self._seen.clear()
        self._waiting.clear()


def most_refused(named: Counter[Flooder]) -> Counter[Flooder]:
    """No more than can be told of in one record."""
    return Counter(dict(named.most_common(LIMITS.named_processes)))


def documents(named: Mapping[Flooder, int]) -> list[dict[str, Any]]:
    """The processes as a loss record names them, those refused most first."""
    ordered = sorted(named.items(), key=lambda pair: (-pair[1], pair[0]))
    return [
        {"pid": one.pid, "start_time": one.start_time, "refused": refused}
        for one, refused in ordered
    ]


def words(named: Iterable[Mapping[str, Any]]) -> str:
    """The same as the log has them."""
    return ", ".join(
        f"pid {one['pid']} (started {one['start_time']}) {one['refused']}" for one in named
    )
