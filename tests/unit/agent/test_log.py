"""The supervisor's log: one line per happening, whatever is in it, and never a reason to stop."""

import io
import json
from typing import TextIO

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.supervisor.log import Log


class Broken(io.StringIO):
    """A standard error that is gone, or full."""

    def write(self, _text: str) -> int:
        """Fail as a closed pipe does."""
        raise BrokenPipeError


def written(*, as_json: bool, **facts: object) -> str:
    """What the log writes about one happening."""
    stream = io.StringIO()
    Log(as_json=as_json, stream=stream).say("evaluator says", **facts)
    return stream.getvalue()


@given(st.text(st.characters(exclude_categories=[]), max_size=100), st.booleans())
def test_any_text_stays_on_one_line(text: str, as_json: bool) -> None:  # noqa: FBT001
    """A role could write a line in the supervisor's name, or control the terminal."""
    line = written(as_json=as_json, line=text)
    assert line.endswith("\n")
    assert line[:-1].isprintable()
    if as_json:
        assert json.loads(line)["line"] == text


def test_facts_are_shown_in_order() -> None:
    """A reader would have to look for what matters."""
    line = written(as_json=False, pid=7, line="a\x1b[31m\nb")
    assert line.endswith("  evaluator says          pid=7  line=a\\x1b[31m\\x0ab\n")


def test_long_text_is_cut() -> None:
    """One line of a role would fill the log."""
    assert len(written(as_json=False, line="x" * 10**6)) < 3000
    assert len(written(as_json=True, line="x" * 10**6)) < 3000


@pytest.mark.parametrize("closed", [True, False])
def test_broken_standard_error_stops_nothing(closed: bool) -> None:  # noqa: FBT001
    """A terminal that was closed would end the protection of the host."""
    stream: TextIO = Broken()
    if closed:
        stream.close()
    Log(stream=stream).say("happening", pid=1)


def test_reduced_functionality_is_said_when_it_begins_changes_and_ends() -> None:
    """The log would not tell since when the sensor did less, or say it with every turn."""
    stream = io.StringIO()
    log = Log(stream=stream)
    for reasons in (["NO_EVALUATOR"], ["NO_EVALUATOR"], ["A", "B"], [], []):
        log.condition(reasons)
    said = [line.split("  ", 1)[1].split() for line in stream.getvalue().splitlines()]
    assert [" ".join(words) for words in said] == [
        "REDUCED FUNCTIONALITY because=NO_EVALUATOR",
        "REDUCED FUNCTIONALITY because=A, B",
        "full functionality",
    ]
