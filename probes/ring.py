"""Read a ring of fixed-size records in batches, with no Python object per record.

The ring is a BPF ring buffer (kind `bpf`) or a memfd that `probes.memory_ring` lays out in the
same way (kind `memfd`):

    page 0: consumer position | page 1: producer position | from page 2: data

Positions are bytes since the ring began, 64 bits wide, and never wrap. Every entry is an 8-byte
header (length with a busy bit, page offset) and a record; all records of a ring have one size and
none is ever discarded, so `position / stride` is the sequence number of a record. The kernel maps
its data twice in a row, so that a batch may cross the end; a memfd's size is a multiple of the
stride instead.

Several readers may map one ring. The one that may `commit` frees space for the producer; a reader
with `read_only=True` has a private cursor, and must ask `intact` after it has looked at a batch.

The loads and stores here have acquire and release order on x86-64 by the nature of that processor;
a port to a weaker one needs barriers.
"""

import mmap
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from content.definitions import TemplateType
from content.record import dtype, record_size, slots
from probes.errors import RingCorruptError, RingOverrunError

HEADER_BYTES = 8
POSITION_BYTES = 8
BUSY_BIT = 1 << 31
DISCARD_BIT = 1 << 30
PAGE = mmap.PAGESIZE
RECORD_ALIGNMENT = 8

Records = NDArray[np.void]
"""A one-dimensional structured array with `content.record.dtype`, a view into shared memory."""


class RingKind(StrEnum):
    """Who writes the ring; as the `attached` message spells it."""

    BPF = "bpf"
    MEMFD = "memfd"


@dataclass(frozen=True, slots=True)
class RingDescription:
    """One ring: whose records, bytes of data, bytes from record to record, and its descriptor.

    identity: where pid and start time of the process lie in a record, in bytes; may be empty.
    """

    template_type: int
    size: int
    stride: int
    kind: RingKind
    descriptor: int
    identity: tuple[int, ...]

    def document(self) -> dict[str, Any]:
        """The ring as the `attached` message spells it."""
        return {
            "template_type": self.template_type,
            "bytes": self.size,
            "stride": self.stride,
            "kind": self.kind,
            "identity": list(self.identity),
        }


def identity(template_type: TemplateType) -> tuple[int, ...]:
    """Where pid and start time lie in a record, in bytes; empty for a type that has none."""
    offsets = {slot.name: slot.offset for slot in slots(template_type)}
    both = (offsets.get("pid"), offsets.get("start_time"))
    return tuple(one for one in both if one is not None) if None not in both else ()


