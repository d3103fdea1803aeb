"""Indexes from what an event holds to the clauses that may match it.

Each clause is found by its rarest criterion, the anchor: by its patterns in a text field, by its
numbers, or by its address prefixes. Whatever an index returns are candidates: a superset of the
rows in which the anchor holds. The clause's filters decide.
"""

from collections.abc import Iterable, Iterator, Mapping

import numpy as np
import numpy.typing as npt

from content.matching.batch import Batch
from content.matching.column import Rows
from content.matching.filters import prefix_masks
from content.matching.matcher import Hits, Matcher, MatcherFactory
from content.matching.pattern import Pattern
from content.record import NUMBERS
from content.template_type import Field

Candidates = tuple[int, Rows]
"""A clause's number and the rows in which its anchor may hold, rising."""

MIX = np.uint64(0x9E3779B97F4A7C15)
"""An odd number: two halves of an address become one that rarely equals another's."""


class TextIndex:
    """All patterns that are looked for in one text field, each once."""

    def __init__(self, field: int) -> None:
        self._field = field
        self._numbers: dict[Pattern, int] = {}
        self._clauses: dict[int, list[int]] = {}
        self._matcher: Matcher | None = None

    def add(self, patterns: Iterable[Pattern]) -> tuple[int, ...]:
        """Have these patterns looked for; their numbers."""
        return tuple(self._numbers.setdefault(one, len(self._numbers)) for one in patterns)

    def add_clause(self, clause: int, patterns: Iterable[Pattern]) -> None:
        """Find this clause by any of these patterns."""
        for number in self.add(patterns):
            self._clauses.setdefault(number, []).append(clause)

    def build(self, factory: MatcherFactory) -> None:
        """Build the matcher, once all patterns are known; MatcherError if that fails."""
        self._matcher = factory(list(self._numbers))

    def candidates(self, batch: Batch) -> Iterator[Candidates]:
        """Search the field in the whole batch."""
        if self._matcher is None:
            raise RuntimeError("the matcher was not built")
        column = batch.column(self._field)
        hits = self._matcher.search(column)
        found = _rows_by_pattern(hits)
        batch.keep_hits(self._field, found, hits)
        for pattern, rows in found.items():
            for clause in self._clauses.get(pattern, ()):
                yield clause, rows
        # It may be anywhere; the clause's own filter decides, within its budget.
        for pattern in sorted(hits.muted):
            for clause in self._clauses.get(pattern, ()):
                yield clause, column.rows


def _rows_by_pattern(hits: Hits) -> Mapping[int, Rows]:
    """Each pattern that was found with its rows, rising and each once."""
    if not len(hits.rows):
        return {}
    span = int(hits.rows.max()) + 1
    pairs = np.unique(hits.patterns * span + hits.rows)
    patterns, first = np.unique(pairs // span, return_index=True)
    groups = np.split(pairs % span, first[1:])
    return dict(zip(patterns.tolist(), groups, strict=True))


class NumberIndex:
    """Clauses by the numbers that one field must have."""

    def __init__(self, field: Field) -> None:
        self._field = field
        self._clauses: dict[int, list[int]] = {}
        self._keys: npt.NDArray[np.uint64 | np.int64] | None = None

    def add_clause(self, clause: int, values: Iterable[int]) -> None:
        """Find this clause where the field has any of these values."""
        for value in values:
            self._clauses.setdefault(value, []).append(clause)

    def candidates(self, batch: Batch) -> Iterator[Candidates]:
        """Look up every row's number."""
        if self._keys is None:
            self._keys = np.array(sorted(self._clauses), dtype=NUMBERS[self._field.kind])
        rows = batch.rows[batch.present(self._field.number, batch.rows)]
        for key, found in _look_up(batch.numbers(self._field.number, rows), self._keys, rows):
            for clause in self._clauses[key]:
                yield clause, found


class AddressIndex:
    """Clauses by the prefixes that one address field must be under, one table per length."""

    def __init__(self, field: int) -> None:
        self._field = field
        self._tables: dict[tuple[int, int], dict[int, list[int]]] = {}
        self._keys: dict[tuple[int, int], npt.NDArray[np.uint64]] = {}

    def add_clause(self, clause: int, prefixes: Iterable[tuple[int, int]]) -> None:
        """Find this clause by prefixes, as leading bits and the number of bits behind them."""
        for leading, shift in prefixes:
            address, mask = prefix_masks(leading, shift)
            key = int(_mixed(np.array([address], dtype=np.uint64))[0])
            self._tables.setdefault(mask, {}).setdefault(key, []).append(clause)
            self._keys.pop(mask, None)

    def candidates(self, batch: Batch) -> Iterator[Candidates]:
        """Look up every row's address under each length of prefix."""
        rows = batch.rows[batch.present(self._field, batch.rows)]
        addresses = batch.addresses(self._field, rows)
        for mask, table in self._tables.items():
            if mask not in self._keys:
                self._keys[mask] = np.array(sorted(table), dtype=np.uint64)
            mixed = _mixed(addresses & np.array(mask, dtype=np.uint64))
            for key, found in _look_up(mixed, self._keys[mask], rows):
                for clause in table[key]:
                    yield clause, found


def _mixed(addresses: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    mixed: npt.NDArray[np.uint64] = addresses[:, 0] * MIX ^ addresses[:, 1]
    return mixed


def _look_up(
    values: npt.NDArray[np.uint64 | np.int64], keys: npt.NDArray[np.uint64 | np.int64], rows: Rows
) -> Iterator[tuple[int, Rows]]:
    """Each of the rising keys that occurs among the values, with the rows where it does."""
    if not len(keys) or not len(values):
        return
    places = np.minimum(np.searchsorted(keys, values), len(keys) - 1)
    hit = np.flatnonzero(keys[places] == values)
    if not len(hit):
        return
    order = hit[np.argsort(places[hit], kind="stable")]
    found, first = np.unique(places[order], return_index=True)
    for place, group in zip(found.tolist(), np.split(rows[order], first[1:]), strict=True):
        yield int(keys[place]), group
