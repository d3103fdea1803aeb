"""Capped, jittered exponential backoff that never ends; pure, standard library only.

The delay doubles with each failure up to a cap and starts again after a success. Jitter keeps many
sensors from coming back in step.
"""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(slots=True)
class Backoff:
    """Delays in seconds: `first`, doubled per failure, at most `cap`.

    random: returns a number in [0, 1); each delay is scaled into [1 - jitter, 1] of itself.
    """

    first: float
    cap: float
    random: Callable[[], float]
    jitter: float = 0.5
    failures: int = 0

    def next_delay(self) -> float:
        """Count one more failure and say how long to wait before the next try."""
        # The exponent is capped as well: 2.0 ** 10,000 would overflow.
        delay = min(self.cap, self.first * 2.0 ** min(self.failures, 60))
        self.failures += 1
        return delay * (1.0 - self.jitter * self.random())

    def reset(self) -> None:
        """The last try succeeded."""
        self.failures = 0
