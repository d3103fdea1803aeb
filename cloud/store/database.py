"""The store behind SQLAlchemy Core: transactions and their errors, for every kind of database.

Whoever reads sees the last commit and blocks nobody; writers come one after the other. A commit is
on the disk when it returns: a receipt that follows it holds across a crash. Errors of the driver
become StoreError with a reason.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Table, insert, inspect, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.sql.dml import ReturningInsert

from cloud.errors import CloudReason, StoreError
from cloud.limits import LIMITS
from cloud.store.dialects import Address, Dialect, Marks
from cloud.store.sqlite import WRITING, Sqlite
from cloud.store.tables import METADATA, SCHEMA, SCHEMA_VERSION

_Insert = sqlite.Insert | postgresql.Insert


class Database:
    """The cloud's store; usable from several threads.

    shared: whether other hosts may write to it as well.
    """

    def __init__(self, dialect: Dialect) -> None:
        self.shared = dialect.shared
        self._dialect = dialect
        self._engine = dialect.engine()

    def __str__(self) -> str:
        return str(self._dialect)

    @classmethod
    def create(cls, address: Address) -> "Database":
        """Make a new store; StoreError where that fails, or one is there already."""
        database = cls.reach(address)
        try:
            database.require_empty()
            with database.writing() as connection:
                METADATA.create_all(connection)
                connection.execute(insert(SCHEMA).values(version=SCHEMA_VERSION))
        except StoreError:
            database.close()
            raise
        return database

    @classmethod
    def open(cls, address: Address, busy_ms: int = LIMITS.busy_ms) -> "Database":
        """Open an existing store; StoreError if it is missing or not one of ours."""
        return _ours(cls(_dialect(address, "rw", busy_ms)))

    @classmethod
    def look(cls, address: Address) -> "Database":
        """Open an existing store to read from; no file is made or written. StoreError as above.

        While somebody has a file of SQLite open, there is a log beside it that says what the last
        commit is, and SQLite needs no more. Where there is none, the file is taken to stay as it
        is: who begins to write to it in that moment may make this one read what was before, or
        fail.
        """
        if not isinstance(address, Path):
            return _ours(cls(address.dialect(LIMITS.busy_ms, read_only=True)))
        others = address.with_name(address.name + "-wal").exists()
        mode = "ro" if others else "ro&immutable=1"
        return _ours(cls(_dialect(address, mode, LIMITS.busy_ms)))

    @classmethod
    def reach(cls, address: Address) -> "Database":
        """Whatever is there, or nothing yet: for who is about to make a store."""
        return cls(_dialect(address, "rwc", LIMITS.busy_ms))

    def require_empty(self) -> None:
        """StoreError where the database holds a cloud's store already."""
        with self.reading() as connection:
            if inspect(connection).has_table(SCHEMA.name):
                raise StoreError(
                    CloudReason.DATABASE_EXISTS, f"{self}: holds a store already; expected none"
                )

    def require_ours(self) -> None:
        """StoreError where the database holds no store, or one of another version."""
        found: object = "none"
        with self.reading() as connection:
            if inspect(connection).has_table(SCHEMA.name):
                found = connection.execute(select(SCHEMA.c.version)).scalar()
        if found != SCHEMA_VERSION:
            raise StoreError(
                CloudReason.DATABASE_VERSION,
                f"{self}: schema version {found}, expected {SCHEMA_VERSION}",
            )

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A consistent view of the last commit."""
        with self._translated(), self._engine.connect() as plain:
            connection = self._dialect.begin_reading(plain)
            with connection.begin():
                yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """A transaction: all of it or nothing.

        Where the database is gone while it commits (DATABASE_UNREACHABLE), nobody knows which.
        """
        with self._translated(), self._engine.connect() as plain:
            connection = plain.execution_options(**{WRITING: True})
            with connection.begin():
                self._dialect.begin_writing(connection)
                yield connection

    def end_silent_writer(self) -> int:
        """End a writer that hangs in its transaction and holds the others up; how many there were.

        The server does not do so in all cases (`cloud.store.postgresql`).
        """
        with self.reading() as connection:
            return self._dialect.end_silent_writer(connection)

    def marks(self) -> Marks:
        """By what to tell whether anybody has committed; for its caller to close."""
        return self._dialect.marks()

    def close(self) -> None:
        """Let go of all connections."""
        self._engine.dispose()

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except DBAPIError as error:
            told = " ".join(str(error.orig).split())
            raise StoreError(self._dialect.reason(error.orig), f"{self}: {told}") from error
        except (SQLAlchemyError, OverflowError) as error:
            raise StoreError(CloudReason.DATABASE_ERROR, f"{self}: {error}") from error


def insert_once(connection: Connection, table: Table, rows: Sequence[Mapping[str, Any]]) -> int:
    """Insert rows whose keys are new, leave the others as they are; how many were new."""
    if not rows:
        return 0
    statement = _inserting_once(connection.dialect.name, table)
    return len(connection.execute(statement, list(rows)).all())


def put(connection: Connection, table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
    """Insert rows, or replace the columns given where the primary key exists; the last one counts.

    All rows have the same columns.
    """
    if not rows:
        return
    keys = [column.name for column in table.primary_key]
    latest = {tuple(row[name] for name in keys): row for row in rows}
    statement = _putting(connection.dialect.name, table, tuple(rows[0]))
    connection.execute(statement, list(latest.values()))


# To build a statement costs more than to execute it.
@cache
def _inserting_once(dialect: str, table: Table) -> ReturningInsert[Any]:
    keys = table.primary_key.columns
    return _insert(dialect, table).on_conflict_do_nothing().returning(*keys)


@cache
def _putting(dialect: str, table: Table, names: tuple[str, ...]) -> _Insert:
    statement = _insert(dialect, table)
    keys = [column.name for column in table.primary_key]
    replaced = {name: statement.excluded[name] for name in names if name not in keys}
    return statement.on_conflict_do_update(index_elements=keys, set_=replaced)


def _insert(dialect: str, table: Table) -> _Insert:
    if dialect == "postgresql":
        return postgresql.insert(table)
    return sqlite.insert(table)


def _ours(database: Database) -> Database:
    try:
        database.require_ours()
    except StoreError:
        database.close()
        raise
    return database


def _dialect(address: Address, mode: str, busy_ms: int) -> Dialect:
    if isinstance(address, Path):
        return Sqlite(address, mode, busy_ms)
    return address.dialect(busy_ms)
