"""The two matchers and the buffer between records and Hyperscan."""

import sys

import numpy as np
import pytest

from content.matching import hyperscan_matcher, matcher, re2_matcher
from content.matching.column import STAND_IN, WORD, TextColumn
from content.matching.default_matcher import default_factory
from content.matching.matcher import MatcherError
from content.matching.pattern import Pattern
from content.record import Records
from tests.unit.content.event_strategies import EVERY_KIND, apart
from tests.unit.content.interpreter_helpers import ARGUMENTS, MATCHERS, PATH, records

TEXT = EVERY_KIND.field(PATH)


def column(batch: Records, number: int = PATH) -> TextColumn:
    """The whole column of a field."""
    return TextColumn(batch, EVERY_KIND.field(number), np.arange(len(batch)))


def test_texts_are_apart_and_nothing_else_is_in_the_buffer() -> None:
    """A search would find stale memory, or two texts as one."""
    texts = [b"", b"1234567", b"12345678", b"a\x00b", b"\x01", b"x"]
    batch = records(*[{PATH: text} for text in texts])
    batch["path"][0] = 0x61
    batch["path"][5, 1:] = 0x62
    for gap in (0, 8, 24, 3):
        joined = column(apart(batch, gap)).joined()
        buffer = joined.buffer.tobytes()
        starts = joined.starts.tolist()
        assert buffer[:WORD] == bytes(WORD)
        assert all(start % WORD == 0 for start in starts)
        ends = [*starts[1:], len(buffer)]
        for text, start, end in zip(texts, starts, ends, strict=True):
            held = text.replace(b"\x00", bytes([STAND_IN]))
            assert buffer[start:end] == held.ljust(end - start, b"\x00")
            assert end - start > len(text)
        assert joined.ambiguous.tolist() == [3, 4]


def test_arguments_hold_spaces_where_the_kernel_stores_zero_bytes() -> None:
    """Words of a command line would be searched for in vain."""
    joined = column(records({ARGUMENTS: b"a\x00b c"}), ARGUMENTS).joined()
    assert joined.buffer.tobytes()[WORD : WORD + 5] == b"a b c"
    assert not len(joined.ambiguous)


def test_a_column_knows_only_the_rows_it_was_given() -> None:
    """Refused or absent rows would be searched."""
    batch = records({PATH: b"a"}, {PATH: b"b"}, {PATH: b"c"})
    some = TextColumn(batch, TEXT, np.array([0, 2]))
    assert list(some.texts()) == [(0, b"a"), (2, b"c")]
    assert b"b" not in some.joined().buffer.tobytes()
    assert len(TextColumn(batch, TEXT, np.array([], dtype=np.int64)).joined().buffer) == WORD


@pytest.mark.parametrize("factory", MATCHERS)
def test_a_matcher_reports_rows_of_the_batch(factory: matcher.MatcherFactory) -> None:
    """Hits would be led back to the wrong events."""
    batch = records({PATH: b"xay"}, {PATH: b"b"}, {PATH: b"ab"}, {PATH: b"zb"})
    some = TextColumn(batch, TEXT, np.array([0, 2, 3]))
    hits = factory([Pattern(b"a"), Pattern(b"b", at_end=True), Pattern(b"z" * 99)]).search(some)
    found = set(zip(hits.rows.tolist(), hits.patterns.tolist(), strict=True))
    assert found == {(0, 0), (2, 0), (2, 1), (3, 1)}


@pytest.mark.parametrize("factory", MATCHERS)
def test_no_patterns_find_nothing(factory: matcher.MatcherFactory) -> None:
    """A type whose content has no texts would stop the evaluator."""
    assert not len(factory([]).search(column(records({PATH: b"a"}))).rows)


def test_hyperscan_blames_the_pattern_that_it_refuses(monkeypatch: pytest.MonkeyPatch) -> None:
    """An author would be told that one of ten thousand expressions is wrong."""
    written = {Pattern(b"good"): b"good", Pattern(b"bad"): b"ba(d"}
    monkeypatch.setattr(hyperscan_matcher, "for_joined", written.__getitem__)
    with pytest.raises(MatcherError, match=r"ba\(d"):
        hyperscan_matcher.HyperscanMatcher(list(written))


def test_a_set_that_is_short_of_memory_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """An RE2 set without room finds nothing and says nothing: content would be dead silently."""
    monkeypatch.setattr(re2_matcher, "SET_MEMORY_BYTES", 1 << 16)
    patterns = [Pattern(b"needle-%06d-in-the-stack" % number) for number in range(400)]
    with pytest.raises(MatcherError):
        re2_matcher.Re2Matcher(patterns)


def test_re2_stands_in_where_hyperscan_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """A host without Hyperscan would have no protection at all."""
    default_factory.cache_clear()
    monkeypatch.setitem(sys.modules, "content.matching.hyperscan_matcher", None)
    try:
        assert default_factory() is re2_matcher.Re2Matcher
    finally:
        default_factory.cache_clear()
    monkeypatch.undo()
    assert default_factory() is hyperscan_matcher.HyperscanMatcher
