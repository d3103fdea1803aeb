"""A whole sensor under `--respawn`: what the death or the hang of its supervisor leaves behind.

And programs that are older than it: they are judged by its first content, and again by each run.
"""

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from lab.demo.claims import Claims
from lab.demo.processes import alive, wait_for
from lab.demo.steps import Demonstration, accounted, deliver, start
from lab.demo.world import World
from tests.journeys.helpers import in_force, protected, role, status
from tests.needs import require_btf, require_sandbox_users


@pytest.fixture(scope="module")
def respawned(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demonstration]:
    """The shipped sensor, started again under a watching parent once its content is in force."""
    require_btf()
    require_sandbox_users()
    world = World(tmp_path_factory.mktemp("respawn"))
    demonstration = Demonstration(world, Claims(Console(quiet=True)))
    elders = [older_program(demonstration, name) for name in (ELDER, PREVENTED)]
    try:
        start(demonstration)
        deliver(demonstration)
        world.wait("a look at all processes", judged, 20.0)
        assert world.agent is not None
        world.agent.stop()
        world.start_agent("--respawn")
        world.wait("evaluator", lambda now: bool(now["protecting"]), 20.0)
        yield demonstration
    finally:
        for elder in elders:
            elder.kill()
            elder.wait()
        world.stop()
        world.remove()


ELDER, PREVENTED = "bulkhead-canary-elder", "bulkhead-canary-prevented"


def older_program(demo: Demonstration, name: str) -> subprocess.Popen[bytes]:
    """A program that content looks for, started before the sensor."""
    program = demo.scratch / name
    shutil.copy("/bin/sleep", program)
    return subprocess.Popen([program, "1000"])


def judged(now: Mapping[str, Any]) -> bool:
    """Whether all processes that ran already have been judged."""
    seeding = (now["collection"] or {}).get("seeding")
    return bool(seeding and seeding["state"] == "done" and not seeding["in_the_ring"])


def of_older_programs(demo: Demonstration) -> list[Mapping[str, Any]]:
    """Detections of these, oldest first."""
    names = (ELDER, PREVENTED)
    found = demo.world.detections()
    return [one for one in found if str(one["inputs"].get("image", "")).endswith(names)]


def test_programs_older_than_the_sensor(respawned: Demonstration) -> None:
    """Malware that starts before the sensor would be safe from it, or a restart would kill."""
    world = respawned.world
    now = world.wait("a look at all processes", judged, 20.0)
    seeding = now["collection"]["seeding"]
    assert seeding["judged"] + seeding["executed_since"] == seeding["found"] > 0
    assert "RUNNING_PROCESSES_NOT_JUDGED" not in now["reduced_because"]
    wait_for("both runs", lambda: len(of_older_programs(respawned)) == 4 or None, 10.0)
    found = of_older_programs(respawned)
    assert [one["inputs"]["observed"] for one in found] == ["already_running"] * 4
    told = {(one["instance"], one["disposition"], one["prevention"]) for one in found}
    assert told == {
        ("bulkhead-exec-canary", "detect", ""),
        ("bulkhead-prevent-canary", "prevent", "already_running"),
    }
    assert len({one["id"] for one in found}) == 4
    assert all(alive(int(one["inputs"]["pid"])) for one in found)
    in_cloud = world.cloud_json("detections")["detections"]
    marked = [one for one in in_cloud if one["inputs"].get("observed") == "already_running"]
    assert {one["instance"] for one in marked} >= {one for one, _, _ in told}


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP, signal.SIGSEGV])
def test_a_supervisor_comes_back(respawned: Demonstration, number: signal.Signals) -> None:
    """Somebody would have to come to the host to start its sensor again."""
    world = respawned.world
    before, content = status(respawned), in_force(respawned)
    pid = before["roles"]["supervisor"]["pid"]
    roles = [role(respawned, name) for name in ("evaluator", "link")]
    os.kill(pid, number)
    world.wait(
        "another supervisor",
        lambda now: now["roles"]["supervisor"]["pid"] != pid and bool(now["protecting"]),
        40.0,
    )
    protected(respawned)
    assert in_force(respawned) == content
    assert not [one for one in roles if alive(one)]
    # It is reaped, too: it would stay as a zombie for as long as its successor lives.
    wait_for("its end", lambda: not Path(f"/proc/{pid}").exists() or None, 30.0)
    accounted(respawned)
    causes = {one["cause"] for one in status(respawned)["losses"]}
    assert causes & {"BEFORE_SENSOR", "COLLECTION_GAP"}, "the gap is not in the loss ledger"
