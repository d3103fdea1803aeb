"""A wall clock that is set changes nothing in the order or the distance of events."""

import os
import subprocess
import time
from collections.abc import Callable, Iterator

import pytest

from tests.kernel.collection import Collection
from tests.needs import require_disposable_machine

DAY_SECONDS = 86_400.0
NANOSECONDS = 1_000_000_000


@pytest.fixture
def set_clock() -> Iterator[Callable[[float], None]]:
    """Set the wall clock forward by so many seconds; set right again afterwards."""
    require_disposable_machine()
    began, wall = time.monotonic(), time.time()

    def set_by(seconds: float) -> None:
        time.clock_settime(time.CLOCK_REALTIME, time.time() + seconds)

    yield set_by
    time.clock_settime(time.CLOCK_REALTIME, wall + time.monotonic() - began)


@pytest.mark.parametrize("seconds", [-DAY_SECONDS, DAY_SECONDS], ids=["back", "forward"])
def test_events_keep_order_and_distance(
    collection: Collection, set_clock: Callable[[float], None], seconds: float
) -> None:
    """A process could hide behind a clock that it sets, and spans of losses would be nonsense."""
    began = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
    for _ in range(3):
        subprocess.run(["/bin/true"], check=True)
        set_clock(seconds)
    elapsed = time.clock_gettime_ns(time.CLOCK_BOOTTIME) - began
    times = [int(event["time_ns"]) for event in collection.take("process", parents=[os.getpid()])]
    assert len(times) == 3
    assert times == sorted(times)
    assert began <= times[0] <= times[-1] <= began + elapsed
    assert elapsed < DAY_SECONDS * NANOSECONDS
