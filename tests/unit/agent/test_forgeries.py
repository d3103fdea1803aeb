"""What an evaluator may claim of events, and of the rings that it can write to."""

import os
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agent.channel import ProtocolViolationError, Violation
from agent.supervisor.evaluator_process import Evaluator, Stage
from agent.supervisor.rings import RingFacts
from tests.unit.agent.court import PRODUCED, Court, open_court
from tests.unit.agent.evaluator_world import played
from tests.unit.agent.ring_memory import RECORDS, STRIDE, produce, write_process

EVENT = 3
PID, START_TIME = 4_000_000, 77_000
"""No process has that id: the greatest one on Linux is 2^22 - 1 or less."""


@pytest.fixture
def court(tmp_path: Path) -> Iterator[Court]:
    """Two rings; in the first one, event 3 names a process."""
    made = open_court(tmp_path)
    write_process(made.theatre.rings.rings[1].descriptor, EVENT, PID, START_TIME)
    yield made
    made.close()


def verdict(**different: int) -> dict[str, Any]:
    """A true one."""
    said = {"pid": PID, "start_time": START_TIME, "sequence": EVENT, "instance": "i"}
    return {**said, **different}


def first_ring(one: Evaluator) -> RingFacts:
    """The ring of Template Type 1."""
    return one.rings[1]


def give_back(ring: RingFacts, position: int) -> None:
    """What an evaluator writes: up to where records may be overwritten."""
    os.pwrite(ring.descriptor, struct.pack("<Q", position), 0)


def test_a_true_verdict_is_acted_on(court: Court) -> None:
    """The tests below would show nothing."""
    court.frame(court.worker(), verdicts=[verdict()])
    assert court.judging.verdicts == {"ALREADY_GONE": 1}


def test_the_event_that_the_next_frame_goes_on_with_counts(court: Court) -> None:
    """An event with many detections would end an honest evaluator."""
    court.frame(court.worker(), position=EVENT * STRIDE, evaluated=EVENT, verdicts=[verdict()])
    assert court.judging.verdicts == {"ALREADY_GONE": 1}


@pytest.mark.parametrize(
    "different",
    [
        {"pid": os.getpid()},
        {"pid": PID + 1},
        {"start_time": START_TIME + 10_000_000},
        {"sequence": EVENT + 1},
        {"sequence": -1},
        {"sequence": 11},
        {"sequence": 2**64},
    ],
)
def test_a_forged_verdict_ends_its_evaluator(court: Court, different: dict[str, int]) -> None:
    """Whoever has taken over an evaluator could have any program stopped."""
    one = court.worker()
    with pytest.raises(ProtocolViolationError) as caught:
        court.frame(one, verdicts=[verdict(**different)])
    assert caught.value.violation is Violation.FORGED_VERDICT
    assert not court.judging.verdicts


def test_an_event_that_was_told_before_is_no_reason(court: Court) -> None:
    """One exec would be enough to have a process stopped at any later time."""
    one = court.worker()
    court.frame(one)
    with pytest.raises(ProtocolViolationError):
        court.frame(one, position=20 * STRIDE, verdicts=[verdict()])


def test_who_may_not_be_known_is_not_stopped(court: Court) -> None:
    """On a rung without start times, an evaluator would be ended for an honest verdict."""
    court.frame(court.worker(), verdicts=[verdict(start_time=0)])
    assert court.judging.verdicts == {"NOT_IDENTIFIED": 1}


def test_an_event_that_is_overwritten_stops_nobody(court: Court) -> None:
    """A flood would make a verdict true that nobody can check any more, or end its evaluator."""
    one = court.worker()
    produce(first_ring(one).descriptor, RECORDS + EVENT + 1)
    court.frame(one, verdicts=[verdict()])
    assert court.judging.verdicts == {"EVENT_GONE": 1}


@pytest.mark.parametrize("position", [STRIDE, PRODUCED * STRIDE, 2**63, 2**64 - 8])
def test_giving_back_what_was_not_told_ends_all_who_could(court: Court, position: int) -> None:
    """A hidden evaluator would have events overwritten, or the ring shut, and nobody would know."""
    worker = court.worker()
    court.turn()
    others = [one for one in court.theatre.pool.members if one is not worker]
    give_back(first_ring(worker), position)
    court.judging.watch_rings()
    assert worker.child.attempts == {Violation.FORGED_POSITION: 1}
    assert worker.child.killed_by_us
    assert others
    assert all(one.child.killed_by_us for one in others)
    report = court.dies(worker, signal=9)
    assert report["attempts"] == {"FORGED_POSITION": 1}
    assert report["cause"] == "PROTOCOL_VIOLATION"


def test_giving_back_what_was_told_is_right(court: Court) -> None:
    """Every honest evaluator would be ended."""
    worker = court.worker()
    court.frame(worker)
    give_back(first_ring(worker), 10 * STRIDE)
    court.judging.watch_rings()
    assert not worker.child.attempts


def test_a_message_on_its_way_is_waited_for(court: Court) -> None:
    """An honest evaluator would be ended whenever the supervisor is slow."""
    worker = court.worker()
    played(worker).unread = True
    give_back(first_ring(worker), 10 * STRIDE)
    court.judging.watch_rings()
    assert not worker.child.attempts


def test_the_successor_finds_the_ring_as_it_should_be(court: Court) -> None:
    """One write would shut the ring for ever, and the sensor see nothing any more."""
    worker = court.worker()
    court.frame(worker)
    ring = first_ring(worker)
    give_back(ring, 2**63)
    court.dies(worker)
    assert ring.given_back() == 10 * STRIDE
    assert ring.position == 10 * STRIDE
    assert ("NOT_EVALUATED", 1) not in court.ledger.totals


def test_what_was_overwritten_unread_is_counted(court: Court) -> None:
    """A hidden evaluator could let events pass that nobody ever hears of."""
    worker = court.worker()
    court.frame(worker)
    ring = first_ring(worker)
    produce(ring.descriptor, RECORDS + 50)
    give_back(ring, 40 * STRIDE)
    court.dies(worker)
    assert court.ledger.totals[("NOT_EVALUATED", 1)] == 40
    assert ring.position == 50 * STRIDE == ring.given_back()


def test_a_ring_that_is_worked_on_is_left_alone(court: Court) -> None:
    """A stand-by's death would take the worker's position back."""
    worker = court.worker()
    court.turn()
    other = next(one for one in court.theatre.pool.members if one is not worker)
    assert worker.stage is Stage.RUNNING
    give_back(first_ring(worker), 10 * STRIDE)
    court.dies(other)
    assert first_ring(worker).given_back() == 10 * STRIDE