def stride(template_type: TemplateType) -> int:
    """Bytes from one record's header to the next one's."""
    size = HEADER_BYTES + record_size(template_type)
    return -(-size // RECORD_ALIGNMENT) * RECORD_ALIGNMENT


def mapped_bytes(kind: RingKind, size: int) -> int:
    """Bytes of address space that producer page and data take."""
    return PAGE + (2 * size if kind is RingKind.BPF else size)


class Ring:
    """One mapped ring.

    descriptor: of the BPF map or memfd; stays the caller's. size: bytes of data.
    Raises ValueError if `stride_bytes` or `size` can't be a ring of that Template Type, OSError
    if the mapping is refused.
    """

    def __init__(
        self,
        descriptor: int,
        stride_bytes: int,
        size: int,
        kind: RingKind | str,
        template_type: TemplateType,
        *,
        read_only: bool = False,
    ) -> None:
        self.kind = RingKind(kind)
        self.template_type = template_type
        self.size = size
        self.stride = stride_bytes
        self.read_only = read_only
        self._check_shape()
        self._record_bytes = record_size(template_type)
        self._dtype = dtype(template_type)
        self._map(descriptor)

    def _check_shape(self) -> None:
        expected = stride(self.template_type)
        if self.stride != expected:
            raise ValueError(
                f"ring of {self.template_type.name}: stride {self.stride}, expected {expected}"
            )
        power_of_two = self.size & (self.size - 1) == 0
        whole = power_of_two if self.kind is RingKind.BPF else self.size % self.stride == 0
        if self.size < self.stride or not whole:
            raise ValueError(f"ring of {self.template_type.name}: {self.size} bytes of data")

    def _map(self, descriptor: int) -> None:
        writing = 0 if self.read_only else mmap.PROT_WRITE
        self._consumer_page = mmap.mmap(descriptor, PAGE, mmap.MAP_SHARED, mmap.PROT_READ | writing)
        self._data = mmap.mmap(
            descriptor,
            mapped_bytes(self.kind, self.size),
            mmap.MAP_SHARED,
            mmap.PROT_READ,
            offset=PAGE,
        )
        # Not numpy: an idle reader does nothing but look at these words, of all rings.
        self._consumer = memoryview(self._consumer_page).cast("Q")
        self._producer = memoryview(self._data)[:POSITION_BYTES].cast("Q")

    @property
    def producer_position(self) -> int:
        """Where the next record will be written, in bytes since the ring began."""
        return self._producer[0]

    @property
    def consumer_position(self) -> int:
        """Up to where records have been committed, in bytes since the ring began."""
        return self._consumer[0]

    def read(self, position: int, max_records: int) -> Records:
        """Complete records from `position` on, at most `max_records`, possibly none.

        The array is a read-only view of shared memory, valid until `position` is committed.
        Raises RingCorruptError if an entry has another size than the record or was discarded,
        RingOverrunError if a private cursor fell behind.
        """
        self._check_position(position)
        ready = (self.producer_position - position) // self.stride
        count = min(ready, max_records, self._records_in_a_row(position))
        if count <= 0:
            self._check_overrun(position)
            return np.empty(0, self._dtype)
        offset = PAGE + position % self.size
        count = self._complete(position, offset, count)
        shape: Any = (count,)
        return np.ndarray(
            shape, self._dtype, self._data, offset + HEADER_BYTES, strides=(self.stride,)
        )

    def intact(self, position: int) -> bool:
        """Whether records from `position` on have not been overwritten since."""
        return self.producer_position - position <= self.size

    def commit(self, position: int) -> None:
        """Give everything before `position` back to the producer; never goes backwards."""
        if self.read_only:
            raise ValueError("a read-only ring can't be committed")
        self._check_position(position)
        if not self.consumer_position <= position <= self.producer_position:
            raise ValueError(
                f"commit of {position} outside {self.consumer_position} to {self.producer_position}"
            )
        self._consumer[0] = position

    def close(self) -> None:
        """Unmap; BufferError if an array that `read` returned is still in use."""
        self._consumer.release()
        self._producer.release()
        self._consumer_page.close()
        self._data.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _check_position(self, position: int) -> None:
        if position < 0 or position % self.stride:
            raise ValueError(f"position {position} is not a multiple of the stride {self.stride}")

    def _records_in_a_row(self, position: int) -> int:
        """Records that lie in one piece from `position` on."""
        if self.kind is RingKind.BPF:
            return self.size // self.stride
        return (self.size - position % self.size) // self.stride

    def _check_overrun(self, position: int) -> None:
        if not self.intact(position):
            raise RingOverrunError(
                f"{self.template_type.name}: cursor {position} is"
                f" {self.producer_position - position - self.size} bytes behind the ring"
            )

    def _complete(self, position: int, offset: int, count: int) -> int:
        """How many of `count` entries are complete records; stops at the first busy one."""
        shape: Any = (count,)
        lengths: NDArray[np.uint32] = np.ndarray(
            shape, np.uint32, self._data, offset, strides=(self.stride,)
        )
        other = lengths != self._record_bytes
        first = int(other.argmax())
        unexpected = int(lengths[first])
        self._check_overrun(position)
        if not other[first]:
            return count
        if unexpected not in (self._record_bytes | BUSY_BIT, self._record_bytes):
            raise RingCorruptError(
                f"{self.template_type.name}: entry at {position + first * self.stride} has length"
                f" {unexpected:#x}, expected {self._record_bytes:#x}"
            )
        return first
