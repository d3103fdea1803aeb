"""The quarantine of instances: who is left out, what is told, and how an operator lifts it."""

import io
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.deaths import Action, DeathHistory, Decision, Finding, conclude
from agent.lifecycle import State
from agent.supervisor.log import Log
from agent.supervisor.manifest import Manifest
from agent.supervisor.quarantine import INSTANCE_QUARANTINED, Quarantine, leave_out, told
from content.reasons import Reason
from tests.unit.agent.content_documents import quarantined
from tests.unit.agent.flow_world import World, full_disk, hash_of

DIGEST = "7" * 64


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """A flow with a real store."""
    made = World(tmp_path)
    yield made
    made.flow.store.close()


def poison(file: str) -> Decision:
    """The second death of an instance."""
    return Decision(
        Action.QUARANTINE_INSTANCE,
        suspect_hash=file,
        suspect_instance="bad",
        suspect_digest=DIGEST,
        deaths=2,
    )


def desk(world: World) -> Quarantine:
    """Where operators ask."""
    return Quarantine(world.flow, DeathHistory(), Log(stream=io.StringIO()))


def without(world: World) -> list[frozenset[str]]:
    """What each wanted file is to be run without."""
    return [file.quarantined for file in world.flow.working.wanted()]


def test_instance_is_left_out_of_every_file_of_its_type(world: World) -> None:
    """The poison would be run in a new version, on trial or in force."""
    name = world.accepted(b"one", 1)
    world.accepted(b"other", 1, template_type=2)
    assert leave_out(world.flow, poison(name), 1, "SIGNAL 11")
    assert sorted(without(world), key=len) == [frozenset(), {DIGEST}]
    world.accepted(b"two", 2)
    assert {DIGEST} in without(world)
    assert world.states(name)[-1] is State.SUPERSEDED


def test_it_is_kept_over_restarts(world: World) -> None:
    """The next start would let the poison kill two more evaluators."""
    name = world.accepted(b"one", 1)
    leave_out(world.flow, poison(name), 1, "SIGNAL 11")
    before = world.flow.manifest
    world.restart()
    assert world.flow.manifest == before
    assert without(world) == [{DIGEST}]
    (one,) = desk(world).listed({})["instances"]
    assert (one["digest"], one["instance"], one["file"]) == (DIGEST, "bad", name)
    assert (one["reason"], one["deaths"]) == ("SIGNAL 11", 2)
    assert one["since"] > 1_700_000_000


def test_it_holds_where_the_disk_is_full(world: World) -> None:
    """Poison would go on killing on a host that has no room."""
    name = world.accepted(b"one", 1)
    with full_disk():
        leave_out(world.flow, poison(name), 1, "SIGNAL 11")
    assert without(world) == [{DIGEST}]
    assert world.flow.uncommitted


def test_skipped_instance_is_told_with_its_reason(world: World) -> None:
    """The cloud would not learn which instance of which file is not run, and why."""
    name = world.accepted(b"one", 1)
    leave_out(world.flow, poison(name), 1, "SIGNAL 11")
    detail = told(world.flow, INSTANCE_QUARANTINED, DIGEST)
    assert "2 evaluators" in detail
    assert "SIGNAL 11" in detail
    world.flow.instance_skipped(name, "bad", INSTANCE_QUARANTINED, detail)
    assert world.last() == (name, State.ACCEPTED, ["INSTANCE_QUARANTINED"])
    said = len(world.said)
    world.flow.instance_skipped(name, "bad", INSTANCE_QUARANTINED, detail)
    assert len(world.said) == said


@pytest.mark.parametrize("detail", ["", "9" * 64, "anything"])
def test_evaluator_that_lies_about_it_is_quoted(world: World, detail: str) -> None:
    """A made-up digest would be given a reason that it does not have."""
    assert told(world.flow, INSTANCE_QUARANTINED, detail) == detail
    assert told(world.flow, "RUN_TIME_CHECK", DIGEST) == DIGEST


def test_lifted_instance_is_run_again(world: World) -> None:
    """An operator could not undo a quarantine but by editing files."""
    name = world.accepted(b"one", 1)
    leave_out(world.flow, poison(name), 1, "SIGNAL 11")
    world.flow.instance_skipped(name, "bad", INSTANCE_QUARANTINED, "why")
    world.flow.instance_skipped(name, "slow", "WORK_BUDGET_EXCEEDED", "why")
    assert desk(world).lift({"digest": DIGEST}) == {"lifted": DIGEST, "kind": "instance"}
    assert without(world) == [frozenset()]
    assert world.last() == (name, State.ACCEPTED, ["WORK_BUDGET_EXCEEDED"])
    world.restart()
    assert without(world) == [frozenset()]


def test_last_skipped_instance_leaves_nothing_behind(world: World) -> None:
    """The status would go on to say that instances are skipped."""
    name = world.accepted(b"one", 1)
    leave_out(world.flow, poison(name), 1, "SIGNAL 11")
    world.flow.instance_skipped(name, "bad", INSTANCE_QUARANTINED, "why")
    desk(world).lift({"digest": DIGEST})
    assert world.flow.skipped == {}
    assert world.last() == (name, State.ACCEPTED, [])


def test_deaths_of_a_lifted_instance_count_from_zero(world: World) -> None:
    """What an operator has lifted would be quarantined again at its first death."""
    office = desk(world)
    finding = Finding("f" * 64, 1, DIGEST, "bad")
    conclude(finding, office.history)
    leave_out(world.flow, poison("f" * 64), 1, "SIGNAL 11")
    office.lift({"digest": DIGEST})
    assert conclude(finding, office.history).action is Action.SET_ASIDE


def test_lifted_file_is_welcome_again(world: World) -> None:
    """A file that was given up by mistake could never be offered again."""
    world.accepted(b"one", 1)
    bad = world.accepted(b"two", 2)
    world.flow.blame(Decision(Action.QUARANTINE, hashes=(bad,), deaths=2), "SIGNAL 11")
    (one,) = desk(world).listed({})["files"]
    assert (one["hash"], one["reason"], one["state"]) == (bad, "SIGNAL 11", "quarantined")
    assert one["since"] > 1_700_000_000
    assert desk(world).lift({"digest": bad}) == {"lifted": bad, "kind": "file"}
    assert world.tried(b"two", 2) == bad


@pytest.mark.parametrize("name", [None, 7, "", DIGEST[:8], DIGEST, ["x"], "../manifest.json"])
def test_what_is_not_there_can_not_be_lifted(world: World, name: object) -> None:
    """A mistyped digest would look as if it had been lifted, or end the supervisor."""
    before = world.flow.manifest
    assert desk(world).lift({"digest": name})["error"] == "NOT_IN_QUARANTINE"
    assert desk(world).lift({})["error"] == "NOT_IN_QUARANTINE"
    assert world.flow.manifest is before


def test_reason_has_the_name_that_is_documented() -> None:
    """The supervisor would look for a reason that evaluators don't give."""
    assert str(Reason.INSTANCE_QUARANTINED) == INSTANCE_QUARANTINED


def test_same_instance_twice_takes_one_place() -> None:
    """Lifting it would leave the other one."""
    manifest = Manifest().leave_out(quarantined("7")).leave_out(quarantined("7"))
    assert manifest.instances == (quarantined("7"),)
    assert manifest.lift(hash_of(b"x")) == manifest
