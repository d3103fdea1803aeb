"""How long to wait between two sessions: as a busy cloud asks for, or a growing random time.

    a hint by the cloud   that long, at most `busy_cap_seconds`: whoever has taken over a cloud
                          gains nothing by it that silence would not do
    no hint               anything up to `reconnect_first_seconds`, doubled with each failure up to
                          `reconnect_cap_seconds` (full jitter): sensors that lost one cloud in the
                          same moment come back spread evenly over all of that time

A session that lived `stable_seconds` makes the next wait short again.
"""

from collections.abc import Callable

from agent.backoff import Backoff
from agent.link.limits import LIMITS

RETRY_AFTER = "retry-after-ms"
"""The cloud's hint, in the trailing metadata of a session that it ends: digits, milliseconds."""

LONGEST_HINT = 9
"""Digits; more is no time that anybody means."""


class Pause:
    """One per process; random: returns a number in [0, 1)."""

    def __init__(self, random: Callable[[], float]) -> None:
        self._backoff = Backoff(
            LIMITS.reconnect_first_seconds, LIMITS.reconnect_cap_seconds, random, jitter=1.0
        )

    def after(self, connected_seconds: float, hint_seconds: float | None) -> float:
        """Seconds to wait, after a session that was open for so long and ended with that hint."""
        if connected_seconds >= LIMITS.stable_seconds:
            self._backoff.reset()
        if hint_seconds is None:
            return self._backoff.next_delay()
        return min(hint_seconds, LIMITS.busy_cap_seconds)


def hint_of(metadata: object) -> float | None:
    """The hint among trailing metadata, in seconds; None where there is none that can be meant."""
    pairs = metadata if metadata is not None else ()
    if not isinstance(pairs, tuple | list) and not hasattr(pairs, "__iter__"):
        return None
    for key, value in pairs:
        if key == RETRY_AFTER:
            text = value if isinstance(value, str) else ""
            good = text.isascii() and text.isdigit() and len(text) <= LONGEST_HINT
            return int(text) / 1000 if good else None
    return None
