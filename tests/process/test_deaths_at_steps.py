"""An evaluator dies at a step of its cycle: each event counts once, each detection comes once."""

import json
import subprocess
import sys
from collections.abc import Mapping

import pytest

from tests.needs import require_root
from tests.patience import patient

TRIALS = [
    ("nothing matches", "evaluate", "after", 1, "killed"),
    ("nothing matches", "progress", "after", 1, "killed"),
    ("some match", "frame", "before", 1, "crash"),
    ("some match", "frame", "after", 1, "killed"),
    ("some match", "drained", "before", 1, "killed"),
    ("more than a message", "held", "after", 1, "killed"),
    ("more than a message", "frame", "after", 1, "killed"),
    ("an instance is left out", "undecided", "after", 1, "killed"),
    ("an instance is left out", "held", "after", 2, "killed"),
    ("an instance is left out", "commit", "before", 1, "crash"),
]
PROGRAM = """
import json, sys
from lab.deaths.books import LOADS, trial
from lab.deaths.steps import Ending, Moment, Step
loads = {one.name: one for one in LOADS}
for load, name, moment, time, ending in json.loads(sys.argv[1]):
    books = trial(loads[load], Step(name, Moment(moment), time), Ending(ending))
    print(json.dumps([books.balance, str(books)]))
"""
"""A process of its own, for all trials: forks are for processes with one thread."""


@pytest.fixture(scope="module")
def books() -> Mapping[tuple[object, ...], tuple[bool, str]]:
    """Whether the books balance, and what they say, of each trial."""
    require_root()
    ended = subprocess.run(
        [sys.executable, "-c", PROGRAM, json.dumps(TRIALS)],
        capture_output=True,
        text=True,
        check=False,
        timeout=patient(90.0),
    )
    assert ended.returncode == 0, ended.stderr[-2000:]
    lines = [json.loads(line) for line in ended.stdout.splitlines()]
    return dict(zip(TRIALS, lines, strict=True))


@pytest.mark.timeout(120)
@pytest.mark.parametrize("trial", TRIALS, ids=lambda trial: " ".join(map(str, trial)))
def test_books_balance(
    books: Mapping[tuple[object, ...], tuple[bool, str]], trial: tuple[object, ...]
) -> None:
    """An event would be lost or evaluated twice, or a detection reported twice or never."""
    balance, said = books[trial]
    assert balance, said
