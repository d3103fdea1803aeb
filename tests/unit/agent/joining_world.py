"""Joining with a collection in memory, collectors that are only played, and a clock."""

import io
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from agent.channel import Message
from agent.supervisor.child import Child, End
from agent.supervisor.hand_over import from_message
from agent.supervisor.joining import Joining
from agent.supervisor.ledger import SECOND, Ledger
from agent.supervisor.log import Log
from agent.supervisor.needs import Needs
from agent.supervisor.rings import Collection, RingFacts
from tests.unit.agent.evaluator_world import Played
from tests.unit.agent.ring_memory import attached, memory, ring

GRACE = 60.0


def handed_over(
    rings: Sequence[int], serves: Sequence[Any], attachments: int | None = None, **more: Any
) -> Message:
    """A collector's message: rings, and attachments, one for each entry of `serves` by default."""
    fields = {"rung": "bpf_btf", "rings": [ring(number) for number in rings], **more}
    fields["serves"] = list(serves)
    here = len(serves) if attachments is None else attachments
    descriptors = tuple(memory() for _ in rings)
    if fields.get("counters"):
        descriptors += (memory(4096),)
    descriptors += tuple(memory(4096) for _ in fields.get("shared", ()))
    return attached(fields, (*descriptors, *(memory(4096) for _ in range(here))))


def running() -> Collection:
    """Lineage, Template Type 1, and 3 with 4, with one that serves both."""
    return from_message(
        handed_over(
            [1, 3, 4],
            [[], [1], [3], [3, 4], [4]],
            counters=[{"cause": "RING_FULL", "template_type": 1}],
            shared=["lineage", "pending"],
            probes=["fork", "exec", "accept", "connect", "mknod"],
        )
    )


@dataclass(slots=True)
class World:
    """What joins, and what it has told."""

    now: float = 100.0
    children: list[Played] = field(default_factory=list)
    asked: list[tuple[int, ...]] = field(default_factory=list)
    held: list[RingFacts] = field(default_factory=list)
    changes: int = 0
    told: list[Mapping[str, Any]] = field(default_factory=list)
    needs: Needs = field(default_factory=lambda: Needs(grace=GRACE, settle=0.0))
    collection: Collection = field(default_factory=running)
    joining: Joining = field(init=False)

    def __post_init__(self) -> None:
        ledger = Ledger("run", self._report, lambda: int(self.now * SECOND), lambda: 0)
        self.joining = Joining(
            self.needs,
            self._start,
            lambda: self.held,
            self._changed,
            ledger,
            Log(stream=io.StringIO()),
            clock=lambda: self.now,
        )
        self.joining.collection_changed(self.collection)

    def _start(self, numbers: Sequence[int]) -> Child:
        self.asked.append(tuple(numbers))
        self.children.append(Played(len(self.children)))
        self.children[-1].started = self.now
        return self.children[-1]

    def _changed(self) -> None:
        self.changes += 1

    def _report(self, facts: Mapping[str, Any]) -> bool:
        self.told.append(facts)
        return True

    def need(self, *numbers: int, seconds: float = 0.0) -> None:
        """Time passes, content of these types is in force, and the next step is taken."""
        self.now += seconds
        self.needs.update(numbers, (), self.joining.collected(), self.now)
        self.joining.reconcile()

    def ends(self, signal: int = 0) -> None:
        """The joining collector ends."""
        child = self.children[-1]
        child.end = child.end or End(signal, 0)
        self.joining.ended(child)

    def joins(self, message: Message) -> None:
        """The joining collector hands over and ends."""
        self.joining.message(message)
        self.ends()

    def served(self) -> list[set[int]]:
        """What each attachment is for."""
        return [set(one.serves) for one in self.collection.attachments]

    def spans(self) -> list[tuple[str, int, float, float]]:
        """Cause, Template Type, from and to in seconds since boot."""
        return [
            (
                one["cause"],
                one["template_type"],
                one["from_unix_ns"] / SECOND + self.now,
                one["to_unix_ns"] / SECOND + self.now,
            )
            for one in self.told
        ]

    def close(self) -> None:
        """Give everything back."""
        if self.joining.child is not None:
            self.ends(9)
        self.joining.close()
        self.collection.close()


def is_open(descriptor: int) -> bool:
    """Whether a descriptor is open."""
    try:
        os.fstat(descriptor)
    except OSError:
        return False
    return True
