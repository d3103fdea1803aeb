"""Loss counters: one 64-bit slot per cause and Template Type, shared memory, written in place.

The kernel rung keeps them in a memory-mappable BPF array, the psutil rung in a memfd; both have
the slots in the order of `slots()`. Whoever holds the descriptor maps it and reads; nobody resets
it. Slots only grow. What each cause means is in content/loss_causes.py.
"""

import mmap
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

from content.loss_causes import LossCause

SLOT = struct.Struct("=Q")


ANY_TEMPLATE_TYPE = 0

PER_TEMPLATE_TYPE = (
    LossCause.RING_FULL,
    LossCause.FLOOD,
    LossCause.PENDING_FULL,
    LossCause.READ_FAULT,
    LossCause.FIELD_TRUNCATED,
)
FOR_ALL = (
    LossCause.LINEAGE_FULL,
    LossCause.SEED_FULL,
    LossCause.FAMILY_UNKNOWN,
    LossCause.NOTIFICATION_LOST,
)
"""Counted under Template Type 0: what is not known of a process is missing in events of any, and
what was not seen belongs to a type that nobody knows."""


@dataclass(frozen=True, slots=True)
class CounterSlot:
    """What one slot counts."""

    cause: LossCause
    template_type: int

    def document(self) -> dict[str, int | str]:
        """The slot as the `attached` message spells it."""
        return {"cause": self.cause, "template_type": self.template_type}


def slots(template_types: Iterable[int]) -> tuple[CounterSlot, ...]:
    """The slots in the order in which they lie in memory."""
    numbers = sorted(template_types)
    return (
        *(CounterSlot(cause, number) for cause in PER_TEMPLATE_TYPE for number in numbers),
        *(CounterSlot(cause, ANY_TEMPLATE_TYPE) for cause in FOR_ALL),
    )


def mapped_bytes(count: int) -> int:
    """Bytes that `count` slots take in memory: whole pages."""
    return -(-count * SLOT.size // mmap.PAGESIZE) * mmap.PAGESIZE


class Counters:
    """Read-only view of the counters behind a descriptor, which stays the caller's."""

    def __init__(self, descriptor: int, counted: tuple[CounterSlot, ...]) -> None:
        self._slots = counted
        self._memory = mmap.mmap(
            descriptor, mapped_bytes(len(counted)), mmap.MAP_SHARED, mmap.PROT_READ
        )

    def read(self) -> dict[CounterSlot, int]:
        """Count of every slot since the probes were loaded."""
        return {
            slot: SLOT.unpack_from(self._memory, index * SLOT.size)[0]
            for index, slot in enumerate(self._slots)
        }

    def close(self) -> None:
        """Unmap."""
        self._memory.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
