"""Where a process is and whose login it belongs to, from /proc: for rungs without BPF.

    cwd          working folder, as a path in the mount namespace of the process
    loginuid     audit's login user id
    sessionid    audit's session
    cgroup       the line of the unified hierarchy, of which the last part is kept

What this process may not read, or this kernel doesn't have, is None. Nothing here is read for a
process that is not reported.
"""

import os
from dataclasses import dataclass
from pathlib import Path

from probes.processes import DELETED, PROC

NO_LOGIN = 0xFFFFFFFF
"""What audit shows for a process that no login started."""

UNIFIED = b"0::"


@dataclass(frozen=True, slots=True)
class Surroundings:
    """The fields of one process, under the names that records have."""

    current_directory: bytes | None
    login_user_id: int | None
    session_id: int | None
    cgroup_name: bytes | None


def read_surroundings(pid: int, proc: Path = PROC) -> Surroundings:
    """As they are now; all None if the process is gone."""
    folder = proc / str(pid)
    return Surroundings(
        current_directory=_current_directory(folder / "cwd"),
        login_user_id=_login(folder / "loginuid"),
        session_id=_login(folder / "sessionid"),
        cgroup_name=_cgroup_name(folder / "cgroup"),
    )


def _current_directory(link: Path) -> bytes | None:
    try:
        return os.readlink(os.fsencode(link)).removesuffix(DELETED)  # noqa: PTH115 — bytes, which Path can't give
    except OSError:
        return None


def _login(path: Path) -> int | None:
    text = _read(path)
    return None if text is None or int(text) == NO_LOGIN else int(text)


def _cgroup_name(path: Path) -> bytes | None:
    lines = (_read(path) or b"").splitlines()
    unified = next((line for line in lines if line.startswith(UNIFIED)), None)
    return None if unified is None else unified.rpartition(b"/")[2]


def _read(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except OSError:
        return None
