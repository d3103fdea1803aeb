"""The matcher of production: one Hyperscan database, one scan for a whole batch.

The database reports every end of every match, because a mode that reports each pattern once would
report it for one text of the batch only. Ends become rows by where the texts start.
"""

from collections.abc import Sequence
from typing import cast

import hyperscan
import numpy as np

from content.matching.column import TextColumn
from content.matching.emit import for_joined
from content.matching.matcher import NO_HITS, Hits, MatcherError
from content.matching.pattern import Pattern


class HyperscanMatcher:
    """A `Matcher`. Not for use by two threads at once: a database has one scratch space."""

    def __init__(self, patterns: Sequence[Pattern]) -> None:
        self._database = _compile(patterns) if patterns else None

    def search(self, column: TextColumn) -> Hits:
        """All patterns in all texts of the column."""
        if self._database is None or not len(column):
            return NO_HITS
        joined = column.joined()
        found: list[tuple[int, int]] = []
        add = found.append

        def on_match(pattern: int, _start: int, end: int, _flags: int, _context: object) -> None:
            # The result must be None: anything true would end the scan.
            add((pattern, end))

        # Any buffer will do, without a copy; the type annotations of the wheel know text only.
        self._database.scan(cast("bytes", joined.buffer), match_event_handler=on_match)
        if not found:
            return NO_HITS
        patterns, ends = np.array(found, dtype=np.int64).T
        texts = np.searchsorted(joined.starts, ends - 1, side="right") - 1
        return Hits(column.rows[texts], patterns, joined.ambiguous)


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
