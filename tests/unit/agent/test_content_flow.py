"""A Channel File's way: received → verified → trial → active → accepted, and back."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.deaths import Action, Decision
from agent.lifecycle import State
from agent.supervisor.evaluator_process import LoadedFile
from agent.supervisor.limits import LIMITS
from agent.supervisor.manifest_document import active_documents
from agent.supervisor.trust import NOBODY
from tests.unit.agent.flow_world import PROBATION, World, content, full_disk, hash_of


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """A flow on an empty folder."""
    made = World(tmp_path)
    yield made
    made.flow.store.close()


def blame(content_hash: str) -> Decision:
    """The decision that a file killed an evaluator."""
    return Decision(Action.QUARANTINE, hashes=(content_hash,), suspect_instance="instance")


def test_the_whole_way(world: World) -> None:
    """Content would not come into force, or without a trial or a time of probation."""
    name = hash_of(b"one")
    world.flow.receive(content(b"one"))
    assert world.flow.working.wanted() == frozenset()
    assert world.flow.candidate_set() == (frozenset({LoadedFile(name, 1)}), LoadedFile(name, 1))
    assert world.flow.working.wanted() == frozenset()
    world.flow.passed(7)
    assert world.flow.working.wanted() == {LoadedFile(name, 1)}
    assert world.flow.active_version(1) == 7
    world.now += PROBATION - 0.1
    assert not world.flow.accept_due()
    world.now += 0.1
    assert world.flow.accept_due()
    assert world.states(name) == [State.VERIFIED, State.TRIAL, State.ACTIVE, State.ACCEPTED]
    assert active_documents(world.flow.manifest) == [
        {"template_type": 1, "version": 7, "hash": name, "state": "accepted"}
    ]


def test_trial_is_beside_the_other_types_and_instead_of_its_own(world: World) -> None:
    """A file would be tried without its neighbours, or together with its predecessor."""
    other = world.accepted(b"other", 1, template_type=2)
    world.accepted(b"one", 1)
    world.flow.receive(content(b"two"))
    trial = world.flow.candidate_set()
    assert trial is not None
    assert trial[0] == {LoadedFile(other, 2), LoadedFile(hash_of(b"two"), 1)}


def test_one_trial_at_a_time_in_order(world: World) -> None:
    """Two files would be tried at once, and nobody know which of them failed."""
    for payload in (b"one", b"two"):
        world.flow.receive(content(payload))
    for version, payload in enumerate((b"one", b"two"), 1):
        trial = world.flow.candidate_set()
        assert trial is not None
        assert trial[1].hash == hash_of(payload)
        world.flow.passed(version)
    assert world.flow.candidate_set() is None


def test_trial_that_came_to_nothing_is_held_again(world: World) -> None:
    """A collector that dies during a trial would end all updates for good."""
    world.flow.receive(content(b"one"))
    first = world.flow.candidate_set()
    assert world.flow.candidate_set() == first
    assert world.states(hash_of(b"one")) == [State.VERIFIED, State.TRIAL]


def test_rejected_file_changes_nothing(world: World) -> None:
    """A bad update would take good content away, or stay on the disk for ever."""
    good = world.accepted(b"one", 1)
    world.flow.receive(content(b"two"))
    world.flow.candidate_set()
    world.flow.rejected([{"reason": "SAMPLE_FAILED", "place": "", "found": "", "expected": ""}])
    assert world.last() == (hash_of(b"two"), State.REJECTED, ["SAMPLE_FAILED"])
    assert world.flow.working.wanted() == {LoadedFile(good, 1)}
    assert world.payloads() == {good}
    assert world.flow.candidate_set() is None


def test_late_outcome_of_a_trial_is_ignored(world: World) -> None:
    """An evaluator that answers after its file was revoked would activate another one."""
    world.flow.passed(3)
    world.flow.rejected([])
    assert not world.said
    assert not world.active()


def test_replaced_file_is_said_to_be_superseded(world: World) -> None:
    """The cloud would believe that a host runs two versions."""
    first = world.accepted(b"one", 1)
    second = world.tried(b"two", 2)
    assert world.states(first)[-1] is State.SUPERSEDED
    assert world.last() == (second, State.ACTIVE, [])


@pytest.mark.parametrize("version", [1, 2])
def test_older_version_never_passes(world: World, version: int) -> None:
    """A broken evaluator could bring an older version back."""
    world.accepted(b"one", 2)
    world.tried(b"two", version)
    assert world.last() == (hash_of(b"two"), State.REJECTED, ["VERSION_NOT_NEWER"])
    assert world.active() == [(2, State.ACCEPTED)]


def test_blamed_file_is_quarantined_and_the_one_before_is_back(world: World) -> None:
    """Content that kills evaluators would stay, or leave the host without any."""
    first = world.accepted(b"one", 1)
    second = world.accepted(b"two", 2)
    world.flow.blame(blame(second), "SIGNAL 11")
    assert world.flow.working.wanted() == {LoadedFile(first, 1)}
    assert world.states(first)[-1] is State.ACCEPTED
    assert world.last() == (second, State.QUARANTINED, ["EVALUATOR_DIED"])
    world.restart()
    assert world.flow.working.wanted() == {LoadedFile(first, 1)}
    world.flow.receive(content(b"two"))
    assert world.last() == (second, State.QUARANTINED, ["QUARANTINED"])
    assert world.flow.candidate_set() is None


def test_file_blamed_after_it_was_replaced_never_comes_back(world: World) -> None:
    """A poison file whose evaluator dies late would be the last known good one."""
    first = world.accepted(b"one", 1)
    world.tried(b"two", 2)
    world.flow.blame(blame(first), "SIGNAL 11")
    assert world.active() == [(2, State.ACTIVE)]
    world.flow.blame(blame(hash_of(b"two")), "SIGNAL 11")
    assert world.active() == []


def test_probation_starts_again_after_a_restart(world: World) -> None:
    """A file would never be accepted once the supervisor was restarted, or at once."""
    world.tried(b"one", 1)
    world.now += PROBATION - 1
    world.restart()
    world.now += 2
    assert not world.flow.accept_due()
    world.now += PROBATION
    assert world.flow.accept_due()
    assert world.active() == [(1, State.ACCEPTED)]


def test_signature_is_checked_again_at_the_start(world: World) -> None:
    """Content would be run whose key is trusted no more."""
    name = world.accepted(b"one", 1)
    world.flow.store.close()
    said = world.start()
    assert said == []
    world.flow.trust = NOBODY
    assert [name in one for one in world.flow.open()] == [True]
    assert world.flow.working.wanted() == frozenset()


def test_degrading_goes_to_last_known_good_and_then_to_nothing(world: World) -> None:
    """Evaluators that die without a suspect would die for ever."""
    first = world.accepted(b"one", 1)
    second = world.tried(b"two", 2)
    world.flow.degrade()
    assert world.flow.working.wanted() == {LoadedFile(first, 1)}
    assert world.last() == (second, State.QUARANTINED, ["EVALUATOR_DIED"])
    world.flow.degrade()
    assert world.flow.working.wanted() == frozenset()
    assert world.flow.working.fallback() is None


def test_content_comes_back_after_a_while(world: World) -> None:
    """A minute without memory would leave a host without content until somebody looks."""
    first = world.accepted(b"one", 1)
    world.flow.degrade()
    world.now += LIMITS.degraded_seconds - 1
    assert not world.flow.working.recover_due()
    assert world.flow.working.wanted() == frozenset()
    world.now += 1
    assert world.flow.working.recover_due()
    assert world.flow.working.wanted() == {LoadedFile(first, 1)}
    assert not world.flow.working.recover_due()


def test_new_version_ends_reduced_functionality(world: World) -> None:
    """A fixed version would have to wait, or never be run."""
    world.accepted(b"one", 1)
    world.flow.degrade()
    second = world.tried(b"two", 2)
    assert world.flow.working.wanted() == {LoadedFile(second, 1)}


def test_payload_that_is_gone_is_left_out(world: World) -> None:
    """A damaged disk would keep every evaluator from starting."""
    first, second = world.accepted(b"one", 1), world.accepted(b"two", 2)
    world.flow.missing(second)
    assert world.flow.working.wanted() == {LoadedFile(first, 1)}
    assert world.last() == (second, State.REJECTED, ["STORE_FAILED"])
    world.flow.receive(content(b"two"))
    assert world.last()[:2] == (second, State.VERIFIED)
    world.flow.candidate_set()
    world.flow.missing(second)
    assert world.flow.on_trial is None
    world.flow.missing("f" * 64)
    assert world.last()[0] == second


def test_what_this_sensor_can_not_serve_waits(world: World) -> None:
    """A rung that supplies less would throw content away that the next one could run."""
    name = world.accepted(b"one", 1)
    world.flow.cannot_serve(name, [_rung_problem()])
    assert world.last() == (name, State.ACCEPTED, ["RUNG_TOO_LOW"])
    assert world.flow.working.wanted() == frozenset()
    assert world.active() == [(1, State.ACCEPTED)]
    world.flow.supply_changed()
    assert world.flow.working.wanted() == {LoadedFile(name, 1)}
    world.flow.cannot_serve(name, [])
    world.tried(b"two", 2)
    assert not world.flow.working.unserved


def test_fallback_is_the_set_without_the_files_on_probation(world: World) -> None:
    """A rollback would have to wait until its content is loaded."""
    found = [world.flow.working.fallback()]
    first = world.accepted(b"one", 1)
    found.append(world.flow.working.fallback())
    world.tried(b"two", 2)
    found.append(world.flow.working.fallback())
    world.flow.working.degraded = True
    found.append(world.flow.working.fallback())
    assert found == [None, None, frozenset({LoadedFile(first, 1)}), None]


def _rung_problem() -> dict[str, str]:
    return {"reason": "RUNG_TOO_LOW", "place": "", "found": "psutil", "expected": "bpf_btf"}


def test_full_disk_rejects_an_update(world: World) -> None:
    """The sensor would run content that is gone after the next start, or end."""
    first = world.accepted(b"one", 1)
    message = content(b"two")
    with full_disk():
        world.flow.receive(message)
    assert world.last() == (hash_of(b"two"), State.UNDELIVERED, ["STORE_FAILED"])
    world.flow.receive(content(b"three"))
    world.flow.candidate_set()
    with full_disk():
        world.flow.passed(3)
    assert world.last() == (hash_of(b"three"), State.REJECTED, ["STORE_FAILED"])
    assert world.flow.working.wanted() == {LoadedFile(first, 1)}
    assert world.flow.on_trial is None
    world.restart()
    assert world.flow.working.wanted() == {LoadedFile(first, 1)}


def test_full_disk_does_not_protect_a_poison_file(world: World) -> None:
    """Content that kills evaluators would stay in force because it can't be written down."""
    first, second = world.accepted(b"one", 1), world.accepted(b"two", 2)
    message = content(b"two")
    with full_disk():
        world.flow.blame(blame(second), "SIGNAL 11")
        assert world.flow.working.wanted() == {LoadedFile(first, 1)}
        assert world.last()[:2] == (second, State.QUARANTINED)
        world.now += LIMITS.commit_again_seconds
        world.flow.retry_commit()
        assert world.flow.uncommitted
        world.flow.receive(message)
        assert world.last()[:2] == (second, State.QUARANTINED)
    uncommitted = []
    for later in (0.0, LIMITS.commit_again_seconds):  # Not at every turn: it takes time as well.
        world.now += later
        world.flow.retry_commit()
        uncommitted.append(world.flow.uncommitted)
    assert uncommitted == [True, False]
    world.restart()
    assert world.flow.working.wanted() == {LoadedFile(first, 1)}
