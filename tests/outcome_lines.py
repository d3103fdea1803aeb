"""A pytest plugin that writes the outcome of each test as a line of JSON, while the tests run.

    python -m pytest -p tests.outcome_lines --outcome-lines FILE ...

The file may be a serial port: whoever reads it learns of every test that ended before a machine
stood still, and of the one that was running then. Read by lab/kernel_matrix/outcomes.py. Lines:

    {"collected": COUNT}
    {"running": TEST}
    {"test": TEST, "outcome": "passed" | "failed" | "skipped", "reason": TEXT, "seconds": NUMBER}

A test has one line for each of its phases (setup, call, teardown) that says more than "passed".
"""

import json
from collections.abc import Generator
from pathlib import Path
from typing import Any, TextIO

import pytest

REASON_CHARACTERS = 2000
"""The end of a failure's text that is kept."""

OPTION = "--outcome-lines"


class OutcomeLines:
    """Writes lines to a file that is opened once and flushed after each of them."""

    def __init__(self, file: TextIO) -> None:
        self._file = file

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Say how many tests there will be."""
        self._write({"collected": len(session.items)})

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        """Say which test is running."""
        self._write({"running": nodeid})

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Say how a test ended."""
        if report.when != "call" and report.outcome == "passed":
            return
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longreprtext
        self._write(
            {
                "test": report.nodeid,
                "outcome": report.outcome,
                "reason": reason[-REASON_CHARACTERS:],
                "seconds": round(report.duration, 3),
            }
        )

    def _write(self, line: dict[str, Any]) -> None:
        self._file.write(json.dumps(line) + "\n")
        self._file.flush()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option that names the file."""
    parser.addoption(OPTION, type=Path, help="where to write a line of JSON per outcome")


@pytest.hookimpl(wrapper=True)
def pytest_cmdline_main(config: pytest.Config) -> Generator[None, Any, Any]:
    """Write while the session runs."""
    path = config.getoption(OPTION)
    if path is None:
        return (yield)
    with path.open("w", encoding="ascii") as file:
        config.pluginmanager.register(OutcomeLines(file))
        return (yield)
