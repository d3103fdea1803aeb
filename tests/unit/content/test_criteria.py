"""What one criterion means, and which ones the interpreter refuses whoever let them pass."""

from dataclasses import replace

import pytest

from content.matching.criteria import holds, judge_of, prefix_bits, require_sound
from content.model import AddressPrefix, Criterion, Operator, Signed, Value
from content.problems import ContentError, Problem
from content.reasons import Reason
from tests.unit.content.event_strategies import EVERY_KIND
from tests.unit.content.interpreter_helpers import (
    ADDRESS,
    ENUM,
    IMAGE,
    PATH,
    RESULT,
    SIZE,
    is_one,
)

V4, V6 = b"\x0a\x01\x02\x03", bytes(range(16))
TOP = (1 << 64) - 1


def _problem(criterion: Criterion) -> Problem:
    with pytest.raises(ContentError) as refused:
        require_sound(criterion, EVERY_KIND, "here")
    (problem,) = refused.value.problems
    return problem


def _holds(criterion: Criterion, value: bytes | int | None) -> bool:
    return holds(criterion, judge_of(criterion, EVERY_KIND.field(criterion.field)), value)


@pytest.mark.parametrize(
    "criterion",
    [
        *(Criterion(number, Operator.EXISTS, ()) for number in range(1, EVERY_KIND.arity + 1)),
        is_one(IMAGE, b""),
        is_one(ENUM, 9),
        is_one(SIZE, 0),
        is_one(SIZE, TOP),
        is_one(RESULT, Signed(-(1 << 63))),
        is_one(RESULT, Signed((1 << 63) - 1)),
        is_one(ADDRESS, AddressPrefix(V4, 32)),
        is_one(ADDRESS, AddressPrefix(V6, 128)),
        is_one(ADDRESS, AddressPrefix(V4, 0), Operator.CIDR),
        is_one(ADDRESS, AddressPrefix(V6, 0), Operator.CIDR),
        is_one(ADDRESS, AddressPrefix(V4, 32), Operator.CIDR),
        is_one(ADDRESS, AddressPrefix(V6, 128), Operator.CIDR),
    ],
)
def test_sound_criteria_give_their_field(criterion: Criterion) -> None:
    """Content at the edge of what is allowed, such as on the last field, would not load."""
    field = require_sound(criterion, EVERY_KIND, "here")
    assert field is EVERY_KIND.fields[criterion.field - 1]


@pytest.mark.parametrize("number", [-1, 0, EVERY_KIND.arity + 1])
@pytest.mark.parametrize("operator", [Operator.EXISTS, Operator.EQUALS])
def test_fields_that_are_not_supplied_are_refused(number: int, operator: Operator) -> None:
    """The incident: a criterion on an input that nobody supplies would be evaluated."""
    problem = _problem(Criterion(number, operator, ()))
    assert (problem.reason, problem.place) == (Reason.FIELD_OUT_OF_RANGE, "here.field")


@pytest.mark.parametrize(
    ("criterion", "reason", "place"),
    [
        (is_one(PATH, b"x", Operator.EXISTS), Reason.WRONG_VALUE_KIND, "here"),
        (is_one(SIZE, 1, Operator.REGEX), Reason.UNSUPPORTED_OPERATOR, "here.operator"),
        (Criterion(SIZE, Operator.LESS, ()), Reason.BLANK_VALUE, "here.values"),
        (Criterion(SIZE, Operator.EQUALS, (1, b"x")), Reason.WRONG_VALUE_KIND, "here.values[1]"),
        (is_one(SIZE, True), Reason.WRONG_VALUE_KIND, "here.values[0]"),
        (is_one(SIZE, AddressPrefix(V4, 32)), Reason.WRONG_VALUE_KIND, "here.values[0]"),
        (is_one(PATH, AddressPrefix(V4, 32)), Reason.WRONG_VALUE_KIND, "here.values[0]"),
        (is_one(ADDRESS, V6), Reason.WRONG_VALUE_KIND, "here.values[0]"),
        (is_one(SIZE, -1), Reason.VALUE_OUT_OF_RANGE, "here.values[0]"),
        (is_one(SIZE, TOP + 1), Reason.VALUE_OUT_OF_RANGE, "here.values[0]"),
        (is_one(RESULT, -(1 << 63) - 1), Reason.VALUE_OUT_OF_RANGE, "here.values[0]"),
        (is_one(RESULT, 1 << 63), Reason.VALUE_OUT_OF_RANGE, "here.values[0]"),
        (is_one(ADDRESS, AddressPrefix(V4, 31)), Reason.WRONG_VALUE_KIND, "here"),
        (is_one(ADDRESS, AddressPrefix(V6, 127)), Reason.WRONG_VALUE_KIND, "here"),
    ],
)
def test_unsound_criteria_are_refused_where_they_stand(
    criterion: Criterion, reason: Reason, place: str
) -> None:
    """A criterion that means nothing would be evaluated as something."""
    problem = _problem(criterion)
    assert (problem.reason, problem.place) == (reason, place)


