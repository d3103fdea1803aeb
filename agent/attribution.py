"""The attribution record: what an evaluator is doing, in memory that outlives it.

The supervisor makes a memfd per evaluator and keeps it mapped; the evaluator writes its progress
into it with plain stores. When the evaluator is gone, however it died, the record says which event
and which Template Instance it was working on: the suspect. Standard library only.

Layout, little endian: eight 8-byte words (see `_WORDS`), then one 96-byte slot per Template
Instance, in the order in which the evaluator numbers them: 64 bytes of its id, padded with zeros,
and the 32 bytes of its digest (content.instance_digest), which says which instance it is whatever
file it came in. Whoever reads it trusts nothing: numbers are checked, ids are escaped, and a digest
is only ever compared with others.
"""

import fcntl
import mmap
import os
import struct
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import IntEnum

ID_BYTES = 64
"""Longest instance id; content.limits refuses longer ones."""

DIGEST_BYTES = 32
SLOT_BYTES = ID_BYTES + DIGEST_BYTES
MAX_INSTANCES = 100_000
NONE = 2**64 - 1
"""Stands for 'no row' and 'no instance': the whole batch is suspect."""

_WORDS = struct.Struct("<8Q")
_ROW_AND_INSTANCE = struct.Struct("<2Q")
_ROW_OFFSET = 4 * 8
RECORD_BYTES = _WORDS.size + MAX_INSTANCES * SLOT_BYTES
_NO_DIGEST = bytes(DIGEST_BYTES)


class Phase(IntEnum):
    """What the evaluator is doing."""

    STARTING = 0
    LOADING = 1
    SAMPLES = 2
    SHADOW = 3
    IDLE = 4
    EVALUATING = 5
    # In an inquest: `position` is the number of the first instance that is tried, `count` how many.
    INQUEST = 6


@dataclass(frozen=True, slots=True)
class Progress:
    """What the record said. Positions are bytes in the ring; row and instance may be None.

    instance_digest: hexadecimal, empty where the instance or its digest is not known.
    """

    phase: Phase
    ring: int
    position: int
    count: int
    row: int | None
    instance: int | None
    instance_id: str
    instance_digest: str = ""

    def within(self, accounted: int, produced: int, stride: int) -> "Progress":
        """The same, or without any event where the record can't be true.

        A dying evaluator may have overwritten its record, and one that dies after its last frame
        speaks of events that are accounted for. accounted, produced: positions of the ring, bytes.
        """
        end = self.position + self.count * stride
        last = end if self.row is None else self.position + (self.row + 1) * stride
        known = self.count > 0 and end <= produced and not self.position % stride
        if known and (self.phase is not Phase.EVALUATING or last > accounted):
            return self
        return self.nowhere()

    def nowhere(self) -> "Progress":
        """The same, without any event."""
        return replace(self, ring=0, position=0, count=0, row=None)


def create() -> int:
    """A new, zeroed record; returns its descriptor, which the caller owns."""
    descriptor = os.memfd_create("bulkhead-attribution", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    os.ftruncate(descriptor, RECORD_BYTES)
    # Whoever writes it must not be able to take it away from under its reader.
    seals = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL
    fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, seals)
    return descriptor


class Attribution:
    """The evaluator's side: writes progress."""

    def __init__(self, descriptor: int) -> None:
        self._map = mmap.mmap(descriptor, RECORD_BYTES)
        self.phase(Phase.LOADING)

    def phase(self, phase: Phase) -> None:
        """Enter a phase outside the evaluation of events."""
        _WORDS.pack_into(self._map, 0, phase, 0, 0, 0, NONE, NONE, 0, 0)

    def batch(self, ring: int, position: int, count: int, phase: Phase = Phase.EVALUATING) -> None:
        """About to evaluate `count` events of a ring, from a position in bytes."""
        _WORDS.pack_into(self._map, 0, phase, ring, position, count, NONE, NONE, 0, 0)

    def note(self, row: int, instance: int) -> None:
        """About to work on one row of the batch with one instance (its ordinal)."""
        _ROW_AND_INSTANCE.pack_into(self._map, _ROW_OFFSET, row, instance)

    def name_instances(self, instances: Sequence[tuple[str, bytes]]) -> None:
        """Write down ids and digests, so that an ordinal can be named without any content."""
        slots = b"".join(
            name.encode()[:ID_BYTES].ljust(ID_BYTES, b"\0")
            + digest[:DIGEST_BYTES].ljust(DIGEST_BYTES, b"\0")
            for name, digest in instances[:MAX_INSTANCES]
        )
        self._map[_WORDS.size : _WORDS.size + len(slots)] = slots


def read(descriptor: int) -> Progress:
    """What the record says now; values out of range, written by a broken evaluator, become None."""
    words = _WORDS.unpack(os.pread(descriptor, _WORDS.size, 0))
    phase, ring, position, count, row, instance = words[:6]
    known_row = row if row < count else None
    known_instance = instance if instance < MAX_INSTANCES else None
    name, digest = ("", "") if known_instance is None else named(descriptor, known_instance)
    return Progress(
        phase=Phase(phase) if phase in Phase.__members__.values() else Phase.STARTING,
        ring=ring,
        position=position,
        count=count,
        row=known_row,
        instance=known_instance,
        instance_id=name,
        instance_digest=digest,
    )


def named(descriptor: int, ordinal: int) -> tuple[str, str]:
    """Id and hexadecimal digest in the slot of an ordinal below MAX_INSTANCES; empty where none."""
    raw = os.pread(descriptor, SLOT_BYTES, _WORDS.size + ordinal * SLOT_BYTES)
    digest = raw[ID_BYTES:]
    name = raw[:ID_BYTES].rstrip(b"\0").decode("ascii", "backslashreplace")
    return name, "" if digest == _NO_DIGEST else digest.hex()
