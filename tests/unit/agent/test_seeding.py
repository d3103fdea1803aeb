"""When processes that ran already are put to content, and what is said of those that are not."""

import io
import os
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from agent.channel import Message, ProtocolViolationError
from agent.supervisor.evaluator_process import LoadedFile, Stage
from agent.supervisor.ledger import Ledger
from agent.supervisor.limits import LIMITS
from agent.supervisor.log import Log
from agent.supervisor.seeding import COUNTS, Seeding
from content.loss_causes import LossCause
from tests.unit.agent import ring_memory

PROCESS = 1
LOSS = (LossCause.NOT_JUDGED, PROCESS)


class Child:
    """A collector: what it was told, and whether it was ended."""

    def __init__(self) -> None:
        self.told: list[tuple[str, dict[str, Any]]] = []
        self.killed = False

    def send(self, kind: str, **fields: Any) -> bool:
        """Note it."""
        self.told.append((kind, fields))
        return True

    def kill(self) -> None:
        """Note it."""
        self.killed = True


class World:
    """Seeding with a collection of its own, and a clock that stands."""

    def __init__(self) -> None:
        self.now = 100.0
        self.collection = ring_memory.collection(PROCESS)
        self.ring = self.collection.rings[PROCESS]
        ring_memory.produce(self.ring.descriptor, 8)
        self.ledger = Ledger("run", lambda _facts: True)
        log = Log(stream=io.StringIO())
        self.seeding = Seeding(self.ledger, log, lambda: self.now)
        self.child: Any = Child()

    def offer(self, *, ours: bool = True) -> None:
        """The collector can do it."""
        message = Message("seeding", {"template_type": PROCESS}, b"", ())
        self.seeding.offered(self.child, message, self.collection, ours=ours)

    def works(self, *types: int) -> None:
        """An evaluator works, with content of these types."""
        files = frozenset(LoadedFile(f"hash {one}", one) for one in types)
        worker: Any = SimpleNamespace(stage=Stage.RUNNING, files=files, rings=self.collection.rings)
        self.seeding.reconcile(worker)

    def says(self, records: int, *, done: bool = False, reason: str = "", **counts: int) -> None:
        """The collector tells how far it is: position in records, and counts."""
        fields = dict.fromkeys(COUNTS, 0) | counts
        rest = {"reason": reason, "detail": "", "done": int(done)}
        position = {"position": records * self.ring.stride}
        self.seeding.message(self.child, Message("seeded", {**fields, **rest, **position}, b"", ()))

    def status(self) -> dict[str, Any]:
        """What the status says."""
        found = self.seeding.document()
        assert found is not None
        return found


@pytest.fixture
def world() -> Iterator[World]:
    """Eight events lie in the ring."""
    world = World()
    yield world
    world.collection.close()


def test_nobody_is_judged_by_nothing(world: World) -> None:
    """Processes would count as judged that no content has seen."""
    world.offer()
    world.seeding.reconcile(None)
    world.works(2)
    assert world.child.told == []
    world.ring.position = 3 * world.ring.stride
    world.works(PROCESS, 2)
    world.works(PROCESS)
    assert world.child.told == [("seed", {"position": 3 * world.ring.stride})]


def test_execs_count_from_where_content_began(world: World) -> None:
    """Programs that were executed before the collector's offer would be judged twice."""
    world.works(PROCESS)
    world.ring.position = 5 * world.ring.stride
    world.offer()
    world.works(PROCESS)
    assert world.child.told == [("seed", {"position": 0})]


def test_judged_is_what_an_evaluator_has_accounted_for(world: World) -> None:
    """The status would promise more than was done."""
    world.offer()
    world.works(PROCESS)
    world.says(4, written=3, executed=1)
    world.says(8, written=6, executed=2, without_program=5, done=True)
    assert (world.status()["judged"], world.status()["in_the_ring"]) == (0, 6)
    world.ring.position = 4 * world.ring.stride
    assert world.status()["judged"] == 3
    world.ring.position = 8 * world.ring.stride
    found = world.status()
    assert (found["state"], found["found"], found["judged"]) == ("done", 8, 6)
    assert (found["executed_since"], found["not_judged"], found["without_program"]) == (2, 0, 5)
    assert not world.seeding.failed
    assert world.ledger.totals == {}


def test_who_is_left_is_a_loss(world: World) -> None:
    """Nobody would learn that malware may run that started before the sensor."""
    world.offer()
    world.works(PROCESS)
    world.says(2, written=2, left=40, done=True, reason="TEST_RUN_REFUSED")
    assert world.ledger.totals == {LOSS: 40}
    assert (world.status()["not_judged"], world.status()["because"]) == (40, "TEST_RUN_REFUSED")
    assert world.seeding.failed


def test_a_collector_that_dies_is_a_loss(world: World) -> None:
    """A death would look like a look without findings."""
    world.offer()
    world.works(PROCESS)
    world.says(2, written=2)
    world.seeding.gone(world.child)
    assert world.ledger.totals == {LOSS: 1}
    assert world.status()["because"] == "COLLECTOR_DIED"
    assert world.seeding.child is None
    assert world.seeding.failed


def test_a_collector_that_hangs_is_ended(world: World) -> None:
    """A process with rights on BPF would stay for ever."""
    world.offer()
    world.works(PROCESS)
    assert world.seeding.due(world.now) == world.now + LIMITS.seeding_silence_seconds
    world.now += LIMITS.seeding_silence_seconds
    world.works(PROCESS)
    assert world.child.killed
    assert world.ledger.totals == {LOSS: 1}


def test_without_content_nothing_is_lost(world: World) -> None:
    """A sensor that only collects would be in reduced functionality."""
    world.offer()
    world.now += LIMITS.seeding_content_seconds
    world.works(2)
    assert world.child.killed
    assert world.status()["because"] == "NO_CONTENT"
    assert world.ledger.totals == {}
    assert not world.seeding.failed


def test_a_collector_that_stays_is_never_ended(world: World) -> None:
    """A polling collector would be killed for what is only a part of its work."""
    world.offer(ours=False)
    assert world.seeding.child is None
    world.now += LIMITS.seeding_content_seconds
    world.works(2)
    world.seeding.end()
    assert not world.child.killed


def test_a_ring_that_leaves_takes_the_look_along(world: World) -> None:
    """What is asked of memory that is gone would end the supervisor."""
    world.offer()
    other = ring_memory.collection(2)
    world.seeding.follow(other)
    assert world.seeding.document() is None
    assert world.child.killed
    other.close()


@pytest.mark.parametrize("step", ["early", "back", "ahead", "after the end", "a stranger"])
def test_what_cannot_be_is_a_violation(world: World, step: str) -> None:
    """A collector under an attacker's control could make numbers up."""
    world.offer()
    if step != "early":
        world.works(PROCESS)
        world.says(2, written=2, done=step == "after the end")
    if step == "a stranger":
        world.child = Child()
    with pytest.raises(ProtocolViolationError):
        world.says(9 if step == "ahead" else 2, written=1 if step == "back" else 3)


def test_an_offer_without_a_ring_is_a_violation(world: World) -> None:
    """It would be looked for what is not there."""
    message = Message("seeding", {"template_type": 2}, b"", ())
    with pytest.raises(ProtocolViolationError):
        world.seeding.offered(world.child, message, world.collection, ours=True)
    assert os.fstat(world.ring.descriptor)
