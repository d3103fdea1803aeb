"""SQLite in WAL mode: one file, any number of readers, one writer at a time.

Whoever writes takes the write lock at once and waits for it at most `busy_ms`.
"""

import sqlite3
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from types import MappingProxyType
from urllib.parse import quote

from sqlalchemy import Connection, Engine, QueuePool, create_engine, event

from cloud.errors import CloudReason, StoreError

REASONS: Mapping[str, CloudReason] = MappingProxyType(
    {
        "SQLITE_BUSY": CloudReason.DATABASE_LOCKED,
        "SQLITE_LOCKED": CloudReason.DATABASE_LOCKED,
        "SQLITE_CANTOPEN": CloudReason.DATABASE_MISSING,
        "SQLITE_NOTADB": CloudReason.DATABASE_CORRUPT,
        "SQLITE_CORRUPT": CloudReason.DATABASE_CORRUPT,
        "SQLITE_FULL": CloudReason.DISK_FULL,
    }
)
"""By the beginning of the error's name."""

WRITING = "writing"


class Sqlite:
    """One file. mode: SQLite's own (`rw`, `rwc`, `ro`), further parameters of its URI included."""

    shared = False

    def __init__(self, path: Path, mode: str, busy_ms: int) -> None:
        self._path = path
        self._connect = partial(_connect, path, mode, busy_ms)

    def __str__(self) -> str:
        return str(self._path)

    def engine(self) -> Engine:
        """A pool; `begin` is said here, because the driver would say it too late.

        Without a name of a file, SQLAlchemy would take the pool for databases in memory, which
        closes a connection that another thread is using when there are more than four.
        """
        engine = create_engine("sqlite://", creator=self._connect, poolclass=QueuePool, pool_size=4)
        event.listen(engine, "begin", _begin)
        return engine

    def begin_reading(self, connection: Connection) -> Connection:
        """A transaction of SQLite sees one moment as it is."""
        return connection

    def begin_writing(self, connection: Connection) -> None:
        """The lock is taken by the first statement of the transaction."""
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    def end_silent_writer(self, _: Connection) -> int:
        """None: all writers are processes of this host."""
        return 0

    def reason(self, error: BaseException | None) -> CloudReason:
        """By SQLite's name of the error."""
        name = str(getattr(error, "sqlite_errorname", ""))
        found = (reason for prefix, reason in REASONS.items() if name.startswith(prefix))
        return next(found, CloudReason.DATABASE_ERROR)

    def marks(self) -> "SqliteMarks":
        """SQLite counts commits itself."""
        return SqliteMarks(self._connect())


class SqliteMarks:
    """Asks SQLite's data_version: a question of microseconds that never waits."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._connection.execute("PRAGMA busy_timeout=0")

    def ask(self) -> object:
        """SQLite's data_version."""
        try:
            (version,) = self._connection.execute("PRAGMA data_version").fetchone()
        except sqlite3.OperationalError as error:
            raise StoreError(CloudReason.DATABASE_LOCKED, str(error)) from error
        return version

    def close(self) -> None:
        """Let go of the connection."""
        self._connection.close()


def _connect(path: Path, mode: str, busy_ms: int) -> sqlite3.Connection:
    connection = sqlite3.connect(
        f"file:{quote(str(path.absolute()))}?mode={mode}",
        uri=True,
        isolation_level=None,
        check_same_thread=False,
    )
    try:
        for pragma in (f"busy_timeout={busy_ms}", "journal_mode=WAL", "synchronous=FULL"):
            connection.execute(f"PRAGMA {pragma}")
    except sqlite3.Error:
        connection.close()
        raise
    return connection


def _begin(connection: Connection) -> None:
    if not connection.get_execution_options().get(WRITING, False):
        connection.exec_driver_sql("BEGIN")
