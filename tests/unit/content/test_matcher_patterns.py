"""Patterns: what criteria become, how rare they are guessed to be, and how they are written."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from content.matching import glob
from content.matching.emit import for_joined, for_single_texts
from content.matching.pattern import Pattern, needle, patterns_of, without_slack
from content.matching.re2_matcher import single
from content.model import Criterion, Operator
from content.regex_subset import ExpressionError, matches_empty, parse
from tests.unit.content import reference_evaluator
from tests.unit.content.event_strategies import EXPRESSIONS, GLOBS, TEXTS


def pattern(operator: Operator, value: bytes, *, case_sensitive: bool = False) -> Pattern:
    """The pattern of a criterion with one value."""
    criterion = Criterion(1, operator, (value,), case_sensitive=case_sensitive)
    (found,) = patterns_of(criterion)
    return found


@pytest.mark.parametrize(
    ("operator", "value", "expected"),
    [
        (Operator.EQUALS, b"a.b", Pattern(b"a.b", at_start=True, at_end=True)),
        (Operator.STARTS_WITH, b"a", Pattern(b"a", at_start=True)),
        (Operator.ENDS_WITH, b"a", Pattern(b"a", at_end=True)),
        (Operator.CONTAINS, b"a", Pattern(b"a")),
        (Operator.REGEX, rb"^/bin/sh$", Pattern(b"/bin/sh", at_start=True, at_end=True)),
        (Operator.REGEX, rb"a\.b", Pattern(b"a.b")),
        (Operator.GLOB, rb"a\*b", Pattern(b"a*b", at_start=True, at_end=True)),
    ],
)
def test_text_without_choices_becomes_a_literal(
    operator: Operator, value: bytes, expected: Pattern
) -> None:
    """Plain text would be searched for and confirmed as slowly as an expression."""
    assert pattern(operator, value) == expected


def test_values_of_criteria_that_are_no_text_are_refused() -> None:
    """A number would be searched for as if it were text."""
    with pytest.raises(TypeError):
        patterns_of(Criterion(1, Operator.EQUALS, (1,)))
    with pytest.raises(ValueError, match="LESS"):
        patterns_of(Criterion(1, Operator.LESS, (b"a",)))


@pytest.mark.parametrize(
    ("rarer", "commoner"),
    [
        (b"bulkhead-canary-", b"/usr/bin/bash"),
        (b"/dev/tcp/", b" -c "),
        (b"abc", b"ab"),
        (b"QZ", b"/BIN/SH"),
    ],
)
def test_ordinary_text_counts_as_common(rarer: bytes, commoner: bytes) -> None:
    """Clauses would be indexed under what every other event holds, and cost for each."""
    assert Pattern(rarer).bits > Pattern(commoner).bits


@pytest.mark.parametrize(
    ("expression", "trimmed"),
    [
        (b"a.*", b"a"),
        (b".*a", b"a"),
        (b"^.*a", b"a"),
        (b"a.*$", b"a"),
        (b"a+", b"a"),
        (b"a{2,5}", b"a{2,2}"),
        (b"b?a*c+d?", b"c"),
        (b"^a*b", b"^a*b"),
        (b"(?:.*a|b*c)d", b"(?:a|c)d"),
        (b"a(?:b|c*)", b"a"),
        (b"^a.*b$", b"^a.*b$"),
    ],
)
def test_loose_ends_are_cut_off(expression: bytes, trimmed: bytes) -> None:
    """A matcher would report an expression at every byte that follows it."""
    found = for_single_texts(Pattern(without_slack(parse(expression)), case_sensitive=True))
    wanted = for_single_texts(Pattern(parse(trimmed), case_sensitive=True))
    assert _bare(found) == _bare(wanted)


def _bare(expression: bytes) -> bytes:
    """Without groups and counts that change nothing."""
    return re.sub(rb"\(\?:((?:\\x..|\w))\)(?:\{1,1\})?", rb"\1", expression).replace(b"{1,1}", b"")


@given(expression=EXPRESSIONS, text=TEXTS)
@settings(max_examples=600, deadline=None)
def test_cutting_loose_ends_changes_no_answer(expression: bytes, text: bytes) -> None:
    """An expression would be found elsewhere than it says."""
    whole = parse(expression)
    cut = without_slack(whole)
    if not matches_empty(cut):
        before = single(Pattern(whole, case_sensitive=True))(text)
        assert single(Pattern(cut, case_sensitive=True))(text) == before


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        (rb"/opt/Tool[0-9]+\.zip", Pattern(b"/opt/tool")),
        (rb"^.*curl (?:-o|-O) /dev/shm/x", Pattern(b" /dev/shm/x")),
        (rb"(?:wget|curl) -q?", None),
        (rb"/usr/bin/python[0-9]", None),
        (rb"(?:tool-00017){2}x", None),
        (rb"tool-00017|tool-00018", None),
    ],
)
def test_a_rare_literal_is_searched_for_in_an_expressions_stead(
    expression: bytes, expected: Pattern | None
) -> None:
    """Thousands of expressions would take minutes to compile, or ordinary text would be found."""
    whole = pattern(Operator.REGEX, expression)
    assert needle(whole) == (expected or whole)


LITERALS_AND_GAPS = st.lists(
    st.sampled_from([b"a", b"B", b"/", b".", b"[ab]", b"b+", b"a?", b"(?:a|/)", b"(?:ab)"]),
    min_size=1,
    max_size=4,
).map(b"".join)
TEXTS_THAT_OFTEN_MATCH = st.lists(st.sampled_from(list(b"aAbB/")), max_size=8).map(bytes)


@given(
    expression=LITERALS_AND_GAPS.filter(lambda one: one.replace(b"a?", b"") != b""),
    text=TEXTS_THAT_OFTEN_MATCH,
    case_sensitive=st.booleans(),
)
@settings(max_examples=600, deadline=None)
def test_no_text_of_a_pattern_is_without_its_needle(
    expression: bytes,
    text: bytes,
    case_sensitive: bool,  # noqa: FBT001  hypothesis gives it
) -> None:
    """An instance would not be found on events that it matches."""
    whole = pattern(Operator.REGEX, expression, case_sensitive=case_sensitive)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("content.matching.pattern.RARE_BITS", 1)
        searched = needle(whole)
    if single(whole)(text):
        assert single(searched)(text)


@given(value=GLOBS, text=TEXTS, case_sensitive=st.booleans())
@settings(max_examples=600, deadline=None)
def test_globs_mean_what_the_slow_reference_says(
    value: bytes,
    text: bytes,
    case_sensitive: bool,  # noqa: FBT001  hypothesis gives it
) -> None:
    """A star or an escape would match too much or too little."""
    node = glob.parse(value, case_sensitive=case_sensitive)
    if not case_sensitive:
        found = single(Pattern(node, case_sensitive=True))(text)
        assert found == reference_evaluator.glob_matches(value.lower(), text.lower())
    else:
        found = single(Pattern(node, case_sensitive=True))(text)
        assert found == reference_evaluator.glob_matches(value, text)


def test_a_glob_with_a_lone_backslash_is_refused_with_its_position() -> None:
    """The author would not learn what is wrong with the glob."""
    with pytest.raises(ExpressionError) as caught:
        glob.parse(b"/tmp/*\\")
    assert caught.value.position == 7


def test_nothing_of_an_expression_matches_a_separator() -> None:
    """A match could run from one event's text into the next one's."""
    nodes = [parse(one) for one in (rb"a.b", rb"a[^x]b", rb"a\x00b", rb"a[\x00-\x05]b", rb"a\Wb")]
    for node in nodes:
        written = for_joined(Pattern(node, case_sensitive=True))
        joined = re.compile(written, re.DOTALL)
        assert joined.search(b"a\x00b") is None
        assert joined.search(b"a\x01b") is not None


def test_anchors_become_the_separators_that_are_there() -> None:
    """Anchored content would be found in the middle of texts, or never."""
    written = for_joined(Pattern(b"a.b", at_start=True, at_end=True))
    assert written == rb"\x00a\x2eb\x00"
    assert for_single_texts(Pattern(b"a1", at_start=True, at_end=True)) == rb"\A[Aa]1\z"


@pytest.mark.parametrize(
    "expression", [rb"^(?:a{10}){110}b", rb"^(?:a{100}){11,}b", rb"^(?:a{1,10}){105,110}b"]
)
def test_repeats_that_re2_would_refuse_are_written_out(expression: bytes) -> None:
    """A sound expression would be refused because of another matcher's limit."""
    judge = single(Pattern(parse(expression), case_sensitive=True))
    assert judge(b"a" * 1100 + b"b")
    assert not judge(b"a" * 104 + b"b")
