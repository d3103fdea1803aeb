"""Where it was measured is written down, and read back only in the same version."""

import subprocess
from pathlib import Path

import pytest

from lab.results import machine
from lab.results.errors import ResultsError
from tests.needs import CHECKOUT


def git(folder: Path, *words: str) -> None:
    """Carry it out there."""
    names = ("-c", "user.name=a", "-c", "user.email=a@example.org")
    subprocess.run(["git", "-C", str(folder), *names, *words], check=True, capture_output=True)


def test_the_machine_comes_back_as_it_was_written(tmp_path: Path) -> None:
    """Nobody could say where a figure came from."""
    assert machine.read(tmp_path) == {}
    machine.write(tmp_path, CHECKOUT)
    found = machine.read(tmp_path)
    assert {"written", "commit", "system", "kernel", "processor", "QEMU"} <= set(found)
    assert found["kernel"] != machine.UNKNOWN


def test_another_version_is_refused(tmp_path: Path) -> None:
    """An old file would be shown under names that have changed their meaning."""
    (tmp_path / machine.ENVIRONMENT).write_text('{"schema": 0, "machine": {}}')
    with pytest.raises(ResultsError, match=r"RESULTS_VERSION: environment\.json"):
        machine.read(tmp_path)


def test_changed_sources_are_told_from_a_commit(tmp_path: Path) -> None:
    """A figure would be said to come from sources that it doesn't come from."""
    assert machine.commit(tmp_path) == machine.UNKNOWN
    git(tmp_path, "init")
    file = tmp_path / "file"
    file.write_text("one")
    git(tmp_path, "add", "file")
    git(tmp_path, "commit", "-m", "one")
    clean = machine.commit(tmp_path)
    assert len(clean) == len("0" * 40)
    file.write_text("two")
    assert machine.commit(tmp_path) == f"{clean}, changed since"
