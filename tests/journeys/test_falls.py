"""A sensor that is denied the best rung falls to the next one, loudly."""

import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import pytest

from agent.supervisor.control import ask
from lab.demo.processes import bulkhead, wait_for
from tests.needs import (
    require_btf,
    require_command,
    require_sandbox_users,
    skip_unavoidable,
)


def test_without_root_the_agent_still_runs(tmp_path: Path) -> None:
    """An ordinary user would get nothing, or a traceback."""
    setpriv = require_command("setpriv", "util-linux")
    nobody = [setpriv, "--reuid=65534", "--regid=65534", "--clear-groups"]
    folder = Path(tempfile.mkdtemp(prefix="bulkhead-test-", dir="/tmp"))
    if os.geteuid() == 0:
        os.chown(folder, 65534, 65534)
    folder.chmod(0o711)
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
