"""The interpreter's promises beside finding what is there: what it refuses, counts and survives."""

import gc
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from content.interpreter import Interpreter
from content.matching.column import TextColumn
from content.matching.matcher import Hits, MatcherFactory
from content.matching.pattern import Pattern
from content.model import (
    AddressPrefix,
    ChannelFile,
    Clause,
    Criterion,
    Operator,
    Signed,
    TemplateTypeReference,
)
from content.problems import ContentError
from content.reasons import Reason
from content.record import encode
from content.template_type import Rung, SchemaVersion
from tests.unit.content.event_strategies import EVERY_KIND, channel_file
from tests.unit.content.interpreter_helpers import (
    ADDRESS,
    ENUM,
    IMAGE,
    MATCHERS,
    PATH,
    RESULT,
    SIZE,
    TYPES,
    clauses,
    is_one,
    matched,
    records,
)


def refused(file: ChannelFile) -> Reason:
    """The reason with which the interpreter refuses a file."""
    with pytest.raises(ContentError) as caught:
        Interpreter([file], TYPES)
    return caught.value.problems[0].reason


def with_reference(**changes: object) -> ChannelFile:
    """A file whose author knew another Template Type."""
    file = channel_file(clauses(is_one(SIZE, 1)))
    reference: TemplateTypeReference = replace(file.template_type, **changes)  # type: ignore[arg-type]
    return replace(file, template_type=reference)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"number": 8}, Reason.UNKNOWN_TEMPLATE_TYPE),
        ({"version": SchemaVersion(1, 1)}, Reason.SCHEMA_VERSION_MISMATCH),
        ({"arity": 8}, Reason.ARITY_MISMATCH),
        ({"fingerprint": bytes(32)}, Reason.FINGERPRINT_MISMATCH),
    ],
)
def test_refuses_a_file_for_another_template_type(
    changes: dict[str, object], reason: Reason
) -> None:
    """Content would be evaluated against inputs that it was not written for."""
    assert refused(with_reference(**changes)) is reason


@pytest.mark.parametrize(
    ("criterion", "reason"),
    [
        (is_one(8, b"x"), Reason.FIELD_OUT_OF_RANGE),
        (is_one(0, b"x"), Reason.FIELD_OUT_OF_RANGE),
        (is_one(-1, b"x"), Reason.FIELD_OUT_OF_RANGE),
        (is_one(SIZE, b"x"), Reason.WRONG_VALUE_KIND),
        (is_one(PATH, 1), Reason.WRONG_VALUE_KIND),
        (is_one(ADDRESS, 1), Reason.WRONG_VALUE_KIND),
        (is_one(ADDRESS, AddressPrefix(b"\x0a", 8)), Reason.WRONG_VALUE_KIND),
        (is_one(ADDRESS, AddressPrefix(bytes(4), 33), Operator.CIDR), Reason.WRONG_VALUE_KIND),
        (is_one(ADDRESS, AddressPrefix(bytes(4), 24)), Reason.WRONG_VALUE_KIND),
        (is_one(SIZE, -1), Reason.VALUE_OUT_OF_RANGE),
        (is_one(RESULT, Signed(1 << 63)), Reason.VALUE_OUT_OF_RANGE),
        (is_one(SIZE, 1, Operator.CONTAINS), Reason.UNSUPPORTED_OPERATOR),
        (is_one(PATH, b"x", Operator.LESS), Reason.UNSUPPORTED_OPERATOR),
        (is_one(ENUM, 1, Operator.LESS), Reason.UNSUPPORTED_OPERATOR),
        (is_one(PATH, b"(", Operator.REGEX), Reason.EXPRESSION_NOT_ALLOWED),
        (is_one(PATH, b"a\\", Operator.GLOB), Reason.EXPRESSION_NOT_ALLOWED),
        (Criterion(PATH, Operator.EQUALS, ()), Reason.BLANK_VALUE),
        (is_one(PATH, b"x", Operator.EXISTS), Reason.WRONG_VALUE_KIND),
    ],
)
def test_refuses_an_unsound_criterion_without_the_validator(
    criterion: Criterion, reason: Reason
) -> None:
    """A file that slipped past the validator would be evaluated out of bounds or wrongly."""
    file = channel_file(clauses(is_one(SIZE, 1)), clauses(is_one(SIZE, 2), criterion))
    assert refused(file) is reason


