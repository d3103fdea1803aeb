"""Recordings for tests: events of people and programs, made without a sensor."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

import numpy as np

from content.record import encode
from content.recorded_events import Loss, Recording
from content.template_type import Rung
from tests.unit.content.examples import NETWORK, PROCESS

BOOT_TIME_NS = 1_700_000_000_000_000_000
STARTED = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
SECOND = 1_000_000_000

Event = Mapping[int, bytes] | Mapping[int, int] | Mapping[int, bytes | int]


def recording(processes: Sequence[Event], connections: Sequence[Event] = ()) -> Recording:
    """A recording of these events, one a second."""
    events = {}
    for template_type, inputs in ((PROCESS, processes), (NETWORK, connections)):
        records = [
            encode(template_type, dict(event), rung=Rung.BPF_BTF, time_ns=SECOND * index)
            for index, event in enumerate(inputs)
        ]
        events[template_type.number] = np.concatenate(
            records or [encode(template_type, {}, rung=Rung.BPF_BTF)[:0]]
        )
    return Recording(
        rung=Rung.BPF_BTF,
        started=STARTED,
        seconds=2.5,
        boot_time_ns=BOOT_TIME_NS,
        ended="TIME",
        events=events,
        losses=(Loss("RING_FULL", PROCESS.number, 7),),
    )
