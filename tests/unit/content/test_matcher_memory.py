"""Expressions that are each within the limits, and together more than memory holds."""

import subprocess
import sys

import pytest

from content.interpreter import Interpreter
from content.matching import re2_matcher
from content.model import Operator
from content.problems import ContentError
from content.reasons import Reason
from tests.needs import CHECKOUT
from tests.unit.content.event_strategies import channel_file
from tests.unit.content.interpreter_helpers import PATH, TYPES, clauses, is_one

LARGE = [rb"(.{1,200}[a-f]x%03d){8}" % number for number in range(100)]
"""Some 50 MiB of database."""

CONTENT = channel_file(*[clauses(is_one(PATH, one, Operator.REGEX)) for one in LARGE])


def test_content_whose_expressions_do_not_fit_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A trial would die for a reason that nobody reads, or go on with content that is dead."""
    monkeypatch.setattr(re2_matcher, "SET_MEMORY_BYTES", 1 << 16)
    with pytest.raises(ContentError) as refused:
        Interpreter([CONTENT], TYPES, matcher=re2_matcher.Re2Matcher)
    (problem,) = refused.value.problems
    assert (problem.reason, problem.place) == (Reason.EXPRESSION_NOT_ALLOWED, f"field {PATH}")


SHORT_OF_MEMORY = """
import resource
from pathlib import Path
from content.interpreter import Interpreter
from content.matching.hyperscan_matcher import HyperscanMatcher
from content.problems import ContentError
from tests.unit.content.test_matcher_memory import CONTENT
from tests.unit.content.interpreter_helpers import TYPES
used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + (16 << 20),) * 2)
try:
    Interpreter([CONTENT], TYPES, matcher=HyperscanMatcher)
except (ContentError, MemoryError) as error:
    print(type(error).__name__)
"""


def test_a_database_that_does_not_fit_into_memory_ends_nobody() -> None:
    """An evaluator within its memory limit would die in the compiler, without a reason."""
    ended = subprocess.run(
        [sys.executable, "-c", SHORT_OF_MEMORY],
        cwd=CHECKOUT,
        capture_output=True,
        check=True,
        timeout=50,
    )
    assert ended.stdout in (b"ContentError\n", b"MemoryError\n")
