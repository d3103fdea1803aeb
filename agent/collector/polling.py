"""The life of the collector in rung psutil: poll, report that it lives, end on `stop`.

A look that comes so late that others are missing is told, with the time from the last one.
"""

import select
import socket
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

from agent.channel import Sender, receive, send
from agent.sandbox import COLLECTOR_PSUTIL, lock_down
from content.definitions import TemplateType
from probes.errors import ProbeError, ProbeReason
from probes.limits import LIMITS, NANOSECONDS_PER_SECOND
from probes.memory_ring import MemoryRings

if TYPE_CHECKING:
    from probes.psutil_collector import PsutilCollector

SLACK = 0.001
"""Of an interval: two looks exactly two intervals apart have missed one."""


def psutil_collector(types: Mapping[int, TemplateType], rings: MemoryRings) -> "PsutilCollector":
    """A collector that has looked once; ProbeError (PSUTIL_MISSING) if psutil can't be had."""
    try:
        from probes.psutil_collector import PsutilCollector  # noqa: PLC0415 — in this rung only
    except ImportError as error:
        raise ProbeError(ProbeReason.PSUTIL_MISSING, str(error)) from error
    return PsutilCollector(types, rings.append)


def poll(channel: socket.socket, collector: "PsutilCollector") -> int:
    """Lock down, then poll until the channel closes or says `stop`; returns the exit status."""
    sandbox = lock_down(COLLECTOR_PSUTIL)
    next_heartbeat = 0.0
    last = time.monotonic()
    while True:
        started = time.monotonic()
        _tell_lateness(channel, started - last)
        last = started
        collector.poll()
        if started >= next_heartbeat:
            next_heartbeat = started + LIMITS.heartbeat_interval
            facts = {"processes": collector.processes, "sandbox": sandbox}
            send(channel, "heartbeat", facts=facts)
        left = started + LIMITS.psutil_interval - time.monotonic()
        if _told_to_stop(channel, max(0.0, left)):
            return 0


def missed_looks(waited: float) -> int:
    """Looks that should have been between two which lie so many seconds apart."""
    return max(0, int(waited / LIMITS.psutil_interval + SLACK) - 1)


def _tell_lateness(channel: socket.socket, waited: float) -> None:
    missed = missed_looks(waited)
    if missed:
        now = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
        since = max(0, now - int(waited * NANOSECONDS_PER_SECOND))
        send(channel, "late", from_ns=since, to_ns=now, missed=missed)


def _told_to_stop(channel: socket.socket, seconds: float) -> bool:
    """Wait for the supervisor at most that long; it says `stop`, or closes the channel."""
    readable, _, _ = select.select([channel], [], [], seconds)
    if not readable:
        return False
    message = receive(channel, Sender.SUPERVISOR)
    return message is None or message.kind == "stop"
