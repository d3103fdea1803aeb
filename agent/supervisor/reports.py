"""Reports on their way to the link: numbered, bounded, kept until the link has stored them.

The link may die at any time; whatever it has not confirmed is sent again to its successor, which
recognises by number what it already has. Where the bound is reached the newest report is dropped
and its loss is counted, so that the loss itself is reported once there is room.
"""

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from agent.supervisor.limits import LIMITS


@dataclass(frozen=True, slots=True)
class Report:
    """One report: `kind` is detections, crash or loss."""

    number: int
    kind: str
    facts: Mapping[str, Any]
    payload: bytes
    weight: int


Send = Callable[[Report], bool]


@dataclass(slots=True)
class Reports:
    """The queue. `dropped` counts what found no room: reports, and detections in them."""

    last: int = 0
    stored: int = 0
    dropped: int = 0
    _waiting: deque[Report] = field(default_factory=deque)
    _sent: int = 0
    _bytes: int = 0

    def add(
        self, kind: str, facts: Mapping[str, Any], payload: bytes = b"", weight: int = 1
    ) -> bool:
        """Queue a report; False where there is no room, which is counted by `weight`."""
        size = len(payload) + 512
        if len(self._waiting) >= LIMITS.reports or self._bytes + size > LIMITS.report_bytes:
            self.dropped += weight
            return False
        self.last += 1
        self._waiting.append(Report(self.last, kind, facts, payload, weight))
        self._bytes += size
        return True

    def confirm(self, number: int) -> bool:
        """The link has stored everything up to this number; False if it never got that far."""
        if number > self._sent or number < self.stored:
            return False
        self.stored = number
        while self._waiting and self._waiting[0].number <= number:
            self._bytes -= len(self._waiting.popleft().payload) + 512
        return True

    def resend(self) -> None:
        """A new link starts with what its predecessor did not confirm."""
        self._sent = self.stored

    def flush(self, send: Send) -> None:
        """Send what was not sent yet, in order, as long as `send` takes it."""
        first = self._sent - self.stored
        for index in range(first, len(self._waiting)):
            report = self._waiting[index]
            if not send(report):
                return
            self._sent = report.number

    @property
    def unsent(self) -> bool:
        """Whether there are reports that the link was not sent."""
        return self._sent < self.last

    @property
    def waiting(self) -> int:
        """Reports that the link has not confirmed."""
        return len(self._waiting)
