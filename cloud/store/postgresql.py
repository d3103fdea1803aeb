"""PostgreSQL: one database that several serving processes share.

Writers are serial, as they are on SQLite: a writing transaction takes an advisory lock before
anything else. So numbers rise in the order of commits, and what a transaction has read is still so
when it commits. That costs parallel writes; each serving process commits what waits in one
transaction, and a commit is what takes the time.

Whoever is cut off is noticed on both sides within seconds: the server ends a transaction whose
owner has gone silent, which gives the lock back. But it waits for ever for one that has begun a
pipeline of statements (as psycopg sends many rows) and not ended it: its time limits count from the
answer to a whole pipeline, and a peer that hangs keeps its TCP connection alive. So the others look
for such a writer, and end it. A password is never part of an address: libpq
finds it in a file (`?passfile=…`, PGPASSFILE, ~/.pgpass), which nobody else may read.
"""

import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from sqlalchemy import Connection, Engine, create_engine

from cloud.errors import CloudReason, FolderError, StoreError

SCHEMES = ("postgresql://", "postgres://")
SECRETS = ("password", "sslpassword", "oauth_client_secret")

WRITERS = 0x62756C6B  # "bulk"
"""The advisory lock that every writer takes."""

CONNECT_SECONDS = 3
SILENCE_MS = 5_000
"""After that long without an answer, the other side is gone."""

SERVER_SETTINGS: Mapping[str, str | int] = MappingProxyType(
    {
        "synchronous_commit": "on",
        "idle_in_transaction_session_timeout": SILENCE_MS,
        "statement_timeout": 30_000,
        "tcp_user_timeout": SILENCE_MS,
        "tcp_keepalives_idle": 3,
        "tcp_keepalives_interval": 1,
        "tcp_keepalives_count": 3,
        "client_encoding": "UTF8",
    }
)
"""Of each connection; times in ms, those of keepalives in s."""

SILENT_WRITER = """
SELECT pg_terminate_backend(pid) FROM pg_locks JOIN pg_stat_activity USING (pid)
WHERE locktype = 'advisory' AND granted AND classid = 0 AND objid = %s AND objsubid = 1
AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
AND wait_event = 'ClientRead' AND state_change < clock_timestamp() - make_interval(secs => %s)
"""
"""Who holds the writers' lock and is waited for, in a pipeline or not; of our own role only."""

CLIENT_SETTINGS: Mapping[str, str | int] = MappingProxyType(
    {
        "connect_timeout": CONNECT_SECONDS,
        "tcp_user_timeout": SILENCE_MS,
        "keepalives_idle": 3,
        "keepalives_interval": 1,
        "keepalives_count": 3,
        "application_name": "bulkhead",
    }
)
"""What an address does not say itself; in libpq's words."""

REASONS: Mapping[str, CloudReason] = MappingProxyType(
    {
        "08": CloudReason.DATABASE_UNREACHABLE,  # connection exception
        "25006": CloudReason.DATABASE_UNREACHABLE,  # a stand-by: it takes no writes
        "25P03": CloudReason.DATABASE_UNREACHABLE,  # silent in a transaction, and ended for it
        "28": CloudReason.DATABASE_UNREACHABLE,  # it does not let us in
        "3D000": CloudReason.DATABASE_MISSING,
        "40": CloudReason.DATABASE_LOCKED,  # serialization, deadlock
        "53100": CloudReason.DISK_FULL,
        "53": CloudReason.DATABASE_UNREACHABLE,  # too many connections, out of memory
        "55P03": CloudReason.DATABASE_LOCKED,
        "57014": CloudReason.DATABASE_LOCKED,  # took too long
        "57P": CloudReason.DATABASE_UNREACHABLE,  # it ends, or has just begun
        "58": CloudReason.DATABASE_UNREACHABLE,  # its own files fail
        "XX001": CloudReason.DATABASE_CORRUPT,
        "XX002": CloudReason.DATABASE_CORRUPT,
    }
)
"""By the beginning of the SQLSTATE, the first that fits."""


