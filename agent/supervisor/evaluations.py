"""How much content in force has been tried, and what it costs: what a rollout in the cloud needs.

Events are counted by the hash of the Channel File that they were put to. Time and memory are what
the evaluator at work says of itself: a figure that no host could have is left out.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from agent.supervisor.evaluator_process import Evaluator, LoadedFile

LARGEST_FIGURE = 2**53
"""Nanoseconds, bytes and events beyond it are nonsense."""


@dataclass(slots=True)
class Evaluations:
    """Events by content hash, of this run of the supervisor."""

    _events: Counter[str] = field(default_factory=Counter)

    def add(self, files: Iterable[LoadedFile], template_type: int, events: int) -> None:
        """So many events of a Template Type were put to the file of that type among these."""
        for file in files:
            if file.template_type == template_type:
                self._events[file.hash] += events

    def facts(self, active: Iterable[str], worker: Evaluator | None) -> dict[str, Any]:
        """Members of the message `state`; what is not active any more is forgotten."""
        wanted = set(active)
        for content_hash in self._events.keys() - wanted:
            del self._events[content_hash]
        told: Mapping[str, Any] = worker.facts.get("heartbeat", {}) if worker else {}
        evaluated = _figure(told, "evaluated")
        return {
            "evaluations": [[name, self._events[name]] for name in sorted(wanted)],
            "evaluation_ns": _figure(told, "evaluation_ns") // evaluated if evaluated else 0,
            "evaluator_memory_bytes": _figure(told, "memory_bytes"),
        }


def _figure(told: Mapping[str, Any], name: str) -> int:
    value = told.get(name, 0)
    return value if type(value) is int and 0 <= value <= LARGEST_FIGURE else 0
