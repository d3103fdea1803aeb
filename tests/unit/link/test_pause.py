"""The pause between two sessions: grows, is capped, spreads, heeds a busy cloud within reason."""

import random

import pytest

from agent.link.limits import LIMITS
from agent.link.pause import RETRY_AFTER, Pause, hint_of

FIRST, CAP = LIMITS.reconnect_first_seconds, LIMITS.reconnect_cap_seconds


def test_pauses_grow_up_to_the_cap() -> None:
    """A cloud that is away would be hammered, or not be found for long after its return."""
    pause = Pause(lambda: 0.0)
    longest = [pause.after(0.0, None) for _ in range(9)]
    assert longest[:4] == pytest.approx([FIRST, 2 * FIRST, 4 * FIRST, 8 * FIRST])
    assert max(longest) == longest[-1] == CAP


def test_a_good_session_makes_the_next_pause_short() -> None:
    """One long outage would make every later one longer."""
    pause = Pause(lambda: 0.0)
    for _ in range(20):
        pause.after(0.0, None)
    assert pause.after(LIMITS.stable_seconds, None) == pytest.approx(FIRST)


def test_a_herd_is_spread_over_all_of_the_cap() -> None:
    """Sensors that lost one cloud in the same moment would come back in waves."""
    chance = random.Random(5)  # noqa: S311 — repeatable, no secret
    herd = [Pause(chance.random) for _ in range(2_000)]
    for _ in range(10):
        last = [pause.after(0.0, None) for pause in herd]
    per_tenth = [sum(1 for one in last if n <= 10 * one / CAP < n + 1) for n in range(10)]
    assert min(per_tenth) > 120
    assert max(per_tenth) < 290


def test_a_hint_is_heeded_up_to_its_cap() -> None:
    """A busy cloud could not spread its agents; or one that was taken over could silence them."""
    pause = Pause(lambda: 0.0)
    assert pause.after(0.0, 12.5) == 12.5
    assert pause.after(0.0, 1e9) == LIMITS.busy_cap_seconds
    assert pause.after(0.0, None) == pytest.approx(FIRST)


HINTS = [
    ("good", ((RETRY_AFTER, "1500"),), 1.5),
    ("none", (), None),
    ("nothing", None, None),
    ("another", (("retry-after", "1500"),), None),
    ("negative", ((RETRY_AFTER, "-5"),), None),
    ("empty", ((RETRY_AFTER, ""),), None),
    ("text", ((RETRY_AFTER, "soon"),), None),
    ("bytes", ((RETRY_AFTER, b"5"),), None),
    ("other digits", ((RETRY_AFTER, "\u0663"),), None),
    ("endless", ((RETRY_AFTER, "9" * 5000),), None),
    ("long", ((RETRY_AFTER, "9" * 9),), 999_999.999),
]


@pytest.mark.parametrize(
    ("metadata", "seconds"), [one[1:] for one in HINTS], ids=[h[0] for h in HINTS]
)
def test_a_hint_is_digits_or_nothing(metadata: object, seconds: float | None) -> None:
    """Whatever a cloud writes there, the session's thread must go on."""
    assert hint_of(metadata) == seconds
