"""How an evaluator waits: for events, for the supervisor, and awake or asleep.

While there are events, rings are looked at by time: to be woken for each would cost those who cause
them more than the events themselves. When there have been none for a while, the evaluator sleeps
until the kernel wakes it: a probe's submission does so if everything before that record has been
committed, and only then (`WAKE_IDLE_READER` in probes/common.bpf.h). So what is asleep must have
committed all that it has read, and have looked once more since.

A ring that is no BPF ring wakes nobody; with one of those, nobody sleeps.
"""

import select
import socket
from dataclasses import dataclass

from agent.evaluator.limits import LIMITS
from probes.ring import RingKind


class Waiter:
    """Waits at the channel, and at rings that were named to it."""

    def __init__(self, channel: socket.socket) -> None:
        self._channel = channel.fileno()
        self._awake = select.poll()
        self._awake.register(channel, select.POLLIN)
        self._asleep = select.epoll()
        self._asleep.register(channel, select.EPOLLIN)
        self.can_sleep = True

    def add_ring(self, descriptor: int, kind: RingKind) -> None:
        """Have this ring end a sleep; its descriptor may be closed once it is mapped.

        At edges: a ring with unread records would be ready all the time.
        """
        if kind is RingKind.BPF:
            self._asleep.register(descriptor, select.EPOLLIN | select.EPOLLET)
        else:
            self.can_sleep = False

    def wait(self, seconds: float, *, asleep: bool) -> bool:
        """Until the supervisor says something, or time is up, or, asleep, an event comes.

        Returns whether the supervisor has said something.
        """
        if not asleep:
            return bool(self._awake.poll(seconds * 1000.0))
        return any(found == self._channel for found, _ in self._asleep.poll(seconds))


@dataclass(slots=True)
class Looks:
    """When to look at the rings again."""

    seconds: float = LIMITS.poll_busy_seconds
    _found_at: float = 0.0

    def looked(self, now: float, *, found: bool) -> None:
        """After a look that found events or did not, at a time of the monotonic clock."""
        if found:
            self._found_at = now
            self.seconds = LIMITS.poll_busy_seconds
        else:
            self.seconds = min(self.seconds * LIMITS.poll_growth, LIMITS.poll_idle_seconds)

    def idle(self, now: float) -> bool:
        """Whether there have been no events for so long that it pays to sleep."""
        return now - self._found_at >= LIMITS.awake_seconds
