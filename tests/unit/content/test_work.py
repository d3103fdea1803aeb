"""What work is counted for, and where a meter stops it.

The figures are those of this version: content that keeps to its budget on one sensor has to keep to
it on all, so that a change to any of them is to be made knowingly.
"""

from collections.abc import Sequence

import numpy as np
import pytest

from content.matching.criteria import text_judge
from content.matching.filters import (
    AddressFilter,
    Filter,
    FoundFilter,
    NumberFilter,
    PresenceFilter,
    TextFilter,
)
from content.matching.matcher import NO_ROWS, Hits
from content.matching.pattern import Pattern, patterns_of
from content.matching.work import (
    Meter,
    OverBudgetError,
    hits_of_batch,
    text_work,
    units_of_batch,
)
from content.model import AddressPrefix, Criterion, Operator
from tests.unit.content.event_strategies import EVERY_KIND
from tests.unit.content.interpreter_helpers import (
    ADDRESS,
    PATH,
    SIZE,
    batch_of,
    is_one,
    never,
    records,
)

UNITS, NANOSECONDS = 20_000_000, 60_000_000
"""What an instance may spend on a batch of no records."""


def expression(text: bytes) -> Pattern:
    """A pattern that is a tree."""
    (pattern,) = patterns_of(Criterion(PATH, Operator.REGEX, (text,)))
    assert not isinstance(pattern.body, bytes)
    return pattern


@pytest.mark.parametrize(
    ("patterns", "units"),
    [
        ([Pattern(b"ab")], 16_400 + 700),
        ([Pattern(b"ab", case_sensitive=True)] * 2, 17_100 + 200),
        ([Pattern(b"ab", at_start=True)], 15_700 + 600),
        ([Pattern(b"ab", at_end=True)], 15_700 + 600),
        ([Pattern(b"ab", at_start=True, at_end=True, case_sensitive=True)], 15_700),
        ([Pattern(b"ab", at_end=True), Pattern(b"c", case_sensitive=True)], 16_400 + 700),
        ([expression(b"a[0-9]b")], 23_000 + 1_500),
        ([expression(b"a[0-9]b")] * 3, 39_000 + 4_500),
        ([expression(b"a[0-9]b"), Pattern(b"ab")], 24_400 + 2_200),
    ],
)
def test_work_on_texts(patterns: Sequence[Pattern], units: int) -> None:
    """Content that is within its budget would exceed it with the next version, or the reverse."""
    assert text_work(patterns, 256).units(10, 1000) == units


def test_texts_between_two_looks_at_the_clock() -> None:
    """Expressions would hold up a batch between two looks, or the clock be looked at all the time.

    Where RE2 follows every position, 20 ms are 4,000,000 positions times bytes.
    """
    ten = expression(b"[ab]{10}")
    assert text_work([ten], 4000).texts_at_once == 100
    assert text_work([ten], 4001).texts_at_once == 99
    assert text_work([ten, ten], 4000).texts_at_once == 50
    assert text_work([ten, Pattern(b"ab")], 4000).texts_at_once == 100
    assert text_work([Pattern(b"ab")], 4000).texts_at_once == 256
    assert text_work([ten], 16).texts_at_once == 256
    assert text_work([ten] * 150, 4000).texts_at_once == 1


class Sum(Meter):
    """A meter that only adds up."""

    def __init__(self) -> None:
        super().__init__(never, 0)
        self.units = 0

    def spend(self, units: int) -> None:
        """Add."""
        self.units += units


def exact(criterion: Criterion) -> TextFilter:
    """A filter that judges text by text."""
    patterns = patterns_of(criterion)
    work = text_work(patterns, EVERY_KIND.field(criterion.field).capacity)
    return TextFilter(criterion.field, criterion.negated, text_judge(patterns), work)


CONTAINS = is_one(PATH, b"ab", Operator.CONTAINS)
TWO_PREFIXES = Criterion(ADDRESS, Operator.CIDR, (AddressPrefix(bytes(16), 64),) * 2)


