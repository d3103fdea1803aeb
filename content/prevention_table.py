"""The table of paths that the kernel prevents: how it is laid out, and how it is filled. Pure.

The kernel's side is probes/prevention.bpf.h, a BPF array; it takes its constants from `C_CONSTANTS`
and asserts sizes and offsets. The array's elements lie behind each other in memory:

    header: state, pid of the supervisor, spared, raced, seeds of bank 0 and 1
    slots of bank 0
    slots of bank 1

Numbers are in the machine's byte order. Bit 0 of `state` says that prevention is on, bit 1
which bank counts, and every change makes the state greater than it was. Who fills a bank fills the
one that does not count, and then changes the state; a program that found its path compares the
state again before it acts. So no program is ever stopped by a table that was half written.

An entry lies less than PROBES slots behind the one that its tag points
to. The seed is drawn anew for each filling, so that nobody who writes content can choose paths that
get into each other's way; and as paths are compared byte by byte, a tag alone never stops anything.

Standard library only: the supervisor imports it.
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

MAP_NAME = "prevention"

MAX_ENTRIES = 256
SLOTS = 512
"""A power of two; half of them stay empty, so that paths are found at once."""

PROBES = 16
PATH_BYTES = 256
"""Room for a path and a byte that stays 0: a path of this length is one that may have been cut."""

LONGEST_PATH = PATH_BYTES - 1
MULTIPLIER = 0x9E3779B97F4A7C15
SHIFT = 29
INDEX_SHIFT = 64 - (SLOTS.bit_length() - 1)
"""A product is mixed best at its upper end: the first slot is the tag's highest bits."""

WORD = 8
ON, BANK = 1, 2
STATE_STEP = 4
STATE_OFFSET, SENSOR_OFFSET, SPARED_OFFSET, RACED_OFFSET = 0, 8, 16, 24
SEED_OFFSETS = (32, 40)
SLOT = struct.Struct(f"=QIIQ{PATH_BYTES}s")
"""tag (0: empty), length, what is compared, how often the kernel has stopped it, path."""

STOPPED_OFFSET = 16
"""Of the count in a slot."""

ELEMENTS = 1 + 2 * SLOTS
TABLE_BYTES = ELEMENTS * SLOT.size

_WORD_MASK = (1 << 64) - 1

C_CONSTANTS = {
    "PREVENTION_SLOTS": SLOTS,
    "PREVENTION_PROBES": PROBES,
    "PREVENTION_PATH_BYTES": PATH_BYTES,
    "PREVENTION_MULTIPLIER": f"{MULTIPLIER}ULL",
    "PREVENTION_SHIFT": SHIFT,
    "PREVENTION_INDEX_SHIFT": INDEX_SHIFT,
    "PREVENTION_ON": ON,
    "PREVENTION_BANK": BANK,
    "PREVENTION_ELEMENTS": ELEMENTS,
    "PREVENTION_ELEMENT_BYTES": SLOT.size,
}


class Compared(IntEnum):
    """Which field of the process event a path is compared with."""

    IMAGE = 1
    EXECUTABLE_PATH = 2


@dataclass(frozen=True, slots=True, order=True)
class Entry:
    """One path that the kernel prevents; ValueError if no slot can hold it."""

    compared: Compared
    path: bytes

    def __post_init__(self) -> None:
        if not 0 < len(self.path) <= LONGEST_PATH or b"\0" in self.path:
            raise ValueError(f"{len(self.path)} bytes: expected 1 to {LONGEST_PATH} without NUL")


def slot_offset(bank: int, index: int) -> int:
    """Where a slot begins, in bytes from the header's begin."""
    return (1 + bank * SLOTS + index) * SLOT.size


def tag_of(entry: Entry, seed: int) -> int:
    """The 64 bits by which the kernel looks for an entry; never 0."""
    tag = seed ^ entry.compared
    padded = entry.path.ljust(-(-len(entry.path) // WORD) * WORD, b"\0")
    for (word,) in struct.iter_unpack("=Q", padded):
        tag = (tag ^ word) * MULTIPLIER & _WORD_MASK
        tag ^= tag >> SHIFT
    return tag | 1


def place(entries: Sequence[Entry], seed: int) -> list[Entry | None] | None:
    """Which entry lies in which slot; None where this seed has no room for one of them.

    ValueError for more than MAX_ENTRIES.
    """
    if len(entries) > MAX_ENTRIES:
        raise ValueError(f"{len(entries)} entries: expected at most {MAX_ENTRIES}")
    slots: list[Entry | None] = [None] * SLOTS
    tags: set[int] = set()
    for entry in entries:
        tag = tag_of(entry, seed)
        near = [((tag >> INDEX_SHIFT) + probe) % SLOTS for probe in range(PROBES)]
        free = next((slot for slot in near if slots[slot] is None), None)
        if free is None or tag in tags:
            return None
        tags.add(tag)
        slots[free] = entry
    return slots


def slot_bytes(entry: Entry | None, seed: int, stopped: int) -> bytes:
    """One slot as it lies in a bank; `stopped` is the count that it goes on from."""
    if entry is None:
        return SLOT.pack(0, 0, 0, stopped, b"")
    return SLOT.pack(tag_of(entry, seed), len(entry.path), entry.compared, stopped, entry.path)


_PACKED = struct.Struct("=BB")
"""What is compared, and the length of the path that follows."""


def pack_entries(entries: Sequence[Entry]) -> bytes:
    """Entries as they travel from evaluator to supervisor: at most 64 KiB."""
    return b"".join(_PACKED.pack(one.compared, len(one.path)) + one.path for one in entries)


def unpack_entries(packed: bytes) -> tuple[Entry, ...]:
    """The same read back; ValueError for anything that `pack_entries` would not have written.

    Each path is absolute, as those are that content may prevent in the kernel.
    """
    entries: list[Entry] = []
    at = 0
    while at < len(packed):
        if len(entries) == MAX_ENTRIES:
            raise ValueError(f"more than {MAX_ENTRIES} entries")
        if len(packed) - at < _PACKED.size:
            raise ValueError("an entry that is cut off")
        compared, length = _PACKED.unpack_from(packed, at)
        at += _PACKED.size
        path = packed[at : at + length]
        if len(path) < length:
            raise ValueError("a path that is cut off")
        if not path.startswith(b"/"):
            raise ValueError(f"path {path[:80]!r}: expected an absolute one")
        entries.append(Entry(Compared(compared), path))
        at += length
    return tuple(entries)
