"""What evaluators say is checked, and what their ends teach is done."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from agent.channel import ProtocolViolationError
from agent.lifecycle import State
from agent.supervisor.evaluator_process import Stage
from agent.supervisor.judging import MAX_VERSION
from agent.supervisor.limits import LIMITS
from agent.supervisor.reports import Report
from tests.unit.agent.court import PRODUCED, Court, open_court
from tests.unit.agent.flow_world import hash_of
from tests.unit.agent.ring_memory import STRIDE, write_process


@pytest.fixture
def court(tmp_path: Path) -> Iterator[Court]:
    """Two rings, of which the first has events."""
    made = open_court(tmp_path)
    yield made
    made.close()


def test_frame_moves_the_position_and_passes_detections_on(court: Court) -> None:
    """Detections would be lost, or events be evaluated twice."""
    one = court.worker()
    court.frame(one, b"two detections", detections=2)
    assert court.theatre.rings.rings[1].position == 10 * STRIDE
    assert (court.judging.evaluated, court.judging.detections) == (10, 2)
    sent: dict[int, bytes] = {}
    court.reports.flush(lambda report: bool(sent.setdefault(report.number, report.payload)))
    assert sent == {1: b"two detections"}


@pytest.mark.parametrize(
    "different",
    [
        {"ring": 7},
        {"position": 10 * STRIDE + 1},
        {"position": (PRODUCED + 1) * STRIDE},
        {"position": -STRIDE},
        {"evaluated": 11},
        {"evaluated": -1},
        {"crc32": 1},
        {"detections": 1},
        {"detections": -1},
        {"detections": 10**4000},
        {"position": 10**4000},
        {"verdicts": [1]},
        {"verdicts": [{"pid": 7}]},
        {"verdicts": [{"pid": "7", "start_time": 1, "instance": "i"}]},
        {"verdicts": [{"pid": 7, "start_time": None, "instance": "i"}]},
        {"verdicts": [{"pid": True, "start_time": 1, "instance": "i"}]},
    ],
)
def test_impossible_frame_breaks_the_protocol(court: Court, different: dict[str, Any]) -> None:
    """A broken evaluator could skip events uncounted, or end the supervisor."""
    one = court.worker()
    with pytest.raises(ProtocolViolationError):
        court.frame(one, **different)


def test_frame_may_move_nothing_or_everything(court: Court) -> None:
    """A detection amid a batch, or the last event of a ring, would break the protocol."""
    one = court.worker()
    court.frame(one, b"detection", position=0, evaluated=0, detections=1)
    court.frame(one, position=PRODUCED * STRIDE, evaluated=PRODUCED)
    court.frame(one, position=PRODUCED * STRIDE, evaluated=0)
    assert court.judging.evaluated == PRODUCED


def test_what_moves_no_position_counts_with_what_moves_it(court: Court) -> None:
    """A successor would evaluate the event again and report its first detections twice."""
    one = court.worker()
    write_process(court.theatre.rings.rings[1].descriptor, 0, pid=1, start_time=1)
    verdict = {"pid": 1, "start_time": 1, "sequence": 0, "instance": "i"}
    court.frame(one, b"first", position=0, evaluated=0, detections=1, verdicts=[verdict])
    assert (court.judging.detections, court.judging.verdicts) == (0, {})
    court.frame(one, b"last", detections=1)
    assert (court.judging.detections, court.judging.verdicts) == (2, {"PROTECTED": 1})
    sent: list[bytes] = []

    def send(report: Report) -> bool:
        sent.append(report.payload)
        return True

    court.reports.flush(send)
    assert sent == [b"first", b"last"]


def test_what_was_held_of_a_dead_evaluator_is_forgotten(court: Court) -> None:
    """Its successor says all of it again."""
    one = court.worker()
    court.says(one, "undecided", ring=1, rows=7)
    court.frame(one, b"first", position=0, evaluated=0, detections=1)
    court.dies(one, 9)
    court.frame(court.successor(), b"first", detections=1)
    assert court.judging.detections == 1
    assert ("INSTANCE_SKIPPED", 1) not in court.ledger.totals


@pytest.mark.parametrize("limit", [{"held_bytes": 10}, {"held_frames": 1}])
def test_what_is_held_has_a_limit(
    court: Court, monkeypatch: pytest.MonkeyPatch, limit: dict[str, int]
) -> None:
    """A broken evaluator could fill the supervisor's memory, or detections be lost uncounted."""
    one = court.worker()
    monkeypatch.setattr("agent.supervisor.held.LIMITS", replace(LIMITS, **limit))
    for _ in range(3):
        court.frame(one, b"x" * 6, position=0, evaluated=0, detections=2)
    court.frame(one)
    assert court.judging.detections == 2
    assert court.ledger.totals == {("REPORTS_FULL", 1): 4}


def test_progress_counts_as_frames_without_detections_do(court: Court) -> None:
    """A successor would evaluate again what was told, or events be left out uncounted."""
    one = court.worker()
    court.says(one, "progress", rings=[[1, 10 * STRIDE, 10]])
    court.says(one, "progress", rings=[[1, 15 * STRIDE, 4], [1, PRODUCED * STRIDE, PRODUCED - 15]])
    assert court.theatre.rings.rings[1].position == PRODUCED * STRIDE
    assert court.judging.evaluated == PRODUCED - 1
    assert court.judging.ledger.totals == {("NOT_EVALUATED", 1): 1}


