"""What a trial's shadow run holds against content: work, not time on the wall."""

import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np

from agent.evaluator.limits import LIMITS
from agent.evaluator.loop import Cursor
from agent.evaluator.trial import Trial
from content.reasons import Reason
from tests.unit.content.event_strategies import EVERY_KIND

EVENTS = LIMITS.batch_records // 16
STRIDE = 64
TOO_LONG = 2 * EVENTS * LIMITS.shadow_budget_microseconds_per_event / 1e6


def _shadow(work: Callable[[], object]) -> list[Reason]:
    """Reasons against content whose evaluation does this."""
    ring: Any = SimpleNamespace(
        size=4 * EVENTS * STRIDE,
        stride=STRIDE,
        producer_position=EVENTS * STRIDE,
        read=lambda _position, _limit: np.zeros(EVENTS),
    )

    def evaluate(*_: object) -> SimpleNamespace:
        work()
        return SimpleNamespace(faults=[])

    attribution: Any = SimpleNamespace(batch=lambda *_: None)
    nothing: Any = None
    engine: Any = SimpleNamespace(evaluate=evaluate)
    trial = Trial({}, nothing, attribution)
    problems, _ = trial.shadow(engine, [Cursor(ring, EVERY_KIND, "epoch")])
    return [problem.reason for problem in problems]


def test_content_that_waits_for_a_processor_is_not_refused() -> None:
    """A busy host would refuse good content, for good."""
    assert _shadow(lambda: time.sleep(TOO_LONG)) == []


def test_content_that_works_too_long_is_refused() -> None:
    """Content that takes a processor for itself would come into force."""

    def work() -> None:
        until = time.thread_time() + TOO_LONG
        while time.thread_time() < until:
            pass

    assert _shadow(work) == [Reason.LIMIT_EXCEEDED]
