"""Places behind the loss counters: one layout for probes that write and for those who read."""

import struct

import pytest

from content.flooders import (
    PID_BITS,
    PLACE,
    PLACE_WORDS,
    PLACES,
    TICK_NANOSECONDS,
    Flooder,
    places,
    read_place,
)

YEAR_TICKS = 365 * 86_400 * 100


@pytest.mark.parametrize(("pid", "ticks"), [(1, 0), ((1 << PID_BITS) - 1, YEAR_TICKS)])
def test_pid_and_start_time_are_taken_apart(pid: int, ticks: int) -> None:
    """A flood would be told of another process than the one that made it."""
    memory = struct.pack("=4Q", 99, ticks << PID_BITS | pid, 12, 5)
    found = read_place(memory, 8)
    assert found.refused == 12
    assert found.flooder(3) == Flooder(3, pid, ticks * TICK_NANOSECONDS)


def test_places_lie_in_order_of_template_type() -> None:
    """A flood would be told of another Template Type."""
    assert places([3, 1]) == (1,) * PLACES + (3,) * PLACES
    assert PLACE.size == PLACE_WORDS * 8
