"""Checked access to a batch of records: no input that is not supplied, nothing from another row."""

from dataclasses import replace

import numpy as np
import pytest

from content.matching.batch import BoundsError
from content.matching.matcher import Hits
from tests.unit.content.event_strategies import EVERY_KIND
from tests.unit.content.interpreter_helpers import (
    ADDRESS,
    IMAGE,
    PATH,
    RESULT,
    SIZE,
    batch_of,
    records,
)

ROWS = np.arange(3)
BATCH = batch_of(
    records(
        {PATH: b"a", SIZE: 1, ADDRESS: bytes(15) + b"\1"},
        {SIZE: (1 << 64) - 1, RESULT: -1},
        {PATH: b"c", ADDRESS: b"\xff" * 8 + bytes(8), IMAGE: b"x"},
    ),
    ROWS,
)


@pytest.mark.parametrize("number", [-1, 0, EVERY_KIND.arity + 1, 64])
def test_fields_outside_the_arity_are_out_of_bounds(number: int) -> None:
    """The incident: an input would be read that nobody supplies."""
    for read in (
        lambda: BATCH.field(number),
        lambda: BATCH.present(number, ROWS),
        lambda: BATCH.numbers(number, ROWS),
        lambda: BATCH.addresses(number, ROWS),
        lambda: BATCH.text(number, 0),
        lambda: BATCH.column(number),
    ):
        with pytest.raises(BoundsError, match=f"field {number} of {EVERY_KIND.arity}"):
            read()


def test_the_arity_that_is_checked_is_that_of_the_batch() -> None:
    """A field that the content knows and the record lacks would be read."""
    shorter = replace(EVERY_KIND, fields=EVERY_KIND.fields[:-1])
    batch = batch_of(records({PATH: b"a"}), ROWS[:1], shorter)
    assert batch.field(EVERY_KIND.arity - 1) is EVERY_KIND.fields[-2]
    with pytest.raises(BoundsError):
        batch.field(EVERY_KIND.arity)


def test_every_field_is_the_one_of_its_number() -> None:
    """Criteria would be compared with a neighbour of their field."""
    assert [BATCH.field(number) for number in range(1, EVERY_KIND.arity + 1)] == [
        *EVERY_KIND.fields
    ]


def test_presence_is_that_of_the_field_and_the_row() -> None:
    """What an event did not come with would be compared."""
    assert BATCH.present(PATH, ROWS).tolist() == [True, False, True]
    assert BATCH.present(PATH, ROWS[1:]).tolist() == [False, True]
    assert BATCH.present(SIZE, ROWS).tolist() == [True, True, False]
    assert BATCH.present(IMAGE, ROWS).tolist() == [False, False, True]


def test_values_are_those_of_the_asked_rows() -> None:
    """An event would be judged by another one's values."""
    assert BATCH.numbers(SIZE, ROWS[:2]).tolist() == [1, (1 << 64) - 1]
    assert BATCH.numbers(RESULT, ROWS[1:2]).tolist() == [-1]
    assert BATCH.addresses(ADDRESS, ROWS[::2]).tolist() == [[0, 1], [(1 << 64) - 1, 0]]
    assert [BATCH.text(PATH, row) for row in (0, 2, 0)] == [b"a", b"c", b"a"]
    assert [BATCH.text(IMAGE, 2), BATCH.text(PATH, 2)] == [b"x", b"c"]


def test_a_column_has_the_rows_that_have_the_field() -> None:
    """Rows without a field would be searched, or rows that were refused."""
    assert list(BATCH.column(PATH).texts()) == [(0, b"a"), (2, b"c")]
    some = batch_of(records({PATH: b"a"}, {PATH: b"b"}), ROWS[1:2])
    assert list(some.column(PATH).texts()) == [(1, b"b")]


def test_hits_are_kept_by_field_and_pattern() -> None:
    """A pattern would be taken for found where another one was."""
    batch = batch_of(records({PATH: b"a"}, {PATH: b"b"}), ROWS[:2])
    assert batch.hits(PATH, 0).tolist() == batch.ambiguous(PATH).tolist() == []
    assert batch.muted(PATH) == frozenset()
    none = ROWS[:0]
    on_path = {0: ROWS[:1], 1: ROWS[:2]}
    batch.keep_hits(PATH, on_path, Hits(none, none, ROWS[1:2], frozenset({3})))
    batch.keep_hits(IMAGE, {1: ROWS[2:]}, Hits(none, none, none))
    found = [batch.hits(field, pattern).tolist() for field in (PATH, IMAGE) for pattern in (0, 1)]
    assert found == [[0], [0, 1], [], [2]]
    assert batch.ambiguous(PATH).tolist() == [1]
    assert batch.ambiguous(IMAGE).tolist() == []
    assert batch.muted(PATH) == {3}
    assert batch.muted(IMAGE) == frozenset()
