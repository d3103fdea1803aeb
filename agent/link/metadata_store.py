"""Verified TUF metadata between runs of the link: what makes a rollback of metadata visible.

All root metadata since the installed one, and the newest timestamp, snapshot and targets. What a
refresh has verified is stored in one transaction, so that a full disk or a power cut leaves the
metadata of the refresh before. It is verified again when it is read: the file proves nothing.
"""

import sqlite3
from collections.abc import Mapping, Sequence
from pathlib import Path

from agent.link.errors import StoreError
from agent.link.outbox_file import connect

FILE = "metadata.db"
_SCHEMA = """CREATE TABLE IF NOT EXISTS metadata (
    role TEXT, version INTEGER, data BLOB NOT NULL, PRIMARY KEY (role, version)
)"""
NEWEST = 0
"""The version under which all roles but root are kept."""


class MetadataStore:
    """One file in the link's folder; used by one thread at a time."""

    def __init__(self, folder: Path) -> None:
        self._connection = _open(folder / FILE)

    def roots(self) -> Sequence[bytes]:
        """Root metadata, oldest first."""
        rows = self._connection.execute(
            "SELECT data FROM metadata WHERE role = 'root' ORDER BY version"
        )
        return [bytes(data) for (data,) in rows]

    def newest(self, role: str) -> bytes | None:
        """The last metadata of another role, if any."""
        row = self._connection.execute(
            "SELECT data FROM metadata WHERE role = ? AND version = ?", (role, NEWEST)
        ).fetchone()
        return None if row is None else bytes(row[0])

    def replace(self, roots: Mapping[int, bytes], others: Mapping[str, bytes]) -> None:
        """Add roots by version, replace other roles: all or nothing; StoreError for nothing."""
        rows = [("root", version, data) for version, data in roots.items()]
        rows += [(role, NEWEST, data) for role, data in others.items()]
        try:
            with self._connection:
                self._connection.execute("BEGIN IMMEDIATE")
                self._connection.executemany(
                    "INSERT OR REPLACE INTO metadata VALUES (?, ?, ?)", rows
                )
        except sqlite3.Error as error:
            raise StoreError("METADATA_STORE", str(error)) from error

    def close(self) -> None:
        """Let go of the file."""
        self._connection.close()


def _open(path: Path) -> sqlite3.Connection:
    """The database; a damaged one is replaced, as if this were the first run."""
    try:
        return _prepared(path)
    except sqlite3.OperationalError:
        raise
    except sqlite3.DatabaseError:
        for suffix in ("", "-wal", "-shm"):
            path.with_name(path.name + suffix).unlink(missing_ok=True)
        return _prepared(path)


def _prepared(path: Path) -> sqlite3.Connection:
    connection = connect(path)
    try:
        connection.execute(_SCHEMA)
    except sqlite3.Error:
        connection.close()
        raise
    return connection
