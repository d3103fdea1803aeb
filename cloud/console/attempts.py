"""Failed logins are counted, by name and by address: whoever has too many has to wait.

So a password can't be guessed, and neither can many. Who fails on purpose under somebody's name can
keep that name out for minutes; the command line remains. Time is the caller's.
"""

from collections import deque

from cloud.console.limits import LIMITS, ConsoleLimits


class Attempts:
    """The failures of the last minutes; a bounded number of them."""

    def __init__(self, limits: ConsoleLimits = LIMITS) -> None:
        self._limits = limits
        self._failures: deque[tuple[float, str, str]] = deque(maxlen=limits.failures_held)

    def allowed(self, name: str, address: str, now: float) -> bool:
        """Whether this login may be tried at all."""
        while self._failures and now - self._failures[0][0] > self._limits.failure_window_seconds:
            self._failures.popleft()
        of_name = sum(one[1] == name for one in self._failures)
        of_address = sum(one[2] == address for one in self._failures)
        return (
            of_name < self._limits.failures_by_name
            and of_address < self._limits.failures_by_address
            and len(self._failures) < self._limits.failures_held
        )

    def failed(self, name: str, address: str, now: float) -> None:
        """One more."""
        self._failures.append((now, name, address))

    def succeeded(self, name: str, address: str) -> None:
        """From this address the name is forgiven."""
        kept = [one for one in self._failures if one[1:] != (name, address)]
        self._failures = deque(kept, self._limits.failures_held)
