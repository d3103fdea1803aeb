"""Record real events: a collector of its own in the foreground, its rings read by us alone.

    1. start the collector, as the supervisor would, and take the rings that it hands over
    2. copy records, cleaned of what was not supplied, and give their space back to the rings
    3. stop when the time is over, the limit is reached, somebody asks, or the collector is gone
    4. end the collector, detach everything, and say what was lost meanwhile

No supervisor and no evaluator run; a sensor that runs beside it has probes of its own.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Self

import numpy as np

from agent.channel import ProtocolViolationError
from agent.supervisor.child import Child, start
from agent.supervisor.hand_over import from_message
from agent.supervisor.limits import LIMITS as SUPERVISOR_LIMITS
from agent.supervisor.rings import Collection
from agent.supervisor.roles import SHIPPED, Role
from content.loss_causes import LossCause
from content.record import Records, dtype
from content.recorded_events import LIMITS as FILE_LIMITS
from content.recorded_events import Loss, Recording, clean
from content.template_type import Rung, TemplateType
from probes.errors import ProbeError
from probes.program import BPF_RUNGS
from probes.ring import Ring


@dataclass(frozen=True, slots=True)
class RecordingLimits:
    """Seconds and counts; named with their unit."""

    poll_seconds: float = 0.02
    records_at_once: int = 4096
    shown_characters: int = 2000


LIMITS = RecordingLimits()


class RecordingError(Exception):
    """Events can't be recorded here; the message says why."""


class End(StrEnum):
    """Why a recording ended."""

    TIME = "TIME"
    LIMIT = "LIMIT"
    INTERRUPTED = "INTERRUPTED"
    COLLECTOR_ENDED = "COLLECTOR_ENDED"


@dataclass(slots=True)
class Wanted:
    """What to record, and for how long.

    seconds: None goes on until `stop` says so. events: at most so many, of all Template Types.
    stop: asked again and again. begun: told when the probes are attached.
    """

    rung: Rung
    events: int
    seconds: float | None = None
    stop: Callable[[], bool] = lambda: False
    begun: Callable[[], None] = lambda: None


def record(wanted: Wanted, types: Mapping[int, TemplateType]) -> Recording | None:
    """Record events; None where `stop` came before the probes were attached.

    Raises RecordingError where the collector can't have the rung or hands over what is no ring,
    OSError where it can't be started.
    """
    with _collector(wanted.rung) as collector:
        collection = collector.attached(wanted.stop)
        if collection is None:
            return None
        with _Rings(collection, types) as rings:
            wanted.begun()
            return _recorded(wanted, collector, rings)


def _recorded(wanted: Wanted, collector: "_Collector", rings: "_Rings") -> Recording:
    started, began = datetime.now(UTC), time.monotonic()
    boot_time_ns = time.time_ns() - time.clock_gettime_ns(time.CLOCK_BOOTTIME)
    deadline = began + wanted.seconds if wanted.seconds is not None else None
    end = None
    while end is None:
        end = _end(wanted, collector, deadline)  # before reading: what came until then is taken
        if rings.take(wanted.events):
            end = End.LIMIT
        elif end is None:
            time.sleep(LIMITS.poll_seconds)
    return Recording(
        rung=wanted.rung,
        started=started,
        seconds=round(time.monotonic() - began, 3),
        boot_time_ns=boot_time_ns,
        ended=end,
        events=rings.events(),
        losses=rings.losses(),
    )


def _end(wanted: Wanted, collector: "_Collector", deadline: float | None) -> End | None:
    if wanted.stop():
        return End.INTERRUPTED
    if deadline is not None and time.monotonic() >= deadline:
        return End.TIME
    return None if collector.goes_on(wanted.rung) else End.COLLECTOR_ENDED


