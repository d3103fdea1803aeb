"""A process that runs from a checkout's environment is found by `make clean`."""

import subprocess
from pathlib import Path

from scripts.machine.leftovers import processes
from tests.process.waiting import until


def _pids(checkout: Path) -> list[str]:
    return [line.split()[0] for line in processes(checkout)]


def test_a_running_process_is_found_by_where_it_runs_from(tmp_path: Path) -> None:
    """A role that survived its supervisor would stay on the machine unseen."""
    folder = tmp_path / ".venv" / "bin"
    folder.mkdir(parents=True)
    role = folder / "role"
    role.symlink_to("/bin/sleep")
    with subprocess.Popen([role, "60"]) as running:
        try:
            # The kernel shows a program's arguments a moment after it has executed it.
            until(lambda: _pids(tmp_path) == [str(running.pid)])
            assert processes(tmp_path / "another") == []
        finally:
            running.kill()
    assert processes(tmp_path) == []


def test_a_virtual_machine_is_found_by_its_images(tmp_path: Path) -> None:
    """A guest that was left behind would hold two gigabytes unseen."""
    (tmp_path / "build").mkdir()
    disk = tmp_path / "build" / "disk"
    disk.touch()
    with subprocess.Popen(["/usr/bin/tail", "-f", disk]) as running:
        try:
            until(lambda: _pids(tmp_path) == [str(running.pid)])
        finally:
            running.kill()
