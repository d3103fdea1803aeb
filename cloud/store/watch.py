"""Notices that anybody has committed: one question of microseconds, asked many times a second."""

import sqlite3

from cloud.store.database import Database


class Watch:
    """A connection of its own that only ever asks SQLite's data_version."""

    def __init__(self, database: Database) -> None:
        self._connection = database.plain_connection()
        self._connection.execute("PRAGMA busy_timeout=0")
        self._seen = -1

    def changed(self) -> bool:
        """Whether there may be something new since the last question; it never waits."""
        try:
            (version,) = self._connection.execute("PRAGMA data_version").fetchone()
        except sqlite3.OperationalError:  # whoever reads now finds out what is wrong
            return True
        changed = bool(version != self._seen)
        self._seen = version
        return changed

    def close(self) -> None:
        """Let go of the connection."""
        self._connection.close()