def test_records_that_disagree_are_left_out_and_counted() -> None:
    """A record of another version would be read as if it were of this one."""
    batch = records(*[{SIZE: 1}] * 5)
    batch["arity"][0] += 1
    batch["schema_major"][1] += 1
    batch["schema_minor"][2] += 1
    batch["template_type"][3] += 1
    evaluation = Interpreter([channel_file(clauses(is_one(SIZE, 1)))], TYPES).evaluate(
        EVERY_KIND, batch
    )
    assert evaluation.refused_rows == 4
    assert [one.row for one in evaluation.matches] == [4]


def test_another_supplied_arity_at_run_time_faults_every_instance_once() -> None:
    """The incident: content for 21 inputs would be evaluated where 20 are supplied."""
    shorter = replace(EVERY_KIND, fields=EVERY_KIND.fields[:-1])
    file = channel_file(clauses(is_one(SIZE, 1)), clauses(is_one(IMAGE, b"x")))
    engine = Interpreter([file], TYPES)
    batch = encode(shorter, {SIZE: 1}, rung=Rung.BPF_BTF)
    evaluation = engine.evaluate(shorter, batch)
    assert not evaluation.matches
    assert [one.instance.id for one in evaluation.faults] == ["i0", "i1"]
    assert {one.reason for one in evaluation.faults} == {"ARITY_MISMATCH"}
    assert not engine.evaluate(shorter, batch).faults


def test_records_of_another_layout_are_a_mistake_of_the_caller() -> None:
    """Columns of another layout would be read silently."""
    engine = Interpreter([channel_file(clauses(is_one(SIZE, 1)))], TYPES)
    narrow = replace(EVERY_KIND.fields[PATH - 1], capacity=16)
    other = replace(EVERY_KIND, fields=(EVERY_KIND.fields[0], narrow, *EVERY_KIND.fields[2:]))
    with pytest.raises(ValueError, match="dtype"):
        engine.evaluate(EVERY_KIND, encode(other, {SIZE: 1}, rung=Rung.BPF_BTF))


class LyingMatcher:
    """Reports rows that don't exist."""

    def __init__(self, patterns: Sequence[Pattern]) -> None:
        self._count = len(patterns)

    def search(self, column: TextColumn) -> Hits:
        """A hit of the first pattern far behind the batch."""
        rows = np.array([len(column) + 1000], dtype=np.int64)
        return Hits(rows, np.zeros(1, dtype=np.int64), rows[:0])


def test_an_instance_that_breaks_a_check_is_reported_once_and_skipped() -> None:
    """An access outside the batch would end the evaluator, or come back with every batch."""
    lying: MatcherFactory = LyingMatcher
    file = channel_file(clauses(is_one(PATH, b"a")), clauses(is_one(SIZE, 1)))
    engine = Interpreter([file], TYPES, matcher=lying)
    batch = records({PATH: b"a", SIZE: 1})
    evaluation = engine.evaluate(EVERY_KIND, batch)
    assert [(one.instance.id, one.reason) for one in evaluation.faults] == [
        ("i0", Reason.RUN_TIME_CHECK)
    ]
    assert "IndexError" in evaluation.faults[0].detail
    assert [one.instance.id for one in evaluation.matches] == ["i1"]
    assert not engine.evaluate(EVERY_KIND, batch).faults


