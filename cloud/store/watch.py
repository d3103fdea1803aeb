"""Notices that anybody has committed: one small question, asked many times a second."""

from threading import Lock

from cloud.errors import StoreError
from cloud.store.database import Database


class Watch:
    """A connection of its own that only ever asks whether there was a commit.

    It may be closed while another thread asks, as happens to who was cancelled in between: closing
    waits for the answer. SQLite would read what the closing has freed.
    """

    def __init__(self, database: Database) -> None:
        self._marks = database.marks()
        self._seen: object = None
        self._closed = False
        self._busy = Lock()

    def changed(self) -> bool:
        """Whether there may be something new since the last question; False once closed."""
        with self._busy:
            if self._closed:
                return False
            try:
                mark = self._marks.ask()
            except StoreError:  # whoever reads now finds out what is wrong
                return True
            changed = mark != self._seen
            self._seen = mark
            return changed

    def close(self) -> None:
        """Let go of the connection."""
        with self._busy:
            self._closed = True
            self._marks.close()
