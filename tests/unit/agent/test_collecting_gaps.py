"""Stretches without collection: from boot, between two collectors, between two looks."""

import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from agent.backoff import Backoff
from agent.channel import Message, ProtocolViolationError
from agent.supervisor.child import Child, End
from agent.supervisor.collecting import Collecting
from agent.supervisor.ledger import SECOND, Ledger
from agent.supervisor.limits import LIMITS
from agent.supervisor.log import Log
from tests.unit.agent.evaluator_world import Played
from tests.unit.agent.ring_memory import attached, memory, ring

BOOTED_NS = 1_800_000_000 * SECOND


@dataclass(slots=True)
class Collectors:
    """The collecting, played collectors, and a clock that is both clocks."""

    now: float = 100.0
    children: list[Played] = field(default_factory=list)
    told: list[Mapping[str, Any]] = field(default_factory=list)
    collecting: Collecting = field(init=False)

    def __post_init__(self) -> None:
        ledger = Ledger("run", self._report, self._up, lambda: BOOTED_NS + self._up())
        backoff = Backoff(0.1, 5.0, random=lambda: 0.0)
        log = Log(stream=io.StringIO())
        self.collecting = Collecting(
            ("psutil",), self._start, ledger, log, backoff, lambda: None, clock=lambda: self.now
        )

    def _up(self) -> int:
        return int(self.now * SECOND)

    def _report(self, facts: Mapping[str, Any]) -> bool:
        self.told.append(facts)
        return True

    def _start(self, _rung: str) -> Child:
        self.children.append(Played(len(self.children)))
        self.children[-1].started = self.now
        return self.children[-1]

    def collector(self, rung: str = "psutil") -> Played:
        """The next collector, as soon as it has attached."""
        self.collecting.reconcile()
        child = self.children[-1]
        said = attached({"rung": rung, "rings": [ring(1)]}, (memory(),))
        self.collecting.attached(child, said)
        return child

    def dies(self, child: Played) -> None:
        """By a signal of somebody else's, if not by ours."""
        child.end = child.end or End(11, 0)
        self.collecting.ended(child)

    def stretches(self) -> list[tuple[str, float, float, int]]:
        """Cause, from, to (seconds since boot) and count of what was reported."""
        return [
            (
                str(one["cause"]),
                (one["from_unix_ns"] - BOOTED_NS) / SECOND,
                (one["to_unix_ns"] - BOOTED_NS) / SECOND,
                one["count"],
            )
            for one in self.told
        ]


@pytest.fixture
def world() -> Iterator[Collectors]:
    """A hundred seconds after boot."""
    made = Collectors()
    yield made
    made.collecting.close()


def test_the_time_before_the_sensor_is_told(world: Collectors) -> None:
    """Nobody would know that the sensor has not seen what ran first."""
    world.collector()
    assert world.stretches() == [("BEFORE_SENSOR", 0.0, 100.0, 1)]


def test_the_time_without_a_collector_is_told(world: Collectors) -> None:
    """Between two collectors the sensor would be blind, and nobody know of it."""
    world.dies(world.collector())
    world.now = 103.0
    world.collector()
    assert world.stretches()[1:] == [("COLLECTION_GAP", 100.0, 103.0, 1)]
    world.dies(world.children[-1])
    world.now = 110.0
    world.collector()
    assert world.stretches()[2:] == [("COLLECTION_GAP", 103.0, 110.0, 1)]


def test_a_silent_collector_is_replaced_and_the_gap_runs_from_its_last_word(
    world: Collectors,
) -> None:
    """A collector that hangs would leave the host unwatched for good."""
    child = world.collector()
    world.now = 105.0
    world.collecting.heard()
    killed = []
    for seconds in (0.0, 1.0):
        world.now = 105.0 + LIMITS.collector_silence_seconds + seconds
        world.collecting.reconcile()
        killed.append(child.killed_by_us)
    assert killed == [False, True]
    world.dies(child)
    world.now += 1.0
    world.collector()
    cause, since, until, _ = world.stretches()[-1]
    assert (cause, since, until) == ("COLLECTION_GAP", 105.0, world.now)


def test_a_successor_has_its_time_to_attach(world: Collectors) -> None:
    """The successor of a dead collector would be killed for the silence of that one."""
    world.dies(world.collector())
    world.now += LIMITS.collector_silence_seconds + 5.0
    world.collecting.reconcile()
    killed = []
    for seconds in (0.0, LIMITS.collector_seconds, 1.0):
        world.now += seconds
        world.collecting.reconcile()
        killed.append(world.children[-1].killed_by_us)
    assert killed == [False, False, True]


def test_in_the_kernel_collection_goes_on(world: Collectors) -> None:
    """The end of the collector, which is as it should be, would be told as a gap."""
    child = world.collector("bpf_btf")
    world.dies(child)
    world.now += 3600.0
    world.collecting.reconcile()
    assert len(world.children) == 1
    assert [one[0] for one in world.stretches()] == ["BEFORE_SENSOR"]


def test_a_late_look_is_told(world: Collectors) -> None:
    """Processes that ran while the collector could not look would be missed without a word."""
    world.collector()
    told = {"from_ns": 98 * SECOND, "to_ns": 99 * SECOND, "missed": 9}
    world.collecting.late(Message("late", told))
    assert world.stretches()[1:] == [("POLL_GAP", 98.0, 99.0, 9)]


@pytest.mark.parametrize("told", [(2, 1, 1), (-1, 1, 1), (1, 2, 0), (1, 2, -3)])
def test_a_late_look_that_cannot_be_is_refused(
    world: Collectors, told: tuple[int, int, int]
) -> None:
    """A collector could write nonsense into the ledger."""
    fields = dict(zip(("from_ns", "to_ns", "missed"), told, strict=True))
    with pytest.raises(ProtocolViolationError, match="late"):
        world.collecting.late(Message("late", fields))
