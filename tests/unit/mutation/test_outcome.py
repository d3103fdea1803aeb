"""What a mutation run demands: enough killed, and a reason for each survivor."""

from pathlib import Path

import pytest

from tests.mutation import survivors
from tests.mutation.mutants import Mutant
from tests.mutation.reporting import Outcome, table
from tests.mutation.survivors import SurvivorsError, entry, read
from tests.mutation.targets import SURVIVORS

MUTANTS = [
    Mutant(f"{number:010x}", "content/a.py", number, "check", "check", 1, "if a:", "a", "not a")
    for number in range(40)
]
LAST = MUTANTS[-1]


def _outcome(survived: int, reasons: dict[str, str], known: int = 40) -> Outcome:
    killed_by = {
        mutant.id: "test" if number < 40 - survived else "" for number, mutant in enumerate(MUTANTS)
    }
    names = frozenset(mutant.id for mutant in MUTANTS[:known])
    return Outcome(MUTANTS, killed_by, reasons, names, quick=False, seconds=1)


def test_enough_with_reasons_is_enough() -> None:
    """A good run would fail."""
    assert _outcome(0, {}).faults() == []
    two = {mutant.id: "equal" for mutant in MUTANTS[-2:]}
    assert _outcome(2, two).faults() == []


def test_too_few_killed_fail_even_with_reasons() -> None:
    """Any check could be left untested with a good word."""
    three = {mutant.id: "equal" for mutant in MUTANTS[-3:]}
    assert _outcome(3, three).faults() == ["92.5% are killed, at least 95% must be"]


def test_a_survivor_without_reason_fails() -> None:
    """A check that no test needs would not be noticed."""
    assert _outcome(1, {}).faults() == [
        f"content/a.py:1 {LAST.id} survives without a reason in the list"
    ]


def test_entries_that_no_longer_hold_fail() -> None:
    """The list would excuse what it was never written for."""
    assert _outcome(0, {LAST.id: "equal"}).faults() == [
        f"entry {LAST.id} is to be deleted: is killed now"
    ]
    assert _outcome(0, {"gone": "equal"}).faults() == [
        "entry gone is to be deleted: there is no such mutant"
    ]


def test_the_table_counts() -> None:
    """The figures that people read would be other than those that decide."""
    assert [line.split() for line in table(_outcome(2, {})).splitlines()] == [
        ["file", "mutants", "killed", "survived", "share"],
        ["content/a.py", "40", "38", "2", "95.0%"],
        ["all", "40", "38", "2", "95.0%"],
    ]


def test_an_entry_is_read_as_it_is_written(tmp_path: Path) -> None:
    """What the run prints could not be pasted into the list."""
    file = tmp_path / "survivors.txt"
    both = [entry(MUTANTS[0], "one"), entry(MUTANTS[1], "other")]
    file.write_text("# heading\n\n" + "\n\n".join(both) + "\n", encoding="utf-8")
    assert read(file) == {MUTANTS[0].id: "one", MUTANTS[1].id: "other"}


@pytest.mark.parametrize(
    "text",
    [
        entry(LAST),
        entry(LAST, "one") + "\n\n" + entry(LAST, "one"),
        entry(LAST, "one").replace(survivors.REASON, "why: "),
        entry(LAST, "one") + "\n    and more",
    ],
)
def test_entries_of_another_form_are_refused(text: str, tmp_path: Path) -> None:
    """A survivor without a reason, or with two, would pass."""
    file = tmp_path / "survivors.txt"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(SurvivorsError):
        read(file)


def test_the_committed_list_is_of_its_form() -> None:
    """A run would fail after minutes of work."""
    assert all(read(SURVIVORS).values())
