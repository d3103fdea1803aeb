"""The end of an evaluator: what the rules decide is done, counted and reported."""

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from agent.lifecycle import State
from agent.supervisor.evaluator_process import FileSet, LoadedFile, Stage
from agent.supervisor.limits import LIMITS
from tests.unit.agent.content_documents import quarantined
from tests.unit.agent.court import Court, open_court
from tests.unit.agent.evaluator_world import DIGEST_TWO, works_on
from tests.unit.agent.flow_world import content, hash_of
from tests.unit.agent.ring_memory import STRIDE


@pytest.fixture
def court(tmp_path: Path) -> Iterator[Court]:
    """Two rings, of which the first has events."""
    made = open_court(tmp_path)
    yield made
    made.close()


def test_poison_event_is_set_aside_and_counted(court: Court) -> None:
    """An event that nobody evaluates would be lost without a word."""
    one = court.worker()
    works_on(one, 1, 20 * STRIDE, 10, 3)
    waiting = court.reports.waiting
    report = court.dies(one)
    assert court.reports.waiting == waiting + 2  # The crash, and the loss.
    assert court.theatre.pool.take_over.aside[1] == {23 * STRIDE}
    assert court.ledger.totals == {("SUSPECT_EVENT", 1): 1}
    assert (report["action"], report["suspect_sequence"]) == ("EVENT_SET_ASIDE", 23)
    assert report["suspect_content_hash"] == hash_of(b"one")
    assert report["suspect_instance_id"] == "second"


def test_death_is_counted_and_slows_the_next_start_down(court: Court) -> None:
    """A crash loop would use up the processor, and the status say that nobody died."""
    one = court.worker()
    court.turn()
    started = len(court.theatre.children)
    for other in list(court.theatre.pool.members):
        court.dies(other)
    court.turn()
    assert len(court.theatre.children) == started
    assert court.judging.deaths == 2
    court.theatre.now += LIMITS.restart_cap_seconds
    court.turn()
    assert len(court.theatre.children) == started + 1
    assert one not in court.theatre.pool.members


def test_batch_is_tried_again_with_care(court: Court) -> None:
    """A batch would be lost, or kill one evaluator after the other."""
    one = court.worker()
    works_on(one, 1, 20 * STRIDE, 10, 2**64 - 1)
    assert court.dies(one)["action"] == "RESTARTED_WITH_CARE"
    assert court.theatre.pool.take_over.careful == {1: 30 * STRIDE}


def test_second_poison_event_quarantines_the_instance(court: Court) -> None:
    """Poison would stay in force, or a whole file be lost to one instance."""
    one = court.worker()
    for row in (3, 5):
        works_on(one, 1, 20 * STRIDE, 10, row)
        report = court.dies(one)
        one = court.successor()
    assert (report["action"], report["suspect_instance_id"]) == ("QUARANTINED", "second")
    assert report["suspect_instance_digest"] == DIGEST_TWO.hex()
    assert court.world.states(hash_of(b"one"))[-1] is State.ACCEPTED
    (kept,) = court.world.flow.manifest.instances
    assert (kept.digest, kept.deaths, kept.template_type) == (DIGEST_TWO.hex(), 2, 1)
    assert one.files == {LoadedFile(hash_of(b"one"), 1, frozenset({DIGEST_TWO.hex()}))}
    assert court.theatre.pool.take_over.aside[1] == {23 * STRIDE}


def test_stand_by_without_the_suspect_is_there_before_its_second_death(court: Court) -> None:
    """The host would be without protection for as long as an evaluator takes to load."""
    one = court.worker()
    works_on(one, 1, 20 * STRIDE, 10, 3)
    court.dies(one)
    one = court.successor()
    court.successor()
    without = frozenset({LoadedFile(hash_of(b"one"), 1, frozenset({DIGEST_TWO.hex()}))})
    ready = [each.files for each in court.theatre.pool.members if each.stage is Stage.READY]
    assert sorted(ready, key=lambda files: files == without) == [one.files, without]
    works_on(one, 1, 20 * STRIDE, 10, 5)
    court.dies(one)
    court.turn()
    assert court.theatre.pool.worker is not None
    assert court.theatre.pool.worker.files == without


def test_stand_by_without_the_suspect_is_not_kept_for_ever(court: Court) -> None:
    """One death would cost the memory of another evaluator until the next restart."""
    one = court.worker()
    works_on(one, 1, 20 * STRIDE, 10, 3)
    court.dies(one)
    court.successor()
    assert court.judging.consequences.cautious() is not None
    court.theatre.now += LIMITS.cautious_seconds
    assert court.judging.consequences.cautious() is None


