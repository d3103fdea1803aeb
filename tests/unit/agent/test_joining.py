"""Template Types join a running collection and leave it: nothing else is disturbed."""

from collections.abc import Callable, Iterator

import pytest

from agent.channel import Message, ProtocolViolationError
from agent.supervisor.limits import LIMITS
from tests.unit.agent.descriptors import none_lost
from tests.unit.agent.joining_world import GRACE, World, handed_over, is_open
from tests.unit.agent.ring_memory import STRIDE, memory, produce


@pytest.fixture
def world() -> Iterator[World]:
    """Collected are 1, 3 and 4; no descriptor may be lost."""
    with none_lost():
        made = World()
        yield made
        made.close()


def test_what_is_needed_joins(world: World) -> None:
    """Content whose type is not collected would wait for ever."""
    epoch = world.collection.epoch
    world.need(1, 2, 3, 4, 5)
    assert world.asked == [(2, 5)]
    kind, fields = world.children[0].sent[0]
    assert (kind, fields) == ("join", {"shared": ["lineage", "pending"]})
    assert world.children[0].descriptors == 3
    world.now += 2.0
    world.joins(handed_over([2, 5], [[2], [2, 5], [5]], probes=["open", "x", "y"]))
    assert world.joining.collected() == {1, 2, 3, 4, 5}
    assert world.served()[-3:] == [{2}, {2, 5}, {5}]
    assert world.collection.probes[-3:] == ("open", "x", "y")
    assert (world.collection.epoch, world.changes) == (epoch, 1)
    assert world.collection.rings[2].epoch != world.collection.rings[1].epoch
    world.need(1, 2, 3, 4, 5)
    assert len(world.children) == 1
    assert {span[1:] for span in world.spans()} == {(2, 100.0, 102.0), (5, 100.0, 102.0)}
    assert {span[0] for span in world.spans()} == {"NOT_COLLECTED"}


def test_descriptors_that_come_later_are_awaited(world: World) -> None:
    """A type would count as collected before all of its probes are attached."""
    world.need(1, 2, 3, 4)
    world.joining.message(handed_over([2], [[2], [2], [2]], 1, more=2))
    assert world.joining.collected() == {1, 3, 4}
    rest = Message("attachments", {"more": 0}, b"", (memory(), memory()))
    world.joins(rest)
    assert world.joining.collected() == {1, 2, 3, 4}
    assert world.served()[-3:] == [{2}] * 3


def test_what_the_rung_lacks_lets_its_content_go_to_trial(world: World) -> None:
    """Content for a type that nobody here can see would wait for ever instead of being refused."""
    world.need(1, 2, 3, 4, 5)
    assert not world.joining.ready_for_trial(5)
    world.joins(handed_over([2], [[2]]))
    assert world.joining.ready_for_trial(5)
    world.need(1, 2, 3, 4, 5, seconds=1e6)
    assert len(world.children) == 1


WRONG: dict[str, Callable[[], Message]] = {
    "a ring that was not asked for": lambda: handed_over([5], [[5]]),
    "a ring that is there": lambda: handed_over([1], [[1]]),
    "one ring too many": lambda: handed_over([2, 5], [[2], [5]]),
    "two rings of one type": lambda: handed_over([2, 2], [[2]]),
    "lineage of its own": lambda: handed_over([2], [[], [2]]),
    "lineage of its own, later": lambda: handed_over([2], [[2], []], 1, more=1),
    "an attachment for another type": lambda: handed_over([2], [[1]]),
    "serves too short": lambda: handed_over([2], [[2]], 2),
    "serves too long": lambda: handed_over([2], [[2], [2]], 1),
    "serves nonsense": lambda: handed_over([2], ["2"]),
    "another rung": lambda: handed_over([2], [[2]], rung="bpf_tracepoint"),
    "counters of its own": lambda: handed_over(
        [2], [[2]], counters=[{"cause": "X", "template_type": 2}]
    ),
    "shared maps of its own": lambda: handed_over([2], [[2]], shared=["lineage"]),
}


@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG.keys())
def test_a_joiner_that_hands_over_something_else_is_refused(
    world: World, wrong: Callable[[], Message]
) -> None:
    """A broken collector could put its ring in the place of one that is in use."""
    before, attachments = world.collection.rings, len(world.collection.attachments)
    world.need(1, 2, 3, 4)
    message = wrong()
    with pytest.raises(ProtocolViolationError) as error:
        world.joining.message(message)
    assert not any(map(is_open, message.descriptors))
    world.joining.blamed(error.value)
    world.ends(9)
    assert world.collection.rings is before
    assert len(world.collection.attachments) == attachments
    assert world.needs.trouble[2].reason == "PROTOCOL_VIOLATION"
    assert world.changes == 0


