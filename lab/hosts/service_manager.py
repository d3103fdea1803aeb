"""What a service manager does with an agent that ends, as it is set up for most agents. Pure.

A host of the laboratory boots without systemd, because that takes longer than everything else on
emulated processors. What matters of it is Restart=on-failure with its defaults: a pause of 100 ms
before a start, and a limit of 5 starts in 10 s, after which the service is failed for good.
"""

from collections.abc import Sequence
from enum import StrEnum

RESTART_SECONDS = 0.1
LIMIT_STARTS = 5
LIMIT_SECONDS = 10.0
SAME_DEATHS = 3
"""Deaths in a row, of agents that did not protect for long: nothing will change about that."""


class Verdict(StrEnum):
    """What becomes of a service that has ended."""

    RESTART = "restart"
    START_LIMIT_HIT = "Start request repeated too quickly."  # in systemd's words
    ENDED = "ended"  # by itself, with status 0


def verdict(starts: Sequence[float], now: float, status: int) -> Verdict:
    """What to do at `now`, on the clock of the starts. status: of its end, negative: a signal."""
    if status == 0:
        return Verdict.ENDED
    recent = [one for one in starts if now + RESTART_SECONDS - one < LIMIT_SECONDS]
    return Verdict.START_LIMIT_HIT if len(recent) >= LIMIT_STARTS else Verdict.RESTART
