"""The work budget of the Content Interpreter: what an instance may spend on one batch of records.

Work is counted in units, about a nanosecond each on a current processor (`bench.pricing` compares),
from what is known beforehand: calls, rows, bytes of text, hits. So whether content keeps to its
budget is the same on every machine, and `content.pricing` can say it before content goes anywhere.
What counting can't foresee, an expression on which RE2 gives up its automaton, is caught by the
processor time that the thread has really spent; time in which it did not run is nobody's fault, and
neither is Python's cyclic collector, which waits meanwhile (`content.matching.garbage`).

`Meter` holds one instance to its share. It is asked where work can be stopped: before each filter,
before each few texts that are judged one by one, and between clauses. What can't be stopped is
bounded by what it is given, and is short:

    a scan of one text field        linear in the batch's bytes: records times capacity. Its hits
                                    are bounded likewise; a pattern that is hit too often is muted,
                                    and its clauses are decided text by text, which is metered
    one text judged by RE2          linear: at most capacity times positions of the expression; so
                                    few texts are judged between two looks at the clock that the
                                    worst of them take UNINTERRUPTED_UNITS
    one filter over whole columns   linear in records, and in values where there are many
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from content.limits import LIMITS
from content.matching.pattern import Pattern
from content.regex_subset import positions

Clock = Callable[[], int]
"""Processor time of this thread, in nanoseconds."""

UNITS_PER_FILTER = 6_000
"""Calling a filter: a handful of numpy calls, however few the rows."""

UNITS_PER_ROW = 20
UNITS_PER_FOUND_ROW = 100
UNITS_PER_PREFIX = 30
"""Per row and address prefix."""

UNITS_PER_TEXT = 1_500
"""Taking one text out of its record."""

UNITS_PER_LITERAL = 70
UNITS_PER_LITERAL_BYTE = 0.1
UNITS_PER_FOLDED_BYTE = 0.6
UNITS_PER_EXPRESSION = 800
UNITS_PER_EXPRESSION_BYTE = 1.5
UNITS_PER_POSITION_AND_BYTE = 5
"""Where RE2 falls back from its automaton to following every position at once."""

UNITS_PER_HIT = 300
"""A matcher's call for one end of one match, and sorting it."""

UNINTERRUPTED_UNITS = 20_000_000
MOST_TEXTS_AT_ONCE = 256


class OverBudgetError(Exception):
    """An instance would spend more on a batch than its share."""


@dataclass(frozen=True, slots=True)
class TextWork:
    """What judging texts by one criterion takes, in units.

    texts_at_once: how many may be judged between two looks at the clock.
    """

    per_text: float
    per_byte: float
    texts_at_once: int

    def units(self, texts: int, size: int) -> int:
        """For so many texts of so many bytes together."""
        return int(self.per_text * texts + self.per_byte * size)


def text_work(patterns: Sequence[Pattern], capacity: int) -> TextWork:
    """What it takes to look for any of these in a text of at most `capacity` bytes."""
    trees = [pattern.body for pattern in patterns if not isinstance(pattern.body, bytes)]
    literals = [pattern for pattern in patterns if isinstance(pattern.body, bytes)]
    loose = sum(not (pattern.at_start or pattern.at_end) for pattern in literals)
    folded = any(not pattern.case_sensitive for pattern in literals)
    per_text = UNITS_PER_TEXT + UNITS_PER_LITERAL * loose + UNITS_PER_EXPRESSION * len(trees)
    per_byte = UNITS_PER_LITERAL_BYTE * loose + UNITS_PER_EXPRESSION_BYTE * len(trees)
    worst = sum(map(positions, trees)) * UNITS_PER_POSITION_AND_BYTE * capacity
    at_once = MOST_TEXTS_AT_ONCE if not worst else UNINTERRUPTED_UNITS // worst
    return TextWork(
        per_text + UNITS_PER_LITERAL * bool(literals),
        per_byte + UNITS_PER_FOLDED_BYTE * folded,
        min(MOST_TEXTS_AT_ONCE, max(1, at_once)),
    )


def units_of_batch(records: int) -> int:
    """An instance's share of a batch of so many records."""
    return LIMITS.work_units_per_batch + LIMITS.work_units_per_record * records


def hits_of_batch(records: int) -> int:
    """So many hits of one pattern would use that share up."""
    return units_of_batch(records) // UNITS_PER_HIT


class Meter:
    """What one instance at a time has spent on a batch."""

    def __init__(self, clock: Clock, records: int) -> None:
        self._clock = clock
        self._most = units_of_batch(records)
        self._most_nanoseconds = self._most * LIMITS.work_nanoseconds_per_unit
        self._owner: int | None = None
        self._spent = 0
        self._began: int | None = None

    def turn_to(self, owner: int) -> None:
        """Hold this instance to its share from now on; OverBudgetError if it is used up."""
        if owner == self._owner:
            self.look()
        else:
            self._owner, self._spent, self._began = owner, 0, None

    def spend(self, units: int) -> None:
        """Count work that is about to be done; OverBudgetError where it is too much."""
        self._spent += units
        if self._spent > self._most:
            raise OverBudgetError(
                f"work of {self._spent:,} units, expected at most {self._most:,} for this batch"
            )

    def look(self) -> None:
        """Look at the clock; OverBudgetError where more time has gone than counting foresaw.

        Time runs from an instance's first look: what can be counted exactly needs no clock.
        """
        now = self._clock()
        if self._began is None:
            self._began = now
        spent = now - self._began
        if spent > self._most_nanoseconds:
            raise OverBudgetError(
                f"{spent / 1e6:,.0f} ms of processor time, expected at most "
                f"{self._most_nanoseconds / 1e6:,.0f} ms for this batch"
            )