@dataclass(frozen=True, slots=True)
class PostgresAddress:
    """A libpq URI without a password; `parse` makes one."""

    uri: str

    @classmethod
    def parse(cls, uri: str) -> "PostgresAddress":
        """StoreError for what is no such URI, or names a password."""
        expected = "expected postgresql://[USER@]HOST[:PORT]/NAME[?passfile=FILE]"
        if not uri.startswith(SCHEMES) or not (uri.isascii() and uri.isprintable()):
            raise StoreError(CloudReason.DATABASE_ADDRESS_INVALID, f"database: {expected}")
        try:
            found = conninfo_to_dict(uri)
        except psycopg.Error as error:  # its message may quote what was given
            raise StoreError(
                CloudReason.DATABASE_ADDRESS_INVALID, f"database: no URI of libpq; {expected}"
            ) from error
        if not {"dbname", "service"} & found.keys():
            raise StoreError(
                CloudReason.DATABASE_ADDRESS_INVALID, f"database: names none; {expected}"
            )
        if any(name in found for name in SECRETS):
            raise StoreError(
                CloudReason.DATABASE_ADDRESS_INVALID,
                "database: the address holds a password; keep it in a file of mode 0600, "
                "and name that with ?passfile=FILE",
            )
        return cls(uri)

    def dialect(self, busy_ms: int, *, read_only: bool = False) -> "Postgresql":
        """FolderError where others may read the file with the password."""
        _require_private(conninfo_to_dict(self.uri).get("passfile"))
        return Postgresql(self, busy_ms, read_only=read_only)


class Postgresql:
    """One database of a server."""

    shared = True

    def __init__(self, address: PostgresAddress, busy_ms: int, *, read_only: bool) -> None:
        given = conninfo_to_dict(address.uri)
        server = {**SERVER_SETTINGS, "lock_timeout": busy_ms}
        if read_only:
            server["default_transaction_read_only"] = "on"
        ours = " ".join(f"-c {name}={value}" for name, value in server.items())
        options = f"{given.get('options') or ''} {ours}".strip()
        settings = {**CLIENT_SETTINGS, **given, "options": options}
        self._conninfo = make_conninfo("", **settings)
        self._name = f"postgresql://{given.get('host', '')}/{given.get('dbname', '')}"

    def __str__(self) -> str:
        return self._name

    def connect(self) -> psycopg.Connection[Any]:
        """One connection; psycopg.Error where there is no server."""
        return psycopg.connect(self._conninfo)

    def engine(self) -> Engine:
        """A pool; connections that a server has dropped meanwhile are replaced unnoticed."""
        return create_engine(
            "postgresql+psycopg://", creator=self.connect, pool_size=4, pool_pre_ping=True
        )

    def begin_reading(self, connection: Connection) -> Connection:
        """All statements see the moment of the first one."""
        return connection.execution_options(
            isolation_level="REPEATABLE READ", postgresql_readonly=True
        )

    def begin_writing(self, connection: Connection) -> None:
        """Wait for the other writers; every later statement sees what they have committed."""
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({WRITERS})")

    def end_silent_writer(self, connection: Connection) -> int:
        """End the session that holds the lock and has said nothing for SILENCE_MS."""
        given = (WRITERS, SILENCE_MS / 1e3)
        return len(connection.exec_driver_sql(SILENT_WRITER, given).all())

    def reason(self, error: BaseException | None) -> CloudReason:
        """By the SQLSTATE; without one, no server has answered."""
        state = getattr(error, "sqlstate", None)
        if state is None:
            gone = isinstance(error, psycopg.OperationalError)
            return CloudReason.DATABASE_UNREACHABLE if gone else CloudReason.DATABASE_ERROR
        found = (reason for prefix, reason in REASONS.items() if state.startswith(prefix))
        return next(found, CloudReason.DATABASE_ERROR)

    def marks(self) -> "PostgresMarks":
        """The server's own account of what has been committed."""
        return PostgresMarks(self)


class PostgresMarks:
    """Asks which transactions are over: no row is written to be able to tell.

    Transactions of other databases of the server count as well, and make somebody look in vain.
    """

    def __init__(self, dialect: Postgresql) -> None:
        self._dialect = dialect
        self._connection: psycopg.Connection[Any] | None = None

    def ask(self) -> object:
        """The server's current snapshot; it connects anew after an error."""
        try:
            if self._connection is None:
                self._connection = self._dialect.connect()
                self._connection.autocommit = True
            row = self._connection.execute("SELECT pg_current_snapshot()::text").fetchone()
        except psycopg.Error as error:
            self.close()
            raise StoreError(
                self._dialect.reason(error), f"{self._dialect}: {one_line(error)}"
            ) from error
        return row

    def close(self) -> None:
        """Let go of the connection."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()


def one_line(error: BaseException | None) -> str:
    """A message of the server or of libpq, which may have several lines."""
    return " ".join(str(error).split())


def _require_private(passfile: Any) -> None:
    if passfile is None:
        return
    path = Path(str(passfile))
    try:
        mode = path.stat().st_mode
    except OSError as error:
        raise FolderError(CloudReason.FILE_UNREADABLE, f"{path}: {error.strerror}") from error
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise FolderError(
            CloudReason.KEY_EXPOSED, f"{path}: others may read the password; expected mode 0600"
        )
