"""A measurement in several processes ends as one does."""

import signal

import pytest

from bench.side_by_side import side_by_side


def test_each_process_has_its_share() -> None:
    """Otherwise work would be done twice, or not at all."""
    assert side_by_side(max, [1, 20, 3, 4, 5], 2) == [5, 20]


def test_a_failure_ends_the_others() -> None:
    """Otherwise hours would pass before anybody knew."""
    never_sent = signal.SIGUSR2
    with pytest.raises(ValueError, match="signal number"):
        side_by_side(signal.sigwait, [0, never_sent], 2)
