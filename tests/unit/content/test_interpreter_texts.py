"""Texts in records: their bytes, their ends, the memory around them, and the time they take."""

from dataclasses import replace

import numpy as np
import pytest

from content.interpreter import Interpreter
from content.matching.matcher import MatcherFactory
from content.model import Criterion, Operator
from content.record import encode
from content.template_type import Rung
from tests.unit.content.event_strategies import EVERY_KIND, apart, channel_file
from tests.unit.content.growth import LINEAR, cost
from tests.unit.content.interpreter_helpers import (
    ARGUMENTS,
    IMAGE,
    MATCHERS,
    PATH,
    TYPES,
    clauses,
    is_one,
    matched,
    records,
)


@pytest.mark.parametrize("matcher", MATCHERS)
def test_memory_behind_a_text_is_never_looked_at(matcher: MatcherFactory) -> None:
    """An event would match by what an earlier event left in its record."""
    batch = records({IMAGE: b"/bin/evil"}, {PATH: b"12345678"}, {IMAGE: b"/bin/true"})
    for row in range(3):
        length = int(batch["image_length"][row])
        batch["image"][row, length:] = np.frombuffer(b"evil evil evil evil evil", np.uint8)[length:]
    wanted = [
        is_one(IMAGE, b"evil", Operator.CONTAINS),
        is_one(IMAGE, b"evil", Operator.ENDS_WITH),
        is_one(IMAGE, b"e[uv]il", Operator.REGEX),
    ]
    file = channel_file(*map(clauses, wanted))
    found = matched(Interpreter([file], TYPES, matcher=matcher), apart(batch, 24))
    assert found == [(0, "i0"), (0, "i1"), (0, "i2")]


@pytest.mark.parametrize("matcher", MATCHERS)
def test_a_length_beyond_the_capacity_is_cut(matcher: MatcherFactory) -> None:
    """A damaged record would be read into the next field, or out of the batch."""
    batch = records({PATH: b"aaaaaaaa", ARGUMENTS: b"bbbb"}, {PATH: b"aaaaaaaa"})
    batch["path_length"][:] = [1 << 31, (1 << 32) - 1]
    file = channel_file(
        clauses(is_one(PATH, b"aaaaaaaa")), clauses(is_one(PATH, b"ab", Operator.CONTAINS))
    )
    found = matched(Interpreter([file], TYPES, matcher=matcher), batch)
    assert found == [(0, "i0"), (1, "i0")]


@pytest.mark.parametrize("matcher", MATCHERS)
def test_an_expression_is_decided_where_only_its_literal_is_searched_for(
    matcher: MatcherFactory,
) -> None:
    """Every event with the literal of an expression in it would match."""
    texts = (b"/opt/tool7.zip", b"/opt/tool", b"/OPT/TOOL99.ZIP", b"x/opt/tool7.zip")
    file = channel_file(
        clauses(is_one(IMAGE, rb"^/opt/tool[0-9]+\.zip", Operator.REGEX)),
        clauses(Criterion(IMAGE, Operator.GLOB, (b"*/opt/tool?.zip",), case_sensitive=True)),
    )
    found = matched(
        Interpreter([file], TYPES, matcher=matcher), records(*[{IMAGE: text} for text in texts])
    )
    assert found == [(0, "i0"), (0, "i1"), (2, "i0"), (3, "i1")]


@pytest.mark.parametrize("matcher", MATCHERS)
def test_no_match_spans_two_events(matcher: MatcherFactory) -> None:
    """Two harmless events next to each other in the ring would become a detection."""
    batch = records(
        *[{PATH: text, ARGUMENTS: text} for text in (b"12345678", b"ab", b"", b"cd\x00")]
    )
    wanted: list[tuple[Operator, bytes]] = [
        (Operator.CONTAINS, b"8a"),
        (Operator.CONTAINS, b"b\x00c"),
        (Operator.REGEX, b"b.*c"),
        (Operator.REGEX, rb"b\x00*c"),
        (Operator.REGEX, rb"8[^x]{1,20}c"),
        (Operator.GLOB, b"*b*c*"),
    ]
    file = channel_file(
        *[
            clauses(is_one(field, value, operator))
            for operator, value in wanted
            for field in (PATH, ARGUMENTS)
        ]
    )
    assert matched(Interpreter([file], TYPES, matcher=matcher), batch) == []


@pytest.mark.parametrize("matcher", MATCHERS)
def test_zero_bytes_newlines_and_other_bytes_are_text(matcher: MatcherFactory) -> None:
    """Content could be evaded by an unusual byte in a path or in an abstract socket's name."""
    text = b"a\x00b\n\xff\x01c"
    wanted: list[tuple[Operator, bytes]] = [
        (Operator.EQUALS, text),
        (Operator.CONTAINS, b"a\x00b"),
        (Operator.CONTAINS, b"\n\xff"),
        (Operator.REGEX, rb"a.b.+c$"),
        (Operator.REGEX, rb"^a\x00b"),
        (Operator.GLOB, b"a?b*"),
    ]
    unwanted: list[tuple[Operator, bytes]] = [
        (Operator.CONTAINS, b"a\x01b"),
        (Operator.REGEX, rb"\xff\x00c"),
        (Operator.CONTAINS, b"a b"),
        (Operator.REGEX, rb"b$"),
    ]
    file = channel_file(
        *[clauses(is_one(PATH, value, operator)) for operator, value in wanted + unwanted]
    )
    found = matched(Interpreter([file], TYPES, matcher=matcher), records({PATH: text}))
    assert found == [(0, f"i{number}") for number in range(len(wanted))]


