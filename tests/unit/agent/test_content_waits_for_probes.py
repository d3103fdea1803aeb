"""Content waits until the events that it is about are collected, or learns why they can't be."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.lifecycle import State
from agent.supervisor.evaluator_process import LoadedFile
from tests.unit.agent.flow_world import PROBATION, World, content, hash_of


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """A flow on an empty store."""
    made = World(tmp_path)
    yield made
    made.flow.store.close()


def test_a_file_whose_type_is_not_collected_lets_others_pass(world: World) -> None:
    """One file that waits for its probes would hold up all others."""
    world.flow.receive(content(b"first", 2))
    world.flow.receive(content(b"second", 1))
    assert world.flow.candidate_set(lambda _: False) is None
    assert world.flow.types_on_their_way() == {1, 2}
    trial = world.flow.candidate_set(lambda number: number == 1)
    assert trial is not None
    assert trial[1] == LoadedFile(hash_of(b"second"), 1)
    world.flow.passed(1)
    assert world.flow.types_on_their_way() == {2}
    assert world.flow.candidate_set(lambda number: number == 1) is None
    trial = world.flow.candidate_set(lambda _: True)
    assert trial is not None
    assert trial[1] == LoadedFile(hash_of(b"first"), 2)


def test_types_of_a_file_on_trial_are_needed_until_it_is_decided(world: World) -> None:
    """Probes would leave in the middle of a trial."""
    world.flow.receive(content(b"first", 2))
    world.flow.candidate_set()
    assert (world.flow.types_in_force(), world.flow.types_on_their_way()) == (set(), {2})
    world.flow.passed(1)
    assert (world.flow.types_in_force(), world.flow.types_on_their_way()) == ({2}, set())


def test_what_waits_for_probes_that_can_not_be_had_is_refused(world: World) -> None:
    """An author would wait for ever, without a reason."""
    world.flow.receive(content(b"first", 2))
    world.flow.receive(content(b"other", 1))
    world.flow.cannot_collect(2, "VERIFIER_REFUSED", "R1 invalid")
    assert world.last() == (hash_of(b"first"), State.REJECTED, ["NOT_COLLECTED"])
    assert world.payloads() == {hash_of(b"other")}
    assert world.flow.types_on_their_way() == {1}
    said = len(world.said)
    world.flow.cannot_collect(2, "VERIFIER_REFUSED", "R1 invalid")
    assert len(world.said) == said


def test_what_is_on_trial_is_refused_as_well(world: World) -> None:
    """Content would become active that no event ever reaches."""
    world.flow.receive(content(b"first", 2))
    world.flow.candidate_set()
    world.flow.cannot_collect(2, "VERIFIER_REFUSED", "")
    assert world.last() == (hash_of(b"first"), State.REJECTED, ["NOT_COLLECTED"])
    assert world.flow.on_trial is None


def test_what_is_in_force_waits_and_is_served_again(world: World) -> None:
    """Content would look as if it worked, or be given up for a kernel that says no for a while."""
    name = world.accepted(b"first", 1, template_type=2)
    world.flow.cannot_collect(2, "COLLECTOR_DIED", "signal 9")
    assert world.last() == (name, State.ACCEPTED, ["NOT_COLLECTED"])
    assert world.flow.working.wanted() == frozenset()
    (found,) = world.flow.working.unserved[name]
    assert "COLLECTOR_DIED signal 9" in found["found"]
    said = len(world.said)
    world.flow.cannot_collect(2, "COLLECTOR_DIED", "signal 9")
    assert len(world.said) == said
    world.flow.supply_changed()
    assert {file.hash for file in world.flow.working.wanted()} == {name}
    assert world.flow.types_in_force() == {2}


def test_a_restart_needs_what_the_store_holds(world: World) -> None:
    """A sensor that starts would collect nothing until content comes again."""
    world.accepted(b"first", 1, template_type=2)
    world.tried(b"second", 1, template_type=4)
    world.restart()
    assert world.flow.types_in_force() == {2, 4}
    world.now += PROBATION
    assert world.flow.types_in_force() == {2, 4}
