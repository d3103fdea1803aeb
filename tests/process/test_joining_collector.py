"""A real supervisor with evaluators, and collectors that are played: joining, and failing at it."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest

from agent.supervisor.control import ask
from tests.needs import require_sandbox_users
from tests.patience import patient
from tests.process.waiting import open_files, until

PROCESS, FILE, IPC = 1, 2, 4
FIRST = {"rings": [PROCESS], "serves": [[], [PROCESS], [PROCESS]], "events": 5}
JOINS = {"types": "4", "rings": [IPC], "serves": [[IPC], [IPC]], "events": 7}


@dataclass
class Sensor:
    """A supervisor under which collectors are played."""

    folder: Path
    process: "subprocess.Popen[bytes]"

    def status(self) -> dict[str, Any]:
        """What it says now."""
        return ask(self.folder / "control.sock")

    def wait(self, fits: Callable[[Mapping[str, Any]], bool], seconds: float = 20.0) -> Any:
        """The first status that fits."""
        found: list[dict[str, Any]] = []

        def looked() -> bool:
            try:
                found.append(self.status())
            except (OSError, ValueError):
                return False
            return fits(found[-1])

        try:
            until(looked, seconds)
        except AssertionError:
            raise AssertionError(f"{found[-1:]}, {self.log()}") from None
        return found[-1]

    def log(self) -> str:
        """What the supervisor has said so far."""
        return (self.folder / "log").read_text(encoding="utf-8")

    def asked(self) -> list[str]:
        """What each collector was started for."""
        return (self.folder / "asked").read_text(encoding="utf-8").splitlines()

    def attachments(self) -> list[str]:
        """What the attachments serve that the supervisor holds, a name for each."""
        links = open_files(self.process.pid)
        return sorted(one for one in links if "/memfd:serves-" in one)


Starter = Callable[..., Sensor]


@pytest.fixture
def sensor() -> Iterator[Starter]:
    """Start a supervisor on a script; ended in order afterwards."""
    require_sandbox_users()
    folder = Path(tempfile.mkdtemp(prefix="bulkhead-test-", dir="/tmp"))
    folder.chmod(0o711)
    processes: list[subprocess.Popen[bytes]] = []

    def started(first: Mapping[str, Any], *joins: Mapping[str, Any], collect: str) -> Sensor:
        (folder / "script.json").write_text(json.dumps({"first": first, "joins": joins}))
        table = folder / "roles.json"
        table.write_text(json.dumps({"collector": "tests.process.played_collector"}))
        table.chmod(0o600)
        command = [sys.executable, "-I", "-m", "agent.supervisor", "--state", str(folder)]
        command += ["--control", str(folder / "control.sock"), "--roles", str(table)]
        command += ["--detach-after-seconds", "0.5", *(["--collect", collect] if collect else [])]
        with (folder / "log").open("wb") as log:
            processes.append(subprocess.Popen(command, stderr=log, stdout=log))
        return Sensor(folder, processes[-1])

    try:
        yield started
        for process in processes:
            process.terminate()
            assert process.wait(patient(15.0)) == 0
    finally:
        for process in processes:
            process.kill()
            process.wait()
        shutil.rmtree(folder)


def rings(now: Mapping[str, Any]) -> dict[str, tuple[int, int]]:
    """By Template Type, how many records were produced, and how many are accounted for."""
    found = (now["collection"] or {"rings": {}})["rings"]
    return {number: (one["produced"], one["accounted"]) for number, one in found.items()}


def test_a_type_joins_and_nothing_is_lost_or_evaluated_twice(sensor: Starter) -> None:
    """Content that comes later would need a restart, or the change of evaluators cost events."""
    one = sensor(FIRST, JOINS, collect="1,4")
    now = one.wait(lambda now: rings(now) == {"1": (5, 5), "4": (7, 7)})
    assert one.asked() == ["first 1,4", "join 4"]
    assert now["template_types"]["collected"] == {"1": ["policy"], "4": ["policy"]}
    assert now["template_types"]["missing"] == {}
    assert now["events"]["evaluated"] == 12
    assert now["events"]["lost"] == 0
    assert now["deaths"] == []
    assert now["collection"]["attachments"] == 5
    (gap,) = [loss for loss in now["losses"] if loss["cause"] == "NOT_COLLECTED"]
    assert (gap["template_type"], gap["count"]) == (IPC, 1)
    assert "joined" in one.log()
    assert "waited_ms=" in one.log()


def _evaluators(supervisor: int) -> list[int]:
    """Children of a supervisor that are evaluators."""
    found = []
    for one in psutil.Process(supervisor).children():
        with contextlib.suppress(psutil.NoSuchProcess):  # it has ended meanwhile
            found += [one.pid] if "agent.evaluator" in one.cmdline() else []
    return found


@pytest.mark.parametrize("fate", ["lives", "is killed"])
def test_an_evaluator_loads_before_there_are_rings(sensor: Starter, fate: str) -> None:
    """Its modules would load after the compiler; or one that died early would be waited for."""
    one = sensor({**FIRST, "waits_for": "go"}, collect="1")
    until(lambda: _evaluators(one.process.pid) != [])
    (early,) = _evaluators(one.process.pid)
    if fate == "is killed":
        os.kill(early, signal.SIGKILL)
        until(lambda: _evaluators(one.process.pid) == [])
    (one.folder / "go").touch()
    now = one.wait(lambda now: rings(now) == {"1": (5, 5)})
    assert (now["roles"]["evaluator"]["pid"] == early) is (fate == "lives")
    assert now["deaths"] == []
    assert now["events"]["lost"] == 0


BROKEN: dict[str, Mapping[str, Any]] = {
    "a ring that was not asked for": {"rings": [FILE], "serves": [[FILE]]},
    "a ring that is there": {"rings": [PROCESS], "serves": [[PROCESS]]},
    "two rings of one type": {"rings": [IPC, IPC], "serves": [[IPC]]},
    "serves too short": {"rings": [IPC], "serves": [[IPC], [IPC]], "says": [[IPC]]},
    "serves too long": {"rings": [IPC], "serves": [[IPC]], "says": [[IPC], [IPC]]},
    "lineage of its own": {"rings": [IPC], "serves": [[IPC], []]},
}


@pytest.mark.parametrize("plan", BROKEN.values(), ids=BROKEN.keys())
def test_what_a_joiner_may_not_hand_over_is_closed(
    sensor: Starter, plan: Mapping[str, Any]
) -> None:
    """A broken collector would disturb what is collected, or leave probes behind."""
    one = sensor(FIRST, {"types": "any", "events": 3, **plan}, collect="1,4")
    now = one.wait(lambda now: _trouble(now).get("reason") == "PROTOCOL_VIOLATION")
    assert rings(now).keys() == {"1"}
    assert now["collection"]["attachments"] == 3
    assert len(one.attachments()) == 3
    now = one.wait(lambda now: rings(now) == {"1": (5, 5)})
    assert now["deaths"] == []


@pytest.mark.parametrize(
    ("plan", "reason"),
    [({"fails": "VERIFIER_REFUSED"}, "VERIFIER_REFUSED"), ({"dies": True}, "COLLECTOR_DIED")],
    ids=["refused", "dead"],
)
def test_a_type_that_cannot_be_had_is_reported_and_the_rest_goes_on(
    sensor: Starter, plan: Mapping[str, Any], reason: str
) -> None:
    """One type that a kernel refuses would end the sensor, or be missing without a word."""
    joins_file = {"types": "2", "rings": [FILE], "serves": [[FILE]], "events": 3}
    both = {"types": "2,4", **plan}
    one = sensor(FIRST, both, joins_file, {"types": "4", **plan}, collect="1,2,4")
    now = one.wait(lambda now: bool(_trouble(now).get("given_up")), 30.0)
    assert _trouble(now)["reason"] == reason
    assert _trouble(now)["why"] == ["policy"]
    assert "TEMPLATE_TYPE_NOT_COLLECTED" in now["reduced_because"]
    assert one.asked() == ["first 1,2,4", "join 2,4", "join 2", "join 4", "join 4"]
    one.wait(lambda now: rings(now) == {"1": (5, 5), "2": (3, 3)})
    assert len(one.attachments()) == 4
    assert f"reason={reason}" in one.log()


def test_one_type_that_is_refused_at_the_start_does_not_cost_the_rung(sensor: Starter) -> None:
    """A kernel that refuses one program would cost a host six Template Types and prevention."""
    refuses = {"fails": "VERIFIER_REFUSED"}
    one = sensor(
        {**refuses, "rings": [], "serves": [[]]},
        {"types": "1,4", **refuses},
        {"types": "1", "rings": [PROCESS], "serves": [[PROCESS]], "events": 2},
        {"types": "4", **refuses},
        collect="1,4",
    )
    now = one.wait(lambda now: bool(_trouble(now).get("given_up")), 30.0)
    assert (now["rung"], now["refused_rungs"]) == ("bpf_btf", [])
    assert now["reduced_because"] == ["TEMPLATE_TYPE_NOT_COLLECTED"]
    one.wait(lambda now: rings(now) == {"1": (2, 2)})
    assert one.asked()[:4] == ["first 1,4", "first ", "join 1,4", "join 1"]


def test_what_nothing_needs_leaves_and_its_events_are_evaluated_first(sensor: Starter) -> None:
    """A host would pay for probes that nothing needs, or lose what they had seen."""
    first = {"rings": [PROCESS, FILE], "serves": [[], [PROCESS], [FILE], [PROCESS, FILE]]}
    one = sensor({**first, "events": 4}, collect="1")
    now = one.wait(lambda now: rings(now) == {"1": (4, 4)})
    assert now["events"]["evaluated"] == 8
    assert now["events"]["lost"] == 0
    assert now["template_types"]["collected"] == {"1": ["policy"]}
    assert now["collection"]["probes"] == ["probe of []", "probe of [1]", "probe of [1, 2]"]
    assert not any("serves-[2]" in name for name in one.attachments())
    assert now["roles"]["evaluator"]["stage"] == "running"
    assert now["deaths"] == []


def test_nothing_is_collected_that_nothing_needs(sensor: Starter) -> None:
    """Every host would pay for everything from its first second on."""
    one = sensor({"rings": [], "serves": [[]]}, collect="")
    now = one.wait(lambda now: bool(now["protecting"]))
    assert one.asked() == ["first "]
    assert (rings(now), now["collection"]["attachments"]) == ({}, 1)
    assert now["template_types"] == {"collected": {}, "leaving": [], "missing": {}}
    assert now["reduced_because"] == []


def _trouble(now: Mapping[str, Any]) -> dict[str, Any]:
    found = now["template_types"]["missing"].get(str(IPC), {})
    return dict(found) if found.get("failures") else {}
