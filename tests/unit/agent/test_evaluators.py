"""The pool of evaluators: whatever happened before, it takes the next step to what is wanted."""

from collections import deque
from collections.abc import Iterator

import pytest

from agent.supervisor.evaluator_process import Evaluator, Stage
from tests.unit.agent.evaluator_world import (
    NEW,
    NEWER,
    OLD,
    ONE,
    TWO,
    Theatre,
    played,
)
from tests.unit.agent.ring_memory import STRIDE, collection, produce


@pytest.fixture
def theatre() -> Iterator[Theatre]:
    """A pool with two rings that wants the old set."""
    made = Theatre()
    yield made
    made.close()


def trial(theatre: Theatre) -> Evaluator:
    """The new set on trial."""
    one = theatre.pool.start(NEW, NEWER, active_version=6)
    assert one is not None
    return one


def test_from_nothing_to_a_worker_and_a_stand_by(theatre: Theatre) -> None:
    """A sensor that starts would have no protection, or no stand-by."""
    theatre.turn()
    (first,) = theatre.pool.members
    kind, load = played(first).sent[0]
    assert kind == "load"
    assert [ring["template_type"] for ring in load["rings"]] == [1, 2]
    assert load["files"] == [
        {"hash": ONE.hash, "template_type": 1, "trial": 0, "active_version": 0, "quarantined": []},
        {"hash": TWO.hash, "template_type": 2, "trial": 0, "active_version": 0, "quarantined": []},
    ]
    assert load["epochs"] == {"1": theatre.rings.epoch, "2": theatre.rings.epoch}
    assert played(first).descriptors == 1 + 2 + 2
    theatre.turn()
    assert len(theatre.pool.members) == 1  # It loads; nobody else is needed for now.
    theatre.ready()
    theatre.turn()
    assert theatre.pool.worker is first
    assert played(first).sent[1] == (
        "go",
        {
            "positions": {"1": 0, "2": 0},
            "careful": {},
            "aside": {"1": [], "2": []},
            "prevention": 1,
        },
    )
    theatre.ready()
    theatre.turn()
    assert [one.stage for one in theatre.pool.members] == [Stage.RUNNING, Stage.READY]


def test_nothing_happens_without_rings(theatre: Theatre) -> None:
    """Evaluators would be started, and die, before there is anything to evaluate."""
    started = []
    for awaited in (1, 0):
        theatre.rings.awaited = deque([(frozenset[int](), "")] * awaited)
        theatre.turn()
        started.append(len(theatre.children))
    assert started == [0, 1]


def test_stand_by_takes_over_at_the_positions(theatre: Theatre) -> None:
    """Events would be lost or evaluated twice when an evaluator dies."""
    worker, standby = theatre.working()
    produce(theatre.rings.rings[1].descriptor, 20)
    theatre.rings.rings[1].position = 5 * STRIDE
    theatre.pool.take_over.careful[1] = 9 * STRIDE
    theatre.pool.take_over.aside[1] = {4 * STRIDE, 5 * STRIDE, 7 * STRIDE}
    theatre.dies(worker)
    theatre.turn()
    assert theatre.pool.worker is standby
    assert played(standby).sent[-1] == (
        "go",
        {
            "positions": {"1": 5 * STRIDE, "2": 0},
            "careful": {"1": 9 * STRIDE},
            "aside": {"1": [5 * STRIDE, 7 * STRIDE], "2": []},
            "prevention": 1,
        },
    )


def test_what_lies_behind_is_forgotten(theatre: Theatre) -> None:
    """The message to go would grow with every death until it can't be sent."""
    worker, _ = theatre.working()
    produce(theatre.rings.rings[1].descriptor, 20)
    theatre.rings.rings[1].position = 9 * STRIDE
    theatre.pool.take_over.careful[1] = 9 * STRIDE
    theatre.pool.take_over.aside[1] = {8 * STRIDE}
    theatre.dies(worker)
    theatre.turn()
    assert theatre.pool.take_over.careful == {}
    assert theatre.pool.take_over.aside == {1: set(), 2: set()}


