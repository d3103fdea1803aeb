"""What differs between databases: how one is reached, how a transaction begins, what errors mean.

SQLite is a file beside the cloud's keys, and the default. PostgreSQL is a server that several
serving processes share. Everything else of `cloud.store` is the same for both.
"""

from pathlib import Path
from typing import Protocol, runtime_checkable

from sqlalchemy import Connection, Engine

from cloud.errors import CloudReason


class Marks(Protocol):
    """A connection of its own that tells whether anybody has committed."""

    def ask(self) -> object:
        """A value that is another one after every commit by anybody else; StoreError."""

    def close(self) -> None:
        """Let go of the connection."""


class Dialect(Protocol):
    """One database of one kind. `shared`: other hosts may write to it as well."""

    shared: bool

    def __str__(self) -> str:
        """What messages call it; never a password."""

    def engine(self) -> Engine:
        """A pool of connections, none of them open yet."""

    def begin_reading(self, connection: Connection) -> Connection:
        """The connection, set so that all it reads is as of one moment."""

    def begin_writing(self, connection: Connection) -> None:
        """Be the only one who writes until the transaction ends; called at its beginning."""

    def end_silent_writer(self, connection: Connection) -> int:
        """End a writer that was silent for too long; how many there were."""

    def reason(self, error: BaseException | None) -> CloudReason:
        """What an error of the driver means."""

    def marks(self) -> Marks:
        """Who has committed."""


@runtime_checkable
class ServerAddress(Protocol):
    """Where a database server is reached."""

    def dialect(self, busy_ms: int, *, read_only: bool = False) -> Dialect:
        """Its dialect; `busy_ms`: how long a writer waits for the others."""


Address = Path | ServerAddress
"""A file of SQLite, or a server."""
