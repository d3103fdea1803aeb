"""A supervisor's dealings with evaluators that die at chosen steps, and the books afterwards.

Everything is the product's but two things: evaluators come by fork (lab.deaths.forked), and the
ring is memory that this process writes. Each trial begins with events in the ring, lets the first
evaluator die, and lets its successors come to the ring's end. Then every event has to be evaluated
or counted, and every detection reported, exactly once.
"""

import io
import select
import signal
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from agent.backoff import Backoff
from agent.channel import Message, ProtocolViolationError
from agent.supervisor.child import Child
from agent.supervisor.content_flow import ContentFlow
from agent.supervisor.evaluator_process import LoadedFile
from agent.supervisor.evaluators import Evaluators
from agent.supervisor.hand_over import from_message
from agent.supervisor.judging import Judging
from agent.supervisor.ledger import Ledger
from agent.supervisor.log import Log
from agent.supervisor.reports import Report, Reports
from agent.supervisor.rings import Collection
from agent.supervisor.store import Store
from agent.supervisor.trust import NOBODY
from bulkhead.v1 import report_pb2
from content.channel_file import content_hash, load, pack
from content.definitions import load_definitions
from content.instance_digest import instance_digests
from content.loss_causes import LossCause
from content.model import ChannelFile, Sample
from content.template_type import Rung
from lab.deaths.forked import Forks
from lab.deaths.steps import Doom, Ending, Moment, Step, die_at
from lab.poisoned.content import IMAGE, PROCESS, channel_file
from probes.memory_ring import MemoryRing

TYPES = load_definitions()
TYPE = next(one for one in TYPES.values() if one.name == PROCESS)
IMAGE_NAME = TYPE.field(IMAGE).name
EVENTS = 60
RING_BYTES = 1 << 20
SECONDS = 6.0

MANY = 700
"""Instances that match one event: their detections fill several messages."""


@dataclass(frozen=True, slots=True)
class Load:
    """Events in the ring: which of them are matched, and by how many instances each.

    quarantined: whether there is one more instance, which is left out, so that each event counts
    as undecided once.
    """

    name: str
    matched: frozenset[int]
    instances: int
    quarantined: bool = False

    def files(self) -> tuple[ChannelFile, bytes]:
        """A Channel File whose instances all match the same events."""
        whole = load(channel_file(TYPES, 1, ["lab-left-out"], harmless=self.instances))
        criterion = whole.instances[0].clauses[0].criteria[0]
        same = replace(criterion, values=(b"match",))
        samples = (
            Sample("a match", must_match=True, inputs={IMAGE: b"/srv/match-1"}),
            Sample("none", must_match=False, inputs={IMAGE: b"/usr/bin/true"}),
        )
        instances = tuple(
            one
            if one.id == "lab-left-out"
            else replace(one, clauses=(replace(one.clauses[0], criteria=(same,)),), samples=samples)
            for one in whole.instances
            if one.id.startswith("lab-harmless") or (self.quarantined and one.id == "lab-left-out")
        )
        file = replace(whole, instances=instances)
        return file, pack(file)

    def expected(self) -> Counter[str]:
        """How often each detection is to be reported: event and instance."""
        return Counter(
            f"{event}-lab-harmless-{number}"
            for event in self.matched
            for number in range(self.instances)
        )


NOTHING = Load("nothing matches", frozenset(), 1)
SOME = Load("some match", frozenset({0, 7, 8, EVENTS - 1}), 2)
LARGE = Load("more than a message", frozenset({3, 40}), MANY)
SKIPPING = Load("an instance is left out", frozenset({3, 40}), MANY, quarantined=True)
LOADS = (NOTHING, SOME, LARGE, SKIPPING)

