"""Processes that ran already when collection of their starts began: one event for each.

Probes are attached first, then /proc is read: so whatever runs was either executed under the eyes
of the probes, or is found here. Of a process that the ring has an exec of, the exec is enough. A
process is read twice, until both looks agree, so that no event is made of two programs. It is
known by pid and start time; passes are repeated until one finds nobody new, because a process may
be forked by one that ends before its turn. So at most one event of each process is written, and
none is left out that lives from the attachment to its turn.

Kernel threads, and processes that have ended and wait for their parents, run no program: they are
counted, and there is nothing to judge. Nothing is remembered of a process but its pid and start
time.
"""

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from content.definitions import Rung
from probes.actor import actor_fields, program_fields
from probes.errors import RingOverrunError
from probes.limits import LIMITS
from probes.processes import PROC, Process, read_process, read_start_time
from probes.record_writer import Value
from probes.ring import Ring
from probes.surroundings import read_surroundings

Put = Callable[[Mapping[str, Value]], bool]
"""Writes an event; False if the ring has no room for it now."""


@dataclass(slots=True)
class Counts:
    """Processes by what became of them.

    written: an event was made of them. executed: the probes have seen them executing what they run.
    without_program: nothing to judge. left: not looked at in time.
    """

    written: int = 0
    executed: int = 0
    without_program: int = 0
    left: int = 0

    @property
    def found(self) -> int:
        """All that run a program."""
        return self.written + self.executed + self.left


class AlreadyRunning:
    """A look at all processes, in portions.

    ring: of Template Type process, read-only; put: writes to it. Both belong to the caller.
    position: from where on events of the ring are judged.
    """

    def __init__(
        self, ring: Ring, rung: Rung, put: Put, position: int = 0, proc: Path = PROC
    ) -> None:
        self.counts = Counts()
        self._put = put
        self._proc = proc
        self._executed = Executed(ring, rung, position)
        fields = {field.name: field for field in ring.template_type.fields}
        self._observed = fields["observed"].values["already_running"]
        self._prevention = fields["prevention"].values["none"]
        self._passes = 0
        self._waiting: deque[int] = deque()
        self._known: set[tuple[int, int]] = set()

    def step(self, most: int) -> bool:
        """Look at some processes, as long as the ring has room; True once there are no more."""
        for _ in range(most):
            if not self._waiting and not self._list():
                return True
            if not self._take(self._waiting[0]):
                return False
            self._waiting.popleft()
        return False

    def give_up(self) -> None:
        """Count who was not looked at."""
        if not self._waiting:
            self._list()
        for pid in self._waiting:
            process = read_process(pid, self._proc)
            self.counts.left += process is not None and not process.runs_nothing
        self._waiting.clear()
        self._passes = LIMITS.seed_passes

    def _list(self) -> bool:
        """Whether there is somebody new."""
        if self._passes >= LIMITS.seed_passes:
            return False
        self._passes += 1
        self._waiting.extend(self._new())
        return bool(self._waiting)

    def _new(self) -> Iterator[int]:
        for folder in self._proc.iterdir():
            if folder.name.isdecimal():
                pid = int(folder.name)
                started = read_start_time(pid, self._proc)
                if started is not None and (pid, started) not in self._known:
                    yield pid

    def _take(self, pid: int) -> bool:
        """Whether this one is done with."""
        process = self._steady(pid)
        if process is None:
            return True
        if process.runs_nothing:
            self.counts.without_program += 1
        elif self._executed.has(pid, process.start_time):
            self.counts.executed += 1
        elif self._put(self._fields(process)):
            self.counts.written += 1
        else:
            return False
        self._known.add((pid, process.start_time))
        return True

    def _steady(self, pid: int) -> Process | None:
        """A process of which two looks agree; the last look at one that is never the same."""
        process = read_process(pid, self._proc)
        for _ in range(LIMITS.seed_looks):
            again = read_process(pid, self._proc)
            if again is None or again == process:
                return again
            process = again
        return process

    def _fields(self, process: Process) -> dict[str, Value]:
        surroundings = read_surroundings(process.pid, self._proc)
        return {
            **actor_fields(process, read_process(process.parent_pid, self._proc)),
            **program_fields(process, surroundings, self._observed),
            "thread_id": process.pid,
            "prevention": self._prevention,
        }


class Executed:
    """Who has executed a program from a position of the ring on, read from the ring itself.

    Where it turns faster than it is read, some are missed: they have two events then. Where a rung
    does not supply start times, a pid alone is compared.
    """

    def __init__(self, ring: Ring, rung: Rung, position: int) -> None:
        fields = {field.name: field for field in ring.template_type.fields}
        self._exec = fields["observed"].values["exec"]
        self._with_start_time = rung in fields["start_time"].rungs
        self._ring = ring
        self._position = position
        self._seen: set[tuple[int, int]] = set()

    def has(self, pid: int, start_time: int) -> bool:
        """Whether this process has, until now."""
        self._follow()
        return (pid, start_time if self._with_start_time else 0) in self._seen

    def _follow(self) -> None:
        while self._position < self._ring.producer_position:
            try:
                records = self._ring.read(self._position, LIMITS.seed_records)
            except RingOverrunError:
                self._position = self._ring.consumer_position
                continue
            if not len(records):
                return  # the next one is still being written
            executed = records[records["observed"] == self._exec]
            pids = executed["pid"].tolist()
            starts = executed["start_time"].tolist() if self._with_start_time else [0] * len(pids)
            if len(self._seen) < LIMITS.seed_executed:
                self._seen.update(zip(pids, starts, strict=True))
            self._position += len(records) * self._ring.stride