@pytest.mark.parametrize(
    ("one", "units"),
    [
        (PresenceFilter(SIZE, negated=False), 6_000 + 10 * 20),
        (NumberFilter(is_one(SIZE, 1), EVERY_KIND.field(SIZE)), 6_000 + 10 * 20),
        (AddressFilter(TWO_PREFIXES, EVERY_KIND.field(ADDRESS)), 6_000 + 10 * (20 + 2 * 30)),
        # Five of the ten have a text, of 4 bytes.
        (exact(CONTAINS), 6_000 + 5 * 1_640 + 14),
        # Two values: found in three and in one, of which the matcher is sure.
        (FoundFilter((0, 1), exact(CONTAINS)), 2 * 6_000 + 100 * (10 + 3 + 1)),
        # Found in one of which it is not, which is judged.
        (FoundFilter((2,), exact(CONTAINS)), 3 * 6_000 + 100 * (10 + 1) + 1_640 + 2),
        # Not listened to any more.
        (FoundFilter((0, 3), exact(CONTAINS)), 6_000 + 5 * 1_640 + 14),
    ],
)
def test_work_of_filters(one: Filter, units: int) -> None:
    """A kind of criterion would cost less than it takes, or others pay for its rows."""
    events: list[dict[int, bytes | int]] = [{PATH: b"abcd"}, {SIZE: 1}]
    batch = batch_of(records(*events * 5), np.arange(10))
    batch.meter = total = Sum()
    found = {0: np.array([0, 2, 4]), 1: np.array([6]), 2: np.array([8])}
    batch.keep_hits(PATH, found, Hits(NO_ROWS, NO_ROWS, np.array([8]), frozenset({3})))
    one.keep(batch, batch.rows)
    assert total.units == units


def test_texts_are_counted_before_they_are_judged() -> None:
    """One more lot of texts would be judged after the budget is used up."""
    judged: list[bytes] = []

    def judge(text: bytes) -> bool:
        judged.append(text)
        return True

    work = text_work([expression(b"[ab]{255}")], 4096)
    assert work.texts_at_once == 3
    batch = batch_of(records(*[{PATH: b"a"}] * 10), np.arange(10))
    batch.meter.spend(units_of_batch(10) - 6_000 - work.units(3, 3) - work.units(3, 3))
    with pytest.raises(OverBudgetError):
        TextFilter(PATH, False, judge, work).keep(batch, batch.rows)
    assert len(judged) == 6


def test_the_budget_grows_with_the_batch() -> None:
    """A full batch would be held to what a single record may take, or the reverse."""
    assert (units_of_batch(0), units_of_batch(10)) == (UNITS, UNITS + 400_000)
    assert hits_of_batch(1) == (UNITS + 40_000) // 300


@pytest.mark.parametrize("owners", [(), (1,), (1, 2)])
def test_exactly_the_budget_may_be_spent(owners: Sequence[int]) -> None:
    """The limit would not be what is documented."""
    meter = Meter(never, 0)
    for owner in owners:
        meter.turn_to(owner)
    meter.spend(UNITS)
    with pytest.raises(OverBudgetError, match="work of 20,000,001 units, expected at most 20,000,"):
        meter.spend(1)


class Hands:
    """A clock that shows what it is set to."""

    def __init__(self) -> None:
        self.now = 5_000_000_000

    def __call__(self) -> int:
        """Nanoseconds since nobody knows when."""
        return self.now


def test_time_runs_from_the_first_look() -> None:
    """What a thread did before would be charged to an instance, or nothing at all."""
    clock = Hands()
    meter = Meter(clock, 0)
    meter.turn_to(1)
    meter.look()
    clock.now += NANOSECONDS
    meter.look()
    clock.now += 1
    with pytest.raises(OverBudgetError, match="60 ms of processor time, expected at most 60 ms"):
        meter.look()


def test_the_next_instance_begins_with_nothing_spent() -> None:
    """Instances would pay for those before them, in work or in time."""
    clock = Hands()
    meter = Meter(clock, 0)
    for owner in (1, 2, 1):
        meter.turn_to(owner)
        meter.spend(UNITS)
        meter.look()
        clock.now += NANOSECONDS
        meter.look()


def test_coming_back_to_an_instance_is_a_look_at_the_clock() -> None:
    """Clauses without a text would together take as long as they like."""
    clock = Hands()
    meter = Meter(clock, 0)
    meter.turn_to(1)
    meter.turn_to(1)
    clock.now += NANOSECONDS + 1
    with pytest.raises(OverBudgetError):
        meter.turn_to(1)
