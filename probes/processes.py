"""What /proc tells of one process, in the form in which records hold it.

    stat       name of the thread, parent, start time (clock ticks → nanoseconds since boot)
    exe        image, as the path of the executable
    cmdline    arguments, NUL-separated; the last NUL is left out
    status     real user and group id

psutil is not asked for these: where it may not read `exe` it guesses from the first argument, and
it splits a single argument at its spaces. Both are the process's own claims.
"""

import os
from dataclasses import dataclass
from pathlib import Path

from probes.limits import LIMITS, NANOSECONDS_PER_SECOND

PROC = Path("/proc")
NANOSECONDS_PER_TICK = NANOSECONDS_PER_SECOND // os.sysconf("SC_CLK_TCK")
PARENT_FIELD = 4
START_TIME_FIELD = 22
FIRST_FIELD_AFTER_NAME = 3
DELETED = b" (deleted)"


@dataclass(frozen=True, slots=True)
class Stat:
    """What one line of /proc/PID/stat says; start_time in nanoseconds since boot."""

    name: bytes
    parent_pid: int
    start_time: int


@dataclass(frozen=True, slots=True)
class Process:
    """One process.

    image: None where it is another user's secret, or where there is none. command_line: at most
    LIMITS.command_line_bytes; argument_count: None if it was longer.
    """

    pid: int
    name: bytes
    parent_pid: int
    start_time: int
    image: bytes | None
    command_line: bytes
    argument_count: int | None
    user_id: int
    group_id: int

    @property
    def runs_nothing(self) -> bool:
        """Whether it is a kernel thread or has ended and waits for its parent."""
        return self.image is None and not self.command_line

    def runs_the_same(self, other: "Process | None") -> bool:
        """Whether image and command line are those of another one."""
        return other is not None and (self.image, self.command_line) == (
            other.image,
            other.command_line,
        )


def parse_stat(line: bytes) -> Stat:
    """Read a stat line; the name may hold spaces, parentheses and newlines."""
    opening, closing = line.index(b"("), line.rindex(b")")
    fields = line[closing + 2 :].split()
    ticks = int(fields[START_TIME_FIELD - FIRST_FIELD_AFTER_NAME])
    return Stat(
        name=line[opening + 1 : closing],
        parent_pid=int(fields[PARENT_FIELD - FIRST_FIELD_AFTER_NAME]),
        start_time=ticks * NANOSECONDS_PER_TICK,
    )


def read_start_time(pid: int, proc: Path = PROC) -> int | None:
    """When a process started, in nanoseconds since boot; None if it is gone."""
    try:
        return parse_stat((proc / str(pid) / "stat").read_bytes()).start_time
    except (FileNotFoundError, ProcessLookupError):
        return None


def read_process(pid: int, proc: Path = PROC) -> Process | None:
    """The process as it is now; None if it is gone."""
    folder = proc / str(pid)
    try:
        stat = parse_stat((folder / "stat").read_bytes())
        user, group = _owner((folder / "status").read_bytes())
        arguments = _arguments(folder / "cmdline")
        image = _image(folder / "exe")
    except (FileNotFoundError, ProcessLookupError):
        return None
    whole = len(arguments) < LIMITS.command_line_bytes
    return Process(
        pid=pid,
        name=stat.name,
        parent_pid=stat.parent_pid,
        start_time=stat.start_time,
        image=image,
        command_line=arguments.removesuffix(b"\0"),
        argument_count=arguments.count(b"\0") if whole else None,
        user_id=user,
        group_id=group,
    )


def _arguments(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(LIMITS.command_line_bytes)
    except PermissionError:
        return b""


def _image(link: Path) -> bytes | None:
    try:
        target = os.readlink(os.fsencode(link))  # noqa: PTH115 — bytes, which Path can't give
    except (PermissionError, FileNotFoundError):
        return None
    return target.removesuffix(DELETED)


def _owner(status: bytes) -> tuple[int, int]:
    """Real user and group id; the name in the first line has its newlines escaped."""
    rows = dict(line.split(b":", 1) for line in status.splitlines() if b":" in line)
    return int(rows[b"Uid"].split()[0]), int(rows[b"Gid"].split()[0])
