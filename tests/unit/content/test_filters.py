"""Filters over a batch keep exactly the rows for which their criterion holds."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np
import pytest

from content.matching.batch import Batch
from content.matching.criteria import holds, judge_of, text_judge
from content.matching.filters import (
    AddressFilter,
    Filter,
    FoundFilter,
    NumberFilter,
    PresenceFilter,
    TextFilter,
    prefix_masks,
)
from content.matching.matcher import NO_ROWS, Hits
from content.matching.pattern import patterns_of
from content.matching.work import text_work
from content.model import AddressPrefix, Criterion, Operator, Signed, Value
from tests.unit.content.event_strategies import EVERY_KIND
from tests.unit.content.interpreter_helpers import (
    ADDRESS,
    PATH,
    RESULT,
    SIZE,
    batch_of,
    is_one,
    records,
)

TOP = (1 << 64) - 1
MAPPED = bytes(10) + b"\xff\xff"
ADDRESSES: tuple[bytes | None, ...] = (
    None,
    bytes(16),
    MAPPED + b"\x0a\0\0\1",
    MAPPED + b"\x0a\1\0\0",
    MAPPED + b"\x0b\0\0\0",
    b"\x20\1" + bytes(14),
    b"\x20\1" + bytes(5) + b"\1" + bytes(7) + b"\1",
    b"\xff" * 16,
)
TEN_NETWORK = AddressPrefix(b"\x0a\0\0\0", 8)
PREFIXES = (
    TEN_NETWORK,
    AddressPrefix(b"\x0a\0\0\1", 32),
    AddressPrefix(bytes(16), 0),
    AddressPrefix(b"\x20\1" + bytes(14), 64),
    AddressPrefix(b"\x20\1" + bytes(14), 63),
    AddressPrefix(b"\x20\1" + bytes(14), 65),
    AddressPrefix(b"\xff" * 16, 128),
)
ORDERS = (
    Operator.EQUALS,
    Operator.LESS,
    Operator.LESS_OR_EQUAL,
    Operator.GREATER,
    Operator.GREATER_OR_EQUAL,
)


def _batch(field: int, values: Sequence[bytes | int | None]) -> Batch:
    events = [{} if value is None else {field: value} for value in values]
    return batch_of(records(*events), np.arange(len(values)))


def _kept(one: Filter, batch: Batch) -> list[int]:
    kept: list[int] = one.keep(batch, batch.rows).tolist()
    return kept


def _held(criterion: Criterion, values: Sequence[bytes | int | None]) -> list[int]:
    judge = judge_of(criterion, EVERY_KIND.field(criterion.field))
    return [row for row, value in enumerate(values) if holds(criterion, judge, value)]


@pytest.mark.parametrize("negated", [False, True])
def test_presence(*, negated: bool) -> None:
    """`exists` would mean absent."""
    kept = _kept(PresenceFilter(SIZE, negated), _batch(SIZE, (0, None, 1)))
    assert kept == ([1] if negated else [0, 2])


@pytest.mark.parametrize("negated", [False, True])
@pytest.mark.parametrize("operator", ORDERS)
@pytest.mark.parametrize("wanted", [(5,), (7, 5), (TOP,), (0, 6, TOP)])
def test_numbers(operator: Operator, wanted: tuple[int, ...], *, negated: bool) -> None:
    """A whole column would be compared otherwise than one value."""
    numbers = (None, 0, 4, 5, 6, 7, 8, TOP - 1, TOP)
    criterion = Criterion(SIZE, operator, wanted, negated)
    kept = _kept(NumberFilter(criterion, EVERY_KIND.field(SIZE)), _batch(SIZE, numbers))
    assert kept == _held(criterion, numbers)


@pytest.mark.parametrize("operator", ORDERS)
def test_signed_numbers(operator: Operator) -> None:
    """A negative number would be taken for a large one."""
    numbers = (-(1 << 63), -2, -1, 0, 1, (1 << 63) - 1)
    criterion = is_one(RESULT, Signed(-1), operator)
    kept = _kept(NumberFilter(criterion, EVERY_KIND.field(RESULT)), _batch(RESULT, numbers))
    assert kept == _held(criterion, numbers)


@pytest.mark.parametrize("negated", [False, True])
@pytest.mark.parametrize("few", [1, 2, len(ADDRESSES)])
@pytest.mark.parametrize("wanted", [*((one,) for one in PREFIXES), PREFIXES[:2], PREFIXES[1:4]])
def test_addresses(wanted: tuple[AddressPrefix, ...], few: int, *, negated: bool) -> None:
    """Few addresses under many prefixes would be judged otherwise than many under few."""
    criterion = Criterion(ADDRESS, Operator.CIDR, wanted, negated)
    one = AddressFilter(criterion, EVERY_KIND.field(ADDRESS))
    for start in range(len(ADDRESSES) - few + 1):
        addresses = ADDRESSES[start : start + few]
        assert _kept(one, _batch(ADDRESS, addresses)) == _held(criterion, addresses)


def test_prefixes_become_masks() -> None:
    """Bits behind the length would count, or bits before it not."""
    top = 1 << 63
    assert prefix_masks(0, 128) == ((0, 0), (0, 0))
    assert prefix_masks(1, 127) == ((top, 0), (top, 0))
    assert prefix_masks(1, 64) == ((1, 0), (TOP, 0))
    assert prefix_masks(3, 63) == ((1, top), (TOP, top))
    assert prefix_masks(5, 0) == ((0, 5), (TOP, TOP))


def _exact(criterion: Criterion) -> TextFilter:
    patterns = patterns_of(criterion)
    work = text_work(patterns, EVERY_KIND.field(criterion.field).capacity)
    return TextFilter(criterion.field, criterion.negated, text_judge(patterns), work)


TEXTS = (None, b"ab", b"AB", b"b", b"xabx", b"", b"a")


@pytest.mark.parametrize("negated", [False, True])
@pytest.mark.parametrize("values", [(b"ab",), (b"b", b"x")])
def test_texts(values: tuple[Value, ...], *, negated: bool) -> None:
    """A text would be judged as if it were another row's, or as if it were there."""
    criterion = Criterion(PATH, Operator.CONTAINS, values, negated)
    exact = _exact(criterion)
    for at_once in (1, 2, len(TEXTS)):
        one = replace(exact, work=replace(exact.work, texts_at_once=at_once))
        assert _kept(one, _batch(PATH, TEXTS)) == _held(criterion, TEXTS)


