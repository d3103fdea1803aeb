"""Criteria of one clause as filters over the rows of a batch, cheapest first.

    NumberFilter, AddressFilter, PresenceFilter   whole columns at once
    FoundFilter                                   by what a matcher already found in the batch
    TextFilter                                    exactly, text by text: for few candidates

A filter keeps the rows that satisfy its criterion; `content.matching.criteria` says what that means
and is what the rows of the last two are judged by. Before it does anything it tells the batch's
meter what that takes, and raises OverBudgetError where it is too much (`content.matching.work`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from content.matching.batch import Batch, Mask
from content.matching.column import Rows
from content.matching.criteria import TextJudge, prefix_bits
from content.matching.work import (
    UNITS_PER_FILTER,
    UNITS_PER_FOUND_ROW,
    UNITS_PER_PREFIX,
    UNITS_PER_ROW,
    TextWork,
)
from content.model import Criterion, Operator
from content.record import NUMBERS
from content.template_type import Field

HALF_BITS = 64
HALF_MASK = (1 << HALF_BITS) - 1

Numbers = npt.NDArray[np.uint64 | np.int64]


class Filter(Protocol):
    """One criterion of a clause."""

    def keep(self, batch: Batch, rows: Rows) -> Rows:
        """The rows, out of these, that satisfy the criterion."""
        ...


@dataclass(frozen=True, slots=True)
class PresenceFilter:
    """`exists`, and its negation."""

    field: int
    negated: bool

    def keep(self, batch: Batch, rows: Rows) -> Rows:
        """Rows in which the field was supplied, or was not."""
        batch.meter.spend(UNITS_PER_FILTER + UNITS_PER_ROW * len(rows))
        return _where(rows, batch.present(self.field, rows) != self.negated)


class NumberFilter:
    """A comparison of a number or an enum with any of several values."""

    def __init__(self, criterion: Criterion, field: Field) -> None:
        self._field = field.number
        self._negated = criterion.negated
        self._operator = criterion.operator
        values = [value for value in criterion.values if isinstance(value, int)]
        self._values: Numbers = np.array(sorted(set(values)), dtype=NUMBERS[field.kind])

    def keep(self, batch: Batch, rows: Rows) -> Rows:
        """Rows whose number compares."""
        batch.meter.spend(UNITS_PER_FILTER + UNITS_PER_ROW * len(rows))
        compared = self._compare(batch.numbers(self._field, rows))
        return _where(rows, (compared & batch.present(self._field, rows)) != self._negated)

    def _compare(self, numbers: Numbers) -> Mask:
        # Any of several bounds is the most generous of them.
        least, most = self._values[0], self._values[-1]
        match self._operator:
            case Operator.LESS:
                found = numbers < most
            case Operator.LESS_OR_EQUAL:
                found = numbers <= most
            case Operator.GREATER:
                found = numbers > least
            case Operator.GREATER_OR_EQUAL:
                found = numbers >= least
            case _ if len(self._values) == 1:
                found = numbers == least
            case _:
                found = np.isin(numbers, self._values)
        return np.asarray(found)


class AddressFilter:
    """An address under any of several prefixes."""

    def __init__(self, criterion: Criterion, field: Field) -> None:
        self._field = field.number
        self._negated = criterion.negated
        prefixes = [prefix_masks(*prefix_bits(value)) for value in criterion.values]
        self._wanted = np.array([wanted for wanted, _ in prefixes], dtype=np.uint64)
        self._masks = np.array([mask for _, mask in prefixes], dtype=np.uint64)

    def keep(self, batch: Batch, rows: Rows) -> Rows:
        """Rows whose address is under one of the prefixes."""
        per_row = UNITS_PER_ROW + UNITS_PER_PREFIX * len(self._wanted)
        batch.meter.spend(UNITS_PER_FILTER + per_row * len(rows))
        addresses = batch.addresses(self._field, rows)
        found = self._under_any(addresses)
        return _where(rows, (found & batch.present(self._field, rows)) != self._negated)

    def _under_any(self, addresses: npt.NDArray[np.uint64]) -> Mask:
        if len(addresses) <= len(self._wanted):
            compared = (addresses[:, np.newaxis] & self._masks) == self._wanted
            return np.asarray(compared.all(axis=2).any(axis=1))
        found = np.zeros(len(addresses), dtype=np.bool_)
        for wanted, mask in zip(self._wanted, self._masks, strict=True):
            found |= ((addresses & mask) == wanted).all(axis=1)
        return found


def prefix_masks(leading: int, shift: int) -> tuple[tuple[int, int], tuple[int, int]]:
    """A prefix as address and mask, each as upper and lower 64 bits."""
    address = leading << shift
    mask = ((1 << 2 * HALF_BITS) - 1) >> shift << shift
    return (address >> HALF_BITS, address & HALF_MASK), (mask >> HALF_BITS, mask & HALF_MASK)


@dataclass(frozen=True, slots=True)
class TextFilter:
    """A criterion on text, judged exactly and one text at a time.

    work: what judging takes; so many texts at once, with a look at the clock before each lot.
    """

    field: int
    negated: bool
    judge: TextJudge
    work: TextWork

    def keep(self, batch: Batch, rows: Rows) -> Rows:
        """Rows whose text is judged to satisfy the criterion."""
        batch.meter.spend(UNITS_PER_FILTER)
        held = batch.present(self.field, rows)
        held[held] = self._judged(batch, rows[held].tolist())
        return _where(rows, held != self.negated)

    def _judged(self, batch: Batch, rows: Sequence[int]) -> list[bool]:
        judged: list[bool] = []
        for start in range(0, len(rows), self.work.texts_at_once):
            some = rows[start : start + self.work.texts_at_once]
            texts = [batch.text(self.field, row) for row in some]
            batch.meter.spend(self.work.units(len(texts), sum(map(len, texts))))
            batch.meter.look()
            judged += map(self.judge, texts)
        return judged


@dataclass(frozen=True, slots=True)
class FoundFilter:
    """A criterion on text of which a matcher looks for every value in the whole batch.

    patterns: numbers of the values in the field's matcher. exact: for what the matcher can't say.
    """

    patterns: tuple[int, ...]
    exact: TextFilter

    def keep(self, batch: Batch, rows: Rows) -> Rows:
        """Rows in which a value was found; ambiguous ones are judged exactly."""
        field, negated = self.exact.field, self.exact.negated
        if not batch.muted(field).isdisjoint(self.patterns):
            return self.exact.keep(batch, rows)
        wanted = [batch.hits(field, pattern) for pattern in self.patterns]
        found_rows = np.concatenate(wanted)
        units = UNITS_PER_FOUND_ROW * (len(rows) + len(found_rows))
        batch.meter.spend(2 * UNITS_PER_FILTER + units)
        found = np.isin(rows, found_rows)
        unsure = found & np.isin(rows, batch.ambiguous(field))
        sure = _where(rows, ~unsure & (found != negated))
        if not unsure.any():
            return sure
        judged = self.exact.keep(batch, _where(rows, unsure))
        return np.sort(np.concatenate([sure, judged]))


def _where(rows: Rows, mask: Mask) -> Rows:
    kept: Rows = rows[mask]
    return kept
