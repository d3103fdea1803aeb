"""The pool of evaluators in trouble: crash loops, silence, and a system that can't."""

import signal
from collections.abc import Iterator

import pytest

from agent.attribution import Phase
from agent.deaths import Cause
from agent.supervisor.child import End
from agent.supervisor.evaluator_process import Stage
from agent.supervisor.limits import LIMITS
from tests.unit.agent.descriptors import none_lost, open_descriptors
from tests.unit.agent.evaluator_world import NEW, NEWER, ONE, TWO, Theatre, played, works_on
from tests.unit.agent.ring_memory import STRIDE, produce


@pytest.fixture
def theatre() -> Iterator[Theatre]:
    """A pool with two rings that wants the old set."""
    made = Theatre()
    yield made
    made.close()


def test_no_restart_storm(theatre: Theatre) -> None:
    """A crash loop would use up the processor, or end with nobody trying any more."""
    for _ in range(600):
        for one in list(theatre.pool.members):
            theatre.dies(one)
        theatre.turn(0.1)
    first = len(theatre.children)
    assert first < 25
    with none_lost():
        for _ in range(600):
            for one in list(theatre.pool.members):
                theatre.dies(one)
            theatre.turn(0.1)
    assert 10 <= len(theatre.children) - first <= 15  # Every 5 s, for ever.


def test_another_attempt_is_made_at_once(theatre: Theatre) -> None:
    """A search that needs ten evaluators would take as long as a crash loop of ten."""
    for _ in range(6):
        theatre.turn()
        if theatre.pool.members:
            theatre.dies(theatre.pool.members[0])
    assert theatre.pool.members == []
    theatre.turn()
    assert theatre.pool.members == []
    theatre.pool.go_on()
    theatre.turn()
    assert len(theatre.pool.members) == 1


def test_backoff_starts_again_after_stable_work(theatre: Theatre) -> None:
    """One bad minute would leave every later death without a stand-by for seconds."""
    for _ in range(8):
        theatre.pool.backoff.next_delay()
    worker, standby = theatre.working()
    theatre.now += LIMITS.stable_seconds + 0.1
    theatre.dies(worker)
    theatre.turn()
    assert theatre.pool.worker is standby
    theatre.turn(0.1)
    assert len(theatre.pool.members) == 2


@pytest.mark.parametrize(
    ("stage", "limit", "cause"),
    [
        (Stage.LOADING, LIMITS.load_seconds, Cause.DEADLINE_EXCEEDED),
        (Stage.RUNNING, LIMITS.heartbeat_seconds, Cause.HEARTBEAT_MISSED),
        (Stage.DRAINING, LIMITS.drain_seconds, Cause.HEARTBEAT_MISSED),
    ],
)
def test_whoever_takes_too_long_is_ended(
    theatre: Theatre, stage: Stage, limit: float, cause: Cause
) -> None:
    """A hung evaluator would be waited for, for ever."""
    theatre.turn()
    (one,) = theatre.pool.members
    one.enter(stage, theatre.now)
    killed = []
    for seconds in (limit, 0.01):
        theatre.turn(seconds)
        killed.append(one.child.killed_by_us)
    assert killed == [False, True]
    assert one.cause is cause
    assert one.death(frozenset()).cause is cause
    assert not one.death(frozenset()).foreign_kill
    played(one).stopped_by_others = True
    assert one.death(frozenset()).foreign_kill


def test_trial_has_a_time_of_its_own(theatre: Theatre) -> None:
    """Content that hangs in its trial would be waited for longer than allowed."""
    candidate = theatre.pool.start(NEW, NEWER, active_version=6)
    assert candidate is not None
    theatre.turn(LIMITS.trial_seconds + 0.01)
    assert candidate.child.killed_by_us
    assert candidate.death(frozenset()).on_trial


def test_heartbeat_keeps_a_worker(theatre: Theatre) -> None:
    """An evaluator that works well would be killed."""
    worker, _ = theatre.working()
    for _ in range(10):
        worker.heard = theatre.now
        theatre.turn(LIMITS.heartbeat_seconds)
    assert theatre.pool.worker is worker
    assert not worker.child.killed_by_us


def test_a_starved_worker_does_not_hang(theatre: Theatre) -> None:
    """A busy host would lose its evaluators one after the other, and blame what they work on."""
    worker, _ = theatre.working()
    child = theatre.children[theatre.pool.members.index(worker)]
    assert child is worker.child
    child.waited = 7.0  # before it was heard last
    theatre.now += LIMITS.starvation_look_seconds
    worker.hear(theatre.now)
    child.waited += 3.0
    killed = []
    for seconds in (3.0 + LIMITS.heartbeat_seconds, 0.01):
        theatre.turn(seconds)
        killed.append(child.killed_by_us)
    assert killed == [False, True]
    assert worker.cause is Cause.HEARTBEAT_MISSED


def test_evaluator_that_can_not_be_told_is_ended(theatre: Theatre) -> None:
    """An evaluator that never got its orders would be taken for the worker."""
    theatre.turn()
    theatre.ready()
    (one,) = theatre.pool.members
    played(one).room = False
    theatre.turn()
    assert one.child.killed_by_us
    assert theatre.pool.worker is None


def test_system_that_can_start_nothing_is_asked_again(theatre: Theatre) -> None:
    """One moment without memory or processes would end the supervisor."""
    worker, standby = theatre.working()
    theatre.out_of_order = True
    theatre.dies(standby)
    with none_lost():
        for _ in range(30):
            theatre.turn(0.1)
            worker.heard = theatre.now
    assert theatre.pool.members == [worker]
    theatre.out_of_order = False
    theatre.turn(LIMITS.start_again_seconds)
    assert len(theatre.pool.members) == 2


def test_payload_that_can_not_be_read_is_told(theatre: Theatre) -> None:
    """A damaged disk would end the supervisor, or leave it trying for ever."""
    theatre.unreadable.add(TWO.hash)
    before = open_descriptors()
    theatre.turn()
    assert theatre.missing == [TWO.hash]
    assert theatre.children == []
    assert open_descriptors() == before
    theatre.pool.wanted = frozenset({ONE})
    theatre.turn(LIMITS.start_again_seconds)
    assert len(theatre.children) == 1


def test_death_is_told_as_the_rules_need_it(theatre: Theatre) -> None:
    """The wrong file or event would be blamed."""
    worker, _ = theatre.working()
    produce(theatre.rings.rings[2].descriptor, 50)
    works_on(worker, 2, 10 * STRIDE, 20, 3)
    played(worker).end = End(signal.SIGSEGV, 0)
    death = worker.death(frozenset({ONE.hash}))
    assert (death.cause, death.signal, death.running) == (Cause.SIGNAL, signal.SIGSEGV, True)
    played(worker).stopped_by_others = True  # which was not what it was ended for
    assert not worker.death(frozenset()).foreign_kill
    assert not death.on_trial
    assert not death.foreign_kill
    assert death.files == {1: ONE.hash, 2: TWO.hash}
    assert death.probation == {ONE.hash}
    assert death.progress.phase is Phase.EVALUATING
    assert (death.progress.ring, death.progress.position, death.progress.row) == (2, 640, 3)
    assert death.progress.instance_id == "second"
