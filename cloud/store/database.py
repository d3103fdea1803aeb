"""One SQLite database in WAL mode behind SQLAlchemy Core: transactions and their errors.

Whoever reads sees the last commit and blocks nobody; whoever writes takes the write lock at once
and waits for it at most `busy_ms`. A commit is on the disk when it returns: a receipt that follows
it holds across a crash. Errors of the driver become StoreError with a reason.
"""

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache, partial
from pathlib import Path
from typing import Any
from urllib.parse import quote

from sqlalchemy import Connection, Table, create_engine, event, insert, inspect, select
from sqlalchemy.dialects.sqlite import Insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from cloud.errors import CloudReason, StoreError
from cloud.limits import LIMITS
from cloud.store.tables import METADATA, SCHEMA, SCHEMA_VERSION

REASONS = {
    "SQLITE_BUSY": CloudReason.DATABASE_LOCKED,
    "SQLITE_LOCKED": CloudReason.DATABASE_LOCKED,
    "SQLITE_CANTOPEN": CloudReason.DATABASE_MISSING,
    "SQLITE_NOTADB": CloudReason.DATABASE_CORRUPT,
    "SQLITE_CORRUPT": CloudReason.DATABASE_CORRUPT,
    "SQLITE_FULL": CloudReason.DISK_FULL,
}
IMMEDIATE = "immediate"


class Database:
    """The cloud's store; usable from several threads."""

    def __init__(self, path: Path, mode: str, busy_ms: int) -> None:
        self.path = path
        self._connect = partial(_connect, path, mode, busy_ms)
        self._engine = create_engine("sqlite://", creator=self._connect, pool_size=4)
        event.listen(self._engine, "begin", _begin)

    @classmethod
    def create(cls, path: Path) -> "Database":
        """Make a new database; StoreError where that fails."""
        database = cls(path, "rwc", LIMITS.busy_ms)
        with database.writing() as connection:
            METADATA.create_all(connection)
            connection.execute(insert(SCHEMA).values(version=SCHEMA_VERSION))
        return database

    @classmethod
    def open(cls, path: Path, busy_ms: int = LIMITS.busy_ms) -> "Database":
        """Open an existing database; StoreError if it is missing or not one of ours."""
        database = cls(path, "rw", busy_ms)
        try:
            database._require_our_schema()
        except StoreError:
            database.close()
            raise
        return database

    @classmethod
    def look(cls, path: Path) -> "Database":
        """Open an existing database to read from; no file is made or written. StoreError as above.

        While somebody has it open, there is a log beside it that says what the last commit is, and
        SQLite needs no more. Where there is none, the file is taken to stay as it is: who begins to
        write to it in that moment may make this one read what was before, or fail.
        """
        others = path.with_name(path.name + "-wal").exists()
        database = cls(path, "ro" if others else "ro&immutable=1", LIMITS.busy_ms)
        try:
            database._require_our_schema()
        except StoreError:
            database.close()
            raise
        return database

    def _require_our_schema(self) -> None:
        found: object = "none"
        with self.reading() as connection:
            if inspect(connection).has_table(SCHEMA.name):
                found = connection.execute(select(SCHEMA.c.version)).scalar()
        if found != SCHEMA_VERSION:
            raise StoreError(
                CloudReason.DATABASE_VERSION,
                f"{self.path}: schema version {found}, expected {SCHEMA_VERSION}",
            )

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A consistent view of the last commit."""
        with self._translated(), self._engine.begin() as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """A transaction: all of it or nothing."""
        options = {IMMEDIATE: True}
        with self._translated(), self._engine.connect() as plain:
            connection = plain.execution_options(**options)
            with connection.begin():
                yield connection

    def plain_connection(self) -> sqlite3.Connection:
        """A connection beside SQLAlchemy's, for its caller to close."""
        return self._connect()

    def close(self) -> None:
        """Let go of all connections."""
        self._engine.dispose()

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except DBAPIError as error:
            raise _store_error(self.path, error.orig) from error
        except (SQLAlchemyError, OverflowError) as error:
            raise StoreError(CloudReason.DATABASE_ERROR, f"{self.path}: {error}") from error


def insert_once(connection: Connection, table: Table, rows: Sequence[Mapping[str, Any]]) -> int:
    """Insert rows whose keys are new, leave the others as they are; how many were new."""
    if not rows:
        return 0
    return connection.execute(_inserting_once(table), list(rows)).rowcount


def put(connection: Connection, table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
    """Insert rows, or replace the columns given where the primary key exists."""
    if not rows:
        return
    connection.execute(_putting(table, tuple(rows[0])), list(rows))


# To build a statement costs more than to execute it.
@cache
def _inserting_once(table: Table) -> Insert:
    return sqlite_insert(table).on_conflict_do_nothing()


@cache
def _putting(table: Table, names: tuple[str, ...]) -> Insert:
    statement = sqlite_insert(table)
    keys = {column.name for column in table.primary_key}
    replaced = {name: statement.excluded[name] for name in names if name not in keys}
    return statement.on_conflict_do_update(index_elements=sorted(keys), set_=replaced)


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
    immediate = connection.get_execution_options().get(IMMEDIATE, False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if immediate else "BEGIN")


def _store_error(path: Path, error: BaseException | None) -> StoreError:
    name = str(getattr(error, "sqlite_errorname", ""))
    reason = next(
        (reason for prefix, reason in REASONS.items() if name.startswith(prefix)),
        CloudReason.DATABASE_ERROR,
    )
    return StoreError(reason, f"{path}: {error}")