@pytest.mark.parametrize(
    "entry",
    [
        1,
        [],
        [1, 10 * STRIDE],
        [1, 10 * STRIDE, 10, 0],
        [1, 10 * STRIDE, True],
        ["1", 10 * STRIDE, 10],
        [1, 10 * STRIDE, 10.0],
        [9, 10 * STRIDE, 10],
        [1, (PRODUCED + 1) * STRIDE, 1],
        [1, 10 * STRIDE + 1, 1],
        [1, -STRIDE, 0],
        [1, 10 * STRIDE, 11],
        [1, 10 * STRIDE, -1],
    ],
)
def test_impossible_progress_breaks_the_protocol(court: Court, entry: object) -> None:
    """A broken evaluator could skip events uncounted, or end the supervisor."""
    one = court.worker()
    with pytest.raises(ProtocolViolationError):
        court.says(one, "progress", rings=[entry])
    assert court.judging.evaluated == 0


def test_events_that_were_stepped_over_are_counted(court: Court) -> None:
    """A broken evaluator could leave events out, and nobody would know."""
    one = court.worker()
    court.judging.evaluators.take_over.aside[1] = {3 * STRIDE, 50 * STRIDE}
    court.frame(one, position=10 * STRIDE, evaluated=7)
    assert court.judging.ledger.totals == {("NOT_EVALUATED", 1): 2}
    court.frame(one, position=PRODUCED * STRIDE, evaluated=PRODUCED - 10)
    assert court.judging.ledger.totals == {("NOT_EVALUATED", 1): 2}


