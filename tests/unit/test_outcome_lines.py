"""What a session in a guest reports while it runs, and the time that its tests are given."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

CHECKOUT = Path(__file__).parents[2]
TESTS = """
import time
import pytest

def test_passes():
    pass

def test_fails():
    assert 1 == 2, "told"

def test_skips():
    pytest.skip("for a reason")

@pytest.fixture
def broken():
    yield
    raise RuntimeError("in teardown")

def test_teardown(broken):
    pass
"""
SLOW = """
import time
import pytest

@pytest.mark.timeout(0.2)
def test_slow():
    time.sleep(0.6)
"""


def session(tmp_path: Path, program: str, **environment: str) -> list[dict[str, Any]]:
    """Run tests in a session of their own; what it reported."""
    (tmp_path / "test_it.py").write_text(program, encoding="utf-8")
    (tmp_path / "pytest.ini").write_text("[pytest]\ntimeout = 30\n", encoding="utf-8")
    report = tmp_path / "lines"
    plugins = ["-p", "no:cacheprovider", "-p", "tests.outcome_lines", "-p", "tests.conftest"]
    subprocess.run(
        [sys.executable, "-B", "-m", "pytest", *plugins, "--outcome-lines", report, tmp_path],
        cwd=CHECKOUT,
        env={**os.environ, "CI": "", "BULKHEAD_FORBID_SKIPS": "", **environment},
        capture_output=True,
        check=False,
        timeout=50,
    )
    return [json.loads(line) for line in report.read_text(encoding="ascii").splitlines()]


def test_every_test_is_announced_and_reported(tmp_path: Path) -> None:
    """A failure in a guest would be lost, or come without its reason."""
    lines = session(tmp_path, TESTS)
    assert lines[0] == {"collected": 4}
    running = [line["running"] for line in lines if "running" in line]
    assert [name.rpartition("::")[2] for name in running] == [
        "test_passes",
        "test_fails",
        "test_skips",
        "test_teardown",
    ]
    outcomes = [
        (line["test"].rpartition("::")[2], line["outcome"]) for line in lines if "test" in line
    ]
    assert outcomes == [
        ("test_passes", "passed"),
        ("test_fails", "failed"),
        ("test_skips", "skipped"),
        ("test_teardown", "passed"),
        ("test_teardown", "failed"),
    ]
    reasons = [line["reason"] for line in lines if line.get("outcome", "passed") != "passed"]
    for reason, word in zip(reasons, ("told", "for a reason", "in teardown"), strict=True):
        assert word in reason


def test_slow_machine_gives_its_tests_more_time(tmp_path: Path) -> None:
    """Tests would fail on an emulated processor for no other reason than its speed."""
    assert outcome_of_slow(tmp_path, "50") == "passed"
    assert outcome_of_slow(tmp_path, "1") == "failed"


def outcome_of_slow(tmp_path: Path, factor: str) -> str:
    """How the one slow test ends with that factor."""
    lines = session(tmp_path, SLOW, BULKHEAD_TIME_FACTOR=factor)
    (outcome,) = [line["outcome"] for line in lines if "test" in line]
    return str(outcome)
