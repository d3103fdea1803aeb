"""Whether set-up may act as root here, and how."""

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from functools import cache


@cache
def can_act_as_root() -> bool:
    """True for root itself and where sudo works; a terminal's user may be asked for a password."""
    if os.geteuid() == 0:
        return True
    if shutil.which("sudo") is None:
        return False
    attempts = [["sudo", "-n", "true"]]
    if sys.stdin.isatty():
        attempts.append(["sudo", "-v"])
    return any(
        subprocess.run(attempt, check=False, stderr=subprocess.DEVNULL).returncode == 0
        for attempt in attempts
    )


def as_root(command: Sequence[str]) -> list[str]:
    """The command line that runs this command as root; only where `can_act_as_root`."""
    return list(command) if os.geteuid() == 0 else ["sudo", *command]