def test_promotion_drains_and_then_goes(theatre: Theatre) -> None:
    """Two evaluators would work on one ring, or events be lost between them."""
    worker, standby = theatre.working()
    candidate = trial(theatre)
    theatre.turn()
    assert played(worker).told() == ["load", "go"]
    assert played(candidate).sent[0][1]["files"][0] == {
        "hash": NEWER.hash,
        "template_type": 1,
        "trial": 1,
        "active_version": 6,
        "quarantined": [],
    }
    theatre.ready()
    theatre.pool.wanted = NEW
    theatre.turn()
    assert worker.stage is Stage.DRAINING
    assert standby.finished
    theatre.turn()
    assert played(worker).told() == ["load", "go", "drain"]
    assert candidate.stage is Stage.READY
    theatre.pool.dismiss(worker)  # It has said that it is drained.
    theatre.turn()
    assert theatre.pool.worker is candidate


def test_worker_goes_on_until_a_successor_is_ready(theatre: Theatre) -> None:
    """A rollback would leave the host unprotected while its content loads."""
    worker, _ = theatre.working()
    theatre.pool.wanted = frozenset({ONE})
    for _ in range(3):
        theatre.turn()
    assert theatre.pool.worker is worker
    assert played(worker).told() == ["load", "go"]
    (other,) = [one for one in theatre.pool.members if one is not worker]
    assert other.files == {ONE}
    theatre.ready()
    theatre.turn()
    assert played(worker).told() == ["load", "go", "drain"]


def test_rejected_candidate_leaves_everything_as_it_was(theatre: Theatre) -> None:
    """A bad update would cost protection."""
    worker, standby = theatre.working()
    candidate = trial(theatre)
    on_trial = [theatre.pool.on_trial]
    theatre.turn()
    theatre.pool.dismiss(candidate)
    theatre.turn()
    assert theatre.pool.members == [worker, standby]
    assert [*on_trial, theatre.pool.on_trial] == [candidate, None]
    assert played(standby).told() == ["load"]


def test_candidate_never_works_before_it_has_passed(theatre: Theatre) -> None:
    """Content would see events before its trial is over."""
    candidate = theatre.pool.start(OLD, ONE)
    assert candidate is not None
    theatre.turn()
    assert theatre.pool.worker is None
    assert len(theatre.pool.members) == 2  # And it does not count as a stand-by.


def test_stand_by_for_last_known_good_during_probation(theatre: Theatre) -> None:
    """A rollback would first have to load what it goes back to."""
    worker, _ = theatre.working()
    theatre.pool.fallback = frozenset({TWO})
    theatre.turn()
    theatre.ready()
    sets = [one.files for one in theatre.pool.members if one is not worker]
    assert sets == [OLD, frozenset({TWO})]
    theatre.pool.wanted, theatre.pool.fallback = frozenset({TWO}), None
    theatre.dies(worker)
    theatre.turn()
    assert theatre.pool.worker is not None
    assert theatre.pool.worker.files == {TWO}


def test_one_stand_by_is_enough_where_falling_back_changes_nothing(theatre: Theatre) -> None:
    """Memory would be used for two stand-bys of one set."""
    theatre.working()
    theatre.pool.fallback = OLD
    for _ in range(3):
        theatre.turn()
        theatre.ready()
    assert len(theatre.pool.members) == 2


def test_new_rings_mean_new_evaluators(theatre: Theatre) -> None:
    """Evaluators would read rings that are gone, or skip events of the new ones."""
    worker, standby = theatre.working()
    theatre.pool.take_over.aside[1] = {7 * STRIDE}
    theatre.pool.take_over.careful[1] = 9 * STRIDE
    old, new = theatre.rings, collection(1)
    theatre.pool.change_rings(new)
    assert worker.finished
    assert standby.finished
    old.close()
    theatre.turn()
    theatre.ready()
    theatre.turn()
    assert theatre.pool.worker is not None
    kind, go = played(theatre.pool.worker).sent[-1]
    assert (kind, go["careful"], go["aside"]) == ("go", {}, {"1": []})
