"""Sentences of the report say what was measured, and nothing else."""

from dataclasses import replace

import pytest

from lab.cells.model import Measured, Outcome
from lab.cells.words import duration
from lab.report.words import back_after, sentence
from tests.unit.lab.recorded_cells import BY_ARM, CALM

LOST = BY_ARM["K"]


@pytest.mark.parametrize(
    ("measured", "words"),
    [
        (
            LOST,
            (
                "The kernel panicked 3 times in 3 boots, and the host did not come back by itself; "
                "4 steps by hand brought protection back (boot another medium, mount the disk, "
                "delete the file, reboot); no account of lost events is kept."
            ),
        ),
        (
            replace(LOST, outcome=Outcome.HOST_RESTARTED, panics=1, restored_seconds=125.0),
            (
                "The kernel panicked once in 3 boots, and the host came back by itself; protection "
                "was back after 2 min 5 s; 4 steps by hand brought protection back (boot another "
                "medium, mount the disk, delete the file, reboot); no account of lost events is "
                "kept."
            ),
        ),
        (
            BY_ARM["P"],
            (
                "Agent ended twice and stayed away; the host ran on; protection did not come back "
                "by itself; 2 steps by hand brought protection back (delete the file, start the "
                "agent); 412 events lost."
            ),
        ),
        (
            replace(BY_ARM["P"], died=(), manual_steps=(), events_uncounted=3),
            (
                "The agent ended and stayed away; the host ran on; protection did not come back by "
                "itself; it was not repaired; 412 events lost, 3 of them uncounted."
            ),
        ),
        (
            replace(BY_ARM["W"], died=("evaluator (1)", "evaluator (2)", "link (3)")),
            (
                "3 processes ended (evaluator twice, link), and the host ran on; protection was "
                "back after 0.8 s; nobody had to do anything; no event was lost."
            ),
        ),
        (
            BY_ARM["G"],
            "It was refused and never evaluated; nobody had to do anything; no event was lost.",
        ),
        (
            replace(BY_ARM["B2"], events_lost=1),
            (
                "Nothing died, and the answer was wrong; nobody had to do anything; 1 event lost, "
                "none of them uncounted."
            ),
        ),
        (
            CALM,
            "It was evaluated, and nothing happened; nobody had to do anything; no event was lost.",
        ),
    ],
)
def test_a_sentence_is_made_of_the_measurement(measured: Measured, words: str) -> None:
    """The report would say something else than was measured."""
    assert sentence(measured) == words


@pytest.mark.parametrize(
    ("measured", "words"),
    [
        (BY_ARM["K"], "it did not come back by itself"),
        (BY_ARM["W"], "0.83 s"),
        (BY_ARM["G"], "it was never lost"),
        (replace(BY_ARM["G"], restored_seconds=0.3), "it was never lost"),
    ],
)
def test_what_was_never_lost_does_not_come_back(measured: Measured, words: str) -> None:
    """A cell in which nothing happened would look like one without protection."""
    assert back_after(measured) == words


def test_a_host_that_hangs_is_not_up() -> None:
    """A kernel in an endless loop would be told as one that ran all the time."""
    assert not replace(LOST, panics=0, boots=("1",)).host_up
    assert BY_ARM["P"].host_up


@pytest.mark.parametrize("outcome", Outcome)
def test_every_outcome_has_a_sentence(outcome: Outcome) -> None:
    """A new outcome would end the report with a traceback."""
    assert sentence(replace(CALM, outcome=outcome)).endswith(".")


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.04, "0.0 s"),
        (9.94, "9.9 s"),
        (41.4, "41 s"),
        (59.7, "60 s"),
        (60, "1 min 0 s"),
        (3599.8, "1 h 0 min"),
        (7510, "2 h 5 min"),
    ],
)
def test_times_are_said_as_people_do(seconds: float, words: str) -> None:
    """Somebody would be told to wait 60 minutes and 60 seconds."""
    assert duration(seconds) == words
