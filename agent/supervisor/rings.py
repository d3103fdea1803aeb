"""The rings and attachments of the running collection: descriptors that outlive every role.

The supervisor holds them and never reads an event. From the collector's message it knows how long
each ring and record is; from the ring's own pages how many records were produced; from frames, up
to which position events are accounted for. The counters map holds what the kernel had to drop.
"""

import contextlib
import fcntl
import mmap
import os
import re
import secrets
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from agent.channel import Message, ProtocolViolationError
from content.loss_causes import LossCause

PAGE = mmap.PAGESIZE
_WORD = struct.Struct("<Q")
_KINDS = ("bpf", "memfd")
_RECURSION_MISSES = re.compile(r"^recursion_misses:\s*(\d+)$", re.MULTILINE)
_FDINFO_BYTES = 4096
"""Of what the kernel says of a descriptor; a program's is some 200 bytes."""

MAX_RING_BYTES = 1 << 32


@dataclass(slots=True)
class RingFacts:
    """One ring: what the collector said of it, and the position that is accounted for."""

    template_type: int
    size: int
    stride: int
    kind: str
    descriptor: int
    producer: mmap.mmap
    position: int = 0

    def produced(self) -> int:
        """Position up to which events were written, in bytes."""
        (position,) = _WORD.unpack_from(self.producer, 0)
        return int(position)

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
        os.close(self.descriptor)


@dataclass(frozen=True, slots=True)
class Counter:
    """One slot of the counters map."""

    cause: str
    template_type: int


@dataclass(slots=True)
class Collection:
    """Everything that a collector handed over, under a random name (epoch)."""

    rung: str
    rings: Mapping[int, RingFacts]
    counters: tuple[Counter, ...]
    probes: tuple[str, ...]
    counters_map: mmap.mmap | None
    attachments: list[int]
    awaited: int
    epoch: str = field(default_factory=lambda: secrets.token_hex(8))
    _programs: list[int] | None = None

    @property
    def complete(self) -> bool:
        """Whether all descriptors have arrived."""
        return self.awaited == 0

    def add_attachments(self, message: Message) -> None:
        """Further descriptors, which keep programs attached."""
        self.attachments.extend(message.descriptors)
        if len(message.descriptors) > self.awaited or not message.descriptors:
            raise ProtocolViolationError(f"{self.awaited} descriptors awaited")
        self.awaited -= len(message.descriptors)

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
            self._programs = [fd for fd in self.attachments if _skipped(fd) is not None]
        yield (
            Counter(LossCause.PROBE_SKIPPED, 0),
            sum(_skipped(fd) or 0 for fd in self._programs or ()),
        )

    def counted(self) -> Iterator[tuple[Counter, int]]:
        """What the programs themselves have counted since collection began, from shared memory."""
        if self.counters_map is None:
            return
        for slot, counter in enumerate(self.counters):
            (count,) = _WORD.unpack_from(self.counters_map, slot * _WORD.size)
            yield counter, int(count)

    def produced_events(self) -> int:
        """Events that were written to all rings."""
        return sum(ring.produced() // ring.stride for ring in self.rings.values())

    def backlog_events(self) -> int:
        """The same for all rings."""
        return sum(ring.backlog() for ring in self.rings.values())

    def detach(self) -> None:
        """Nothing is written to the rings any more; what is in them can still be read."""
        for descriptor in self.attachments:
            os.close(descriptor)
        self.attachments.clear()
        self._programs = []

    def close(self) -> None:
        """Detach everything and give up the rings."""
        self.detach()
        for ring in self.rings.values():
            ring.close()
        if self.counters_map is not None:
            self.counters_map.close()


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


def from_message(message: Message) -> Collection:
    """What an `attached` message hands over; ProtocolViolationError if it doesn't add up."""
    try:
        collection = _collection(message)
    except (KeyError, TypeError, ValueError, OverflowError, OSError) as error:
        for descriptor in message.descriptors:
            os.close(descriptor)
        raise ProtocolViolationError(f"attached: {error!r:.200}") from error
    if collection.counters_map is not None:  # mapped, and not needed any more
        os.close(message.descriptors[len(collection.rings)])
    return collection


def _collection(message: Message) -> Collection:
    documents = message["rings"]
    counters = tuple(Counter(str(c["cause"]), int(c["template_type"])) for c in message["counters"])
    expected = len(documents) + bool(counters)
    if not documents or len(message.descriptors) < expected:
        raise ValueError(f"{len(message.descriptors)} descriptors for {len(documents)} rings")
    if message["more"] < 0:
        raise ValueError(f"{message['more']} descriptors to come")
    checked = [_ring(*pair) for pair in zip(documents, message.descriptors, strict=False)]
    if len({ring.template_type for ring in checked}) < len(checked):
        raise ValueError("two rings of one Template Type")
    counters_map = None
    if counters:
        size = -(-len(counters) * _WORD.size // PAGE) * PAGE
        counters_map = _map(message.descriptors[len(documents)], size)
    return Collection(
        rung=str(message["rung"]),
        rings={ring.template_type: ring for ring in checked},
        counters=counters,
        probes=tuple(map(str, message["probes"])),
        counters_map=counters_map,
        attachments=list(message.descriptors[expected:]),
        awaited=int(message["more"]),
    )


def _ring(document: Mapping[str, Any], descriptor: int) -> RingFacts:
    size, stride, kind = document["bytes"], document["stride"], document["kind"]
    number = document["template_type"]
    for value in (size, stride, number):
        if type(value) is not int or value <= 0:
            raise ValueError(f"ring {document!r:.120}")
    if kind not in _KINDS or stride % 8 or size < stride or size > MAX_RING_BYTES:
        raise ValueError(f"ring {document!r:.120}")
    return RingFacts(number, size, stride, kind, descriptor, _map(descriptor, PAGE, PAGE))


def _map(descriptor: int, size: int, offset: int = 0) -> mmap.mmap:
    """Map for reading; a memfd only if it can't be cut short, as reading it then would end us."""
    try:
        seals = fcntl.fcntl(descriptor, fcntl.F_GET_SEALS)
    except OSError:  # not a memfd: a BPF map
        seals = fcntl.F_SEAL_SHRINK
    if not seals & fcntl.F_SEAL_SHRINK:
        raise ValueError("memory that is not sealed against shrinking")
    return mmap.mmap(descriptor, size, offset=offset, prot=mmap.PROT_READ)
