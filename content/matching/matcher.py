"""What a matcher promises.

A matcher is built for a list of patterns and finds them in all texts of a column at once, in time
that is linear in the texts whatever the patterns say. It never leaves a match out, unless it says
that it has muted the pattern; in rows that it names as ambiguous it may report more than there is.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from content.matching.column import Rows, TextColumn
from content.matching.pattern import Pattern


class MatcherError(Exception):
    """A matcher can't be built for these patterns, or can't be relied upon."""


@dataclass(frozen=True, slots=True)
class Hits:
    """Pairs of a row and a pattern that was found in it, by position; pairs may repeat.

    patterns: numbers into the list that the matcher was built for.
    ambiguous: rows whose hits have to be confirmed.
    muted: patterns that were hit so often, now or in an earlier batch, that they are not listened
    to any more: they may be in any row.
    """

    rows: Rows
    patterns: Rows
    ambiguous: Rows
    muted: frozenset[int] = frozenset()


NO_ROWS: Rows = np.zeros(0, dtype=np.int64)
NO_HITS = Hits(NO_ROWS, NO_ROWS, NO_ROWS)


class Matcher(Protocol):
    """Finds many patterns in many texts."""

    def search(self, column: TextColumn) -> Hits:
        """All patterns in all texts of the column."""
        ...


MatcherFactory = Callable[[Sequence[Pattern]], Matcher]
"""Builds a matcher; no pattern may match the empty text. Raises MatcherError."""
