"""Rings that user space writes: memfds laid out and read exactly as the kernel's (probes.ring).

One writer. It fills the entry behind the last one, then moves the producer position; a death in
between leaves no trace. Readers share the memory, so nothing that they can write is trusted: the
writer keeps its own position, and a consumer position that can't be is taken for a full ring.
The size is sealed, so that nobody can make another's access fail.
"""

import fcntl
import mmap
import os
from collections.abc import Mapping

import numpy as np

from content.definitions import Rung, TemplateType
from content.loss_causes import LossCause
from content.record import dtype, record_size
from probes.counters import CounterSlot, mapped_bytes, slots
from probes.record_writer import RecordWriter, Value
from probes.ring import HEADER_BYTES, PAGE, RingDescription, RingKind, identity, stride

SEALS = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL


class MemoryRing:
    """The writing end of one ring.

    size: bytes of data at most; rounded down to whole records. rung: marks every record.
    truncated: how many values of the last record were longer than it holds.
    """

    def __init__(self, template_type: TemplateType, size: int, rung: Rung) -> None:
        self._type = template_type
        self._stride = stride(template_type)
        self._size = size // self._stride * self._stride
        self._position = 0
        self.truncated = 0
        self._writer = RecordWriter(template_type, rung)
        descriptor = sealed_memory(f"bulkhead-{template_type.name}", 2 * PAGE + self._size)
        self._memory = mmap.mmap(descriptor, 2 * PAGE + self._size)
        self._consumer = np.frombuffer(self._memory, np.uint64, 1)
        self._producer = np.frombuffer(self._memory, np.uint64, 1, offset=PAGE)
        self.description = RingDescription(
            template_type.number,
            self._size,
            self._stride,
            RingKind.MEMFD,
            descriptor,
            identity(template_type),
        )

    def append(self, values: Mapping[str, Value]) -> bool:
        """Write one record with the fields given by name; False if the ring is full.

        ValueError for a field that the Definition doesn't promise for this rung.
        """
        used = self._position - int(self._consumer[0])
        if not 0 <= used <= self._size - self._stride:
            return False
        offset = 2 * PAGE + self._position % self._size
        record = np.ndarray((), dtype(self._type), self._memory, offset + HEADER_BYTES)
        self.truncated = self._writer.fill(record, values)
        length = np.ndarray((), np.uint64, self._memory, offset)
        length[...] = record_size(self._type)
        self._position += self._stride
        self._producer[0] = self._position
        return True

    @property
    def room(self) -> float:
        """How much of it is free, as a part of 1; none where the consumer's position can't be."""
        used = self._position - int(self._consumer[0])
        return 1 - used / self._size if 0 <= used <= self._size else 0.0

    def close(self) -> None:
        """Unmap, and close the descriptor."""
        del self._consumer, self._producer
        self._memory.close()
        os.close(self.description.descriptor)


class MemoryRings:
    """All rings of a collector without a kernel's help, and the counters of what they lost."""

    def __init__(
        self, types: Mapping[int, TemplateType], sizes: Mapping[int, int], rung: Rung
    ) -> None:
        self.counter_slots = slots(types)
        self._rings = {
            types[number].name: MemoryRing(types[number], size, rung)
            for number, size in sizes.items()
        }
        size = mapped_bytes(len(self.counter_slots))
        self.counters = sealed_memory("bulkhead-counters", size)
        self._lost = memoryview(mmap.mmap(self.counters, size)).cast("Q")

    def room(self, type_name: str) -> float:
        """How much of a ring is free, as a part of 1."""
        return self._rings[type_name].room

    @property
    def descriptions(self) -> tuple[RingDescription, ...]:
        """Every ring, in order of Template Type."""
        return tuple(ring.description for ring in self._rings.values())

    def append(self, type_name: str, values: Mapping[str, Value]) -> None:
        """Write a record, or count it as lost; types without a ring are passed over."""
        ring = self._rings.get(type_name)
        if ring is None:
            return
        number = ring.description.template_type
        if ring.append(values):
            self.count(LossCause.FIELD_TRUNCATED, number, ring.truncated)
        else:
            self.count(LossCause.RING_FULL, number, 1)

    def count(self, cause: LossCause, template_type: int, number: int) -> None:
        """Count a loss."""
        # One store: pack_into would show zeros in between to whoever reads along.
        self._lost[self.counter_slots.index(CounterSlot(cause, template_type))] += number


def sealed_memory(name: str, size: int) -> int:
    """Descriptor of a memfd whose size can't change any more."""
    descriptor = os.memfd_create(name, os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    os.ftruncate(descriptor, size)
    fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, SEALS)
    return descriptor
