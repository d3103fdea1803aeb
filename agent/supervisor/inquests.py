"""Inquests: which instance of a Channel File do evaluators die of, on one event?

Held in throw-away evaluators, one at a time, in the sandbox of all evaluators. They get a sealed
copy of one record and one file, never a ring, and all that they may say is that they survived.
Each one that dies names a part of the instances in its attribution record, a smaller one each time,
until it is a single instance. Their deaths are nobody's: the worker goes on meanwhile, and no rule
in agent.deaths hears of them.

What is not conclusive (nothing died, somebody else killed it, no process could be started, the
record says what can't be) ends the inquest without an instance.
"""

import math
import os
import signal
import time
from collections import deque
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

from agent import attribution
from agent.attribution import MAX_INSTANCES, Phase
from agent.channel import Message, ProtocolViolationError, Violation
from agent.deaths import Finding
from agent.supervisor.child import Child
from agent.supervisor.evaluator_process import LoadedFile
from agent.supervisor.evaluators import Launcher
from agent.supervisor.limits import LIMITS
from agent.supervisor.log import Log
from agent.supervisor.sealed import sealed
from agent.supervisor.store import StoreError


@dataclass(slots=True)
class Case:
    """A death on a known event, whose instance is to be found.

    deaths: of workers that the instance accounts for. facts: of the last one's crash report.
    """

    file: LoadedFile
    record: bytes
    deaths: int
    facts: dict[str, Any]


@dataclass(slots=True)
class Part:
    """Instances in question: number of the first one, and how many."""

    first: int = 0
    count: int = MAX_INSTANCES

    def holds(self, other: "Part") -> bool:
        """Whether another one lies within, and is smaller or a single instance."""
        inside = self.first <= other.first and other.first + other.count <= self.first + self.count
        return inside and other.count > 0 and (other.count < self.count or other.count == 1)


@dataclass(slots=True)
class Inquests:
    """concluded: told of each case and what was found."""

    launcher: Launcher
    log: Log
    concluded: Callable[[Case, Finding], None]
    clock: Callable[[], float] = time.monotonic
    child: Child | None = None
    waiting: deque[Case] = field(default_factory=deque)
    _case: Case | None = None
    _part: Part = field(default_factory=Part)
    _record: int = -1
    _since: float = 0.0
    _deaths: int = 0
    _survived: bool = False
    _overdue: bool = False

    @property
    def under_way(self) -> int:
        """Cases that are not concluded yet."""
        return len(self.waiting) + (self._case is not None)

    def open(self, case: Case) -> bool:
        """Hold an inquest as soon as possible; False if too many wait already."""
        if len(self.waiting) >= LIMITS.inquests_waiting:
            return False
        self.waiting.append(case)
        return True

    def explained(self, content_hash: str) -> list[Case]:
        """An instance of a file was quarantined: cases of it that wait are put down to that."""
        cases = [case for case in self.waiting if case.file.hash == content_hash]
        for case in cases:
            self.waiting.remove(case)
        return cases

    def reconcile(self) -> None:
        """Start the next one; end a throw-away evaluator that takes too long."""
        if self.child is not None:
            if self.clock() - self._since >= LIMITS.inquest_seconds and not self._overdue:
                self._overdue = True
                self.child.kill()
        elif self._case is None and self.waiting:
            self._case, self._part, self._deaths = self.waiting.popleft(), Part(), 0
            self._try(self._case)

    def due(self, now: float) -> float:
        """When a throw-away evaluator has taken too long; now, while a case waits for one."""
        if self.child is not None:
            return self._since + LIMITS.inquest_seconds
        return now if self.waiting or self._case is not None else math.inf

    def message(self, message: Message) -> None:
        """What a throw-away evaluator says; ProtocolViolationError for all but one thing."""
        if message.kind != "survived":
            raise ProtocolViolationError(f"{message.kind} in an inquest", Violation.OUT_OF_TURN)
        self._survived = True

    def ended(self) -> None:
        """A throw-away evaluator is gone, and all that it said has been read."""
        child, case, self.child = self.child, self._case, None
        if child is None:
            raise RuntimeError("no inquest is being held")
        if case is None:  # The sensor stops.
            os.close(self._record)
            return
        end = child.reap()
        died = bool(end.signal or end.exit_code) and not self._survived
        foreign = end.signal == signal.SIGKILL and not child.killed_by_us
        accused = child.killed_by_us and not self._overdue and not child.forbidden
        named = self._named() if died and not foreign and not accused else None
        self.log.say("inquest", pid=child.pid, signal=end.signal, named=named, of=case.file.hash)
        part, digest, instance = named if named is not None else (None, "", "")
        os.close(self._record)
        self._deaths += 1
        if part is None or (part.count == 1 and digest):
            self._conclude(digest, instance)
        elif part.count == 1 or self._deaths >= LIMITS.inquest_deaths:
            self._conclude("", "")
        else:
            self._part = part
            self._try(case)

    def close(self) -> list[Case]:
        """The sensor stops: nobody is blamed for what was not found out by now. Those cases."""
        if self.child is not None:
            self.child.kill()
        cases = [*filter(None, [self._case]), *self.waiting]
        self._case = None
        self.waiting.clear()
        return cases

    def _try(self, case: Case) -> None:
        """Start a throw-away evaluator on the part in question."""
        self._survived = self._overdue = False
        self._since = self.clock()
        with ExitStack() as ours, ExitStack() as kept:
            try:
                payload = self.launcher.payload_descriptor(case.file.hash)
                ours.callback(os.close, payload)
                event = sealed(case.record)
                ours.callback(os.close, event)
                self._record = attribution.create()
                kept.callback(os.close, self._record)
                self.child = self.launcher.start_evaluator()
            except (OSError, StoreError) as error:
                self.log.say("no inquest", because=error)
                self._conclude("", "")
                return
            kept.pop_all()
            if not self._send(case, self.child, event, payload):
                self.child.kill()

    def _send(self, case: Case, child: Child, event: int, payload: int) -> bool:
        return child.send(
            "inquest",
            descriptors=[self._record, event, payload],
            template_type=case.file.template_type,
            quarantined=sorted(case.file.quarantined),
            first=self._part.first,
            count=self._part.count,
        )

    def _named(self) -> tuple[Part, str, str] | None:
        """The part that it died in, and the instance if it is a single one; None if it says none.

        It may have written anything: a part must lie within the one in question.
        """
        progress = attribution.read(self._record)
        part = Part(progress.position, progress.count)
        if progress.phase is not Phase.INQUEST or not self._part.holds(part):
            return None
        if part.count > 1:
            return part, "", ""
        instance, digest = attribution.named(self._record, part.first)
        return part, digest, instance

    def _conclude(self, digest: str, instance: str) -> None:
        case, self._case = self._case, None
        if case is not None:
            finding = Finding(case.file.hash, case.deaths, digest, instance)
            self.concluded(case, finding)
