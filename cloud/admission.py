"""Who may begin a session now: so many a second, and so many at a time that have no welcome yet.

After an outage all agents come at once. Each costs a handshake, a transaction and a look at the
metadata; what exceeds the limits is refused at once and cheaply, with a hint when to come back.
Hints are places in a queue that nobody keeps: each refusal books the next one, so that those who
were refused come back at the rate at which they can be admitted, and are refused once.

Pure: time and chance are passed in.
"""

import time
from collections.abc import Callable

from cloud.errors import CloudReason, SessionError
from cloud.limits import CloudLimits


class TokenBucket:
    """`rate` tokens a second, at most `burst` at once; full in the beginning. Times in seconds."""

    def __init__(self, rate: float, burst: float, now: float) -> None:
        self._rate = rate
        self._burst = burst
        self._tokens = burst
        self._at = now

    def take(self, now: float) -> bool:
        """Whether there was a token left; a clock that goes back makes none."""
        passed = max(0.0, now - self._at)
        self._at = max(self._at, now)
        self._tokens = min(self._burst, self._tokens + passed * self._rate)
        if self._tokens < 1.0:
            return False
        self._tokens -= 1.0
        return True


class Place:
    """A session on its way from its beginning to its welcome."""

    def __init__(self, admission: "Admission") -> None:
        self._admission: Admission | None = admission

    def leave(self) -> None:
        """It was welcomed, or has ended; a second time changes nothing."""
        admission, self._admission = self._admission, None
        if admission is not None:
            admission.under_way -= 1


class Admission:
    """One per serving process; random: returns a number in [0, 1)."""

    def __init__(
        self,
        limits: CloudLimits,
        random: Callable[[], float],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.under_way = 0
        self._limits = limits
        self._random = random
        self._clock = clock
        self._bucket = TokenBucket(limits.admissions_per_second, limits.admission_burst, clock())
        self._booked = 0.0

    def enter(self) -> Place:
        """A place, to be left again; SessionError with a hint where there is none."""
        now = self._clock()
        if self.under_way >= self._limits.admissions_under_way:
            raise self._refusal(now, f"{self.under_way} sessions are beginning")
        if not self._bucket.take(now):
            rate = self._limits.admissions_per_second
            raise self._refusal(now, f"more than {rate:g} sessions a second begin")
        self.under_way += 1
        return Place(self)

    def return_ms(self, agents: int) -> int:
        """A hint for one of so many agents that are all sent away at once."""
        return round(1000 * self._random() * min(self._seconds(agents), self._longest))

    def _refusal(self, now: float, why: str) -> SessionError:
        self._booked = max(self._booked, now) + self._seconds(1)
        # Beyond the longest wait there is no order any more, only a spread.
        wait = self._booked - now
        if wait > self._longest:
            self._booked = now + self._longest
            wait = self._longest * (1.0 + self._random()) / 2
        return SessionError(CloudReason.ADMISSION, why, retry_after_ms=max(1, round(1000 * wait)))

    def _seconds(self, agents: int) -> float:
        """How long it takes to admit them, with room left for those who come unasked."""
        return agents / (self._limits.admissions_per_second * self._limits.admission_share)

    @property
    def _longest(self) -> float:
        return self._limits.retry_after_seconds
