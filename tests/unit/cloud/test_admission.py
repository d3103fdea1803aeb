"""Admission: a small fleet comes in at once, a herd at the rate that the cloud can bear."""

import heapq
import random
from collections import Counter
from dataclasses import dataclass, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloud.admission import Admission, TokenBucket
from cloud.errors import CloudReason, SessionError
from cloud.limits import LIMITS

SMALL = replace(
    LIMITS,
    admissions_per_second=10.0,
    admission_burst=3.0,
    admissions_under_way=5,
    admission_share=0.5,
    retry_after_seconds=2.0,
)


@dataclass
class Clock:
    """Seconds, moved by hand."""

    now: float = 100.0

    def __call__(self) -> float:
        """The time."""
        return self.now


def refused(admission: Admission) -> int:
    """The hint of a refusal, in milliseconds."""
    with pytest.raises(SessionError) as error:
        admission.enter()
    assert error.value.reason is CloudReason.ADMISSION
    assert error.value.retry_after_ms is not None
    return error.value.retry_after_ms


def test_a_burst_is_let_in_at_once_and_then_the_rate() -> None:
    """A small fleet would wait for nothing, or a large one be let in without end."""
    bucket = TokenBucket(rate=10.0, burst=3.0, now=0.0)
    assert [bucket.take(0.0) for _ in range(4)] == [True, True, True, False]
    assert [bucket.take(0.1), bucket.take(0.1)] == [True, False]
    assert [bucket.take(60.0) for _ in range(4)] == [True, True, True, False]


@given(moments=st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=200))
def test_never_more_than_burst_and_rate(moments: list[float]) -> None:
    """A clock that jumps would let everybody in."""
    bucket = TokenBucket(rate=2.0, burst=5.0, now=0.0)
    taken = sum(bucket.take(moment) for moment in moments)
    assert taken <= 5.0 + 2.0 * max(0.0, *moments, 0.0) + 1e-3


def test_sessions_without_a_welcome_are_limited_and_places_come_back_once() -> None:
    """Hellos that hang would add up, or a place be counted as free twice."""
    admission = Admission(replace(SMALL, admission_burst=100.0), lambda: 0.0, Clock())
    places = [admission.enter() for _ in range(5)]
    refused(admission)
    places[0].leave()
    places[0].leave()
    assert admission.under_way == 4
    admission.enter()
    refused(admission)


def test_hints_follow_each_other_at_the_promised_rate() -> None:
    """Those who were refused together would come back together."""
    clock = Clock()
    admission = Admission(SMALL, lambda: 0.0, clock)
    for _ in range(3):
        admission.enter().leave()
    assert [refused(admission) for _ in range(4)] == [200, 400, 600, 800]
    clock.now += 0.05  # too short for another token
    assert refused(admission) == 950


def test_no_hint_is_longer_than_sensors_wait() -> None:
    """Sensors cut longer hints to one and the same length, and would come back in step."""
    chance = random.Random(1)  # noqa: S311 — repeatable, no secret
    admission = Admission(SMALL, chance.random, Clock())
    for _ in range(3):
        admission.enter().leave()
    hints = [refused(admission) for _ in range(500)]
    assert max(hints) <= 2000
    beyond = hints[10:]
    assert min(beyond) >= 1000
    assert len(set(beyond)) > 100


def test_a_herd_is_let_in_at_the_rate_and_refused_about_once() -> None:
    """Refused agents would be refused again and again, and each try costs a handshake."""
    chance = random.Random(7)  # noqa: S311 — repeatable, no secret
    clock = Clock(0.0)
    admission = Admission(LIMITS, chance.random, clock)
    herd = 10_000
    waiting = [(chance.random() * 3, number) for number in range(herd)]
    heapq.heapify(waiting)
    tries: Counter[int] = Counter()
    admitted: Counter[int] = Counter()
    while waiting:
        clock.now, number = heapq.heappop(waiting)
        tries[number] += 1
        try:
            admission.enter().leave()
        except SessionError as error:
            heapq.heappush(waiting, (clock.now + (error.retry_after_ms or 0) / 1000, number))
        else:
            admitted[int(clock.now)] += 1
    rate, burst = LIMITS.admissions_per_second, LIMITS.admission_burst
    assert max(admitted.values()) <= rate + burst
    assert clock.now <= 2 * herd / (rate * LIMITS.admission_share)
    assert tries.total() <= 2.5 * herd


def test_agents_that_are_sent_away_are_spread() -> None:
    """A planned restart of the cloud would bring all of them back in the same moment."""
    chance = random.Random(3)  # noqa: S311 — repeatable, no secret
    admission = Admission(LIMITS, chance.random, Clock())
    hints = [admission.return_ms(8_000) for _ in range(8_000)]
    assert 0 <= min(hints) < 1_000
    assert 49_000 < max(hints) <= 50_000
    assert max(Counter(hint // 1000 for hint in hints).values()) < 230
    assert admission.return_ms(1) < 100