@pytest.mark.parametrize("matcher", MATCHERS)
def test_an_absent_field_satisfies_only_negated_criteria(matcher: MatcherFactory) -> None:
    """Events without a field would match content that asks for its value."""
    negated = [
        replace(is_one(PATH, b"a"), negated=True),
        replace(is_one(SIZE, 0), negated=True),
        replace(is_one(ADDRESS, AddressPrefix(bytes(16), 0), Operator.CIDR), negated=True),
        Criterion(PATH, Operator.EXISTS, (), negated=True),
    ]
    plain = [replace(one, negated=False) for one in negated]
    file = channel_file(*[clauses(one) for one in [*negated, *plain]])
    found = matched(Interpreter([file], TYPES, matcher=matcher), records({ENUM: 1}))
    assert found == [(0, f"i{number}") for number in range(4)]


def test_matches_are_ordered_and_name_the_first_clause() -> None:
    """Reports would change from run to run, or name a clause that did not decide."""
    either = (Clause((is_one(SIZE, 2),)), Clause((is_one(PATH, b"a"),)))
    file = channel_file(either, clauses(is_one(PATH, b"a", Operator.CONTAINS)))
    engine = Interpreter([file], TYPES)
    evaluation = engine.evaluate(
        EVERY_KIND, records({PATH: b"a", SIZE: 3}, {PATH: b"a", SIZE: 2}, {PATH: b"b"})
    )
    found = [(one.row, one.instance.id, one.clause) for one in evaluation.matches]
    assert found == [(0, "i0", 1), (0, "i1", 0), (1, "i0", 0), (1, "i1", 0)]
    assert all(one.channel_file is file for one in evaluation.matches)


def test_note_names_row_and_instance_over_all_files() -> None:
    """A death would be blamed on the wrong instance."""
    noted: list[tuple[int, int]] = []
    first = channel_file(clauses(is_one(SIZE, 1)), clauses(is_one(SIZE, 2)))
    second = channel_file(clauses(is_one(SIZE, 3)))
    engine = Interpreter([first, second], TYPES, note=lambda row, one: noted.append((row, one)))
    engine.evaluate(EVERY_KIND, records({SIZE: 0}, {SIZE: 3}, {SIZE: 2}, {SIZE: 3}))
    assert sorted(noted) == [(1, 2), (2, 1)]


def test_no_content_and_no_records_are_nothing_special() -> None:
    """A sensor without content, or an empty batch, would stop the evaluator."""
    empty = records({SIZE: 1})[:0]
    assert Interpreter([], TYPES).evaluate(EVERY_KIND, records({SIZE: 1})).matches == []
    engine = Interpreter([channel_file(clauses(is_one(PATH, b"a")))], TYPES)
    assert engine.evaluate(EVERY_KIND, empty).matches == []


def test_a_clause_without_criteria_matches_everything() -> None:
    """The interpreter would fall over a file that the validator refuses (NO_CRITERIA)."""
    assert matched(Interpreter([channel_file((Clause(()),))], TYPES), records({}, {SIZE: 1})) == [
        (0, "i0"),
        (1, "i0"),
    ]


def test_numbers_at_the_edges_of_64_bits_compare() -> None:
    """Sizes or results near the limits would wrap around."""
    top, bottom = (1 << 64) - 1, -(1 << 63)
    file = channel_file(
        clauses(is_one(SIZE, top)),
        clauses(is_one(SIZE, top - 1, Operator.GREATER)),
        clauses(is_one(RESULT, Signed(bottom))),
        clauses(is_one(RESULT, Signed(bottom + 1), Operator.LESS)),
    )
    found = matched(Interpreter([file], TYPES), records({SIZE: top, RESULT: bottom}, {SIZE: 1}))
    assert found == [(0, f"i{number}") for number in range(4)]


def test_the_collector_runs_again_after_construction() -> None:
    """A sensor's garbage would never be collected once content was loaded or refused."""
    Interpreter([channel_file(clauses(is_one(PATH, b"a")))], TYPES)
    assert gc.isenabled()
    with pytest.raises(ContentError):
        Interpreter([channel_file(clauses(is_one(PATH, 1)))], TYPES)
    assert gc.isenabled()
    gc.disable()
    try:
        Interpreter([channel_file(clauses(is_one(PATH, b"a")))], TYPES)
        assert not gc.isenabled()
    finally:
        gc.enable()
