"""What notices commits, while one thread asks and another has had enough."""

import threading
from typing import TYPE_CHECKING, cast

from cloud.store.watch import Watch

if TYPE_CHECKING:
    from cloud.store.database import Database


class SlowMarks:
    """Answers when it is told to, and says in which order things happened."""

    def __init__(self) -> None:
        self.asked, self.may_answer = threading.Event(), threading.Event()
        self.said: list[str] = []

    def ask(self) -> object:
        """The first question takes long."""
        self.asked.set()
        assert self.may_answer.wait(10)
        self.said.append("answered")
        return 1

    def close(self) -> None:
        """SQLite frees what a question still reads."""
        self.said.append("closed")


class SlowDatabase:
    """Has nothing but marks."""

    def __init__(self, marks: SlowMarks) -> None:
        self._marks = marks

    def marks(self) -> SlowMarks:
        """The ones given."""
        return self._marks


def test_a_question_is_answered_before_its_connection_is_closed() -> None:
    """A page that was closed in this moment ended the whole console, by SIGSEGV."""
    marks = SlowMarks()
    watch = Watch(cast("Database", SlowDatabase(marks)))
    asking = threading.Thread(target=watch.changed)
    closing = threading.Thread(target=watch.close)
    asking.start()
    assert marks.asked.wait(10)
    closing.start()
    closing.join(0.1)
    assert (closing.is_alive(), marks.said) == (True, [])
    marks.may_answer.set()
    for thread in (asking, closing):
        thread.join(10)
    assert marks.said == ["answered", "closed"]
    assert watch.changed() is False
    assert marks.said == ["answered", "closed"]