@pytest.mark.parametrize("matcher", MATCHERS)
def test_case_counts_only_where_it_is_asked_for(matcher: MatcherFactory) -> None:
    """Content that tells upper from lower case would be found, or left out, in the other."""
    wanted = [
        Criterion(PATH, operator, (value,), negated, case_sensitive)
        for operator, value in ((Operator.REGEX, b"a[bc]d"), (Operator.CONTAINS, b"abd"))
        for negated in (False, True)
        for case_sensitive in (False, True)
    ]
    file = channel_file(*map(clauses, wanted))
    engine = Interpreter([file], TYPES, matcher=matcher)
    found = matched(engine, records({PATH: b"xAbD"}, {PATH: b"xabd"}, {PATH: b"x\xc0bd"}))
    folded, exact = [(0, "i0"), (0, "i3"), (0, "i4"), (0, "i7")], ["i0", "i1", "i4", "i5"]
    neither = ["i2", "i3", "i6", "i7"]
    assert found == [*folded, *((1, one) for one in exact), *((2, one) for one in neither)]


def test_arguments_are_seen_joined_by_spaces() -> None:
    """Content on command lines would have to know how the kernel stores arguments."""
    file = channel_file(clauses(is_one(ARGUMENTS, b"sh -c id")))
    assert matched(Interpreter([file], TYPES), records({ARGUMENTS: b"sh\x00-c\x00id"}))


CATASTROPHIC = (
    (Operator.REGEX, rb"(a+)+!$"),
    (Operator.REGEX, rb"(a|aa)+!"),
    (Operator.REGEX, rb"(a*)*(a*)*!"),
    (Operator.REGEX, rb"(?:.*=.*)+x"),
    (Operator.REGEX, rb"(a?){200}a{200}!"),
    (Operator.REGEX, rb"(.*a){12}!"),
    (Operator.GLOB, rb"*a*a*a*a*a*a*a*a*!"),
)
"""What backtracking takes powers of the length for, or powers of two; nothing here matches."""

ROWS, SHORT, LONG = 32, 1024, 4096
"""Events, and bytes of their texts: four times as many."""


@pytest.mark.parametrize("matcher", MATCHERS)
@pytest.mark.parametrize(("operator", "value"), CATASTROPHIC)
def test_an_expression_that_explodes_elsewhere_takes_linear_time(
    operator: Operator, value: bytes, matcher: MatcherFactory
) -> None:
    """One expression would hold up every event, as on 2 July 2019 elsewhere."""
    wide = replace(EVERY_KIND.fields[PATH - 1], capacity=LONG)
    template_type = replace(EVERY_KIND, fields=(EVERY_KIND.fields[0], wide, *EVERY_KIND.fields[2:]))
    reference = replace(channel_file().template_type, fingerprint=template_type.fingerprint)
    file = replace(channel_file(clauses(is_one(PATH, value, operator))), template_type=reference)
    engine = Interpreter([file], {template_type.number: template_type}, matcher=matcher)

    def evaluate(length: int) -> float:
        # No two texts are the same: a matcher may remember what it has seen.
        texts = [b"%03d" % row + b"a" * (length - 5) + b"=b" for row in range(ROWS)]
        batch = np.concatenate(
            [encode(template_type, {PATH: text}, rung=Rung.BPF_BTF) for text in texts]
        )
        assert engine.evaluate(template_type, batch).matches == []
        return cost(lambda: engine.evaluate(template_type, batch))

    assert evaluate(LONG) < LINEAR * evaluate(SHORT)


def test_many_rows_are_found_where_they_are() -> None:
    """Hits in a long batch would be led back to a neighbouring event."""
    events: list[dict[int, bytes | int]] = [
        {PATH: b"%d" % number, IMAGE: b"x" * (number % 25)} for number in range(3000)
    ]
    file = channel_file(
        clauses(is_one(PATH, b"2718")), clauses(is_one(PATH, b"99$", Operator.REGEX))
    )
    for matcher in MATCHERS:
        found = matched(Interpreter([file], TYPES, matcher=matcher), apart(records(*events), 8))
        rows = {(row, "i1") for row in range(99, 3000, 100)}
        assert set(found) == rows | {(2718, "i0")}


def test_fields_of_a_definition_can_be_in_any_memory() -> None:
    """A batch that is no ring (a copy, a slice, a single record) would be read wrongly."""
    file = channel_file(clauses(is_one(PATH, b"b", Operator.ENDS_WITH)))
    engine = Interpreter([file], TYPES)
    batch = records({PATH: b"ab"}, {PATH: b"ba"}, {PATH: b"bb"})
    assert matched(engine, batch) == [(0, "i0"), (2, "i0")]
    assert matched(engine, batch[::-1]) == [(0, "i0"), (2, "i0")]
    assert matched(engine, batch[::2]) == [(0, "i0"), (1, "i0")]
    assert matched(engine, batch[2:]) == [(0, "i0")]
    for gap in (1, 8, 40):
        assert matched(engine, apart(batch, gap)) == [(0, "i0"), (2, "i0")]
