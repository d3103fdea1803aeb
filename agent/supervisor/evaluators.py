"""The evaluators: one works, one stands by, one may be on trial. Level-triggered.

`wanted` is the set of Channel Files that should be in force. `reconcile` compares it with what is
there and takes the next step, whatever happened before:

    nobody works, somebody ready with the wanted set  → it goes, at the positions of the rings
    the worker has another set, a successor is ready  → the worker drains, then the successor goes
    the collection has other rings than the worker    → the same
    nobody ready or loading with the wanted set       → a stand-by is started
    a file is on probation                            → the same for last known good
    an instance has killed once, a while ago          → the same for all without it

So a crash, a promotion, a rollback and a change of the rings are all the same to it. The stand-by
has loaded its content and waits: taking over is one message. One that has earlier rings waits on
until its successor is ready, for it could still take over what it has.
"""

import os
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any, Protocol

from agent import attribution
from agent.backoff import Backoff
from agent.deaths import Cause
from agent.supervisor.child import Child
from agent.supervisor.evaluator_process import Evaluator, FileSet, LoadedFile, Stage
from agent.supervisor.limits import LIMITS
from agent.supervisor.rings import Collection, RingFacts
from agent.supervisor.store import StoreError
from agent.supervisor.take_over import TakeOver

Rings = Mapping[int, RingFacts]


class Launcher(Protocol):
    """What the pool needs from the outside: a process, and payloads as sealed descriptors."""

    def start_evaluator(self) -> Child:
        """Start the evaluator's executable; OSError where the system can't."""

    def payload_descriptor(self, content_hash: str) -> int:
        """A sealed memfd with a stored payload, owned by the caller; OSError or StoreError."""


