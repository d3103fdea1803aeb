"""Template Types come and go: evaluators follow one after the other, at the rings' positions."""

from collections.abc import Iterator

import pytest

from agent.supervisor.evaluator_process import Stage
from tests.unit.agent.evaluator_world import OLD, Theatre, played
from tests.unit.agent.ring_memory import STRIDE, collection, produce


@pytest.fixture
def theatre() -> Iterator[Theatre]:
    """A pool with two rings that wants the old set."""
    made = Theatre()
    yield made
    made.close()


def joins(theatre: Theatre) -> None:
    """Template Type 3 joins."""
    theatre.rings.join(collection(3))
    theatre.pool.change_some_rings()


def hands_over(theatre: Theatre) -> None:
    """Whoever drains has drained."""
    worker = theatre.pool.worker
    assert worker is not None
    assert worker.stage is Stage.DRAINING
    theatre.pool.dismiss(worker)
    theatre.turn()


def test_the_worker_is_replaced_by_one_that_has_the_new_ring(theatre: Theatre) -> None:
    """A type would be collected that nobody ever evaluates, until its ring is full."""
    worker, standby = theatre.working()
    produce(theatre.rings.rings[1].descriptor, 20)
    theatre.rings.rings[1].position = 12 * STRIDE
    joins(theatre)
    theatre.turn()
    assert played(worker).told()[-1] == "go"  # nobody is ready to follow yet
    before = standby.finished
    successor = theatre.pool.members[-1]
    assert set(successor.rings) == {1, 2, 3}
    theatre.ready()
    theatre.turn()
    assert played(worker).told()[-1] == "drain"
    assert [before, standby.finished] == [False, True]
    hands_over(theatre)
    assert theatre.pool.worker is successor
    kind, go = played(successor).sent[-1]
    assert (kind, go["positions"]) == ("go", {"1": 12 * STRIDE, "2": 0, "3": 0})


def test_until_then_the_stand_by_of_the_earlier_rings_can_take_over(theatre: Theatre) -> None:
    """A death at that very moment would leave the host unprotected until another one has loaded."""
    worker, standby = theatre.working()
    joins(theatre)
    theatre.turn()
    theatre.dies(worker)
    theatre.turn()
    assert theatre.pool.worker is standby
    assert set(played(standby).sent[-1][1]["positions"]) == {"1", "2"}
    theatre.ready()
    theatre.turn()
    assert standby.stage is Stage.DRAINING


def test_one_that_still_loads_earlier_rings_is_ended(theatre: Theatre) -> None:
    """Two evaluators would load at once, one of them for nothing."""
    theatre.turn()
    (first,) = theatre.pool.members
    joins(theatre)
    theatre.turn()
    assert first.finished
    assert [set(one.rings) for one in theatre.pool.members] == [{1, 2}, {1, 2, 3}]


def test_a_retired_ring_is_held_as_long_as_somebody_has_it(theatre: Theatre) -> None:
    """An evaluator that speaks of its last events would be ended for it."""
    worker, _ = theatre.working()
    ring = theatre.rings.rings[2]
    theatre.rings.retire(2)
    theatre.pool.change_some_rings()
    assert ring in theatre.pool.held_rings()
    theatre.turn()
    theatre.ready()
    theatre.turn()
    hands_over(theatre)
    theatre.turn()
    assert worker.files == OLD
    assert ring not in theatre.pool.held_rings()
    assert set(theatre.rings.close_retired(theatre.pool.held_rings())) == {2}


def test_what_was_set_aside_in_a_ring_goes_with_it(theatre: Theatre) -> None:
    """An event of a type that comes back would not be evaluated, for one that it never was."""
    theatre.pool.take_over.aside = {1: {STRIDE}, 2: {STRIDE}}
    theatre.pool.take_over.careful = {1: STRIDE, 2: STRIDE}
    theatre.rings.retire(2)
    theatre.pool.change_some_rings()
    assert theatre.pool.take_over.aside == {1: {STRIDE}}
    assert theatre.pool.take_over.careful == {1: STRIDE}
