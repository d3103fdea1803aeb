"""What systemd is told: that we protect, that we live, in what condition, and that we stop.

systemd names a socket in NOTIFY_SOCKET and, where it watches, an interval in WATCHDOG_USEC
(sd_notify(3), sd_watchdog_enabled(3)). Ready means that events are collected and evaluated; on a
host where that can't be had in time we say so in words and are ready all the same, because a boot
that waits for its sensor for ever is an outage too. Without a service manager this does nothing.
"""

import contextlib
import math
import os
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from agent.supervisor.limits import LIMITS

MICROSECONDS = 1_000_000


@dataclass(slots=True)
class ServiceManager:
    """The service manager's ear; `look` is to be called often, and speaks only when it must.

    address: NOTIFY_SOCKET, `@` in front for an abstract one; empty if nobody listens.
    watchdog_seconds: how long we may be silent; None if nobody watches.
    """

    address: str
    watchdog_seconds: float | None
    clock: Callable[[], float] = time.monotonic
    ready: bool = False
    _started: float = field(init=False)
    _next_sign: float = 0.0
    _status: str = ""

    def __post_init__(self) -> None:
        self._started = self.clock()

    def look(self, *, protecting: bool, reduced: Sequence[str]) -> None:
        """Say what has changed since the last look, and that we live if it is time for that."""
        if not self.address:
            return
        now = self.clock()
        lines = []
        late = now - self._started >= LIMITS.ready_seconds
        if not self.ready and (protecting or late):
            self.ready = True
            lines.append("READY=1")
        status = condition(protecting=protecting, reduced=reduced)
        if self.ready and status != self._status:
            self._status = status
            lines.append(f"STATUS={status}")
        if self.watchdog_seconds is not None and now >= self._next_sign:
            # Twice in the interval, as sd_watchdog_enabled(3) recommends.
            self._next_sign = now + self.watchdog_seconds / 2
            lines.append("WATCHDOG=1")
        if lines:
            self._say(*lines)

    def due(self, _now: float) -> float:
        """When something must be said although nothing has changed."""
        moments = []
        if self.address and not self.ready:
            moments.append(self._started + LIMITS.ready_seconds)
        if self.address and self.watchdog_seconds is not None:
            moments.append(self._next_sign)
        return min(moments, default=math.inf)

    def stopping(self) -> None:
        """Say that we were told to stop."""
        self._say("STOPPING=1", "STATUS=stopping")

    def _say(self, *lines: str) -> None:
        if not self.address:
            return
        name = "\0" + self.address[1:] if self.address.startswith("@") else self.address
        # A service manager that does not listen is no reason to stop protecting.
        with (
            contextlib.suppress(OSError),
            socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as speaker,
        ):
            speaker.sendto("\n".join(lines).encode(), name)


def condition(*, protecting: bool, reduced: Sequence[str]) -> str:
    """The state in one line, for `systemctl status`."""
    words = "protecting" if protecting else "NOT PROTECTING"
    return f"{words}, reduced functionality: {', '.join(reduced)}" if reduced else words


def from_environment(environment: Mapping[str, str], pid: int) -> ServiceManager:
    """What the service manager that started process `pid` wants to hear."""
    address = environment.get("NOTIFY_SOCKET", "")
    interval = environment.get("WATCHDOG_USEC", "")
    meant = environment.get("WATCHDOG_PID", str(pid)) == str(pid)
    watched = meant and interval.isascii() and interval.isdecimal() and int(interval) > 0
    return ServiceManager(
        address if address[:1] in ("/", "@") else "",
        int(interval) / MICROSECONDS if watched else None,
    )


def forget() -> None:
    """Keep what we start from talking to the service manager in our name."""
    for name in ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"):
        os.environ.pop(name, None)