def test_detections_without_room_are_counted_as_lost(
    court: Court, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A cloud that is away would cost detections that nobody knows of."""
    one = court.worker()
    monkeypatch.setattr("agent.supervisor.reports.LIMITS", replace(LIMITS, reports=0))
    court.frame(one, b"three detections", detections=3)
    assert court.ledger.totals == {("REPORTS_FULL", 1): 3}


def test_verdict_needs_its_instance(court: Court) -> None:
    """A process would be stopped without anybody knowing why."""
    one = court.worker()
    with pytest.raises(ProtocolViolationError, match="verdict"):
        court.frame(one, verdicts=[{"pid": 1, "start_time": 1}])
    write_process(court.theatre.rings.rings[1].descriptor, 3, pid=1, start_time=1)
    verdict = {"pid": 1, "start_time": 1, "sequence": 3, "instance": "i"}
    court.frame(one, position=11 * STRIDE, evaluated=1, verdicts=[verdict])
    assert court.judging.verdicts == {"PROTECTED": 1}


def test_position_never_goes_back(court: Court) -> None:
    """Events would be evaluated twice."""
    one = court.worker()
    court.frame(one)
    with pytest.raises(ProtocolViolationError):
        court.frame(one, position=9 * STRIDE, evaluated=0)


@pytest.mark.parametrize(
    "kind", ["frame", "progress", "fault", "undecided", "heartbeat", "drained", "survived"]
)
def test_loading_evaluator_may_not_say_what_a_worker_says(court: Court, kind: str) -> None:
    """Content on trial could move positions, and events be lost."""
    one = court.candidate()
    with pytest.raises(ProtocolViolationError, match="while loading"):
        court.says(one, kind)


def test_worker_that_was_not_asked_to_drain_may_not_leave(court: Court) -> None:
    """A broken evaluator could come and go for ever without ever having died."""
    one = court.worker()
    with pytest.raises(ProtocolViolationError):
        court.says(one, "drained", positions={})


def test_late_words_are_not_heard(court: Court) -> None:
    """An evaluator of rings that are gone would move the positions of the new ones."""
    one = court.worker()
    court.theatre.pool.dismiss(one)
    court.frame(one)
    assert court.judging.evaluated == 0
    assert court.theatre.rings.rings[1].position == 0


def test_drained_evaluator_is_ended(court: Court) -> None:
    """One that says it is done and stays would keep its successor waiting for ever."""
    one = court.worker()
    one.enter(Stage.DRAINING, court.theatre.now)
    court.says(one, "drained", positions={})
    assert one.child.killed_by_us
    court.judging.ended(one)
    assert court.judging.deaths == 0


def test_heartbeats_do_not_pile_up(court: Court) -> None:
    """A broken evaluator could fill the supervisor's memory with facts."""
    one = court.worker()
    for number in range(100):
        court.says(one, "heartbeat", facts={f"fact {number}": 1})
    assert len(one.facts) < 10


def test_trial_that_passes_puts_the_file_in_force(court: Court) -> None:
    """Content would never come into force."""
    one = court.candidate()
    name = hash_of(b"two")
    files = [1, {}, {"hash": "f" * 64, "version": 9}, {"hash": name, "version": 5}]
    court.says(one, "ready", files=files, sandbox={})
    assert court.world.active() == [(5, State.ACTIVE)]
    court.turn()
    assert court.theatre.pool.worker is one


@pytest.mark.parametrize("version", [None, 0, -1, "5", 5.0, True, MAX_VERSION + 1, 10**4000])
def test_ready_without_a_version_breaks_the_protocol(court: Court, version: Any) -> None:
    """A version would be stored that can't be read back or told to the cloud."""
    one = court.candidate()
    files = [{"hash": hash_of(b"two"), "version": version}]
    with pytest.raises(ProtocolViolationError, match="version"):
        court.says(one, "ready", files=files, sandbox={})
    court.theatre.pool.blame_protocol(one)
    assert court.dies(one)["action"] == "REJECTED"
    assert court.world.last()[1:] == (State.REJECTED, ["TRIAL_DIED"])
    assert court.world.active() == []


def test_rejected_candidate_is_told_with_its_problems(court: Court) -> None:
    """An author would not learn why a file was refused."""
    one = court.candidate()
    problems = [{"reason": "SAMPLE_FAILED", "place": "x" * 10**5, "found": 1}, "rubbish"]
    court.says(one, "rejected", files=[{"hash": hash_of(b"two"), "problems": problems}])
    assert court.world.last()[1:] == (State.REJECTED, ["SAMPLE_FAILED", ""])
    assert one.finished


def test_evaluator_may_reject_only_what_it_was_given(court: Court) -> None:
    """A broken evaluator could have any content thrown out."""
    court.worker()
    one = court.candidate()
    good = {"hash": hash_of(b"two"), "problems": []}
    for files in ([{"hash": "f" * 64, "problems": []}], [good, {"hash": "f" * 64}], [good, 1], []):
        with pytest.raises(ProtocolViolationError):
            court.says(one, "rejected", files=files)
    assert not one.finished


def test_all_that_can_not_be_served_is_told_at_once(court: Court) -> None:
    """Falling to a lower rung would take one start of an evaluator for each Channel File."""
    known = {court.world.accepted(b"one", 1), court.world.accepted(b"other", 1, template_type=2)}
    court.turn()
    (one,) = court.theatre.pool.members
    court.says(one, "rejected", files=[{"hash": found, "problems": []} for found in sorted(known)])
    assert court.world.flow.working.unserved.keys() == known
    assert one.finished


def test_revoked_during_its_trial(court: Court) -> None:
    """A file would be active though it was revoked a moment before."""
    one = court.candidate()
    court.world.flow.on_trial = None
    files = [{"hash": hash_of(b"two"), "version": 5}]
    court.says(one, "ready", files=files, sandbox={})
    assert one.finished
    assert court.world.active() == []


def test_stand_by_that_can_not_load_is_slowed_down(court: Court) -> None:
    """Loading would be tried in a storm that uses up the processor."""
    one = court.worker()
    court.turn()
    standby = next(two for two in court.theatre.pool.members if two is not one)
    court.says(standby, "rejected", files=[{"hash": hash_of(b"one"), "problems": []}])
    started = len(court.theatre.children)
    court.turn()
    assert len(court.theatre.children) == started
    assert court.world.flow.working.unserved.keys() == {hash_of(b"one")}


def test_a_skipped_instance_is_told_with_its_content(court: Court) -> None:
    """An instance would detect nothing any more, and only the sensor's own log would know."""
    one = court.worker()
    name = hash_of(b"one")
    fault: dict[str, Any] = {
        "hash": name,
        "instance": "costly",
        "reason": "WORK_BUDGET_EXCEEDED",
        "detail": "why",
    }
    court.says(one, "fault", **fault)
    court.says(one, "fault", **fault)
    assert court.world.said[-1] == (name, State.ACCEPTED, ["WORK_BUDGET_EXCEEDED"])
    (problem,) = court.world.flow.skipped[name].values()
    assert (problem["place"], problem["found"]) == ("instance costly", "why")
    told = len(court.world.said)
    court.says(one, "fault", **fault)
    assert len(court.world.said) == told


def test_a_fault_in_a_file_that_it_was_not_given_ends_an_evaluator(court: Court) -> None:
    """A broken evaluator could speak ill of content that it never saw."""
    one = court.worker()
    with pytest.raises(ProtocolViolationError):
        court.says(one, "fault", hash="0" * 64, instance="i", reason="R", detail="d")


def test_what_a_skipped_instance_did_not_decide_is_counted_and_is_no_lost_event(
    court: Court,
) -> None:
    """A gap in protection would be uncounted, or events be called lost that were evaluated."""
    one = court.worker()
    court.says(one, "undecided", ring=1, rows=7)
    court.says(one, "undecided", ring=1, rows=5)
    assert court.ledger.totals == {}
    court.frame(one)
    assert court.ledger.totals == {("INSTANCE_SKIPPED", 1): 12}
    court.frame(one, position=11 * STRIDE, evaluated=1)
    assert court.ledger.totals == {("INSTANCE_SKIPPED", 1): 12}
    assert court.ledger.events == 0
    for ring, rows in ((1, -1), (77, 1)):
        with pytest.raises(ProtocolViolationError):
            court.says(one, "undecided", ring=ring, rows=rows)
