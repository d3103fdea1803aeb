"""The outbox's file in the state folder: opened, checked, set aside where it is damaged.

One link at a time: the folder is locked for as long as this process lives. SQLite runs in WAL mode
with synchronous=FULL, so that a transaction that has ended well is on the disk.

A new outbox starts its delivery numbers at the time of day in microseconds. The cloud drops what
it has already had by delivery number; an outbox that was lost must not start again at 1, or the
cloud would take new detections for old ones.
"""

import fcntl
import os
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from agent.link.errors import ConfigurationError
from agent.link.limits import LIMITS, LinkLimits
from agent.link.outbox import Loss, Outbox, OutboxReader
from content.loss_causes import LossCause

FILE = "outbox.db"
DAMAGED_FILE = "outbox.damaged.db"
FORMAT = 1
NANOSECONDS_PER_MICROSECOND = 1_000
_SCHEMA = """
CREATE TABLE outbox (
    delivery INTEGER PRIMARY KEY AUTOINCREMENT,
    kind INTEGER NOT NULL,
    subject BLOB UNIQUE,
    message BLOB NOT NULL
);
CREATE TABLE loss (
    cause TEXT NOT NULL,
    template_type INTEGER NOT NULL,
    from_unix_ns INTEGER NOT NULL,
    to_unix_ns INTEGER NOT NULL,
    count INTEGER NOT NULL,
    PRIMARY KEY (cause, template_type)
);
CREATE TABLE progress (
    run TEXT NOT NULL,
    report INTEGER NOT NULL,
    log_inode INTEGER NOT NULL,
    log_length INTEGER NOT NULL,
    dropped INTEGER NOT NULL
);
INSERT INTO progress VALUES ('', 0, 0, 0, 0);
"""


@dataclass(slots=True)
class OutboxFolder:
    """An opened state folder: keep it for as long as the outbox is used."""

    outbox: Outbox
    reader: OutboxReader
    lock: int

    def close(self) -> None:
        """Give up the database and the lock."""
        self.reader.close()
        self.outbox.close()
        os.close(self.lock)


def open_folder(
    folder: Path, now_unix_ns: Callable[[], int], limits: LinkLimits = LIMITS
) -> OutboxFolder:
    """Lock the folder and open its outbox; ConfigurationError where that is not possible."""
    lock = _lock(folder)
    try:
        writing, damaged = _open_sound(folder / FILE, now_unix_ns())
        outbox = Outbox(writing, limits)
        if damaged:
            with outbox.transaction():
                outbox.add_loss(Loss(LossCause.OUTBOX_DAMAGED, 0, 0, now_unix_ns(), 0))
        return OutboxFolder(outbox, OutboxReader(connect(folder / FILE)), lock)
    except sqlite3.Error as error:
        os.close(lock)
        raise ConfigurationError("OUTBOX_UNUSABLE", f"{folder / FILE}: {error}") from error


def _lock(folder: Path) -> int:
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise ConfigurationError("STATE_FOLDER", f"{folder}: {error.strerror}") from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise ConfigurationError(
            "STATE_FOLDER_IN_USE", f"{folder}: another link uses it; expected to be the only one"
        ) from None
    return descriptor


def _open_sound(path: Path, now_unix_ns: int) -> tuple[sqlite3.Connection, bool]:
    """The database, and whether a damaged one had to be set aside for it."""
    try:
        return _prepare(path, now_unix_ns), False
    except sqlite3.OperationalError:
        raise
    except sqlite3.DatabaseError:
        _set_aside(path)
        return _prepare(path, now_unix_ns), True


def _prepare(path: Path, now_unix_ns: int) -> sqlite3.Connection:
    connection = connect(path)
    try:
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        if version == 0:
            _create(connection, now_unix_ns // NANOSECONDS_PER_MICROSECOND)
        elif version != FORMAT:
            raise sqlite3.DatabaseError(f"format {version}, expected {FORMAT}")
        (verdict,) = connection.execute("PRAGMA quick_check(1)").fetchone()
        if verdict != "ok":
            raise sqlite3.DatabaseError(verdict)
    except sqlite3.Error:
        connection.close()
        raise
    return connection


def _create(connection: sqlite3.Connection, first_delivery: int) -> None:
    connection.executescript(f"BEGIN IMMEDIATE;{_SCHEMA}")  # one transaction: all or nothing
    connection.execute("INSERT INTO sqlite_sequence VALUES ('outbox', ?)", (first_delivery,))
    connection.execute(f"PRAGMA user_version = {FORMAT}")
    connection.execute("COMMIT")


def connect(path: Path) -> sqlite3.Connection:
    """A database of the link's folder, each commit of which is on the disk."""
    # Each connection is used by one thread at a time, not always by the one that opened it.
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    # The sandbox permits no temporary files outside the state folder.
    connection.execute("PRAGMA temp_store = MEMORY")
    return connection


def _set_aside(path: Path) -> None:
    for suffix in ("-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
    path.rename(path.with_name(DAMAGED_FILE))
