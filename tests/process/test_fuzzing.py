"""Fuzzing itself: a broken promise is found, saved and tried again with one command."""

import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fuzz import campaign
from tests.needs import CHECKOUT

NAME = "planted"
PLANTED = """
from tests.fuzz.target import Target

def one_input(data: bytes) -> None:
    if data[:1] == b"b" and data[1:2] == b"a" and data[2:3] == b"d":
        raise RuntimeError("the planted fault")

TARGET = Target(one_input, lambda: [b"bab", b"good"], quick_runs={runs}, max_bytes=8)
"""


@pytest.fixture
def planted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A file that becomes a target beside the real ones."""
    folder = tmp_path / "tests" / "fuzz"
    folder.mkdir(parents=True)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    yield folder / f"fuzz_{NAME}.py"
    shutil.rmtree(campaign.folder_of(NAME), ignore_errors=True)


def test_a_broken_promise_is_found_and_can_be_tried_again(planted: Path) -> None:
    """Fuzzing would always end well, whatever is broken."""
    planted.write_text(PLANTED.format(runs=200_000), encoding="utf-8")
    outcome = campaign.quick(NAME)
    assert outcome.failed
    (finding,) = outcome.findings
    assert finding.read_bytes().startswith(b"bad")
    assert "the planted fault" in campaign.last_words(outcome)
    _, *arguments = shlex.split(campaign.reproduction(NAME, finding))
    again = subprocess.run(
        [sys.executable, *arguments], cwd=CHECKOUT, capture_output=True, check=False, timeout=30
    )
    assert again.returncode != 0
    assert b"the planted fault" in again.stdout + again.stderr


def test_a_quick_run_does_all_its_executions(planted: Path) -> None:
    """A run that ended early, or executed nothing, would look like a good one."""
    planted.write_text(PLANTED.format(runs=5000).replace('b"d"', 'b"never"'), encoding="utf-8")
    outcome = campaign.quick(NAME)
    assert not outcome.failed
    assert not outcome.findings
    assert outcome.executions >= 5000


def test_every_target_is_found() -> None:
    """A target would be left out of every run without a word."""
    assert campaign.names() == [
        "authoring",
        "channel",
        "console",
        "envelope",
        "expression",
        "interpreter",
        "loader",
        "validator",
    ]
