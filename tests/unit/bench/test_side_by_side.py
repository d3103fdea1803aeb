"""A measurement in several processes ends as one does."""

import time
from collections.abc import Sequence

import pytest

from bench.side_by_side import side_by_side

WAITING_SECONDS = 3600.0


def test_each_process_has_its_share() -> None:
    """Otherwise work would be done twice, or not at all."""
    assert side_by_side(max, [1, 20, 3, 4, 5], 2) == [5, 20]


def fails_or_waits(share: Sequence[str]) -> None:
    """Its end does not come by itself, but it can be interrupted."""
    if "fails" in share:
        raise ValueError("as it was told to")
    time.sleep(WAITING_SECONDS)


def test_a_failure_ends_the_others() -> None:
    """Otherwise hours would pass before anybody knew."""
    with pytest.raises(ValueError, match="as it was told to"):
        side_by_side(fails_or_waits, ["fails", "waits"], 2)
