"""The life of a collector that stays: look or listen, report that it lives, end on `stop`.

In rung psutil it looks; in rung process_connector it waits for the kernel's notifications and looks
at sockets in between. Both are locked down before they begin. In rung psutil a look that comes so
late that others are missing is told, with the time from the last one.
"""

import select
import socket
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from agent.channel import Sender, receive, send
from agent.collector.seeding import Seeder
from agent.sandbox import COLLECTOR_CONNECTOR, COLLECTOR_PSUTIL, lock_down
from content.definitions import TemplateType
from content.loss_causes import LossCause
from probes.counters import ANY_TEMPLATE_TYPE
from probes.errors import ProbeError, ProbeReason
from probes.limits import LIMITS, NANOSECONDS_PER_SECOND
from probes.memory_ring import MemoryRings
from probes.process_connector import ProcessConnector

if TYPE_CHECKING:
    from probes.connector_collector import ConnectorCollector
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


def connector_collector(
    types: Mapping[int, TemplateType], rings: MemoryRings
) -> "ConnectorCollector":
    """A collector that knows who runs; ProbeError (PSUTIL_MISSING) if psutil can't be had."""
    try:
        from probes.connector_collector import (  # noqa: PLC0415 — in this rung only
            ConnectorCollector,
        )
    except ImportError as error:
        raise ProbeError(ProbeReason.PSUTIL_MISSING, str(error)) from error
    return ConnectorCollector(types, rings.append, rings.count)


def poll(channel: socket.socket, collector: "PsutilCollector", seeder: Seeder | None = None) -> int:
    """Lock down, then poll until the channel closes or says `stop`; returns the exit status."""
    heart = _Heart(channel, lock_down(COLLECTOR_PSUTIL, channel))
    last = time.monotonic()
    while True:
        started = time.monotonic()
        _tell_lateness(channel, started - last)
        last = started
        collector.poll()
        _seed(seeder)
        heart.beat({"processes": collector.processes})
        left = started + LIMITS.psutil_interval - time.monotonic()
        if _told_to_stop(channel, max(0.0, left), seeder):
            return 0


def listen(
    channel: socket.socket,
    connector: ProcessConnector,
    collector: "ConnectorCollector",
    rings: MemoryRings,
    seeder: Seeder | None = None,
) -> int:
    """Lock down, then listen until the channel closes or says `stop`; returns the exit status."""
    heart = _Heart(channel, lock_down(COLLECTOR_CONNECTOR, channel))
    next_look = 0.0
    overruns = lost = 0
    while True:
        notifications = connector.receive()
        collector.take(notifications)
        _seed(seeder)
        if connector.lost > lost:
            rings.count(LossCause.NOTIFICATION_LOST, ANY_TEMPLATE_TYPE, connector.lost - lost)
            lost = connector.lost
        if connector.overruns > overruns and not notifications:
            overruns = connector.overruns
            collector.look_again()
        if time.monotonic() >= next_look:
            collector.look_at_sockets()
            next_look = time.monotonic() + LIMITS.socket_interval
        heart.beat({"processes": collector.processes, "overruns": connector.overruns})
        seconds = max(0.0, next_look - time.monotonic())
        if _told_to_stop(channel, seconds, seeder, connector):
            connector.close()
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


class _Heart:
    """Says every so often that the collector lives, and how it is locked down."""

    def __init__(self, channel: socket.socket, sandbox: Mapping[str, str]) -> None:
        self._channel = channel
        self._sandbox = dict(sandbox)
        self._next = 0.0

    def beat(self, facts: Mapping[str, Any]) -> None:
        """Send a heartbeat if it is time for one."""
        now = time.monotonic()
        if now >= self._next:
            self._next = now + LIMITS.heartbeat_interval
            send(self._channel, "heartbeat", facts={**facts, "sandbox": self._sandbox})


def _seed(seeder: Seeder | None) -> None:
    if seeder is not None:
        seeder.turn()


def _told_to_stop(
    channel: socket.socket,
    seconds: float,
    seeder: Seeder | None,
    other: ProcessConnector | None = None,
) -> bool:
    """Wait for the supervisor, or for `other`; the supervisor says `stop` or closes the channel."""
    waited_for: list[socket.socket | ProcessConnector] = [channel]
    if other is not None:
        waited_for.append(other)
    readable, _, _ = select.select(waited_for, [], [], seconds)
    if channel not in readable:
        return False
    message = receive(channel, Sender.SUPERVISOR)
    if message is None or message.kind == "stop":
        return True
    if seeder is not None:
        seeder.order(message)
    return False
