"""SIGKILL for each role in turn: the others go on, protection is back, nothing is lost."""

import os
import signal
from collections.abc import Mapping
from typing import Any

import pytest

from lab.demo import leftovers
from lab.demo.processes import alive, wait_for
from lab.demo.steps import Demonstration
from tests.journeys.helpers import in_force, protected, role, settled, status


@pytest.mark.parametrize("name", ["evaluator", "link"])
def test_a_killed_role_comes_back(sensor: Demonstration, name: str) -> None:
    """A role's death would end the sensor, or leave the host unprotected."""
    before, content = status(sensor), in_force(sensor)
    pid = role(sensor, name)
    os.kill(pid, signal.SIGKILL)
    sensor.world.wait("successor", lambda now: _another(now, name, pid), 10.0)
    protected(sensor)
    after = status(sensor)
    assert after["roles"]["supervisor"]["pid"] == before["roles"]["supervisor"]["pid"]
    assert after["collection"]["epoch"] == before["collection"]["epoch"]
    assert in_force(sensor) == content
    nothing_lost(sensor, before)


def test_a_killed_stand_by_is_replaced(sensor: Demonstration) -> None:
    """The next death of the evaluator would find nobody ready."""
    found = sensor.world.wait("stand-by", lambda now: bool(now["roles"]["standby"]), 10.0)
    pid = found["roles"]["standby"][0]["pid"]
    os.kill(pid, signal.SIGKILL)
    sensor.world.wait(
        "another stand-by",
        lambda now: any(one["pid"] != pid for one in now["roles"]["standby"]),
        10.0,
    )
    protected(sensor)


def test_a_stopped_evaluator_is_a_dead_one(sensor: Demonstration) -> None:
    """A hung evaluator would leave the host unprotected for ever."""
    settled(sensor)
    before, pid = status(sensor), role(sensor, "evaluator")
    os.kill(pid, signal.SIGSTOP)
    sensor.world.wait("successor", lambda now: _another(now, "evaluator", pid), 10.0)
    protected(sensor)
    assert status(sensor)["deaths"][-1]["cause"] == "HEARTBEAT_MISSED"
    nothing_lost(sensor, before)


def test_a_killed_supervisor_takes_its_roles_along(sensor: Demonstration) -> None:
    """Roles without a supervisor would stay behind, or content be forgotten at the next start."""
    before, content = status(sensor), in_force(sensor)
    pids = [role(sensor, name) for name in ("evaluator", "link")]
    os.kill(before["roles"]["supervisor"]["pid"], signal.SIGKILL)
    wait_for("end of the roles", lambda: not any(map(alive, pids)) or None, 5.0)
    assert sensor.world.agent is not None
    sensor.world.agent.process.wait(10.0)
    assert leftovers.role_processes(str(sensor.world.folder)) == []
    sensor.world.start_agent()
    sensor.world.wait("evaluator", lambda now: bool(now["protecting"]), 20.0)
    protected(sensor)
    assert in_force(sensor) == content


def nothing_lost(sensor: Demonstration, before: Mapping[str, Any]) -> None:
    """Every event since then was evaluated."""

    def settled(now: Mapping[str, Any]) -> bool:
        rings = now["collection"]["rings"].values()
        return sum(int(ring["accounted"]) for ring in rings) == int(now["events"]["evaluated"])

    now = sensor.world.wait("books that balance", settled, 5.0)
    assert now["events"]["lost"] == before["events"]["lost"], now["losses"]


def _another(now: Mapping[str, Any], name: str, pid: int) -> bool:
    roles = now["roles"]
    return bool(roles[name]) and roles[name]["pid"] != pid and bool(now["protecting"])