@pytest.mark.parametrize("how", ["refused", "dead", "hung", "half"])
def test_a_join_that_fails_is_tried_again_alone_and_changes_nothing(world: World, how: str) -> None:
    """A type that can't be had would end what is collected, or keep others from being had."""
    world.need(1, 2, 3, 4, 5)
    rings, reason = world.collection.rings, "COLLECTOR_DIED"
    if how == "refused":
        fields = {"rung": "bpf_btf", "reason": "VERIFIER_REFUSED", "detail": "R1 invalid"}
        world.joining.message(Message("failed", fields))
        reason = "VERIFIER_REFUSED"
    elif how == "hung":
        world.need(1, 2, 3, 4, 5, seconds=LIMITS.collector_seconds + 1.0)
        assert world.children[0].killed_by_us
        reason = "COLLECTOR_HUNG"
    elif how == "half":
        world.joining.message(handed_over([2], [[2], [2]], 1, more=1))
    world.ends(11)
    assert {number: one.reason for number, one in world.needs.trouble.items()} == {
        2: reason,
        5: reason,
    }
    assert world.collection.rings is rings
    world.need(1, 2, 3, 4, 5, seconds=LIMITS.join_first_seconds)
    assert world.asked == [(2, 5), (2,)]
    world.joins(handed_over([2], [[2]]))
    world.need(1, 2, 3, 4, 5)
    assert world.asked[-1] == (5,)
    assert not world.joining.ready_for_trial(5)
    for _ in range(LIMITS.joins - 1):
        world.ends(11)
        world.need(1, 2, 3, 4, 5, seconds=LIMITS.join_first_seconds * 2**LIMITS.joins)
    assert set(world.needs.given_up()) == {5}


def test_what_nothing_needs_leaves_after_the_grace_and_its_records_are_read(world: World) -> None:
    """Probes would cost the host time for nothing, or the last events of a type be lost."""
    ring = world.collection.rings[1]
    world.held = [ring]
    produce(ring.descriptor, 3)
    world.need(3, 4)
    world.need(3, 4, seconds=GRACE - 1.0)
    assert {1} in world.served()
    world.need(3, 4, seconds=1.0)
    assert world.joining.collected() == {3, 4}
    world.need(3, 4, seconds=0.1)
    assert {1} not in world.served()
    world.need(3, 4, seconds=LIMITS.settle_seconds)
    assert 1 in world.collection.rings  # three records are to be read
    ring.position = 3 * STRIDE
    world.need(3, 4, seconds=0.1)
    assert set(world.collection.rings) == {3, 4}
    assert world.changes == 1
    assert is_open(ring.descriptor)  # an evaluator still has it
    world.held = []
    world.need(3, 4, seconds=0.1)
    assert not is_open(ring.descriptor)
    assert world.told == []
    assert world.served() == [set(), {3}, {3, 4}, {4}]


def test_a_program_for_two_types_stays_until_both_leave(world: World) -> None:
    """Calls under way of a type that stays would never be forgotten, or the program stay on."""
    world.need(1, 4)
    for seconds in (GRACE, 1.0, 1.0):
        world.need(1, 4, seconds=seconds)
    assert world.served() == [set(), {1}, {4}, {4}]
    world.need(1, 3, 4)
    world.joins(handed_over([3], [[3]]))
    world.need(1, 3)
    for seconds in (GRACE, 1.0, 1.0):
        world.need(1, 3, seconds=seconds)
    assert world.served() == [set(), {1}, {3}]


def test_a_type_that_comes_back_has_a_new_ring_and_its_gap_is_told(world: World) -> None:
    """Two detections would have one id, or a stretch without a type be told by nobody."""
    before = world.collection.rings[1].epoch
    world.need(3, 4)
    for seconds in (GRACE, 1.0, 1.0):
        world.need(3, 4, seconds=seconds)
    left = world.now - 1.0
    assert set(world.collection.rings) == {3, 4}
    world.need(1, 3, 4, seconds=10.0)
    world.now += 1.0
    world.joins(handed_over([1], [[1]]))
    assert world.collection.rings[1].epoch != before
    assert world.spans() == [("NOT_COLLECTED", 1, left, world.now)]


def test_a_type_that_leaves_joins_only_when_it_is_gone(world: World) -> None:
    """Two programs would write the same event into two rings."""
    world.need(3, 4)
    world.need(3, 4, seconds=GRACE)
    world.need(1, 3, 4, seconds=0.1)
    assert world.asked == []
    for _ in range(2):
        world.need(1, 3, 4, seconds=1.0)
    assert world.asked == [(1,)]


def test_below_bpf_nothing_joins_or_leaves(world: World) -> None:
    """A polling collector would be joined by one that can't attach anything."""
    world.collection.rung = "psutil"
    assert world.joining.ready_for_trial(2)
    world.need(2)
    world.need(2, seconds=2 * GRACE)
    assert world.asked == []
    assert world.joining.collected() == {1, 3, 4}


def test_without_a_collection_no_content_is_tried(world: World) -> None:
    """Content would pass its trial without a single event to try it on."""
    world.joining.collection_changed(None)
    assert not world.joining.ready_for_trial(1)
    world.need(2)
    assert world.asked == []
