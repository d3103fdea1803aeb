"""Every sequence of what may happen with poison instances: one goes, after two deaths, not sooner.

A played world knows what kills: two instances that kill while they are looked at, two that kill in
work on a whole batch, and a fault of the file that no inquest can reproduce. The rules only see the
deaths, and what inquests find, at once or later.
"""

import copy
import itertools
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from agent.attribution import Phase, Progress
from agent.deaths import (
    Action,
    Cause,
    Death,
    DeathHistory,
    Decision,
    Finding,
    conclude,
    decide,
)

STRIDE = 100
RING = 4
FILE, OTHER = "a" * 64, "b" * 64
ROW = ("1" * 64, "2" * 64)
BULK = ("3" * 64, "4" * 64)
NOBODY = ""
INQUEST = "an inquest is over"
SINGLE, BATCH = "single", "batch"
LENGTH = 6
MUTABLE = ("instances", "blamed", "of_file", "careful", "bulk", "presumed")
"""What of a DeathHistory has to be copied."""

Step = tuple[str, str]
STEPS: tuple[Step, ...] = (
    *((culprit, SINGLE) for culprit in (*ROW, *BULK, NOBODY)),
    *((culprit, BATCH) for culprit in BULK),
    (INQUEST, ""),
)


@dataclass(slots=True)
class World:
    """One story so far: what has died of what, what was decided, and what waits for an inquest.

    killed: digest → deaths of workers. aside: positions of events that were set aside.
    unreproducible: how many inquests found nothing.
    """

    history: DeathHistory = field(default_factory=DeathHistory)
    position: int = 0
    killed: Counter[str] = field(default_factory=Counter)
    quarantined: set[str] = field(default_factory=set)
    given_up: bool = False
    aside: set[int] = field(default_factory=set)
    waiting: list[tuple[str, Finding]] = field(default_factory=list)
    unreproducible: int = 0

    def fork(self) -> "World":
        """The same once more."""
        after, history = copy.copy(self), copy.copy(self.history)
        for one, names in ((history, MUTABLE), (after, ("killed", "quarantined", "aside"))):
            for name in names:
                setattr(one, name, copy.copy(getattr(one, name)))
        after.history, after.waiting = history, list(self.waiting)
        return after

    def take(self, step: Step) -> bool:
        """Let one thing happen; False where it can't."""
        culprit, how = step
        if culprit == INQUEST:
            return self._inquest_ends()
        if self.given_up or culprit in self.quarantined:
            return False
        start, self.position = self.position, self.position + 10 * STRIDE
        if how == BATCH:
            self._batch(culprit, start)
        else:
            self._single(culprit, start)
        return True

    def _batch(self, culprit: str, start: int) -> None:
        """A worker dies in the batch; so does a successor that still has the instance, on event 7.

        The successor takes one event at a time, which is what the rules asked for.
        """
        decision = self._dies(culprit, start, 10, None, "")
        assert decision.action in (Action.RETRY_WITH_CARE, Action.QUARANTINE_INSTANCE)
        assert decision.position == start + 10 * STRIDE
        if culprit not in self.quarantined:
            self._single(culprit, start + 7 * STRIDE)

    def _single(self, culprit: str, position: int) -> None:
        """A worker dies on one event."""
        assert position not in self.aside
        decision = self._dies(culprit, position, 1, 0, culprit if culprit in ROW else "")
        if decision.action is Action.SET_ASIDE:
            assert decision.position == position
            self.aside.add(position)
        if decision.inquest:
            found = culprit if culprit in BULK else ""
            finding = Finding(FILE, decision.deaths, found, f"instance {found[:1]}")
            self.waiting.append((culprit, finding))

    def _dies(
        self, culprit: str, position: int, count: int, row: int | None, named: str
    ) -> Decision:
        instance = None if row is None or not named else 3
        progress = Progress(
            Phase.EVALUATING, RING, position, count, row, instance, "instance", named
        )
        death = Death(
            Cause.SIGNAL, 11, False, True, False, progress, {RING: FILE, 1: OTHER}, frozenset()
        )
        if culprit:
            self.killed[culprit] += 1
        decision = decide(death, self.history, STRIDE)
        self._follow(decision)
        return decision

    def _inquest_ends(self) -> bool:
        if not self.waiting:
            return False
        culprit, finding = self.waiting.pop(0)
        self.unreproducible += not culprit
        self._follow(conclude(finding, self.history))
        return True

    def _follow(self, decision: Decision) -> None:
        assert set(decision.hashes) <= {FILE}
        self.quarantined.discard(decision.acquitted)
        if decision.action is Action.QUARANTINE_INSTANCE:
            assert decision.suspect_digest
            assert not decision.hashes
            self.quarantined.add(decision.suspect_digest)
            # What waits is put down to the instance.
            self.waiting = [(c, f) for c, f in self.waiting if c != decision.suspect_digest]
        self.given_up |= decision.action is Action.QUARANTINE
        assert decision.action is not Action.DEGRADE


def worlds(length: int) -> Iterator[tuple[tuple[Step, ...], World]]:
    """Every story up to this length, each once."""
    todo: list[tuple[tuple[Step, ...], World]] = [((), World())]
    while todo:
        story, world = todo.pop()
        for step in STEPS:
            after = world.fork()
            if not after.take(step):
                continue
            longer = (*story, step)
            yield longer, after
            if len(longer) < length:
                todo.append((longer, after))


def expect(story: tuple[Step, ...], world: World) -> None:
    """What must hold after each story."""
    for digest in world.quarantined:
        assert world.killed[digest] >= 2, story
    for digest in ROW:
        # Known at once: the second death is the last one.
        assert world.killed[digest] <= 2, story
        assert (digest in world.quarantined) == (world.killed[digest] == 2), story
    assert world.given_up == (world.unreproducible >= 2), story
    # All innocent instances, and the other file, are never touched.
    assert world.quarantined <= {*ROW, *BULK}


def test_every_story_of_poison_instances() -> None:
    """Some sequence of deaths would cost an innocent instance, a file, or ever more evaluators."""
    counted = 0
    for story, world in worlds(LENGTH):
        expect(story, world)
        counted += 1
    assert counted > 100_000


@pytest.mark.parametrize("hows", list(itertools.product((SINGLE, BATCH), repeat=4)))
def test_bulk_poison_is_quarantined_at_its_second_death(hows: tuple[str, ...]) -> None:
    """Poison that no record names would kill a third evaluator, in whatever order it is met."""
    world = World()
    for how in hows:
        if not world.take((BULK[0], how)):
            break
        while world.take((INQUEST, "")):
            pass
    assert world.killed[BULK[0]] == 2
    assert world.quarantined == {BULK[0]}
    assert len(world.aside) == (2 if hows[:2] == (SINGLE, SINGLE) else 1)
    assert not world.given_up


@pytest.mark.parametrize("second", [SINGLE, BATCH])
def test_two_poison_instances_do_not_stand_for_each_other(second: str) -> None:
    """The first one, which killed once, would be quarantined for what the other did."""
    world = World()
    for step in ((BULK[0], SINGLE), (INQUEST, ""), (BULK[1], second), (INQUEST, "")):
        assert world.take(step)
    assert world.killed[BULK[0]] == 1
    assert BULK[0] not in world.quarantined
    assert (BULK[1] in world.quarantined) == (second == BATCH)