_TIMES = {
    NOTHING.name: {"go": 1, "read": 1, "note": 1, "evaluate": 1, "progress": 1, "commit": 1},
    SOME.name: {"read": 1, "note": 1, "evaluate": 1, "pack": 1, "frame": 1, "commit": 1},
    LARGE.name: {"evaluate": 1, "held": 1, "frame": 2, "commit": 2},
    SKIPPING.name: {"undecided": 1, "held": 2, "frame": 1, "commit": 1, "fault": 1},
}
"""How often a step is taken with a load. Death at each of these times, on either side."""


def steps(load: Load) -> list[Step]:
    """Where to die with a load: each step that it takes, and draining."""
    return [
        Step(name, moment, time_)
        for name, times in {**_TIMES[load.name], "drained": 1}.items()
        for time_ in range(1, times + 1)
        for moment in Moment
    ]


@dataclass(frozen=True, slots=True)
class Books:
    """What came of one trial.

    died: whether anybody died at the step at all. evaluated, counted: events. doubled, missing:
    detections. undecided: how many events more or fewer than there are.
    """

    died: bool
    evaluated: int
    counted: int
    doubled: int
    missing: int
    undecided: int
    deaths: int

    @property
    def balance(self) -> bool:
        """Whether each event was evaluated or counted, and each detection reported, just once."""
        return (
            self.died
            and self.evaluated + self.counted == EVENTS
            and not (self.doubled or self.missing or self.undecided)
        )


@dataclass(slots=True)
class _Trial:
    """One supervisor's part of the sensor, for one trial."""

    load: Load
    folder: Path
    forks: Forks = field(init=False)
    pool: Evaluators = field(init=False)
    judging: Judging = field(init=False)
    reports: Reports = field(default_factory=Reports)
    ledger: Ledger = field(init=False)
    collection: Collection = field(init=False)
    doom: Doom = field(default_factory=Doom)
    children: list[Child] = field(default_factory=list)
    log: io.StringIO = field(default_factory=io.StringIO)
    _told: list[Report] = field(default_factory=list)

    def __post_init__(self) -> None:
        file, payload = self.load.files()
        name = content_hash(payload).hex()
        digests = instance_digests(payload, file)
        left_out = frozenset(
            digest.hex()
            for one, digest in zip(file.instances, digests, strict=True)
            if one.id == "lab-left-out"
        )
        self.forks = Forks({name: payload})
        self.pool = Evaluators(self.forks, Backoff(0.0, 0.0, lambda: 0.0), lambda _: None)
        self.collection = _filled(self.load)
        self.pool.collection = self.collection
        self.pool.wanted = frozenset({LoadedFile(name, TYPE.number, left_out)})
        self.ledger = Ledger("run", lambda _: True)
        log = Log(stream=self.log)
        flow = ContentFlow(Store(self.folder), NOBODY, 1.0, lambda *_: None)
        self.judging = Judging("run", self.pool, flow, self.reports, self.ledger, log, tuple)

    def until(self, holds: Callable[[], bool]) -> None:
        """Turns of the supervisor until something holds; TimeoutError if it never does."""
        deadline = time.monotonic() + SECONDS
        while not holds():
            if time.monotonic() > deadline:
                raise TimeoutError(f"with {self.load.name}: {self.log.getvalue()[-2000:]}")
            self.turn()

    def turn(self) -> None:
        """Messages first, then ends, then the pool's next step."""
        self.pool.reconcile()
        self.judging.resumed()
        if self.doom.reached and not self.children:
            # As an operator would, or the kernel where memory is short.
            signal.pidfd_send_signal(self.forks.started[0].pidfd, signal.SIGKILL)
        children = [one for one in self.forks.started if one not in self.children]
        watched = [fd for one in children for fd in _descriptors(one)]
        ready = set(select.select(watched, [], [], 0.02)[0])
        for child in children:
            if ready & set(_descriptors(child)):
                self._hear(child)
        for child in children:
            if child.pidfd in ready:
                self._bury(child)

    def _hear(self, child: Child) -> None:
        if child.look():
            child.kill()
        try:
            for message in child.messages():
                self.judging.message(child, message)
        except ProtocolViolationError as error:
            raise AssertionError(f"the product's own evaluator: {error}") from error

    def _bury(self, child: Child) -> None:
        while child.pending():
            self._hear(child)
        child.reap()
        self.log.write(child.output(time.monotonic()))
        one = self.pool.by_child(child)
        if one is not None:
            self.judging.ended(one)
        self.children.append(child)
        child.close()

    def accounted(self) -> bool:
        """Whether everything in the ring is accounted for."""
        return self.collection.backlog_events() == 0

    def drain(self) -> None:
        """Another set of files is wanted: the worker hands over."""
        worker = self.pool.worker
        self.pool.wanted = frozenset()
        self.until(lambda: self.pool.worker is not None and self.pool.worker is not worker)

    def close(self) -> None:
        """End everybody."""
        self.pool.dismiss_all()
        self.pool.collection = None
        deadline = time.monotonic() + SECONDS
        while len(self.children) < len(self.forks.started) and time.monotonic() < deadline:
            self.turn()
        self.judging.flow.store.close()
        self.collection.close()

    def _tell(self, report: Report) -> bool:
        self._told.append(report)
        return True

    def books(self) -> Books:
        """What everything came to."""
        self.reports.flush(self._tell)
        found: Counter[str] = Counter()
        for report in self._told:
            if report.kind == "detections":
                batch = report_pb2.DetectionBatch.FromString(report.payload)
                found.update(f"{one.sequence}-{one.instance_id}" for one in batch.detections)
        expected, totals = self.load.expected(), self.ledger.totals
        undecided = totals.get((LossCause.INSTANCE_SKIPPED, TYPE.number), 0)
        aside = totals.get((LossCause.SUSPECT_EVENT, TYPE.number), 0)
        missing = expected - found
        # What an event that was set aside would have been is not known, and is counted.
        lost = {int(name.partition("-")[0]) for name in missing}
        wholly = len(lost) <= aside and missing.total() == len(lost) * self.load.instances
        return Books(
            died=bool(self.children),
            evaluated=self.judging.evaluated,
            counted=aside + totals.get((LossCause.NOT_EVALUATED, TYPE.number), 0),
            doubled=(found - expected).total(),
            missing=0 if wholly else missing.total(),
            undecided=undecided - (EVENTS - aside if self.load.quarantined else 0),
            deaths=self.judging.deaths,
        )


