"""The log: one JSON object per line, whatever an agent calls itself."""

import json
import logging
from collections.abc import Iterator

import pytest

from cloud import journal


@pytest.fixture(autouse=True)
def _restore_logging() -> Iterator[None]:
    """Leave the test run's logging as it was."""
    root = logging.getLogger()
    before, level = list(root.handlers), root.level
    yield
    root.handlers[:] = before
    root.setLevel(level)


def test_every_event_is_one_json_line(capsys: pytest.CaptureFixture[str]) -> None:
    """A name with a newline would forge a log entry; a long one would fill the disk."""
    journal.start()
    journal.info("session_opened", agent_id='x\n{"level": "info"}\x1b[31m', rung=1)
    journal.warning("refused", message="y" * 5000, delivered=None)
    lines = capsys.readouterr().err.splitlines()
    first, second = map(json.loads, lines)
    assert (first["event"], first["rung"]) == ("session_opened", 1)
    assert "\x1b" not in lines[0]
    assert len(second["message"]) == journal.LONGEST_VALUE
    assert (second["level"], second["delivered"]) == ("warning", None)


def test_a_mistake_of_ours_is_logged_with_its_place(capsys: pytest.CaptureFixture[str]) -> None:
    """A bug in a handler would leave no trace."""
    journal.start()
    try:
        raise KeyError("bug")
    except KeyError:
        logging.getLogger("grpc._cython.cygrpc").exception("Unexpected")
    (line,) = capsys.readouterr().err.splitlines()
    assert "KeyError: 'bug'" in json.loads(line)["exception"]
