"""The pool of evaluators with processes that are only played, and a clock of the test's."""

import os
import signal
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from agent.attribution import NONE, Attribution
from agent.backoff import Backoff
from agent.supervisor.child import Child, End
from agent.supervisor.evaluator_process import Evaluator, FileSet, LoadedFile, Stage
from agent.supervisor.evaluators import Evaluators
from agent.supervisor.rings import Collection
from agent.supervisor.roles import Role
from agent.supervisor.store import StoreError
from tests.unit.agent.ring_memory import collection

ONE, TWO = LoadedFile("1" * 64, 1), LoadedFile("2" * 64, 2)
NEWER = LoadedFile("3" * 64, 1)
OLD: FileSet = frozenset({ONE, TWO})
DIGEST_ONE, DIGEST_TWO = b"\x01" * 32, b"\x02" * 32
"""Digests of the instances that a played evaluator names."""
NEW: FileSet = frozenset({NEWER, TWO})


class Played(Child):
    """A child that is no process: what it was sent, and how it ends when it is killed."""

    def __init__(self, pid: int) -> None:
        self.role = Role.EVALUATOR
        self.killed_by_us = self.stopped_by_others = False
        self.end: End | None = None
        self.log_dropped = 0
        self.attempts = Counter()
        self.forbidden = False
        # Whether it has said something that was not read yet.
        self.unread = False
        self.number = pid
        self.sent: list[tuple[str, dict[str, Any]]] = []
        self.descriptors = 0
        self.room = True
        self.waited = 0.0

    @property
    def pid(self) -> int:
        """A number that is no process id."""
        return self.number

    def send(
        self, kind: str, *, payload: bytes = b"", descriptors: Sequence[int] = (), **fields: Any
    ) -> bool:
        """Keep the message, unless there is no room for it."""
        assert payload == b""
        for descriptor in descriptors:
            os.fstat(descriptor)
        if self.room:
            self.sent.append((kind, fields))
            self.descriptors += len(descriptors)
        return self.room

    def waited_seconds(self) -> float:
        """As long as the test says."""
        return self.waited

    def kill(self) -> None:
        """End by the supervisor's signal."""
        self.killed_by_us = True
        self.end = self.end or End(signal.SIGKILL, 0)

    def reap(self) -> End:
        """How it ended; a test that asks too early fails."""
        assert self.end is not None
        return self.end

    def pending(self) -> bool:
        """As the test says."""
        return self.unread

    def told(self) -> list[str]:
        """The kinds of message that it was sent."""
        return [kind for kind, _ in self.sent]


@dataclass(slots=True)
class Theatre:
    """What the pool sees of the outside: a launcher that may be out of order, a clock."""

    now: float = 500.0
    children: list[Played] = field(default_factory=list)
    out_of_order: bool = False
    unreadable: set[str] = field(default_factory=set)
    missing: list[str] = field(default_factory=list)
    pool: Evaluators = field(init=False)

    def __post_init__(self) -> None:
        backoff = Backoff(0.1, 5.0, random=lambda: 0.0)
        self.pool = Evaluators(self, backoff, self.missing.append, clock=lambda: self.now)
        self.pool.collection = collection(1, 2)
        self.pool.wanted = OLD

    def start_evaluator(self) -> Child:
        """As the supervisor's launcher does."""
        if self.out_of_order:
            raise BlockingIOError("no more processes")
        self.children.append(Played(1000 + len(self.children)))
        return self.children[-1]

    def payload_descriptor(self, content_hash: str) -> int:
        """As the supervisor's launcher does."""
        if content_hash in self.unreadable:
            raise StoreError(content_hash)
        return os.memfd_create("payload")

    @property
    def rings(self) -> Collection:
        """The rings of the pool."""
        assert self.pool.collection is not None
        return self.pool.collection

    def turn(self, seconds: float = 0.0) -> None:
        """Time passes, what was killed ends, and the pool takes its next step."""
        self.now += seconds
        for one in list(self.pool.members):
            if one.finished and one.child.end is not None:
                self.pool.remove(one)
        self.pool.reconcile()

    def ready(self) -> None:
        """Everybody who loads has loaded; whoever was on trial has passed."""
        for one in self.pool.members:
            if one.stage is Stage.LOADING and not one.finished:
                one.candidate = None
                one.enter(Stage.READY, self.now)

    def working(self) -> tuple[Evaluator, Evaluator]:
        """From nothing to a worker and a stand-by that is ready."""
        for _ in range(2):
            self.turn()
            self.ready()
        self.turn()
        worker = self.pool.worker
        assert worker is not None
        (standby,) = [one for one in self.pool.members if one is not worker]
        return worker, standby

    def dies(self, one: Evaluator, number: int = signal.SIGSEGV) -> None:
        """An evaluator ends by a signal that nobody here has sent."""
        child = played(one)
        child.end = child.end or End(number, 0)
        self.pool.slow_down(one)
        self.pool.remove(one)

    def close(self) -> None:
        """Give back what the test still holds."""
        for one in list(self.pool.members):
            self.pool.remove(one)
        self.rings.close()


def played(one: Evaluator) -> Played:
    """The played child of an evaluator."""
    assert isinstance(one.child, Played)
    return one.child


def works_on(
    one: Evaluator, ring: int, position: int, count: int, row: int, *, known: bool = True
) -> None:
    """The evaluator writes down what it works on; known: with which instance."""
    record = Attribution(one.attribution)
    record.name_instances([("first", DIGEST_ONE), ("second", DIGEST_TWO)])
    record.batch(ring, position, count)
    record.note(row, 1 if known else NONE)
