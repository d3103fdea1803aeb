"""Who flooded a ring: places behind the loss counters, in which probes name the processes refused.

A place is `PLACE_WORDS` words of 64 bits: which process, how many of its events were refused, and
when the last one was (nanoseconds since boot). A place passes to another process, and counts anew,
once its own was not refused for `KEPT_SECONDS`, so whoever looks more often sees all. The sum of a
Template Type's places is at most what is counted as FLOOD for it: where more processes are refused
at one time than there are places, the others have no name.

Standard library only: the supervisor imports it.
"""

import mmap
import os
import struct
from collections.abc import Sequence
from typing import NamedTuple

PLACES = 4
"""For each Template Type."""

PLACE = struct.Struct("=QQQ")
PLACE_WORDS = 3

PID_BITS = 22
"""Of the word that says which process; above them is its start time in clock ticks since boot."""

KEPT_SECONDS = 2

TICK_NANOSECONDS = 1_000_000_000 // os.sysconf("SC_CLK_TCK")


class Flooder(NamedTuple):
    """A process of which events were refused; start_time in nanoseconds since boot, whole ticks.

    In rung bpf_tracepoint the start time is the moment in which the process was first seen.
    """

    template_type: int
    pid: int
    start_time: int


class Place(NamedTuple):
    """What stands in one place: the process's word, 0 where nobody was named yet; and a count."""

    process: int
    refused: int

    def flooder(self, template_type: int) -> Flooder:
        """Who it is."""
        ticks = self.process >> PID_BITS
        pid = self.process & (1 << PID_BITS) - 1
        return Flooder(template_type, pid, ticks * TICK_NANOSECONDS)


def places(template_types: Sequence[int]) -> tuple[int, ...]:
    """The Template Type of each place, in the order in which they lie in memory."""
    return tuple(number for number in sorted(template_types) for _ in range(PLACES))


def read_place(memory: mmap.mmap | bytes, offset: int) -> Place:
    """The place that begins there."""
    process, refused, _ = PLACE.unpack_from(memory, offset)
    return Place(process, refused)
