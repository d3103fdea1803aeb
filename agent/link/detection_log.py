"""The local detection log: detections.jsonl in the state folder, one JSON object per line.

Each detection is appended exactly once, although log and outbox are two files and the link may be
killed between them. Lines count only up to a position (inode and length) that is stored in the
same outbox transaction as the report they come from:

    1. `append` writes the lines behind the position and flushes them to the disk
    2. the transaction stores report and new position; then `settle` makes it ours
    3. after a kill in between, `DetectionLog` cuts off what lies behind the position; the
       supervisor, which was told of nothing, sends the report again

A file that would grow beyond the limit becomes detections.jsonl.1 (replacing the one before) and a
new one is begun; the position's inode tells on which side of that a kill happened. A file that
somebody else put there is appended to, never cut.
"""

import os
import stat
from pathlib import Path

from agent.link.errors import StoreError
from agent.link.limits import LIMITS
from agent.link.outbox import LogPosition

FILE = "detections.jsonl"
PREDECESSOR = "detections.jsonl.1"
MODE = 0o640


class DetectionLog:
    """The log file and the position up to which it counts."""

    def __init__(self, folder: Path, position: LogPosition, limit: int = LIMITS.log_bytes) -> None:
        """Open the log and repair it to `position`; StoreError where that is not possible."""
        self._folder = folder
        self._limit = limit
        self._descriptor = -1
        try:
            self._position = self._recover(position)
        except OSError as error:
            raise _failed(folder, error) from error

    def append(self, lines: bytes) -> LogPosition:
        """Write whole lines and flush them; returns the position behind them, for `settle`."""
        try:
            start = self._start(len(lines))
            os.ftruncate(self._descriptor, start.length)
            _write(self._descriptor, lines, start.length)
            os.fdatasync(self._descriptor)
        except OSError as error:
            raise _failed(self._folder, error) from error
        return LogPosition(start.inode, start.length + len(lines))

    def settle(self, position: LogPosition) -> None:
        """The position that `append` returned is stored: the lines count."""
        self._position = position

    def close(self) -> None:
        """Give the file up."""
        os.close(self._descriptor)

    def _recover(self, position: LogPosition) -> LogPosition:
        found = self._open()
        if found.inode == position.inode:
            # Shorter: somebody emptied it. Longer: lines that never came to count.
            length = min(found.length, position.length)
        elif _inode(self._folder / PREDECESSOR) == position.inode != 0:
            length = 0  # begun after a rotation, and nothing in it came to count
        else:
            length = found.length
        os.ftruncate(self._descriptor, length)
        return LogPosition(found.inode, length)

    def _start(self, added: int) -> LogPosition:
        """Where the next lines go; begins a new file where this one is full or was taken away."""
        position = self._position
        full = position.length > 0 and position.length + added > self._limit
        if _inode(self._folder / FILE) == os.fstat(self._descriptor).st_ino == position.inode:
            if not full:
                # Shorter than we left it: somebody emptied it.
                size = os.fstat(self._descriptor).st_size
                return LogPosition(position.inode, min(position.length, size))
            os.ftruncate(self._descriptor, position.length)
            (self._folder / FILE).replace(self._folder / PREDECESSOR)
        os.close(self._descriptor)
        opened = self._open()
        rotated_before = _inode(self._folder / PREDECESSOR) == position.inode
        return LogPosition(opened.inode, 0) if rotated_before else opened

    def _open(self) -> LogPosition:
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        self._descriptor = os.open(self._folder / FILE, flags, MODE)
        os.fchmod(self._descriptor, MODE)  # whatever the umask was
        _sync_folder(self._folder)
        facts = os.fstat(self._descriptor)
        if not stat.S_ISREG(facts.st_mode):
            raise OSError(0, f"{FILE} is not a regular file")
        return LogPosition(facts.st_ino, facts.st_size)


def _inode(path: Path) -> int:
    try:
        return path.lstat().st_ino
    except FileNotFoundError:
        return 0


def _write(descriptor: int, data: bytes, offset: int) -> None:
    left = memoryview(data)
    while left:
        written = os.pwrite(descriptor, left, offset)
        left, offset = left[written:], offset + written


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _failed(folder: Path, error: OSError) -> StoreError:
    return StoreError("DETECTION_LOG", f"{folder / FILE}: {error.strerror or error}")
