"""`bulkhead agent quarantine`: what operators see, and that they lift what they mean."""

import io
import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agent.deaths import Action, DeathHistory, Decision
from agent.supervisor.control import ControlSocket
from agent.supervisor.log import Log
from agent.supervisor.quarantine import Quarantine, leave_out
from tests.unit.agent.flow_world import World

ONE, TWO, OTHER = "7a" * 32, "7b" * 32, "c0" * 32
REFUSED, UNREACHABLE = 1, 4
PROGRAM = (sys.executable, "-I", "-m", "cli.main", "agent", "quarantine")


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """A flow with a file given up and three instances in quarantine, of which one is hostile."""
    made = World(tmp_path / "state")
    made.accepted(b"one", 1)
    bad = made.accepted(b"two", 2)
    made.flow.blame(Decision(Action.QUARANTINE, hashes=(bad,)), "SIGNAL 11")
    for digest, name in ((ONE, "plain"), (TWO, "\x1b[31mred\n"), (OTHER, "another")):
        decision = Decision(
            Action.QUARANTINE_INSTANCE,
            suspect_hash=bad,
            suspect_instance=name,
            suspect_digest=digest,
            deaths=2,
        )
        leave_out(made.flow, decision, 1, "SIGNAL 11")
    yield made
    made.flow.store.close()


@pytest.fixture
def control(world: World, tmp_path: Path) -> Iterator[Path]:
    """A supervisor's control socket with this quarantine behind it."""
    quarantine = Quarantine(world.flow, DeathHistory(), Log(stream=io.StringIO()))
    made = ControlSocket(tmp_path / "control.sock", dict, quarantine.commands())
    ended = threading.Event()

    def turns() -> None:
        while not ended.wait(0.002):
            made.answer()
            made.expire()

    thread = threading.Thread(target=turns)
    thread.start()
    yield made.path
    ended.set()
    thread.join()
    made.close()


def command(control: Path, *words: str) -> tuple[int, str, str]:
    """Exit status, standard output, standard error."""
    ended = subprocess.run(
        [*PROGRAM, *words, "--control", str(control)],
        capture_output=True,
        text=True,
        check=False,
        env={"COLUMNS": "200", "NO_COLOR": "1"},
    )
    return ended.returncode, ended.stdout, ended.stderr


def digests(world: World) -> list[str]:
    """What is in quarantine."""
    return [one.digest for one in world.flow.manifest.instances]


def test_list_for_people(control: Path) -> None:
    """An operator would not see what is not run, and why; or content could write to the screen."""
    status, shown, _ = command(control)
    assert status == 0
    for word in (ONE[:16], "plain", "SIGNAL 11", "another", "file", "instance"):
        assert word in shown
    assert "\x1b" not in shown


def test_list_for_programs(control: Path) -> None:
    """A program could not tell how many evaluators died of what."""
    status, said, _ = command(control, "--json")
    document: dict[str, Any] = json.loads(said)
    assert status == 0
    assert [one["digest"] for one in document["instances"]] == [ONE, TWO, OTHER]
    assert {one["deaths"] for one in document["instances"]} == {2}
    assert all(one["since"] > 1_700_000_000 for one in document["instances"])
    (file,) = document["files"]
    assert (file["reason"], file["state"]) == ("SIGNAL 11", "quarantined")


def test_lift_by_the_first_digits(control: Path, world: World) -> None:
    """Nobody types 64 digits; the wrong one would be lifted."""
    status, said, _ = command(control, "lift", OTHER[:6].upper(), "--json")
    assert (status, json.loads(said)) == (0, {"lifted": OTHER, "kind": "instance"})
    assert digests(world) == [ONE, TWO]


@pytest.mark.parametrize(
    ("name", "reason"),
    [("7", "AMBIGUOUS_DIGEST"), ("", "NOT_IN_QUARANTINE"), ("ff" * 32, "NOT_IN_QUARANTINE")],
)
def test_what_is_not_clear_is_not_lifted(
    control: Path, world: World, name: str, reason: str
) -> None:
    """A slip of the hand would let poison run again."""
    status, _, said = command(control, "lift", name)
    assert status == REFUSED
    assert reason in said
    assert digests(world) == [ONE, TWO, OTHER]


def test_without_a_sensor_it_says_so(tmp_path: Path) -> None:
    """An empty list would look as if nothing were in quarantine."""
    for words in ((), ("lift", ONE)):
        status, shown, said = command(tmp_path / "nobody.sock", *words)
        assert (status, shown) == (UNREACHABLE, "")
        assert "NO_AGENT" in said
