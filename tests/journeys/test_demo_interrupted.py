"""Ctrl-C in the middle of the demonstration leaves nothing behind."""

import signal
import subprocess
import time
from pathlib import Path

import pytest

from lab.demo import leftovers
from lab.demo.processes import bulkhead, wait_for
from lab.demo.world import PREFIX, TEMPORARY
from tests.needs import require_btf, require_sandbox_users


@pytest.mark.parametrize(
    ("number", "after_seconds"),
    [(signal.SIGINT, 1.0), (signal.SIGINT, 4.0), (signal.SIGTERM, 9.0)],
)
def test_an_interrupted_demonstration_cleans_up(
    tmp_path: Path, number: signal.Signals, after_seconds: float
) -> None:
    """Processes, probes or folders would stay on the host."""
    require_btf()
    require_sandbox_users()
    before, folders = leftovers.look(), set(TEMPORARY.glob(PREFIX + "*"))
    process = subprocess.Popen(
        bulkhead("demo", "--output", str(tmp_path / "out")),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    time.sleep(after_seconds)
    process.send_signal(number)
    assert process.wait(40.0) == 130
    assert set(TEMPORARY.glob(PREFIX + "*")) <= folders
    assert leftovers.role_processes("bulkhead-demo-") == []

    def same() -> bool | None:
        return not leftovers.look().added_since(before) or None

    wait_for("host as it was", same, 5.0)
