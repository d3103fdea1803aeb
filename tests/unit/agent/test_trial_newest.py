"""Which events a trial's shadow run looks at."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from agent.evaluator.loop import Cursor
from agent.evaluator.trial import _newest
from tests.unit.content.event_strategies import EVERY_KIND

STRIDE = 64


@pytest.mark.parametrize("capacity", [4, 5])
def test_it_begins_where_a_record_begins(capacity: int) -> None:
    """A ring with room for an odd number of records would refuse every file once it is full."""
    asked: list[int] = []

    def read(position: int, _limit: int) -> np.ndarray[Any, Any]:
        asked.append(position)
        return np.zeros(capacity // 2)

    ring: Any = SimpleNamespace(
        size=capacity * STRIDE, stride=STRIDE, producer_position=10 * STRIDE, read=read
    )
    assert len(_newest(Cursor(ring, EVERY_KIND, "epoch"))) == capacity // 2
    assert asked == [(10 - capacity // 2) * STRIDE]