def test_an_inquest_that_finds_nothing_blames_the_file(court: Court) -> None:
    """Content of which evaluators die, and nobody can say where, would stay in force."""
    one = court.worker()
    for row in (3, 5):
        works_on(one, 1, 20 * STRIDE, 10, row, known=False)
        waiting = court.reports.waiting
        assert court.dies(one)["action"] == "EVENT_SET_ASIDE"
        assert court.reports.waiting == waiting + 1  # The loss; the crash report waits.
        court.inquest(survives=True)
        assert court.reports.waiting > waiting + 1
        one = court.successor()
    assert court.judging.recent[-1]["action"] == "QUARANTINED"
    assert court.judging.recent[-1]["suspect_instance_digest"] == ""
    assert court.world.states(hash_of(b"one"))[-1] is State.QUARANTINED
    assert one.files == frozenset[Any]()


def test_an_inquest_names_the_instance_of_a_batch(court: Court) -> None:
    """Poison in work on many events at once would cost the file, or a third evaluator."""
    one = court.worker()
    works_on(one, 1, 20 * STRIDE, 10, 2**64 - 1, known=False)
    assert court.dies(one)["action"] == "RESTARTED_WITH_CARE"
    one = court.successor()
    works_on(one, 1, 24 * STRIDE, 1, 0, known=False)
    court.dies(one)
    deaths = court.judging.deaths
    court.inquest(part=(0, 2))
    assert not court.world.flow.manifest.instances
    court.inquest(part=(1, 1))
    assert court.judging.deaths == deaths  # Those of throw-away evaluators are nobody's.
    (kept,) = court.world.flow.manifest.instances
    assert (kept.digest, kept.instance, kept.deaths) == (DIGEST_TWO.hex(), "second", 2)
    assert court.judging.recent[-1]["action"] == "QUARANTINED"
    assert len(court.judging.recent) == deaths


def test_more_instances_than_there_is_room_for_cost_the_file(court: Court) -> None:
    """Poison without end would be let in again, or the manifest grow without bounds."""
    one = court.worker()
    flow = court.world.flow
    for number in range(LIMITS.quarantined_instances):
        other = quarantined("a")
        flow.put_in_force(flow.manifest.leave_out(replace(other, digest=f"{number:064x}")))
    for row in (3, 5):
        works_on(one, 1, 20 * STRIDE, 10, row)
        court.dies(one)
        one = court.successor()
    assert len(flow.manifest.instances) == LIMITS.quarantined_instances
    assert court.world.states(hash_of(b"one"))[-1] is State.QUARANTINED


def test_reports_are_not_lost_when_the_sensor_stops(court: Court) -> None:
    """The death before a stop would never be told."""
    one = court.worker()
    works_on(one, 1, 20 * STRIDE, 10, 3, known=False)
    court.dies(one)
    waiting = court.reports.waiting
    court.judging.inquests.reconcile()
    court.judging.consequences.close()
    assert court.reports.waiting == waiting + 1
    # The throw-away evaluator, which was killed, says nothing about content any more.
    court.judging.inquests.ended()
    court.judging.inquests.reconcile()
    assert court.reports.waiting == waiting + 1
    assert court.judging.inquests.child is None
    assert court.judging.history.blamed == set()
    assert court.world.states(hash_of(b"one"))[-1] is State.ACCEPTED


def test_an_instance_that_was_not_to_blame_is_run_again(court: Court) -> None:
    """What another one did in a batch would cost an instance that had killed once."""
    one = court.worker()
    works_on(one, 1, 20 * STRIDE, 1, 0, known=False)
    court.dies(one)
    court.inquest(part=(1, 1))
    one = court.successor()
    works_on(one, 1, 30 * STRIDE, 10, 2**64 - 1, known=False)
    report = court.dies(one)
    assert (report["action"], report["suspect_instance_id"]) == ("QUARANTINED", "second")
    assert court.theatre.pool.take_over.careful == {1: 40 * STRIDE}
    one = court.successor()
    assert one.files == {LoadedFile(hash_of(b"one"), 1, frozenset({DIGEST_TWO.hex()}))}
    works_on(one, 1, 33 * STRIDE, 1, 0, known=False)
    court.dies(one)
    assert not court.world.flow.manifest.instances
    court.inquest(part=(0, 1))
    (kept,) = court.world.flow.manifest.instances
    assert (kept.instance, kept.deaths) == ("first", 2)


def test_too_many_inquests_blame_the_file(court: Court) -> None:
    """Events would be copied without bounds while evaluators die faster than inquests end."""
    one = court.worker()
    for row in range(LIMITS.inquests_waiting + 2):
        works_on(one, 1, 20 * STRIDE, 10, row, known=False)
        court.dies(one)
        assert len(court.judging.inquests.waiting) <= LIMITS.inquests_waiting
        one = court.successor()
    assert court.world.states(hash_of(b"one"))[-1] is State.QUARANTINED


def test_rubbish_in_the_record_is_no_poison_for_the_reports(court: Court) -> None:
    """A crash report with impossible numbers could never be sent, and nothing after it."""
    one = court.worker()
    os.pwrite(one.attribution, (5).to_bytes(8, "little") + b"\xff" * 56, 0)
    report = court.dies(one)
    numbers = [value for value in report.values() if type(value) is int]
    assert all(0 <= number < 2**63 for number in numbers)
    assert report["action"] == "RESTARTED"


