"""Which processes are the sensor's own: each by its pid and its start time, and by nothing else.

A name, a path or a command line can be had by anybody. A pid together with a start time belongs to
one process; our children's are read by us, their parent, before they are reaped. Those that have
ended stay known, because events about them are evaluated later. Where a rung does not supply start
times, nothing is recognised.
"""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import islice

from agent.supervisor.limits import LIMITS
from agent.supervisor.verdicts import start_time_ns

Identity = tuple[int, int]


def _bounded() -> deque[Identity]:
    return deque(maxlen=LIMITS.own_processes)


@dataclass(slots=True)
class OwnProcesses:
    """Pid and start time (nanoseconds since boot, whole clock ticks), oldest first.

    count: how many there have been, those included that are forgotten by now.
    """

    known: deque[Identity] = field(default_factory=_bounded)
    count: int = 0

    def add(self, pid: int) -> None:
        """A process of ours, which is there: it is a child that was not reaped, or we ourselves."""
        started = start_time_ns(pid)
        if started is not None:
            self.known.append((pid, started))
            self.count += 1

    def since(self, count: int) -> Iterable[Identity]:
        """Those that came after the first `count`."""
        return islice(self.known, max(0, len(self.known) - (self.count - count)), None)
