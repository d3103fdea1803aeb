"""Detections of what the sensor itself did: marked, never left out.

The actor of an event is one of our processes if both its pid and its start time are those of one
that the supervisor has started. The supervisor tells of each before any report about it. A process
that only looks like one of ours has another start time and is not marked.
"""

from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any

from agent.link.errors import ReportError
from agent.link.limits import LIMITS
from bulkhead.v1 import report_pb2
from content.definitions import TemplateType

Identity = tuple[int, int]
ACTOR = ("pid", "start_time")
"""Fields that every Template Type has, of the process that acted."""


class OwnActivity:
    """The sensor's own processes, and how many detections were about them."""

    def __init__(self, types: Mapping[int, TemplateType]) -> None:
        self.detections = 0
        self._known: set[Identity] = set()
        self._in_order: deque[Identity] = deque()
        self._fields = {
            number: tuple(
                field.number for name in ACTOR for field in one.fields if field.name == name
            )
            for number, one in types.items()
        }

    def know(self, processes: Sequence[Any]) -> None:
        """`[[pid, start time]]`; ReportError for anything else."""
        for entry in processes:
            match entry:
                case [int(pid), int(started)]:
                    self._add((pid, started))
                case _:
                    raise ReportError("OWN", f"process {entry!r:.80}, expected pid and start time")

    def mark(self, batch: report_pb2.DetectionBatch) -> None:
        """Say of each detection whether its actor is one of ours, whatever it says itself."""
        for one in batch.detections:
            one.own_activity = self._actor(one) in self._known
            self.detections += one.own_activity

    def _actor(self, detection: report_pb2.Detection) -> tuple[int, ...]:
        inputs = {one.field: one.value.unsigned for one in detection.inputs}
        numbers = self._fields.get(detection.template_type, ())
        return tuple(inputs[number] for number in numbers if number in inputs)

    def _add(self, identity: Identity) -> None:
        self._known.add(identity)
        self._in_order.append(identity)
        while len(self._in_order) > LIMITS.own_processes:
            self._known.discard(self._in_order.popleft())
