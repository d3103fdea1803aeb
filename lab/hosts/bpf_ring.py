"""Reads a BPF ring buffer of texts: fixed-size records, as lab/hosts/bpf.c writes them."""

import mmap
from collections.abc import Iterator
from dataclasses import dataclass, field

PAGE = mmap.PAGESIZE
RING_BYTES = 64 * PAGE
TEXT_BYTES = 256
HEADER_BYTES = 8
STRIDE = HEADER_BYTES + TEXT_BYTES
WORD = 8
BUSY = 0x80


@dataclass(slots=True)
class TextRing:
    """One mapped ring; the descriptor stays the caller's."""

    descriptor: int
    _consumer: mmap.mmap = field(init=False)
    _data: mmap.mmap = field(init=False)
    _at: int = 0

    def __post_init__(self) -> None:
        """Map the consumer's page, then the producer's with the data twice behind it."""
        self._consumer = mmap.mmap(self.descriptor, PAGE)
        size = PAGE + 2 * RING_BYTES
        self._data = mmap.mmap(self.descriptor, size, mmap.MAP_SHARED, mmap.PROT_READ, offset=PAGE)

    def texts(self) -> Iterator[bytes]:
        """What has come since the last call."""
        produced = int.from_bytes(self._data[:WORD], "little")
        while self._at < produced:
            offset = PAGE + self._at % RING_BYTES
            if self._data[offset + 3] & BUSY:
                return
            start = offset + HEADER_BYTES
            yield self._data[start : start + TEXT_BYTES].partition(b"\0")[0]
            self._at += STRIDE
            self._consumer[:WORD] = self._at.to_bytes(WORD, "little")
