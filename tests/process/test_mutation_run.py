"""`make mutation` on a tiny project of which everything is known: a real run, real processes."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.mutation import targets
from tests.needs import CHECKOUT

SOURCE = """\
LIMIT = 3


def is_small(value: int) -> bool:
    return value <= LIMIT


def count_down(value: int) -> int:
    while value > 0:
        value -= 1
    return value


def unused(value: int) -> int:
    return value
"""
TESTS = """\
from content.check import count_down, is_small


def test_small():
    assert is_small(3)
    assert not is_small(4)


def test_count():
    assert count_down(2) == 0
"""
ENDED_FOR_CPU_TIME = "signal 24"


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with one target, one file of tests and the mutation tests as they are here."""
    folder = tmp_path_factory.mktemp("project")
    shutil.copytree(CHECKOUT / "tests" / "mutation", folder / "tests" / "mutation")
    text = Path(targets.__file__).read_text(encoding="utf-8")
    text += "\nCHECKS = TARGETS = ('content/check.py',)\nLIMITS = MutationLimits(cpu_seconds=1)\n"
    (folder / "tests/mutation/targets.py").write_text(text, encoding="utf-8")
    (folder / "tests/mutation/survivors.txt").write_text("# none\n", encoding="utf-8")
    (folder / "content").mkdir()
    (folder / "content/__init__.py").touch()
    (folder / "content/check.py").write_text(SOURCE, encoding="utf-8")
    (folder / "tests/unit/content").mkdir(parents=True)
    (folder / "tests/unit/content/test_check.py").write_text(TESTS, encoding="utf-8")
    (folder / "pytest.ini").write_text("[pytest]\npythonpath = .\n", encoding="utf-8")
    return folder


def _run(project: Path, *arguments: str) -> tuple[int, str, dict[str, Any]]:
    ended = subprocess.run(
        [sys.executable, "-m", "tests.mutation", "--workers", "2", *arguments],
        cwd=project,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    report = project / "build/mutation/report.json"
    document = json.loads(report.read_text(encoding="utf-8")) if report.exists() else {}
    return ended.returncode, ended.stdout + ended.stderr, document


@pytest.mark.timeout(180)
@pytest.mark.parametrize("arguments", [(), ("--quick",)])
def test_a_run_finds_what_the_tests_leave_open(project: Path, arguments: tuple[str, ...]) -> None:
    """A mutant that no test notices would be called killed, or one that is noticed would not."""
    status, said, report = _run(project, *arguments)
    assert status == 1, said
    killed_by = {
        (one["scope"], one["before"], one["after"]): one["killed_by"].rpartition("::")[2]
        for one in report["verdicts"]
    }
    assert killed_by == {
        ("", "3", "4"): "test_small",
        ("", "3", "2"): "test_small",
        ("is_small", "return value <= LIMIT", "return not value <= LIMIT"): "test_small",
        ("is_small", "value <= LIMIT", "value < LIMIT"): "test_small",
        ("count_down", "value > 0", "not value > 0"): "test_count",
        ("count_down", "value > 0", "value >= 0"): "test_count",
        ("count_down", "0", "1"): "test_count",
        ("count_down", "0", "-1"): "test_count",
        ("count_down", "value -= 1", "pass"): ENDED_FOR_CPU_TIME,
        ("count_down", "1", "2"): "",
        ("count_down", "1", "0"): ENDED_FOR_CPU_TIME,
        ("count_down", "return value", "return None"): "test_count",
        ("unused", "return value", "return None"): "",
    }
    assert "84.6% are killed, at least 95% must be" in said
    assert said.count("survives without a reason in the list") == 2


@pytest.mark.timeout(180)
def test_tests_that_fail_anyway_prove_nothing(project: Path) -> None:
    """Every mutant would be called killed by a test that always fails."""
    broken = project / "tests/unit/content/test_broken.py"
    broken.write_text("def test_broken():\n    assert False\n", encoding="utf-8")
    try:
        status, said, _ = _run(project)
    finally:
        broken.unlink()
    assert status == 2, said
    assert "fail as they are" in said
