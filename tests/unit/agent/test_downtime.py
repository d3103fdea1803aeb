"""How long nobody evaluated, and how many events waited: told for every death of a worker."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.supervisor.ledger import SECOND
from agent.supervisor.limits import LIMITS
from tests.unit.agent.court import PRODUCED, Court, open_court
from tests.unit.agent.ring_memory import STRIDE


@pytest.fixture
def court(tmp_path: Path) -> Iterator[Court]:
    """Two rings, of which the first has events."""
    made = open_court(tmp_path)
    yield made
    made.close()


def downtimes(court: Court) -> list[tuple[int, int, float]]:
    """Template Type, count and seconds of what was told of evaluators that were down."""
    return [
        (
            one["template_type"],
            one["count"],
            (one["to_unix_ns"] - one["from_unix_ns"]) / SECOND,
        )
        for one in court.ledger.records
        if one["cause"] == "EVALUATOR_DOWN"
    ]


def after_a_death(court: Court, seconds: float) -> None:
    """A successor goes after so long."""
    court.theatre.now += LIMITS.restart_cap_seconds
    court.up += int(seconds * SECOND)
    court.turn()
    court.judging.resumed()
    assert downtimes(court) == []
    (one,) = court.theatre.pool.members
    court.says(one, "ready", files=[], sandbox={})
    court.turn()
    court.judging.resumed()


def test_what_waited_for_a_successor_is_told(court: Court) -> None:
    """Nobody would know that events were evaluated late, and a prevent came too late."""
    one = court.worker()
    court.frame(one)
    court.dies(one, 9)
    after_a_death(court, 3.0)
    court.judging.resumed()
    assert downtimes(court) == [(1, PRODUCED - 10, 3.0)]
    assert court.ledger.events == 0


def test_downtime_without_events_is_told(court: Court) -> None:
    """A stretch without protection would be hidden, because nothing happened on the host."""
    one = court.worker()
    court.frame(one, position=PRODUCED * STRIDE, evaluated=PRODUCED)
    court.dies(one, 9)
    after_a_death(court, 2.0)
    assert downtimes(court) == [(0, 0, 2.0)]


def test_downtime_of_a_silent_evaluator_runs_from_its_last_word(court: Court) -> None:
    """The time in which it hung would look like protection."""
    one = court.worker()
    court.theatre.now += LIMITS.heartbeat_seconds + 1.0
    court.turn()
    court.dies(one, 9)
    after_a_death(court, 1.0)
    assert downtimes(court) == [(1, PRODUCED, LIMITS.heartbeat_seconds + 2.0)]


def test_a_crash_loop_is_one_stretch(court: Court) -> None:
    """The time up to the second death would be forgotten."""
    downtime = court.judging.downtime
    downtime.begin(0.0)
    court.up += 2 * SECOND
    downtime.begin(0.0)
    court.up += 3 * SECOND
    downtime.end(court.theatre.rings)
    downtime.end(court.theatre.rings)
    assert downtimes(court) == [(1, PRODUCED, 5.0)]


def test_the_end_of_a_stand_by_is_no_downtime(court: Court) -> None:
    """Protection that went on would be told as interrupted."""
    one = court.worker()
    court.turn()
    (other,) = [member for member in court.theatre.pool.members if member is not one]
    court.dies(other, 9)
    court.turn()
    court.judging.resumed()
    assert downtimes(court) == []
