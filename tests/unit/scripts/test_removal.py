"""What a killed collector left in /tmp goes; what anybody may still use stays."""

import os
import subprocess
from pathlib import Path

from scripts.machine.removal import stale


def test_only_what_belongs_to_the_dead_is_stale(tmp_path: Path) -> None:
    """`make clean` would report it for ever, or take headers away from a compiler at work."""
    process = subprocess.Popen(["/bin/true"])
    process.wait()
    dead = tmp_path / f"bulkhead-kernel-{process.pid}-abc_1"
    for name in (dead.name, f"bulkhead-kernel-{os.getpid()}-abc", "bulkhead-kernel-x-abc"):
        (tmp_path / name).mkdir()
    (tmp_path / f"bulkhead-kernel-{process.pid}-link").symlink_to(tmp_path)
    assert stale(tmp_path) == [dead]
