"""Runs a piece of Python in a process of its own that has locked itself down first."""

import os
import pwd
import signal
import subprocess
import sys
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import pytest

SECONDS = 20
NOBODY = "nobody"

PROGRAM = """
import ctypes, errno, mmap, os, signal, socket, sys, time
from pathlib import Path
{before}
from agent.linux import prctl, system_call
from agent.sandbox import COLLECTOR_PSUTIL, COLLECTOR_SEEDING, EVALUATOR, LINK, lock_down
holds = lock_down({profile})
{body}
"""


@dataclass(frozen=True, slots=True)
class Ended:
    """How the process ended: the name of a signal, or ``exit N``; and what it wrote."""

    how: str
    output: str
    errors: str


def run(
    profile: str,
    body: str,
    *,
    before: str = "",
    user: str = "",
    descriptors: Collection[int] = (),
    standard_input: bytes = b"",
) -> Ended:
    """Run `before`, lock down with the profile (a Python expression), then run `body`.

    user: a user to become first, "" for ourselves.
    """
    ended = subprocess.run(
        command(profile, body, before=before),
        input=standard_input,
        capture_output=True,
        check=False,
        timeout=SECONDS,
        user=user or None,
        group=pwd.getpwnam(user).pw_gid if user else None,
        extra_groups=[] if user else None,
        pass_fds=descriptors,
        env=environment(),
    )
    return Ended(how(ended.returncode), ended.stdout.decode(), ended.stderr.decode())


def command(profile: str, body: str, *, before: str = "") -> list[str]:
    """The command line of such a process."""
    program = PROGRAM.format(profile=profile, body=body, before=before)
    return [sys.executable, "-I", "-c", program]


def environment() -> dict[str, str]:
    """What a role starts with; numpy must not start threads."""
    return {"PATH": os.defpath, "LANG": "C.UTF-8", "OPENBLAS_NUM_THREADS": "1"}


def how(returncode: int) -> str:
    """``SIGSYS``, or ``exit 1``."""
    return signal.Signals(-returncode).name if returncode < 0 else f"exit {returncode}"


def require_other_user() -> None:
    """Skip unless this test can become somebody who can run our Python."""
    if os.geteuid() != 0:
        pytest.skip("needs root, to become another user")
    if not all(folder.stat().st_mode & 0o001 for folder in Path(sys.executable).absolute().parents):
        pytest.skip("needs an environment that other users can reach: start pytest by make test")