def test_content_is_off_after_many_unexplained_deaths_and_on_again_later(court: Court) -> None:
    """A host would be without protection for ever after a bad minute."""
    one = court.worker()
    empty: FileSet = frozenset()
    while court.theatre.pool.wanted != empty:
        court.dies(one)
        assert court.judging.deaths <= 4
        one = court.successor()
    assert court.judging.recent[-1]["action"] == "DEGRADED"
    court.theatre.now += LIMITS.degraded_seconds
    court.world.now += LIMITS.degraded_seconds
    assert court.world.flow.working.recover_due()
    court.turn()
    assert court.theatre.pool.wanted != empty


def test_a_file_that_kills_whoever_loads_it_is_found(court: Court) -> None:
    """All content would be off, again and again, for one file; or an innocent one be given up."""
    court.worker(b"good")
    before = court.world.accepted(b"before", 1, template_type=2)
    deadly = court.world.accepted(b"deadly", 2, template_type=2)
    others = {court.world.accepted(b"other", 1, 3), court.world.accepted(b"last", 1, 4)}
    good = {hash_of(b"good"), *others}
    court.dies(court.theatre.pool.members[0])
    seen: list[int] = []
    for _ in range(60):
        court.theatre.now += LIMITS.stable_seconds
        court.turn()
        worker = court.theatre.pool.worker
        seen.append(len(worker.files) if worker is not None else -1)
        if worker is not None and worker.stage is Stage.DRAINING:
            court.says(worker, "drained", positions={})
            court.judging.ended(worker)
        elif worker is not None:
            court.says(worker, "heartbeat", facts={})
        for one in list(court.theatre.pool.members):
            if one.stage is not Stage.LOADING or one.finished:
                continue
            if deadly in {file.hash for file in one.files}:
                court.dies(one)
            else:
                court.says(one, "ready", files=[], sandbox={})
    assert 0 not in seen
    assert {1, 2} & set(seen), "nobody evaluated while it was looked for"
    assert court.world.flow.working.search is None
    worker = court.theatre.pool.worker
    assert worker is not None
    assert {file.hash for file in worker.files} == {*good, before}
    assert [one.hash for one in court.world.flow.manifest.quarantine] == [deadly]
    accused = [one for one in court.judging.recent if one["action"] == "QUARANTINED"]
    assert [one["suspect_content_hash"] for one in accused] == [deadly]
    assert court.judging.deaths <= 10


def test_nothing_is_tried_while_a_deadly_file_is_looked_for(court: Court) -> None:
    """A new file would be refused for the death that another one has caused."""
    court.worker()
    court.world.flow.working.find_deadly()
    court.world.flow.receive(content(b"new", 2))
    assert court.world.flow.candidate_set() is None
    court.world.flow.working.search = None
    assert court.world.flow.candidate_set() is not None


def test_a_stand_by_that_dies_of_a_file_leaves_the_worker_at_work(court: Court) -> None:
    """The search would be over before it began, as the worker has all of it loaded."""
    worker = court.worker()
    deadly = hash_of(b"one")
    for _ in range(40):
        court.theatre.now += LIMITS.restart_cap_seconds
        worker.heard = court.theatre.now
        court.turn()
        for one in list(court.theatre.pool.members):
            if one.stage is not Stage.LOADING or one.finished:
                continue
            if deadly in {file.hash for file in one.files}:
                court.dies(one)
            else:
                court.says(one, "ready", files=[], sandbox={})
        if court.world.flow.manifest.quarantine:
            break
        assert court.theatre.pool.worker is worker
    assert [one.hash for one in court.world.flow.manifest.quarantine] == [deadly]


def test_no_file_is_blamed_where_evaluators_die_without_any(court: Court) -> None:
    """A host that can start no evaluator would throw out all its content, for good."""
    court.worker()
    court.world.accepted(b"other", 1, template_type=2)
    court.dies(court.theatre.pool.members[0])
    for _ in range(20):
        court.theatre.now += LIMITS.restart_cap_seconds
        court.turn()
        for one in list(court.theatre.pool.members):
            if not one.finished:
                court.dies(one)
    assert court.world.flow.manifest.quarantine == ()
    assert court.world.flow.working.degraded
    court.world.now += LIMITS.degraded_seconds
    assert court.world.flow.working.recover_due()
    assert len(court.world.flow.working.wanted()) == 2


def test_deaths_far_apart_are_not_in_a_row(court: Court) -> None:
    """One unexplained death a day would switch content off within a week."""
    one = court.worker()
    for _ in range(10):
        court.theatre.now += LIMITS.calm_seconds + 1
        assert court.dies(one)["action"] == "RESTARTED"
        court.theatre.now += LIMITS.restart_cap_seconds
        court.turn()
        court.theatre.ready()
        court.turn()
        assert court.theatre.pool.worker is not None
        one = court.theatre.pool.worker
