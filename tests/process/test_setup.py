"""Set-up for real, in copies of the checkout: first, again, interrupted, unreachable, no root."""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from scripts.machine.copying import copied_checkout, give
from scripts.machine.environment import STAMP
from scripts.machine.leftovers import made_here
from scripts.machine.place import shared_folder
from tests.needs import require_root, require_sandbox_users

pytestmark = pytest.mark.timeout(180)

SECOND_RUN_SECONDS = 3.0
USES_EVERYTHING = (
    "import numpy, bcc, seccomp, agent.channel, content.record, bulkhead.v1.report_pb2"
)
UNPRIVILEGED = ("setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups")


@pytest.fixture
def reachable() -> Iterator[Path]:
    """A copy that every user can reach and read."""
    with copied_checkout(mode=0o755) as copy:
        yield copy


@pytest.fixture
def unreachable() -> Iterator[Path]:
    """A copy below a folder of mode 0700, as home folders are."""
    require_sandbox_users()
    with copied_checkout(mode=0o700) as copy:
        yield copy


def test_set_up_recovers_from_an_interruption_and_is_fast_when_done(reachable: Path) -> None:
    """Ctrl-C would leave an environment that looks finished, or every command would wait for it."""
    interrupted = _start_set_up(reachable)
    _wait_until((reachable / ".venv" / "bin" / "uv").exists, seconds=60)
    os.killpg(interrupted.pid, signal.SIGINT)
    said = interrupted.communicate(timeout=30)[0]
    assert interrupted.returncode == 130, said
    assert "interrupted" in said
    assert not (reachable / ".venv" / STAMP).exists()

    assert "ready" in _set_up(reachable)
    assert not (reachable / ".venv").is_symlink()
    _run([".venv/bin/python", "-c", USES_EVERYTHING], reachable)

    began = time.monotonic()
    again = _set_up(reachable)
    assert time.monotonic() - began < SECOND_RUN_SECONDS
    assert "installing" not in again


def test_roles_can_execute_an_environment_whose_checkout_they_cannot_reach(
    unreachable: Path,
) -> None:
    """Evaluator and link could not start for anyone whose checkout is in a private home folder."""
    said = _set_up(unreachable)
    folder = shared_folder(unreachable)
    assert str(folder) in said
    assert (unreachable / ".venv").resolve() == folder
    user = ["setpriv", "--reuid=bulkhead-evaluator", "--regid=bulkhead-evaluator", "--clear-groups"]
    _run([*user, str(folder / "bin" / "python"), "-I", "-c", USES_EVERYTHING], Path("/"))
    assert _run([".venv/bin/bulkhead", "--help"], unreachable)

    changed = unreachable / "content" / "escape.py"
    changed.write_text(changed.read_text(encoding="utf-8") + "\nMARK = 1\n", encoding="utf-8")
    assert "as a copy" in _set_up(unreachable)
    _run([str(folder / "bin" / "python"), "-I", "-c", "from content.escape import MARK"], Path("/"))

    _run(["/usr/bin/python3", "-m", "scripts.machine.removal"], unreachable)
    assert made_here(unreachable) == []
    assert not folder.exists()


def test_without_root_and_sudo_the_rest_is_set_up(reachable: Path) -> None:
    """An unprivileged user would get nothing, not even the rung that needs no root."""
    require_root()
    if shutil.which("sudo", path="/usr/bin:/bin") and _nobody_may_use_sudo():
        pytest.skip("needs a user who may not use sudo")
    give(reachable, "nobody")
    said = _run([*UNPRIVILEGED, "env", "HOME=/nonexistent", "scripts/setup"], reachable)
    assert "ready" in said
    _run([*UNPRIVILEGED, ".venv/bin/python", "-c", f"import psutil; {USES_EVERYTHING}"], reachable)


def _set_up(copy: Path) -> str:
    return _run(["scripts/setup"], copy)


def _start_set_up(copy: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        ["scripts/setup"],
        cwd=copy,
        start_new_session=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def _run(command: Sequence[str], folder: Path) -> str:
    ended = subprocess.run(
        command,
        check=False,
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert ended.returncode == 0, ended.stdout
    return ended.stdout


def _wait_until(holds: Callable[[], bool], *, seconds: float) -> None:
    until = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < until, "did not happen in time"
        time.sleep(0.02)


def _nobody_may_use_sudo() -> bool:
    attempt = [*UNPRIVILEGED, "sudo", "-n", "true"]
    return subprocess.run(attempt, check=False, capture_output=True).returncode == 0
