"""Loss counters: one 64-bit slot per cause and Template Type, shared memory, written in place.

The kernel rung keeps them in a memory-mappable BPF array, the psutil rung in a memfd; both have
the slots in the order of `slots()`. Whoever holds the descriptor maps it and reads; nobody resets
it. Slots only grow.
"""

import mmap
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Self

SLOT = struct.Struct("=Q")


class Cause(StrEnum):
    """Why something is missing from what the sensor supplied."""

    # The event is lost: its ring had no room.
    RING_FULL = "RING_FULL"
    # The event is lost: the map of system calls under way was full.
    PENDING_FULL = "PENDING_FULL"
    # The event was submitted, but a text of the process's memory could not be read.
    READ_FAULT = "READ_FAULT"
    # A process was not remembered: its own and its children's events lack image, command line
    # and their parent's. Counted under Template Type 0, for it belongs to all.
    LINEAGE_FULL = "LINEAGE_FULL"
    # The same for a process that is older than the sensor.
    SEED_FULL = "SEED_FULL"
    # Perhaps an event less, in rung bpf_tracepoint: a call on a socket of which nobody can say
    # whether it is IP or UNIX.
    FAMILY_UNKNOWN = "FAMILY_UNKNOWN"
    # At most so many events, in rung process_connector: notifications that the kernel sent and
    # nobody received. They would have told of forks and exits as well as of execs.
    NOTIFICATION_LOST = "NOTIFICATION_LOST"


ANY_TEMPLATE_TYPE = 0

OF_LOWER_RUNGS = (Cause.FAMILY_UNKNOWN, Cause.NOTIFICATION_LOST)

EVENT_LOST = frozenset({Cause.RING_FULL, Cause.PENDING_FULL, *OF_LOWER_RUNGS})
"""Causes that mean an event less; the others mean an event with fewer fields."""


@dataclass(frozen=True, slots=True)
class CounterSlot:
    """What one slot counts."""

    cause: Cause
    template_type: int

    def document(self) -> dict[str, int | str]:
        """The slot as the `attached` message spells it."""
        return {"cause": self.cause, "template_type": self.template_type}


def slots(template_types: Iterable[int]) -> tuple[CounterSlot, ...]:
    """The slots in the order in which they lie in memory."""
    numbers = sorted(template_types)
    per_type = (Cause.RING_FULL, Cause.PENDING_FULL, Cause.READ_FAULT)
    return (
        *(CounterSlot(cause, number) for cause in per_type for number in numbers),
        CounterSlot(Cause.LINEAGE_FULL, ANY_TEMPLATE_TYPE),
        *(CounterSlot(cause, ANY_TEMPLATE_TYPE) for cause in (Cause.SEED_FULL, *OF_LOWER_RUNGS)),
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
