"""The system users that the sensor's unprivileged roles run under."""

import pwd

from scripts.machine.progress import run, say, step
from scripts.machine.rights import as_root, can_act_as_root

ACCOUNTS = ("bulkhead-evaluator", "bulkhead-link")
"""One per unprivileged role, so that none of them can signal or trace another."""


def create() -> None:
    """Create those that are missing; without root, say what that means."""
    absent = [name for name in ACCOUNTS if not _exists(name)]
    if absent and not can_act_as_root():
        say(f"neither root nor sudo: no system users {', '.join(absent)}; all roles run as you")
        return
    for name in absent:
        with step(f"creating the system user {name} (no home, no login)"):
            run(as_root(_creation(name)))


def _creation(name: str) -> list[str]:
    home = ["--no-create-home", "--home-dir", "/nonexistent"]
    return ["/usr/sbin/useradd", "--system", *home, "--shell", "/usr/sbin/nologin", name]


def _exists(name: str) -> bool:
    try:
        pwd.getpwnam(name)
    except KeyError:
        return False
    return True