@dataclass(slots=True)
class _Collector:
    """The collector process: what it hands over, what it says when it fails."""

    child: Child
    printed: str = ""

    def attached(self, stop: Callable[[], bool]) -> Collection | None:
        """What it hands over, complete; None where we are to stop before that."""
        arriving: Collection | None = None
        deadline = time.monotonic() + SUPERVISOR_LIMITS.collector_seconds
        while time.monotonic() < deadline:
            gone = self._gone()  # asked before its last messages are read
            arriving = self._arrived(arriving)
            if arriving is not None and arriving.complete:
                return arriving
            if gone or stop():
                break
            time.sleep(LIMITS.poll_seconds)
        if arriving is not None:
            arriving.close()
        if stop():
            return None
        raise RecordingError(f"the collector ended or hung: {self.printed.strip() or 'no word'}")

    def _arrived(self, arriving: Collection | None) -> Collection | None:
        try:
            for message in self.child.messages():
                if message.kind == "failed":
                    raise RecordingError(f"{message['reason']}: {message['detail']}")
                if message.kind == "attached" and arriving is None:
                    arriving = from_message(message)
                elif message.kind == "attachments" and arriving is not None:
                    arriving.add_attachments(message)
        except ProtocolViolationError as error:
            raise RecordingError(f"the collector broke the protocol: {error}") from error
        return arriving

    def goes_on(self, rung: Rung) -> bool:
        """Whether events still come; in BPF the kernel writes them, without the collector."""
        self._arrived(None)  # heartbeats: read, so that its queue never fills
        return rung in BPF_RUNGS or not self._gone()

    def _gone(self) -> bool:
        room = LIMITS.shown_characters - len(self.printed)
        self.printed += self.child.output(time.monotonic())[: max(0, room)]
        if self.child.look():  # a system call that it may not make
            self.child.kill()
        return self.child.process.poll() is not None


@contextmanager
def _collector(rung: Rung) -> Iterator[_Collector]:
    """A collector, gone afterwards."""
    child = start(Role.COLLECTOR, SHIPPED[Role.COLLECTOR], ("--rung", rung))
    try:
        yield _Collector(child)
    finally:
        child.kill()
        child.reap()
        child.close()


@dataclass(slots=True)
class _Rings:
    """All rings of a collection, read to their end again and again."""

    collection: Collection
    types: Mapping[int, TemplateType]
    _rings: dict[int, Ring] = field(default_factory=dict)
    _taken: dict[int, list[Records]] = field(default_factory=dict)
    _count: int = 0
    _bytes: int = 0
    _refused: dict[int, int] = field(default_factory=dict)
    _stack: ExitStack = field(default_factory=ExitStack)

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            stack.callback(self.collection.close)
            for number, facts in self.collection.rings.items():
                if number not in self.types:
                    raise RecordingError(f"the collector has a ring of Template Type {number}")
                ring = Ring(
                    facts.descriptor, facts.stride, facts.size, facts.kind, self.types[number]
                )
                self._rings[number] = stack.enter_context(ring)
                self._taken[number] = []
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def take(self, most: int) -> bool:
        """Take what the rings hold now; True where the limit has been reached."""
        try:
            return any(self._read(number, ring, most) for number, ring in self._rings.items())
        except ProbeError as error:
            raise RecordingError(str(error)) from error

    def _read(self, number: int, ring: Ring, most: int) -> bool:
        until = ring.producer_position
        while (position := ring.consumer_position) < until:
            room = min(most - self._count, self._room(ring), LIMITS.records_at_once)
            if room <= 0:
                return True
            records = ring.read(position, min(room, (until - position) // ring.stride))
            count = len(records)
            if not count:
                break  # the next one is still being written
            self._keep(number, ring, clean(ring.template_type, records), count)
            del records  # a view into the ring, which could not be unmapped
            ring.commit(position + count * ring.stride)
        return self._count >= most

    def _room(self, ring: Ring) -> int:
        return (FILE_LIMITS.record_bytes - self._bytes) // dtype(ring.template_type).itemsize

    def _keep(self, number: int, ring: Ring, cleaned: Records, read: int) -> None:
        self._taken[number].append(cleaned)
        self._count += len(cleaned)
        self._bytes += len(cleaned) * dtype(ring.template_type).itemsize
        if len(cleaned) < read:
            self._refused[number] = self._refused.get(number, 0) + read - len(cleaned)

    def events(self) -> dict[int, Records]:
        """Everything that was taken, oldest first."""
        return {
            number: np.concatenate(taken) if taken else np.empty(0, dtype(self.types[number]))
            for number, taken in self._taken.items()
        }

    def losses(self) -> tuple[Loss, ...]:
        """What the kernel or the collector had to drop, and records that were none."""
        lost = [
            Loss(counter.cause, counter.template_type, count)
            for counter, count in self.collection.lost()
            if count and counter.cause != LossCause.FIELD_TRUNCATED  # each record says that itself
        ]
        lost += [
            Loss(LossCause.WRONG_HEADER, number, count) for number, count in self._refused.items()
        ]
        return tuple(lost)
