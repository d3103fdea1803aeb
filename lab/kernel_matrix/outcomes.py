"""What a session of tests in a guest said: lines of JSON from tests/outcome_lines.py, judged.

Pure. A session counts as passed only if every test that was collected has its outcome: a guest that
stopped half-way has shown nothing.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

PASSED = "passed"
SKIPPED = "skipped"
FAILED = "failed"
RANK = {PASSED: 0, SKIPPED: 1, FAILED: 2}
"""A test has an outcome per phase; the gravest one counts."""


@dataclass(frozen=True, slots=True)
class TestOutcome:
    """How one test ended, and why it failed or was skipped."""

    test: str
    outcome: str
    reason: str


@dataclass(slots=True)
class Session:
    """All outcomes of a session by test, how many there should be, and what ran last."""

    collected: int | None = None
    running: str | None = None
    tests: dict[str, TestOutcome] = field(default_factory=dict)

    def of(self, outcome: str) -> list[TestOutcome]:
        """Tests with that outcome, in the order they ran."""
        return [test for test in self.tests.values() if test.outcome == outcome]

    @property
    def complaint(self) -> str | None:
        """Why the session does not count as passed; None if it does."""
        if not self.collected:
            return "no test was collected"
        if len(self.tests) < self.collected:
            return f"{len(self.tests)} of {self.collected} tests ended; last was {self.running}"
        failed = len(self.of(FAILED))
        if failed:
            return f"{failed} tests failed"
        return None if self.of(PASSED) else "every test was skipped"


def read(lines: Iterable[str]) -> Session:
    """Put a session together; a line that is cut or foreign is passed over."""
    session = Session()
    for line in lines:
        said = _object(line)
        if "collected" in said:
            session.collected = int(said["collected"])
        elif "running" in said:
            session.running = str(said["running"])
        elif "test" in said and said.get("outcome") in RANK:
            _add(session, TestOutcome(said["test"], said["outcome"], said.get("reason", "")))
    return session


def _add(session: Session, new: TestOutcome) -> None:
    known = session.tests.get(new.test)
    if known is None or RANK[new.outcome] > RANK[known.outcome]:
        session.tests[new.test] = new


def _object(line: str) -> dict[str, Any]:
    try:
        said = json.loads(line)
    except ValueError:
        return {}
    return said if isinstance(said, dict) else {}
