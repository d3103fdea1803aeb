"""Notices that anybody has committed: one small question, asked many times a second."""

from cloud.errors import StoreError
from cloud.store.database import Database


class Watch:
    """A connection of its own that only ever asks whether there was a commit."""

    def __init__(self, database: Database) -> None:
        self._marks = database.marks()
        self._seen: object = None

    def changed(self) -> bool:
        """Whether there may be something new since the last question."""
        try:
            mark = self._marks.ask()
        except StoreError:  # whoever reads now finds out what is wrong
            return True
        changed = mark != self._seen
        self._seen = mark
        return changed

    def close(self) -> None:
        """Let go of the connection."""
        self._marks.close()
