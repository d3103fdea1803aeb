"""The matcher of production: one Hyperscan database, one scan for a whole batch.

The database reports every end of every match, because a mode that reports each pattern once would
report it for one text of the batch only. Ends become rows by where the texts start.

A text can be hit at every byte (`aa` in `aaaa…`). Where the hits of a batch are more than one
instance's work budget, the batch is scanned anew in pieces, so that memory stays bounded, and
patterns that are hit too often are muted: from then on they may be in any row. They still cost a
call per hit, at most one per byte and pattern.
"""

from collections.abc import Iterator, Sequence
from typing import cast

import hyperscan
import numpy as np
import numpy.typing as npt

from content.matching.column import Joined, Rows, TextColumn
from content.matching.emit import for_joined
from content.matching.matcher import NO_HITS, Hits, MatcherError
from content.matching.pattern import Pattern
from content.matching.work import hits_of_batch

PIECE_BYTES = 16 * 1024
"""How much is scanned at once where hits are so many that they have to be sorted meanwhile."""

SHARES_OF_ALL = 2
"""All patterns together may have so many times the hits of a batch that one may have."""


class HyperscanMatcher:
    """A `Matcher`. Not for use by two threads at once: a database has one scratch space."""

    def __init__(self, patterns: Sequence[Pattern]) -> None:
        self._database = _compile(patterns) if patterns else None
        self._count = len(patterns)
        self._muted: frozenset[int] = frozenset()

    def search(self, column: TextColumn) -> Hits:
        """All patterns in all texts of the column."""
        if self._database is None or not len(column):
            return NO_HITS
        joined = column.joined()
        most = hits_of_batch(len(column))
        try:
            patterns, ends = self._scan(joined.buffer, most)
        except hyperscan.ScanTerminated:
            return self._in_pieces(column, joined, most)
        texts = np.searchsorted(joined.starts, ends - 1, side="right") - 1
        return Hits(column.rows[texts], patterns, joined.ambiguous, self._muted)

    def _scan(self, buffer: npt.NDArray[np.uint8], most: int) -> tuple[Rows, Rows]:
        """Pattern and end of each hit; ScanTerminated where there are more than `most`."""
        if self._database is None:
            raise RuntimeError("a database of no patterns")
        muted = self._muted
        found: list[tuple[int, int]] = []
        add = found.append

        def on_match(pattern: int, _start: int, end: int, _flags: int, _context: object) -> bool:
            if pattern in muted:
                return False
            add((pattern, end))
            # Anything true ends the scan.
            return len(found) > most

        # Any buffer will do, without a copy; the type annotations of the wheel know text only.
        self._database.scan(cast("bytes", buffer), match_event_handler=on_match)
        patterns, ends = np.array(found, dtype=np.int64).reshape(-1, 2).T
        return patterns, ends

    def _in_pieces(self, column: TextColumn, joined: Joined, most: int) -> Hits:
        """The same for texts that are hit all over: piece by piece, each pair kept once.

        So memory is bounded by a piece; patterns that use up what there is are muted for good.
        """
        counts = np.zeros(self._count, dtype=np.int64)
        kept: list[Rows] = []
        for buffer, first in _pieces(joined):
            patterns, ends = self._scan(buffer, len(buffer) * self._count)
            places = np.searchsorted(joined.starts, ends + first - 1, side="right") - 1
            kept.append(np.unique(patterns * len(column) + places))
            counts += np.bincount(patterns, minlength=self._count)
            self._muted |= _too_many(counts, most)
            counts[list(self._muted)] = 0
        patterns, places = np.divmod(np.concatenate(kept), len(column))
        heard = ~np.isin(patterns, list(self._muted))
        rows = column.rows[places[heard]]
        return Hits(rows, patterns[heard], joined.ambiguous, self._muted)


def _pieces(joined: Joined) -> Iterator[tuple[npt.NDArray[np.uint8], int]]:
    """The buffer cut between texts, each piece with separators at both ends, and its offset."""
    starts, size = joined.starts, len(joined.buffer)
    first = 0
    while first < len(starts):
        behind = int(np.searchsorted(starts, starts[first] + PIECE_BYTES, side="right"))
        behind = max(first + 1, min(behind, len(starts)))
        begin = int(starts[first]) - 1
        yield joined.buffer[begin : starts[behind] if behind < len(starts) else size], begin
        first = behind


def _too_many(counts: Rows, most: int) -> frozenset[int]:
    """Patterns with more hits than one may have, and the largest of more than all may have."""
    muted = set(np.flatnonzero(counts > most).tolist())
    if counts.sum() > SHARES_OF_ALL * most:
        largest = np.argsort(-counts, kind="stable")
        before = np.cumsum(counts[largest]) - counts[largest]
        muted |= set(largest[before < counts.sum() // 2].tolist())
    return frozenset(muted)


def _compile(patterns: Sequence[Pattern]) -> hyperscan.Database:
    database = hyperscan.Database(mode=hyperscan.HS_MODE_BLOCK)
    folded = hyperscan.HS_FLAG_CASELESS
    try:
        database.compile(
            expressions=[for_joined(pattern) for pattern in patterns],
            ids=list(range(len(patterns))),
            elements=len(patterns),
            flags=[0 if pattern.case_sensitive else folded for pattern in patterns],
        )
    except hyperscan.HyperscanError as error:
        raise MatcherError(_blame(patterns, error)) from error
    return database


def _blame(patterns: Sequence[Pattern], error: Exception) -> str:
    """Compile errors name no pattern: find one that can't be compiled alone."""
    if len(patterns) == 1:
        return f"{for_joined(patterns[0])!r:.200}: {error}"
    for pattern in patterns:
        try:
            _compile([pattern])
        except MatcherError as blamed:
            return str(blamed)
    return f"{len(patterns)} patterns together: {error}"