def _unsure(*rows: int, muted: Iterable[int] = ()) -> Hits:
    return Hits(NO_ROWS, NO_ROWS, np.array(rows, dtype=np.int64), frozenset(muted))


@pytest.mark.parametrize("negated", [False, True])
def test_found_texts(*, negated: bool) -> None:
    """What a matcher found would be lost, and what it is not sure of believed."""
    criterion = Criterion(PATH, Operator.CONTAINS, (b"ab", b"x"), negated)
    one = FoundFilter((4, 6), _exact(criterion))
    batch = _batch(PATH, (b"ab", b"b", b"x", b"b", b"ab", b"b"))
    found = {4: np.array([0, 3, 4]), 5: np.array([5]), 6: np.array([2])}
    batch.keep_hits(PATH, found, _unsure(3, 4, 5))  # 3 is no hit, 4 is one
    matched = [0, 2, 4]
    assert _kept(one, batch) == ([1, 3, 5] if negated else matched)
    never = replace(one.exact, judge=lambda _text: pytest.fail("a sure hit was judged again"))
    sure = replace(one, exact=never)
    batch.keep_hits(PATH, found, _unsure(1, 5, muted={5}))
    assert _kept(sure, batch) == ([1, 5] if negated else [0, 2, 3, 4])


@pytest.mark.parametrize("negated", [False, True])
def test_muted_texts(*, negated: bool) -> None:
    """What a matcher no longer listens to would be taken for not there."""
    criterion = Criterion(PATH, Operator.CONTAINS, (b"ab", b"x"), negated)
    batch = _batch(PATH, TEXTS)
    batch.keep_hits(PATH, {6: np.array([4])}, _unsure(muted={4}))
    assert _kept(FoundFilter((4, 6), _exact(criterion)), batch) == _held(criterion, TEXTS)


def test_only_the_rows_that_are_asked_for_are_kept() -> None:
    """Rows that an earlier criterion excluded would come back."""
    batch = _batch(SIZE, (1, 1, 1))
    rows = np.array([0, 2])
    one = NumberFilter(is_one(SIZE, 1), EVERY_KIND.field(SIZE))
    assert one.keep(batch, rows).tolist() == [0, 2]
    assert PresenceFilter(SIZE, negated=False).keep(batch, rows).tolist() == [0, 2]
