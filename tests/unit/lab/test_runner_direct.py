"""The direct runner where there can be no host, and what it hears of one that there is."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

from lab.cells.finding import arms, faults
from lab.cells.model import Cell
from lab.cells.runner import RunnerError
from lab.hosts import order
from lab.runners import packing
from lab.runners.boots import Ear
from lab.runners.direct import DirectRunner


class Usage(NamedTuple):
    """Of a disk, in bytes."""

    total: int
    used: int
    free: int


def test_says_that_root_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Mmdebstrap's traceback would say it, after minutes."""
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(RunnerError, match="NOT_ROOT"):
        DirectRunner().prepare()


def test_says_that_there_is_no_space(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """An image that was half written would be found by the next run."""
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr("lab.vm.cache.FOLDER", tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(1 << 40, 1 << 40, 1 << 20))
    with pytest.raises(RunnerError, match=r"NO_SPACE: .*: 1 MiB free"):
        DirectRunner().prepare()


def test_an_unknown_cell_is_wrong_use() -> None:
    """A mistyped name would start virtual machines, or end with a traceback."""
    ended = subprocess.run(
        [sys.executable, "-m", "lab.runners.direct", "K", "no-such-fault"],
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    assert ended.returncode == 2
    assert "arity-gap" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_every_cell_has_an_estimate() -> None:
    """Nobody could be told beforehand how long a run takes."""
    runner = DirectRunner()
    cells = [Cell(arm, fault) for arm in arms() for fault in faults()]
    assert all(runner.estimate_seconds(one) > 0 for one in cells)


@pytest.mark.parametrize("fault", sorted(faults()))
def test_a_host_without_a_store_is_given_content(tmp_path: Path, fault: str) -> None:
    """The kernel module would start without content, and nothing would happen to it."""
    packing.pack(tmp_path, arms()["K"], faults()[fault], 1.0, None)
    assert order.read(tmp_path).pipe == faults()[fault].pipe
    names = {path.name for path in (tmp_path / order.CONTENT).iterdir()}
    assert names == {"process.channel", "ipc.channel"}


def test_hears_whole_lines_of_ours_only(tmp_path: Path) -> None:
    """A guest's garbage, or half a line, would end the runner."""
    path = tmp_path / "results.log"
    path.write_bytes(b'guest: ready\n{"what": "boot", "id": "x"}\n[1]\n\xff{}\n{"what": "ra')
    ear = Ear(path)
    assert ear.listen()
    assert ear.booted
    assert [one.what for one in ear.lines] == ["boot"]
    with path.open("ab") as file:
        file.write(b'n", "number": 1}\nguest: status 0\n')
    ear.listen()
    assert [one.what for one in ear.lines] == ["boot", "ran"]
    assert ear.finished
