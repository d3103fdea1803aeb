"""`bulkhead agent prevention`: what it says where nobody answers, or where an order is none."""

import io
import json
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console

from cli.agent_prevention import prevention_line


def bulkhead(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command line."""
    command = [sys.executable, "-I", "-m", "cli.main", "agent", *arguments]
    return subprocess.run(command, check=False, capture_output=True, text=True)


@pytest.mark.parametrize("order", ["on", "off", "status"])
def test_no_sensor_answers(tmp_path: Path, order: str) -> None:
    """Somebody would believe that prevention is switched, and no sensor has heard of it."""
    found = bulkhead("prevention", order, "--control", str(tmp_path / "control.sock"), "--json")
    assert found.returncode == 4
    assert json.loads(found.stdout or found.stderr)["error"]["reason"] == "NO_AGENT"


def test_an_order_that_is_none(tmp_path: Path) -> None:
    """A typing error would count as one of the orders."""
    control = ("--control", str(tmp_path / "control.sock"))
    assert bulkhead("prevention", "of\x1bf", *control).returncode == 2
    started = bulkhead("run", "--prevention", "maybe", "--state", str(tmp_path), *control)
    assert started.returncode == 2
    assert "UNKNOWN_POLICY" in started.stderr


@pytest.mark.parametrize(
    ("policy", "kernel", "expected"),
    [
        ("off", True, "prevention off, by this host's policy"),
        ("on", True, "prevention on, 2 paths in the kernel; programs stopped: 3 by the kernel, 4"),
        ("on", False, "prevention on, by verdicts only; programs stopped: 3 by the kernel, 4 by"),
    ],
)
def test_one_line_says_it(policy: str, kernel: bool, expected: str) -> None:  # noqa: FBT001 - a case
    """An operator could not see that nothing is prevented, or where."""
    prevention = {
        "policy": policy,
        "kernel": kernel,
        "kernel_paths": 2,
        "kernel_stopped": {"image /a": 1, "image /b": 2},
    }
    screen = Console(file=io.StringIO(), width=200)
    screen.print(prevention_line(prevention, {"STOPPED": 4}))
    assert isinstance(screen.file, io.StringIO)
    assert expected in screen.file.getvalue()
