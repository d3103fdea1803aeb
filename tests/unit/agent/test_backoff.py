"""Backoff: grows, is capped, never ends, starts again."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.backoff import Backoff


def test_doubles_up_to_the_cap() -> None:
    """A crash loop would be hammered on, or slowed down for ever longer."""
    backoff = Backoff(0.1, 5.0, random=lambda: 0.0)
    delays = [backoff.next_delay() for _ in range(8)]
    assert delays == pytest.approx([0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0])


def test_starts_again_after_a_success() -> None:
    """One bad hour would leave every later restart slow."""
    backoff = Backoff(0.1, 5.0, random=lambda: 0.0)
    for _ in range(20):
        backoff.next_delay()
    backoff.reset()
    assert backoff.next_delay() == pytest.approx(0.1)


@given(
    failures=st.integers(0, 10**9),
    chance=st.floats(0, 1, exclude_max=True),
    jitter=st.floats(0, 1),
)
def test_never_ends(failures: int, chance: float, jitter: float) -> None:
    """After enough failures the sensor would give up, with an overflow, or wait for ever."""
    backoff = Backoff(0.1, 5.0, lambda: chance, jitter, failures)
    assert (1.0 - jitter) * 0.1 <= backoff.next_delay() <= 5.0
    assert backoff.failures == failures + 1


def test_jitter_spreads_restarts() -> None:
    """All sensors of a fleet would come back to the cloud in step."""
    low = Backoff(1.0, 8.0, random=lambda: 0.999).next_delay()
    high = Backoff(1.0, 8.0, random=lambda: 0.0).next_delay()
    assert low < 0.51 < high