@dataclass(slots=True)
class Evaluators:
    """All evaluators of this sensor.

    missing: told the hash of a payload that can't be read any more.
    """

    launcher: Launcher
    backoff: Backoff
    missing: Callable[[str], None]
    clock: Callable[[], float] = time.monotonic
    collection: Collection | None = None
    wanted: FileSet = frozenset()
    # While a file is on probation, or an instance is suspect: the set without it, for which a
    # stand-by is kept as well.
    fallback: FileSet | None = None
    # Better than nobody, while it is found out whether the wanted set can be loaded at all.
    interim: FileSet | None = None
    members: list[Evaluator] = field(default_factory=list)
    take_over: TakeOver = field(default_factory=TakeOver)
    # Whether the policy of the host lets verdicts be acted upon.
    prevents: bool = True
    _not_before: float = 0.0
    _able_again_at: float = 0.0

    @property
    def worker(self) -> Evaluator | None:
        """The one that has the rings."""
        at_work = (Stage.RUNNING, Stage.DRAINING)
        return next((one for one in self.members if one.stage in at_work), None)

    @property
    def on_trial(self) -> Evaluator | None:
        """The one with a file that has not passed yet."""
        return next((one for one in self.members if one.candidate is not None), None)

    def by_child(self, child: Child) -> Evaluator | None:
        """The evaluator that a process is."""
        return next((one for one in self.members if one.child is child), None)

    def reconcile(self) -> None:
        """Take the next step towards the wanted set."""
        now = self.clock()
        self._end_overdue(now)
        if self.collection is None or not self.collection.complete:
            return
        worker = self.worker
        successor = self._ready(self.collection.rings)
        if worker is None:
            first = successor or self._ready(None) or self._ready(None, self.interim)
            if first is not None:
                self._go(first, self.collection, now)
        elif successor is not None and not _works_on(worker, self.wanted, self.collection.rings):
            self._drain(worker, now)
        elif worker is not None:
            worker.tell_policy(prevents=self.prevents)
        self._end_obsolete()
        missing = next((files for files in self._sets() if not self._standing_by(files)), None)
        if missing is not None and now >= self._not_before:
            self.start(missing, None)

    def due(self, now: float) -> float:
        """When the next step is due if nobody says anything; now, while something is under way."""
        worker = self.worker
        rings = self.collection.rings if self.collection else {}
        if worker is None or worker.stage is not Stage.RUNNING:
            return now
        if not _works_on(worker, self.wanted, rings) or worker.prevents != self.prevents:
            return now
        if any(one.finished or one.cause or one.stage is Stage.LOADING for one in self.members):
            return now
        if not all(self._standing_by(files) for files in self._sets()):
            return now
        return worker.heard + LIMITS.heartbeat_seconds

    def start(
        self, files: FileSet, candidate: LoadedFile | None, active_version: int = 0
    ) -> Evaluator | None:
        """Start an evaluator on a set; a candidate is tried, and must be newer than a version.

        None where the system can't right now: ask again later.
        """
        collection = self.collection
        if collection is None:
            raise RuntimeError("no rings to evaluate")
        now = self.clock()
        if now < self._able_again_at:
            return None
        with ExitStack() as opened:
            try:
                payloads = [self._payload(file, opened) for file in _in_order(files)]
                child, record = self._launch()
            except (OSError, StoreError):
                self._able_again_at = now + LIMITS.start_again_seconds
                return None
            one = Evaluator(child, files, candidate, record, Stage.LOADING, now, now)
            one.rings = collection.rings
            self.members.append(one)
            if not _send_load(one, collection, payloads, active_version):
                child.kill()
        return one

    def remove(self, one: Evaluator) -> None:
        """Forget an evaluator that has ended."""
        self.members.remove(one)
        os.close(one.attribution)

    def stable(self, one: Evaluator) -> bool:
        """Whether it has worked for so long that its end is not part of a crash loop."""
        return self._worked(one, LIMITS.stable_seconds)

    def calm(self, one: Evaluator) -> bool:
        """Whether it has worked for so long that its end has nothing to do with earlier ones."""
        return self._worked(one, LIMITS.calm_seconds)

    def slow_down(self, one: Evaluator) -> None:
        """An evaluator died: a crash loop is slowed down, never stopped."""
        if self.stable(one):
            self.backoff.reset()
        self._not_before = self.clock() + self.backoff.next_delay()

    def go_on(self) -> None:
        """What comes next is another attempt, not the same again: at once."""
        self.backoff.reset()
        self._not_before = self.clock()

    def blame_protocol(self, one: Evaluator) -> None:
        """It said what it may not say."""
        one.cause = Cause.PROTOCOL_VIOLATION
        one.child.kill()

    def blame_rings(self, worker: Evaluator) -> None:
        """Somebody has tampered with the rings: whoever could have done it is ended."""
        self.blame_protocol(worker)
        for one in self.members:
            if one is not worker:
                self.dismiss(one)

    def dismiss(self, one: Evaluator) -> None:
        """End an evaluator that is no longer wanted."""
        one.finished = True
        one.child.kill()

    def dismiss_all(self) -> None:
        """The rings change, or the sensor stops: everybody ends."""
        for one in self.members:
            self.dismiss(one)

    def change_rings(self, collection: Collection | None) -> None:
        """Other rings, in which positions count from zero: new evaluators for them."""
        self.dismiss_all()
        self.collection = collection
        self.take_over = TakeOver()

    def change_some_rings(self) -> None:
        """Template Types came or went: what is said of rings that are there no more is forgotten.

        Evaluators are replaced one after the other, at the positions of the rings that stay.
        """
        self.take_over.keep_only(self.collection.rings.keys() if self.collection else set())

    def held_rings(self) -> list[RingFacts]:
        """Rings that some evaluator may still speak of."""
        return [ring for one in self.members for ring in one.rings.values()]

    def _sets(self) -> list[FileSet]:
        """The sets that a stand-by is kept for, the more urgent first."""
        if self.fallback is None or self.fallback == self.wanted:
            return [self.wanted]
        return [self.wanted, self.fallback]

    def _worked(self, one: Evaluator, seconds: float) -> bool:
        return one.stage is Stage.RUNNING and self.clock() - one.since > seconds

    def _payload(self, file: LoadedFile, opened: ExitStack) -> int:
        try:
            descriptor = self.launcher.payload_descriptor(file.hash)
        except StoreError:
            self.missing(file.hash)
            raise
        opened.callback(os.close, descriptor)
        return descriptor

    def _launch(self) -> tuple[Child, int]:
        record = attribution.create()
        try:
            return self.launcher.start_evaluator(), record
        except OSError:
            os.close(record)
            raise

    def _ready(self, rings: Rings | None, files: FileSet | None = None) -> Evaluator | None:
        """Somebody who can take over a set, on these rings or (None) whichever it has.

        files: the wanted set where none is given.
        """
        fitting = (
            one
            for one in self.members
            if one.stage is Stage.READY
            and not one.finished
            and one.candidate is None
            and one.files == (self.wanted if files is None else files)
            and (rings is None or one.rings == rings)
        )
        return next(fitting, None)

    def _standing_by(self, files: FileSet, *stages: Stage) -> bool:
        rings = self.collection.rings if self.collection else {}
        return any(
            not one.finished
            and one.candidate is None
            and _works_on(one, files, rings)
            and one.stage in (stages or (Stage.LOADING, Stage.READY))
            for one in self.members
        )

    def _end_obsolete(self) -> None:
        sets = self._sets()
        rings = self.collection.rings if self.collection else {}
        for one in self.members:
            waiting = one.stage in (Stage.LOADING, Stage.READY) and one.candidate is None
            if not waiting or one.finished:
                continue
            outdated = one.rings != rings and (
                one.stage is Stage.LOADING or self._standing_by(one.files, Stage.READY)
            )
            if one.files not in sets or outdated:
                self.dismiss(one)

    def _end_overdue(self, now: float) -> None:
        for one in self.members:
            cause = one.overdue(now)
            if cause is not None and one.cause is None and not one.finished:
                one.cause = cause
                one.child.kill()

    def _go(self, one: Evaluator, collection: Collection, now: float) -> None:
        self.take_over.prune(collection)
        positions = {str(number): ring.position for number, ring in one.rings.items()}
        told = one.child.send(
            "go",
            positions=positions,
            careful=self.take_over.careful_field(),
            aside=self.take_over.aside_field(),
            prevention=int(self.prevents),
        )
        if told:
            one.prevents = self.prevents
            one.enter(Stage.RUNNING, now)
        else:
            one.child.kill()

    def _drain(self, worker: Evaluator, now: float) -> None:
        if worker.stage is Stage.RUNNING:
            worker.child.send("drain")
            worker.enter(Stage.DRAINING, now)


def _works_on(one: Evaluator, files: FileSet, rings: Rings) -> bool:
    return one.files == files and one.rings == rings


def _in_order(files: FileSet) -> list[LoadedFile]:
    return sorted(files, key=lambda file: file.template_type)


def _send_load(
    one: Evaluator, collection: Collection, payloads: Sequence[int], active_version: int
) -> bool:
    rings = list(collection.rings.values())
    return one.child.send(
        "load",
        descriptors=[one.attribution, *(ring.descriptor for ring in rings), *payloads],
        rung=collection.rung,
        rings=[ring.document() for ring in rings],
        files=[_document(file, one, active_version) for file in _in_order(one.files)],
        epochs={str(number): ring.epoch for number, ring in collection.rings.items()},
    )


def _document(file: LoadedFile, one: Evaluator, active_version: int) -> dict[str, Any]:
    trial = file == one.candidate
    return {
        "hash": file.hash,
        "template_type": file.template_type,
        "trial": int(trial),
        "active_version": active_version if trial else 0,
        "quarantined": sorted(file.quarantined),
    }
