"""One evaluator as the supervisor knows it: what it was given, where it is, how it may end.

It is started on one set of Channel Files for life: loading → ready → running → draining. How long
it may stay in a stage, and what its end looked like, is said here; what to do then is decided in
agent.deaths, and who follows in agent.supervisor.evaluators.
"""

import signal
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, NamedTuple

from agent import attribution
from agent.attribution import Progress
from agent.deaths import Cause, Death
from agent.supervisor.child import Child
from agent.supervisor.held import Held
from agent.supervisor.limits import LIMITS
from agent.supervisor.rings import RingFacts
from content.prevention_table import Entry


class LoadedFile(NamedTuple):
    """A Channel File as an evaluator is given it: what is running, whatever its state.

    quarantined: digests of instances of its Template Type that are not to be run.
    """

    hash: str
    template_type: int
    quarantined: frozenset[str] = frozenset()


FileSet = frozenset[LoadedFile]


class Stage(StrEnum):
    """Where an evaluator is in its short life."""

    LOADING = "loading"
    READY = "ready"
    RUNNING = "running"
    DRAINING = "draining"


@dataclass(slots=True, eq=False)
class Evaluator:
    """One evaluator process and what it was given."""

    child: Child
    files: FileSet
    candidate: LoadedFile | None
    attribution: int
    stage: Stage
    since: float
    heard: float
    cause: Cause | None = None
    # It has done what it was there for, or is no longer wanted: its end is no death.
    finished: bool = False
    facts: Mapping[str, Any] = field(default_factory=dict)
    # Those that it was given; the collection may have others by now.
    rings: Mapping[int, RingFacts] = field(default_factory=dict)
    # What its content lets the kernel prevent, as it says itself.
    prevented: tuple[Entry, ...] = ()
    # Whether it was told that verdicts are acted upon.
    prevents: bool = True
    # Ring → what it has said of events that it has not accounted for.
    held: dict[int, Held] = field(default_factory=dict)
    # How long it had waited for a processor in all, and when that was asked for.
    _waited: float = 0.0
    _looked: float = 0.0

    def enter(self, stage: Stage, now: float) -> None:
        """Move on to another stage."""
        self.stage, self.since = stage, now
        self.hear(now)

    def tell_policy(self, *, prevents: bool) -> None:
        """Tell it whether verdicts are acted upon, unless it knows."""
        if self.prevents != prevents and self.child.send("prevention", prevention=int(prevents)):
            self.prevents = prevents

    def hear(self, now: float) -> None:
        """It has said something."""
        self.heard = now
        if now - self._looked >= LIMITS.starvation_look_seconds:
            self._looked, self._waited = now, self.child.waited_seconds()

    def overdue(self, now: float) -> Cause | None:
        """Why it should be ended now, if so."""
        if self.stage is Stage.LOADING:
            limit = LIMITS.trial_seconds if self.candidate else LIMITS.load_seconds
            return Cause.DEADLINE_EXCEEDED if now - self.since > limit else None
        if self.stage is Stage.RUNNING and self._hangs(now):
            return Cause.HEARTBEAT_MISSED
        if self.stage is Stage.DRAINING and now - self.since > LIMITS.drain_seconds:
            return Cause.HEARTBEAT_MISSED
        return None

    def _hangs(self, now: float) -> bool:
        silence = now - self.heard
        if silence <= LIMITS.heartbeat_seconds:
            return False
        return silence - (self.child.waited_seconds() - self._waited) > LIMITS.heartbeat_seconds

    def progress(self) -> Progress:
        """What it was doing last, from the memory that outlives it, as far as it can be true."""
        found = attribution.read(self.attribution)
        ring = self.rings.get(found.ring)
        if ring is None:
            return found.nowhere()
        return found.within(ring.position, ring.produced(), ring.stride)

    def death(self, probation: frozenset[str]) -> Death:
        """Its end, as the rules want to know it."""
        end = self.child.reap()
        killed = end.signal == signal.SIGKILL and not self.child.killed_by_us
        silent = self.cause in (Cause.HEARTBEAT_MISSED, Cause.DEADLINE_EXCEEDED)
        return Death(
            cause=self.cause or (Cause.SIGNAL if end.signal else Cause.EXIT),
            signal=end.signal,
            on_trial=self.candidate is not None and self.stage is Stage.LOADING,
            running=self.stage in (Stage.RUNNING, Stage.DRAINING),
            foreign_kill=killed or (silent and self.child.stopped_by_others),
            progress=self.progress(),
            files={file.template_type: file.hash for file in self.files},
            probation=probation,
        )
