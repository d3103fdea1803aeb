"""Find tracefs, or mount it where nobody else can see it.

BCC looks in /sys/kernel/debug/tracing if that exists, else in /sys/kernel/tracing; so do we. A
machine that mounts neither gets a mount in a mount namespace of this process alone, which vanishes
with it.
"""

import ctypes
import os
from pathlib import Path

from probes.errors import ProbeError, ProbeReason

CANDIDATES = (Path("/sys/kernel/debug/tracing"), Path("/sys/kernel/tracing"))

CLONE_NEWNS = 0x00020000
MS_REC = 0x4000
MS_PRIVATE = 1 << 18
MS_NOSUID_NODEV_NOEXEC = 0x2 | 0x4 | 0x8


def events_folder() -> Path:
    """The events folder of tracefs.

    Raises ProbeError: TRACEFS_UNAVAILABLE if it is not mounted, NOT_PERMITTED if it is not ours.
    """
    events = _mount_point() / "events"
    if not _is_folder(events):
        raise ProbeError(ProbeReason.TRACEFS_UNAVAILABLE, f"{events} does not exist")
    return events


def mount_privately() -> bool:
    """Mount tracefs for this process alone if it is not mounted; returns whether it was done.

    Raises ProbeError: TRACEFS_UNAVAILABLE if the kernel refuses, NOT_PERMITTED without root.
    """
    point = _mount_point()
    if _is_folder(point / "events"):
        return False
    library = ctypes.CDLL(None, use_errno=True)
    _check(library.unshare(CLONE_NEWNS), "unshare the mount namespace")
    _check(library.mount(None, b"/", None, MS_REC | MS_PRIVATE, None), "make mounts private")
    arguments = (b"tracefs", os.fsencode(point), b"tracefs", MS_NOSUID_NODEV_NOEXEC, None)
    _check(library.mount(*arguments), f"mount tracefs on {point}")
    return True


def _mount_point() -> Path:
    return next((path for path in CANDIDATES if path.exists()), CANDIDATES[-1])


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except PermissionError as error:
        detail = f"{path}: {error.strerror}: tracepoints are for root"
        raise ProbeError(ProbeReason.NOT_PERMITTED, detail) from error


def _check(result: int, what: str) -> None:
    if result:
        problem = os.strerror(ctypes.get_errno())
        raise ProbeError(ProbeReason.TRACEFS_UNAVAILABLE, f"can't {what}: {problem}")
