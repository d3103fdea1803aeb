"""Find tracefs, or mount it where nobody else can see it.

BCC looks in /sys/kernel/debug/tracing if that exists, else in /sys/kernel/tracing; so do we. A
machine that mounts neither gets a mount in a mount namespace of this process alone, which vanishes
with it.
"""

from pathlib import Path

from probes.errors import ProbeError, ProbeReason
from probes.private_mounts import mount

CANDIDATES = (Path("/sys/kernel/debug/tracing"), Path("/sys/kernel/tracing"))


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
    try:
        mount("tracefs", point)
    except OSError as error:
        detail = f"can't mount tracefs on {point}: {error.strerror}"
        raise ProbeError(ProbeReason.TRACEFS_UNAVAILABLE, detail) from error
    return True


def _mount_point() -> Path:
    return next((path for path in CANDIDATES if path.exists()), CANDIDATES[-1])


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except PermissionError as error:
        detail = f"{path}: {error.strerror}: tracepoints are for root"
        raise ProbeError(ProbeReason.NOT_PERMITTED, detail) from error
