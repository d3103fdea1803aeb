"""When a polling collector has come late."""

import pytest

from agent.collector.polling import missed_looks
from probes.limits import LIMITS


@pytest.mark.parametrize(
    ("intervals", "missed"),
    [(0.0, 0), (0.5, 0), (1.0, 0), (1.9, 0), (2.0, 1), (2.9, 1), (50.0, 49)],
)
def test_looks_that_are_missing(intervals: float, missed: int) -> None:
    """A gap would not be told, or every look that is a little late be one."""
    assert missed_looks(intervals * LIMITS.psutil_interval) == missed
