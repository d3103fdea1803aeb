"""Lower rungs: a sensor that sees less, says so, and refuses what it could only pretend."""

import os
import secrets
import shutil
import signal
import subprocess
from collections.abc import Iterator

import pytest

from cli.output import ExitCode
from lab.demo.processes import run_json, wait_for
from lab.demo.steps import Demonstration
from lab.demo.world import World
from tests.journeys.helpers import role, status
from tests.needs import skip_unavoidable


@pytest.fixture(scope="module", autouse=True)
def best_rung_again(sensor: Demonstration) -> Iterator[None]:
    """Leave the sensor as it was found."""
    yield
    assert sensor.world.agent is not None
    sensor.world.agent.stop()
    sensor.world.start_agent()
    sensor.world.wait("evaluator", lambda now: bool(now["protecting"]), 30.0)


@pytest.mark.timeout(120)
@pytest.mark.parametrize("rung", ["bpf_tracepoint", "process_connector", "psutil"])
def test_content_for_a_better_rung_is_not_silently_dead(sensor: Demonstration, rung: str) -> None:
    """Content whose inputs nobody fills in would look active and never match."""
    world = sensor.world
    assert world.agent is not None
    quarantine = status(sensor)["content"]["quarantine"]
    world.agent.stop()
    world.start_agent("--rung", rung)
    least_unserved = 0 if rung == "bpf_tracepoint" else 2
    now = world.wait(
        "evaluator on the lower rung",
        lambda found: (
            found["protecting"]
            and found["collection"] is not None
            and len(found["content"]["unserved"]) >= least_unserved
        ),
        30.0,
    )
    if now["rung"] != rung:
        skip_unavoidable(f"no {rung} here: {now['refused_rungs']}")
    assert f"RUNG_{rung.upper()}" in now["reduced_because"]
    assert ("PREVENT_OFF" in now["reduced_because"]) is (rung == "bpf_tracepoint")
    assert ("CONTENT_UNSERVED" in now["reduced_because"]) is bool(now["content"]["unserved"])
    reasons = {p["reason"] for problems in now["content"]["unserved"].values() for p in problems}
    assert reasons <= {"FIELD_NOT_SUPPLIED", "TEMPLATE_TYPE_NOT_SUPPLIED"}
    served = set(now["roles"]["evaluator"]["files"])
    assert served.isdisjoint(now["content"]["unserved"])
    assert now["content"]["quarantine"] == quarantine
    _said_everywhere(world, rung)


def _said_everywhere(world: World, rung: str) -> None:
    """Reduced functionality: in the exit status, in the log and, by heartbeat, in the cloud."""
    run_json("agent", "status", "--control", str(world.control), allowed=(ExitCode.REFUSED,))
    assert world.agent is not None
    lines = world.agent.log.read_text(errors="backslashreplace").splitlines()
    said = [line for line in lines if "REDUCED FUNCTIONALITY" in line]
    assert any(f"RUNG_{rung.upper()}" in line for line in said)

    def told() -> bool | None:
        (host,) = world.cloud_json("fleet")["hosts"]
        return True if host["reduced_functionality"] and host["rung"].endswith(rung) else None

    wait_for("reduced functionality in the cloud", told, 20.0, 0.2)


def test_a_killed_polling_collector_comes_back(sensor: Demonstration) -> None:
    """Polling would end with the first death of the collector."""
    pid = role_of_collector(sensor)
    os.kill(pid, signal.SIGKILL)
    sensor.world.wait(
        "another collector",
        lambda now: now["roles"]["collector"]["pid"] not in (None, pid) and now["protecting"],
        15.0,
    )
    assert status(sensor)["roles"]["supervisor"]["pid"] == role(sensor, "supervisor")


def test_a_long_lived_program_is_seen_by_polling(sensor: Demonstration) -> None:
    """The lower rung would see nothing at all."""
    token = secrets.token_hex(6)
    program = sensor.scratch / f"bulkhead-canary-{token}"
    shutil.copy("/bin/sleep", program)
    before = status(sensor)["events"]["evaluated"]
    with subprocess.Popen([program, "30"]) as process:
        try:
            sensor.world.wait(
                "evaluated events", lambda now: now["events"]["evaluated"] > before, 10.0
            )
        finally:
            process.kill()


def role_of_collector(sensor: Demonstration) -> int:
    """Process id of the polling collector."""
    found = sensor.world.wait("collector", lambda now: bool(now["roles"]["collector"]["pid"]), 10.0)
    return int(found["roles"]["collector"]["pid"])
