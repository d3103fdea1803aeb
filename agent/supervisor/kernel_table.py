"""Writing the table of paths that the kernel prevents, in memory shared with the kernel.

No system call is made: the table is mapped, the bank that does not count is filled, and then one
word makes it count. `content/prevention_table.py` says how the table is laid out and why a half
written one is never used.
"""

import ctypes
import mmap
import os
import struct
from collections import Counter
from collections.abc import Sequence

from content.prevention_table import (
    BANK,
    MAX_ENTRIES,
    ON,
    RACED_OFFSET,
    SEED_OFFSETS,
    SENSOR_OFFSET,
    SLOT,
    SPARED_OFFSET,
    STATE_OFFSET,
    STATE_STEP,
    STOPPED_OFFSET,
    TABLE_BYTES,
    WORD,
    Entry,
    place,
    slot_bytes,
    slot_offset,
)

SEEDS = 16
"""Of which the first that has room for all entries is taken; mostly that is the first."""

_WORD = struct.Struct("=Q")


class KernelTable:
    """The table of one collection; the descriptor stays the caller's.

    sensor: the process that is never stopped, nor are its children.

    ValueError or OSError where the memory is not such a table.
    """

    def __init__(self, descriptor: int, sensor: int) -> None:
        size = -(-TABLE_BYTES // mmap.PAGESIZE) * mmap.PAGESIZE
        self._memory = mmap.mmap(descriptor, size)
        # One store for the word that the kernel decides by: pack_into writes byte after byte.
        self._state = ctypes.c_uint64.from_buffer(self._memory, STATE_OFFSET)
        # Of both banks: a program may be counted in one that has just ceased to count.
        self._slots: list[dict[int, Entry]] = [{}, {}]
        self._before: dict[int, int] = {}
        self._counted: Counter[Entry] = Counter()
        self.entries: tuple[Entry, ...] = ()
        _WORD.pack_into(self._memory, SENSOR_OFFSET, sensor)

    def publish(self, entries: Sequence[Entry]) -> list[Entry]:
        """Prevent exactly these from now on; returns those that found no room.

        No entries: the kernel prevents nothing, and looks at one word.
        """
        unique = sorted(set(entries))
        wanted, refused = unique[:MAX_ENTRIES], unique[MAX_ENTRIES:]
        found = _place(wanted) if wanted else None
        if found is None:
            self._stop()
            return [*wanted, *refused]
        bank = 0 if self._state.value & BANK else 1
        self._fill(bank, *found)
        self.entries = tuple(wanted)
        self._state.value = self._next_state() | ON | (BANK if bank else 0)
        return refused

    def _fill(self, bank: int, seed: int, slots: Sequence[Entry | None]) -> None:
        self._count()
        _WORD.pack_into(self._memory, SEED_OFFSETS[bank], seed)
        self._slots[bank] = {}
        for index, entry in enumerate(slots):
            at = slot_offset(bank, index)
            stopped = self._stopped_at(at)
            self._memory[at : at + SLOT.size] = slot_bytes(entry, seed, stopped)
            if entry is not None:
                self._slots[bank][at] = entry
                self._before[at] = stopped

    def _next_state(self) -> int:
        return (int(self._state.value) + STATE_STEP) & ~(ON | BANK)

    def _stop(self) -> None:
        self.entries = ()
        self._state.value = self._next_state() | (self._state.value & BANK)

    @property
    def stopped(self) -> Counter[Entry]:
        """How often the kernel has stopped which path."""
        self._count()
        return self._counted

    @property
    def spared(self) -> int:
        """How often a prevented path belonged to a process that is never stopped."""
        return self._word(SPARED_OFFSET)

    @property
    def raced(self) -> int:
        """How often the table changed while a path was looked up that it had."""
        return self._word(RACED_OFFSET)

    def close(self) -> None:
        """Prevent nothing any more, and unmap; the counts stay."""
        self._stop()
        self._count()
        self._slots = [{}, {}]
        del self._state
        self._memory.close()

    def _count(self) -> None:
        for slots in self._slots:
            for at, entry in slots.items():
                now = self._stopped_at(at)
                self._counted[entry] += now - self._before[at]
                self._before[at] = now

    def _stopped_at(self, at: int) -> int:
        return self._word(at + STOPPED_OFFSET)

    def _word(self, at: int) -> int:
        (value,) = _WORD.unpack_from(self._memory, at)
        return int(value)


def _place(entries: Sequence[Entry]) -> tuple[int, list[Entry | None]] | None:
    for _ in range(SEEDS):
        seed = int.from_bytes(os.urandom(WORD), "little")
        slots = place(entries, seed)
        if slots is not None:
            return seed, slots
    return None
