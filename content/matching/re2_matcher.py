"""The independent matcher: an RE2 set, one text at a time, on the texts as they are.

Slower than Hyperscan and built differently in every respect, which is what makes it a judge of the
other in tests and a stand-in where the other can't be used.
"""

from collections.abc import Callable, Sequence

import numpy as np
import re2

from content.matching.column import TextColumn
from content.matching.emit import for_single_texts
from content.matching.matcher import NO_HITS, NO_ROWS, Hits, MatcherError
from content.matching.pattern import Pattern

SET_MEMORY_BYTES = 256 * 1024 * 1024
"""For a set's program and the automaton that grows with use."""

EXPRESSION_MEMORY_BYTES = 4 * 1024 * 1024

_PROBE = b"\x00bulkhead probe\x00"


class Re2Matcher:
    """A `Matcher`; its hits are exact."""

    def __init__(self, patterns: Sequence[Pattern]) -> None:
        self._count = len(patterns)
        self._set = re2.Set.SearchSet(_options(SET_MEMORY_BYTES))
        try:
            for pattern in patterns:
                self._set.Add(for_single_texts(pattern))
            self._set.Add(rb"\A" + re2.escape(_PROBE) + rb"\z")
            self._set.Compile()
        except re2.error as error:
            raise MatcherError(f"RE2: {error}") from error
        # A set that is short of memory says nothing and finds nothing.
        if self._count not in (self._set.Match(_PROBE) or ()):
            raise MatcherError(
                f"RE2: {self._count} patterns need more than {SET_MEMORY_BYTES} bytes"
            )

    def search(self, column: TextColumn) -> Hits:
        """All patterns in all texts of the column."""
        if not self._count:
            return NO_HITS
        rows: list[int] = []
        patterns: list[int] = []
        known: dict[bytes, list[int]] = {}
        for row, text in column.texts():
            found = known.get(text)
            if found is None:
                found = known[text] = self._found(text)
            patterns += found
            rows += [row] * len(found)
        return Hits(np.array(rows, dtype=np.int64), np.array(patterns, dtype=np.int64), NO_ROWS)

    def _found(self, text: bytes) -> list[int]:
        return [pattern for pattern in self._set.Match(text) or () if pattern != self._count]


def single(pattern: Pattern) -> Callable[[bytes], bool]:
    """A function that says whether one text matches; MatcherError where RE2 refuses the pattern."""
    try:
        compiled = re2.compile(for_single_texts(pattern), _options(EXPRESSION_MEMORY_BYTES))
    except re2.error as error:
        raise MatcherError(f"RE2: {error}") from error
    return lambda text: compiled.search(text) is not None


def _options(memory: int) -> re2.Options:
    options = re2.Options()
    options.encoding = re2.Options.Encoding.LATIN1
    options.log_errors = False
    options.never_capture = True
    options.max_mem = memory
    return options
