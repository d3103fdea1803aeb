"""Rings that user space writes: memfds laid out and read exactly as the kernel's (probes.ring).

One writer. It fills the entry behind the last one, then moves the producer position; a death in
between leaves no trace. Readers share the memory, so nothing that they can write is trusted: the
writer keeps its own position, and a consumer position that can't be is taken for a full ring.
The size is sealed, so that nobody can make another's access fail.
"""

import fcntl
import mmap
import os
import time
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from content.definitions import RUNG_NUMBERS, Kind, Rung, TemplateType
from content.loss_causes import LossCause
from content.record import ADDRESS_BYTES, LENGTH_SUFFIX, dtype, record_size
from probes.counters import SLOT, CounterSlot, mapped_bytes, slots
from probes.ring import HEADER_BYTES, PAGE, RingDescription, RingKind, identity, stride

SEALS = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL

Value = int | bytes
"""What a record takes: a number, an address of 16 bytes, or a text (arguments NUL-separated)."""


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
        self._header = _header(template_type, rung)
        self._supplied = template_type.supplied_fields(rung)
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
        record: NDArray[np.void] = np.ndarray(
            (), dtype(self._type), self._memory, offset + HEADER_BYTES
        )
        self._fill(record, values)
        length = np.ndarray((), np.uint64, self._memory, offset)
        length[...] = record_size(self._type)
        self._position += self._stride
        self._producer[0] = self._position
        return True

    def close(self) -> None:
        """Unmap, and close the descriptor."""
        del self._consumer, self._producer
        self._memory.close()
        os.close(self.description.descriptor)

    def _fill(self, record: NDArray[np.void], values: Mapping[str, Value]) -> None:
        present = truncated = 0
        for name, value in self._header.items():
            record[name] = value
        for field in self._type.fields:
            value_given = values.get(field.name)
            if value_given is None:
                continue
            if field.number not in self._supplied:
                raise ValueError(f"{self._type.name}.{field.name} is not promised for this rung")
            present |= 1 << field.number
            if isinstance(value_given, int):
                record[field.name] = value_given
            else:
                capacity = ADDRESS_BYTES if field.kind is Kind.ADDRESS else field.capacity
                truncated |= (len(value_given) > capacity) << field.number
                _copy(record, field.name, value_given[:capacity], field.kind)
        record["processor"] = 0
        record["time_ns"] = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
        record["present"] = present
        record["truncated"] = truncated
        self.truncated = truncated.bit_count()


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
        self._lost = mmap.mmap(self.counters, size)

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
        place = self.counter_slots.index(CounterSlot(cause, template_type)) * SLOT.size
        SLOT.pack_into(self._lost, place, SLOT.unpack_from(self._lost, place)[0] + number)


def sealed_memory(name: str, size: int) -> int:
    """Descriptor of a memfd whose size can't change any more."""
    descriptor = os.memfd_create(name, os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    os.ftruncate(descriptor, size)
    fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, SEALS)
    return descriptor


def _header(template_type: TemplateType, rung: Rung) -> dict[str, int]:
    return {
        "template_type": template_type.number,
        "schema_major": template_type.version.major,
        "schema_minor": template_type.version.minor,
        "arity": template_type.arity,
        "rung": RUNG_NUMBERS[rung],
    }


def _copy(record: NDArray[np.void], name: str, value: bytes, kind: Kind) -> None:
    record[name][: len(value)] = np.frombuffer(value, np.uint8)
    if kind is Kind.TEXT:
        record[name + LENGTH_SUFFIX] = len(value)