def trial(load: Load, step: Step, ending: Ending = Ending.KILLED) -> Books:
    """Let the first evaluator die at a step; the books once all events are accounted for."""
    with tempfile.TemporaryDirectory(prefix="bulkhead-deaths-") as folder:
        one = _Trial(load, Path(folder))
        one.forks.fates.append(lambda: die_at(step, ending, one.doom))
        try:
            if step.name == "drained":
                one.until(one.accounted)
                one.drain()
            # Whoever has said that it is drained is done, and ended by the supervisor.
            done = step == Step("drained", Moment.AFTER)
            one.until(lambda: (done or one.doom.reached) and bool(one.children))
            one.until(lambda: one.accounted() and one.pool.worker is not None)
            return one.books()
        finally:
            one.close()


def _filled(load: Load) -> Collection:
    ring = MemoryRing(TYPE, RING_BYTES, Rung.BPF_BTF)
    for number in range(EVENTS):
        word = b"match" if number in load.matched else b"other"
        ring.append({IMAGE_NAME: b"/srv/%s-%d" % (word, number)})
    said: dict[str, Any] = {
        "rung": "bpf_btf",
        "rings": [ring.description.document()],
        "counters": [],
        "flooders": [],
        "shared": [],
        "serves": [],
        "probes": [],
        "more": 0,
    }
    return from_message(Message("attached", said, b"", (ring.description.descriptor,)))


def _descriptors(child: Child) -> Sequence[int]:
    if child.closed:
        return [child.pidfd]
    also = [] if child.listener is None else [child.listener]
    return [child.pidfd, child.channel.fileno(), *also]
