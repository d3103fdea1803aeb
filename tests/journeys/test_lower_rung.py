"""Lower rungs: a sensor that sees less, says so, and refuses what it could only pretend."""

import os
import secrets
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import pytest

from agent.supervisor.control import ask
from lab.demo.processes import bulkhead, wait_for
from lab.demo.steps import Demonstration
from tests.journeys.helpers import role, status
from tests.needs import (
    require_btf,
    require_command,
    require_sandbox_users,
    skip_unavoidable,
)


@pytest.mark.parametrize("rung", ["bpf_tracepoint", "process_connector", "psutil"])
def test_content_for_a_better_rung_is_not_silently_dead(sensor: Demonstration, rung: str) -> None:
    """Content whose inputs nobody fills in would look active and never match."""
    world = sensor.world
    assert world.agent is not None
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
    assert now["content"]["quarantine"] == []


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


def test_without_root_the_agent_still_runs(tmp_path: Path) -> None:
    """An ordinary user would get nothing, or a traceback."""
    setpriv = require_command("setpriv", "util-linux")
    nobody = [setpriv, "--reuid=65534", "--regid=65534", "--clear-groups"]
    folder = Path(tempfile.mkdtemp(prefix="bulkhead-test-", dir="/tmp"))
    folder.chmod(0o777)
    control = folder / "control.sock"
    command = bulkhead("agent", "run", "--state", str(folder / "s"), "--control", str(control))
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(
            [*(nobody if os.geteuid() == 0 else []), *command], stdout=log, stderr=log
        )
    try:
        found = wait_for("sensor that protects", lambda: _protecting(control), 20.0)
        assert found["rung"] == "psutil"
        assert "NOT_ROOT" in found["reduced_because"]
    finally:
        process.terminate()
        status_code = process.wait(10.0)
        shutil.rmtree(folder)
    assert status_code == 0


WITHOUT_BTF = "mount -t tmpfs none /sys/kernel/btf && exec "
WITHOUT_BPF = (
    "mount -t tracefs none /sys/kernel/tracing; "
    "exec setpriv --bounding-set=-bpf,-perfmon,-sys_admin "
)


@pytest.mark.parametrize(
    ("before", "rung", "refused"),
    [
        (WITHOUT_BTF, "bpf_tracepoint", [("bpf_btf", "BTF_MISSING")]),
        (
            WITHOUT_BPF,
            "process_connector",
            [("bpf_btf", "NOT_PERMITTED"), ("bpf_tracepoint", "NOT_PERMITTED")],
        ),
    ],
    ids=["no BTF", "no BPF"],
)
def test_each_fall_is_loud(
    tmp_path: Path, before: str, rung: str, refused: list[tuple[str, str]]
) -> None:
    """A sensor would see less than it could, and nobody would know why."""
    require_btf()
    require_sandbox_users()
    require_command("setpriv", "util-linux")
    control = tmp_path / "control.sock"
    command = bulkhead("agent", "run", "--state", str(tmp_path / "s"), "--control", str(control))
    log = tmp_path / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            ["unshare", "--mount", "sh", "-c", f'{before}"$@"', "sh", *command],
            stdout=output,
            stderr=output,
        )
    try:
        found = wait_for("sensor that protects", lambda: _protecting(control), 40.0)
    finally:
        process.terminate()
        process.wait(10.0)
    told = log.read_text(encoding="utf-8")
    if rung == "process_connector" and found["rung"] == "psutil":
        skip_unavoidable(f"no process connector here: {found['refused_rungs'][-1]['detail']}")
    assert found["rung"] == rung
    assert [(one["rung"], one["reason"]) for one in found["refused_rungs"]] == refused
    for one in found["refused_rungs"]:
        assert one["detail"].split("\n")[0] in told
    assert "REDUCED FUNCTIONALITY" in told


def _protecting(control: Path) -> dict[str, Any] | None:
    try:
        now = ask(control)
    except (OSError, ValueError):
        return None
    return now if now["protecting"] else None


def role_of_collector(sensor: Demonstration) -> int:
    """Process id of the polling collector."""
    found = sensor.world.wait("collector", lambda now: bool(now["roles"]["collector"]["pid"]), 10.0)
    return int(found["roles"]["collector"]["pid"])