@pytest.mark.parametrize(
    "prefix",
    [
        AddressPrefix(b"", 0),
        AddressPrefix(V4[:3], 0),
        AddressPrefix(V4 + b"\0", 0),
        AddressPrefix(V6 + b"\0", 0),
        AddressPrefix(V4, -1),
        AddressPrefix(V4, 33),
        AddressPrefix(V6, -1),
        AddressPrefix(V6, 129),
    ],
)
def test_damaged_prefixes_are_refused(prefix: AddressPrefix) -> None:
    """A shift by a negative number of bits would end in an exception for each event."""
    problem = _problem(is_one(ADDRESS, prefix, Operator.CIDR))
    assert (problem.reason, problem.place) == (Reason.WRONG_VALUE_KIND, "here.values[0]")


def test_a_bad_value_behind_good_ones_is_found() -> None:
    """Only the first of several values would be looked at."""
    good, network = AddressPrefix(V4, 32), AddressPrefix(V4, 8)
    problem = _problem(Criterion(ADDRESS, Operator.EQUALS, (good, network)))
    assert problem.reason is Reason.WRONG_VALUE_KIND
    sound = Criterion(ADDRESS, Operator.CIDR, (good, network))
    assert require_sound(sound, EVERY_KIND, "here") is EVERY_KIND.field(ADDRESS)


@pytest.mark.parametrize(
    ("operator", "held"),
    [
        (Operator.EQUALS, {5, 7}),
        (Operator.LESS, {4, 5, 6}),
        (Operator.LESS_OR_EQUAL, {4, 5, 6, 7}),
        (Operator.GREATER, {6, 7, 8}),
        (Operator.GREATER_OR_EQUAL, {5, 6, 7, 8}),
    ],
)
def test_numbers_compare_with_any_of_the_values(operator: Operator, held: set[int]) -> None:
    """The border of a comparison would belong to the other side."""
    criterion = Criterion(SIZE, operator, (5, 7))
    assert {number for number in range(4, 9) if _holds(criterion, number)} == held
    negated = replace(criterion, negated=True)
    assert {number for number in range(4, 9) if not _holds(negated, number)} == held


@pytest.mark.parametrize(
    ("operator", "value", "held"),
    [
        (Operator.EQUALS, b"ab", {b"ab", b"AB"}),
        (Operator.STARTS_WITH, b"ab", {b"ab", b"AB", b"abc"}),
        (Operator.ENDS_WITH, b"ab", {b"ab", b"AB", b"cab"}),
        (Operator.CONTAINS, b"ab", {b"ab", b"AB", b"abc", b"cab", b"cabc"}),
        (Operator.GLOB, b"?ab*", {b"cab", b"cabc"}),
        (Operator.REGEX, b"ab.", {b"abc", b"cabc"}),
    ],
)
def test_texts_compare_as_their_operator_says(
    operator: Operator, value: bytes, held: set[bytes]
) -> None:
    """An operator on text would mean another one."""
    texts = (b"", b"a", b"ba", b"ab", b"AB", b"abc", b"cab", b"cabc")
    assert {text for text in texts if _holds(is_one(PATH, value, operator), text)} == held


def test_case_counts_where_it_is_asked_for() -> None:
    """Content would match what its author excluded."""
    criterion = replace(is_one(PATH, b"aB"), case_sensitive=True)
    assert [_holds(criterion, text) for text in (b"aB", b"ab", b"AB")] == [True, False, False]


@pytest.mark.parametrize("value", [b"x", 1])
def test_what_is_absent_satisfies_only_a_negated_criterion(value: Value) -> None:
    """An event without a field would match content that asks for its value."""
    criterion = is_one(PATH if isinstance(value, bytes) else SIZE, value)
    assert not _holds(criterion, None)
    assert _holds(replace(criterion, negated=True), None)
    exists = Criterion(PATH, Operator.EXISTS, ())
    assert [_holds(exists, text) for text in (None, b"", b"x")] == [False, True, True]


def test_addresses_compare_by_their_leading_bits() -> None:
    """A network would be a bit wider or narrower than it was written."""
    criterion = Criterion(
        ADDRESS, Operator.CIDR, (AddressPrefix(b"\x0a\0\0\0", 9), AddressPrefix(V6, 128))
    )
    mapped = bytes(10) + b"\xff\xff"
    asked = {
        mapped + b"\x0a\0\0\0": True,
        mapped + b"\x0a\x7f\xff\xff": True,
        mapped + b"\x0a\x80\0\0": False,
        mapped + b"\x0b\0\0\0": False,
        bytes(12) + b"\x0a\0\0\0": False,
        V6: True,
        V6[:-1] + b"\0": False,
    }
    assert {address: _holds(criterion, address) for address in asked} == asked


def test_prefixes_become_bits_of_ipv6() -> None:
    """IPv4 content would be compared with the wrong end of an address."""
    assert prefix_bits(AddressPrefix(b"\x0a\0\0\0", 8)) == (0xFFFF0A, 24)
    assert prefix_bits(AddressPrefix(bytes(15) + b"\1", 128)) == (1, 0)
    assert prefix_bits(AddressPrefix(bytes(16), 0)) == (0, 128)
    with pytest.raises(TypeError, match="bytes is not an address"):
        prefix_bits(V6)
