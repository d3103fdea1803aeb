"""The rings and attachments of the running collection: descriptors that outlive every role.

The supervisor holds them and never reads an event. From the collector's message it knows how long
each ring and record is; from the ring's own pages how many records were produced; from frames, up
to which position events are accounted for. The counters map holds what the kernel had to drop.

A collection grows by what a joining collector has attached, and shrinks by the attachments that
serve nothing but Template Types that leave. A ring that is given up is kept as long as an evaluator
may still speak of it.
"""

import contextlib
import mmap
import os
import re
import struct
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any

from agent.channel import Message, ProtocolViolationError
from agent.supervisor.settings import BPF_RUNGS
from content.flooders import PLACE, Place, read_place
from content.loss_causes import LossCause

WORD = struct.Struct("<Q")
"""A position, or a count."""

_RECURSION_MISSES = re.compile(r"^recursion_misses:\s*(\d+)$", re.MULTILINE)
_CLOSED_AT_ONCE = 2
"""Attachments: at each the kernel waits twice, and only one of these waits is for one at a time."""
_REPAIRS = 8
"""Tries to keep up with a producer; each takes microseconds."""
_FDINFO_BYTES = 4096
"""Of what the kernel says of a descriptor; a program's is some 200 bytes."""


@dataclass(slots=True, eq=False)
class RingFacts:
    """One ring: what the collector said of it, and the position that is accounted for.

    consumer: the page that evaluators write; up to where records may be overwritten.
    identity: where pid and start time of the process lie in a record, in bytes; may be empty.
    epoch: names the ring for good, together with its Template Type; a type that leaves and comes
    back gets another ring, whose positions count from zero.
    """

    template_type: int
    size: int
    stride: int
    kind: str
    descriptor: int
    producer: mmap.mmap
    consumer: mmap.mmap
    identity: tuple[int, ...]
    epoch: str
    position: int = 0

    def produced(self) -> int:
        """Position up to which events were written, in bytes."""
        (position,) = WORD.unpack_from(self.producer, 0)
        return int(position)

    def given_back(self) -> int:
        """Position up to which evaluators have let records be overwritten, as they say."""
        (position,) = WORD.unpack_from(self.consumer, 0)
        return int(position)

    def repair(self) -> int:
        """While no evaluator works: nothing but what is accounted for may be overwritten.

        Returns how many records have been, which are stepped over. A consumer position beyond the
        producer's would keep the ring shut for ever.
        """
        lost = 0
        if self.consumer.closed:  # given up with its collection, before its last evaluator
            return lost
        for _ in range(_REPAIRS):
            self._give_back(self.position)
            # Whatever was written before the line above took effect.
            gone = -(-(self.produced() - self.size - self.position) // self.stride)
            if gone <= 0:
                break
            lost += gone
            self.position += gone * self.stride
        return lost

    def _give_back(self, position: int) -> None:
        # One store: pack_into writes zeros before it writes the number, and the kernel, which reads
        # this word for each record, would find no room in the ring meanwhile.
        with memoryview(self.consumer) as page, page.cast("Q") as words:
            words[0] = position

    def backlog(self) -> int:
        """Events that were written and not accounted for yet."""
        return max(0, self.produced() - self.position) // self.stride

    def document(self) -> dict[str, Any]:
        """The ring as an evaluator is told of it."""
        return {
            "template_type": self.template_type,
            "bytes": self.size,
            "stride": self.stride,
            "kind": self.kind,
        }

    def close(self) -> None:
        """Give the ring up."""
        self.producer.close()
        self.consumer.close()
        os.close(self.descriptor)


@dataclass(frozen=True, slots=True)
class Counter:
    """One slot of the counters map."""

    cause: str
    template_type: int


@dataclass(frozen=True, slots=True)
class Attachment:
    """A descriptor that keeps a program attached, or is the program.

    serves: the Template Types that it exists for; none means lineage, which all need. Records of a
    type are written by programs that serve only that one; what serves several keeps house for them.
    probe: what it is attached to; empty for a program.
    """

    descriptor: int
    serves: frozenset[int]
    probe: str


@dataclass(slots=True)
class Collection:
    """Everything that collectors handed over, under a random name (epoch).

    counters_descriptor, shared: what a joining collector is given. absent: what the collector named
    beside its attachments. awaited: what the descriptors are for that are still to come. retired:
    rings that nothing is written to any more, and that an evaluator may still have. flooders: the
    Template Type of each place behind the counters (content.flooders).
    """

    rung: str
    rings: dict[int, RingFacts]
    counters: tuple[Counter, ...]
    counters_map: mmap.mmap | None
    counters_descriptor: int | None
    shared: Mapping[str, int]
    awaited: deque[tuple[frozenset[int], str]]
    absent: tuple[str, ...]
    epoch: str
    flooders: tuple[int, ...] = ()
    attachments: list[Attachment] = field(default_factory=list)
    retired: list[RingFacts] = field(default_factory=list)
    _programs: list[int] | None = None
    # Of programs that are gone.
    _skipped_before: int = 0

    @property
    def complete(self) -> bool:
        """Whether all descriptors have arrived."""
        return not self.awaited

    @property
    def in_kernel(self) -> bool:
        """Whether it goes on without its collector, and can be joined."""
        return self.rung in BPF_RUNGS

    @property
    def probes(self) -> tuple[str, ...]:
        """What is attached, and what the collector named beside that."""
        attached = dict.fromkeys(one.probe for one in self.attachments if one.probe)
        return (*attached, *self.absent)

    def add_attachments(self, message: Message) -> None:
        """Further descriptors, which keep programs attached."""
        if len(message.descriptors) > len(self.awaited) or not message.descriptors:
            for descriptor in message.descriptors:
                os.close(descriptor)
            raise ProtocolViolationError(f"{len(self.awaited)} descriptors awaited")
        self.attach(message.descriptors)

    def attach(self, descriptors: Sequence[int]) -> None:
        """The next descriptors of those that are awaited."""
        for descriptor in descriptors:
            self.attachments.append(Attachment(descriptor, *self.awaited.popleft()))

    def join(self, other: "Collection") -> None:
        """Take over rings and attachments that were added to this collection."""
        self.rings = {**self.rings, **other.rings}
        self.attachments += other.attachments
        self.absent = (*self.absent, *(one for one in other.absent if one not in self.absent))
        self._programs = None
        other.rings, other.attachments = {}, []

    def detach_one(self, numbers: AbstractSet[int]) -> bool:
        """Close the newest attachment that serves only these; False where there is none left.

        Newest first, because the ends of calls were attached before their beginnings.
        """
        for index in reversed(range(len(self.attachments))):
            serves = self.attachments[index].serves
            if serves and serves <= numbers:
                descriptor = self.attachments.pop(index).descriptor
                self._skipped_before += _skipped(descriptor) or 0
                os.close(descriptor)
                self._programs = None
                return True
        return False

    def retire(self, number: int) -> None:
        """A type has left: new evaluators don't get its ring, `close_retired` gives it up."""
        gone = {number}
        self.attachments = [replace(one, serves=one.serves - gone) for one in self.attachments]
        self.retired.append(self.rings[number])
        self.rings = {n: ring for n, ring in self.rings.items() if n != number}

    def close_retired(self, held: Sequence[RingFacts]) -> dict[int, int]:
        """Give up the retired rings that nobody holds; how many events were left in which."""
        closed = [ring for ring in self.retired if ring not in held]
        self.retired = [ring for ring in self.retired if ring in held]
        left = {ring.template_type: ring.backlog() for ring in closed}
        for ring in closed:
            ring.close()
        return left

    def lost(self) -> Iterator[tuple[Counter, int]]:
        """Every counter with its count since collection began."""
        yield from self.skipped()
        yield from self.counted()

    def skipped(self) -> Iterator[tuple[Counter, int]]:
        """How often the kernel did not run one of the programs, since collection began.

        That is because it was inside another BPF map operation on that processor: at most so many
        events are missing. Takes some system calls for each program.
        """
        if self.counters_map is None:
            return
        if self.complete and self._programs is None:
            descriptors = (one.descriptor for one in self.attachments)
            self._programs = [fd for fd in descriptors if _skipped(fd) is not None]
        skipped = sum(_skipped(fd) or 0 for fd in self._programs or ())
        yield Counter(LossCause.PROBE_SKIPPED, 0), self._skipped_before + skipped

    def counted(self) -> Iterator[tuple[Counter, int]]:
        """What the programs themselves have counted since collection began, from shared memory."""
        if self.counters_map is None:
            return
        for slot, counter in enumerate(self.counters):
            (count,) = WORD.unpack_from(self.counters_map, slot * WORD.size)
            yield counter, int(count)

    def refused(self) -> Iterator[tuple[int, Place]]:
        """Template Type and content of each place in which probes name who was refused room."""
        if self.counters_map is None:
            return
        first = len(self.counters) * WORD.size
        for index, template_type in enumerate(self.flooders):
            yield template_type, read_place(self.counters_map, first + index * PLACE.size)

    def produced_events(self) -> int:
        """Events that were written to all rings."""
        return sum(ring.produced() // ring.stride for ring in self.rings.values())

    def backlog_events(self) -> int:
        """The same for all rings."""
        return sum(ring.backlog() for ring in self.rings.values())

    def detach(self) -> None:
        """Nothing is written to the rings any more; what is in them can still be read."""
        with ThreadPoolExecutor(_CLOSED_AT_ONCE) as threads:
            list(threads.map(os.close, [one.descriptor for one in self.attachments]))
        self.attachments.clear()
        self._programs = []

    def close(self) -> None:
        """Detach everything and give up the rings."""
        self.detach()
        for ring in (*self.rings.values(), *self.retired):
            ring.close()
        if self.counters_map is not None:
            self.counters_map.close()
        for descriptor in (self.counters_descriptor, *self.shared.values()):
            if descriptor is not None:
                os.close(descriptor)


def _skipped(descriptor: int) -> int | None:
    """How often the kernel skipped a BPF program; None if this is none, or the kernel old."""
    # Read for each program: a file object makes five more system calls.
    with contextlib.suppress(OSError):
        opened = os.open(f"/proc/self/fdinfo/{descriptor}", os.O_RDONLY | os.O_CLOEXEC)
        try:
            return skipped_in(os.read(opened, _FDINFO_BYTES).decode("ascii"))
        finally:
            os.close(opened)
    return None


def skipped_in(facts: str) -> int | None:
    """The count in a descriptor's fdinfo; None where there is none."""
    found = _RECURSION_MISSES.search(facts)
    return int(found[1]) if found else None
