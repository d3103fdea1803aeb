"""The Content Validator, checks 11 to 22: criteria, values, samples."""

from dataclasses import replace

import pytest

from content.channel_file import (
    AddressPrefix,
    ChannelFile,
    Operator,
    Sample,
    Signed,
    TemplateInstance,
    Value,
)
from content.definitions import Kind, Rung, TemplateType
from content.limits import LIMITS
from content.reasons import Reason
from content.supply import Supply
from content.validator import validate
from tests.unit.content.examples import (
    BY_NAME,
    COMMAND_LINE,
    FULL_SUPPLY,
    IMAGE,
    INSTANCE,
    MATCHING,
    NETWORK,
    OTHER,
    PID,
    PROCESS,
    THREAD_ID,
    TYPES,
    VALUES_OF_EVERY_KIND,
    channel_file,
    problems_of,
    reasons,
    with_criterion,
    with_instance,
)

FILE = BY_NAME["file"]
ENUM, ADDRESS, SIGNED = 1, 3, 7  # fields of network
IPV4 = AddressPrefix(b"\x0a\0\0\1", 32)


# ---------------------------------------------------------------------------- criterion, 11 to 15


@pytest.mark.parametrize("field", [0, PROCESS.arity + 1, 63, 64, 1 << 31])
def test_fields_are_supplied_inputs(field: int) -> None:
    """11: the interpreter would read beyond the inputs."""
    found = problems_of(with_criterion(field, Operator.EQUALS, b"x"))
    assert reasons(found) == [Reason.FIELD_OUT_OF_RANGE]
    assert found[0].place == "instances[0].clauses[0].criteria[0].field"


@pytest.mark.parametrize("template_type", TYPES.values(), ids=lambda one: one.name)
def test_every_supplied_input_may_be_asked_for(template_type: TemplateType) -> None:
    """11: the last field could not be used, and nobody would have tried it, as in July 2024."""
    supply = Supply.of(TYPES, Rung.BPF_BTF)
    for number in sorted(supply.types[template_type.number].supplied_fields):
        content = with_criterion(number, Operator.EXISTS, template_type=template_type)
        assert problems_of(content) == []


def test_supplied_arity_counts_not_the_definition() -> None:
    """11: the validator would believe the Definition, the logic error of July 2024."""
    supplied = FULL_SUPPLY.types[PROCESS.number]
    short = replace(supplied, arity=supplied.arity - 1)
    supply = Supply(Rung.BPF_BTF, {PROCESS.number: short})
    content = with_criterion(PROCESS.arity, Operator.EXISTS)
    assert Reason.FIELD_OUT_OF_RANGE in reasons(validate(content, supply, TYPES))


def test_fields_are_supplied_on_the_rung() -> None:
    """12: content would be active and could never match."""
    content = with_criterion(THREAD_ID, Operator.EQUALS, 1)
    assert problems_of(content) == []
    found = problems_of(content, Rung.PSUTIL)
    assert reasons(found) == [Reason.FIELD_NOT_SUPPLIED]
    assert "thread_id" in found[0].found
    assert "psutil" in found[0].expected


@pytest.mark.parametrize("missing", [1, PROCESS.arity])
def test_the_first_and_the_last_field_may_be_missing_on_a_rung(missing: int) -> None:
    """12: only some fields would be looked at."""
    supplied = FULL_SUPPLY.types[PROCESS.number]
    without = replace(supplied, supplied_fields=supplied.supplied_fields - {missing})
    supply = Supply(Rung.PSUTIL, {PROCESS.number: without})
    content = with_criterion(missing, Operator.EXISTS)
    assert reasons(validate(content, supply, TYPES)) == [Reason.FIELD_NOT_SUPPLIED]


def of_operation(*names: str, negated: bool = False) -> ChannelFile:
    """Content for Template Type file with one criterion on what was done."""
    operation = FILE.field(1)
    values = [operation.values[name] for name in names]
    return with_criterion(
        operation.number, Operator.EQUALS, *values, template_type=FILE, negated=negated
    )


@pytest.mark.parametrize("negated", [False, True])
def test_values_of_an_enum_are_supplied_on_the_rung(*, negated: bool) -> None:
    """12: content would be active and match next to nothing of what it is meant for."""
    for names in (["create"], ["rename", "create"]):
        content = of_operation(*names, negated=negated)
        assert problems_of(content) == []
        (problem,) = problems_of(content, Rung.BPF_TRACEPOINT)
        assert problem.reason == Reason.FIELD_NOT_SUPPLIED
        assert problem.place.endswith(f".values[{len(names) - 1}]")
        assert problem.found == "create of operation"
        assert "bpf_tracepoint, or open_write beside it" in problem.expected


def test_a_value_is_served_by_what_is_told_in_its_place() -> None:
    """12: content that misses nothing would be refused."""
    for names in (["create", "open_write"], ["open_write"], ["rename"]):
        assert problems_of(of_operation(*names), Rung.BPF_TRACEPOINT) == []


ALLOWED = {
    Kind.TEXT: {"EQUALS", "EXISTS", "STARTS_WITH", "ENDS_WITH", "CONTAINS", "GLOB", "REGEX"},
    Kind.UNSIGNED: {"EQUALS", "EXISTS", "LESS", "LESS_OR_EQUAL", "GREATER", "GREATER_OR_EQUAL"},
    Kind.SIGNED: {"EQUALS", "EXISTS", "LESS", "LESS_OR_EQUAL", "GREATER", "GREATER_OR_EQUAL"},
    Kind.ENUM: {"EQUALS", "EXISTS"},
    Kind.ADDRESS: {"EQUALS", "EXISTS", "CIDR"},
}
GOOD_VALUE: dict[Kind, Value] = {
    Kind.TEXT: b"x",
    Kind.UNSIGNED: 1,
    Kind.SIGNED: Signed(1),
    Kind.ENUM: 1,
    Kind.ADDRESS: IPV4,
}


@pytest.mark.parametrize("kind", Kind)
@pytest.mark.parametrize("operator", Operator)
def test_operators_fit_the_kind(kind: Kind, operator: Operator) -> None:
    """13: an operator that the interpreter has no meaning for would reach it."""
    number = next(field.number for field in NETWORK.fields if field.kind is kind)
    values = () if operator is Operator.EXISTS else (GOOD_VALUE[kind],)
    found = problems_of(with_criterion(number, operator, *values, template_type=NETWORK))
    allowed = operator.name in ALLOWED[kind]
    assert reasons(found) == ([] if allowed else [Reason.UNSUPPORTED_OPERATOR])


def test_exists_takes_no_values() -> None:
    """14: a value that is ignored would mean something to its author."""
    content = with_criterion(IMAGE, Operator.EXISTS, b"x")
    assert reasons(problems_of(content)) == [Reason.WRONG_VALUE_KIND]


def test_other_operators_take_values() -> None:
    """14: a criterion without values never holds, or always when negated."""
    content = with_criterion(IMAGE, Operator.EQUALS, negated=True)
    assert reasons(problems_of(content)) == [Reason.BLANK_VALUE]


def test_values_are_counted() -> None:
    """14: one criterion could cost as much as thousands."""
    most = LIMITS.values_per_criterion
    assert problems_of(with_criterion(IMAGE, Operator.EQUALS, *[b"x"] * most)) == []
    content = with_criterion(IMAGE, Operator.EQUALS, *[b"x"] * (most + 1))
    assert reasons(problems_of(content)) == [Reason.LIMIT_EXCEEDED]


@pytest.mark.parametrize("name", ["LESS", "LESS_OR_EQUAL", "GREATER", "GREATER_OR_EQUAL"])
def test_order_takes_one_value(name: str) -> None:
    """14: "less than 1 or less than 9" is a mistake of its author."""
    content = with_criterion(PID, Operator[name], 1, 9)
    assert reasons(problems_of(content)) == [Reason.LIMIT_EXCEEDED]


def test_case_belongs_to_text() -> None:
    """15: a flag that is ignored would mean something to its author."""
    number = with_criterion(PID, Operator.EQUALS, 1, case_sensitive=True)
    exists = with_criterion(IMAGE, Operator.EXISTS, case_sensitive=True)
    text = with_criterion(IMAGE, Operator.EQUALS, b"x", case_sensitive=True)
    assert reasons(problems_of(number)) == [Reason.CASE_NOT_APPLICABLE]
    assert reasons(problems_of(exists)) == [Reason.CASE_NOT_APPLICABLE]
    assert problems_of(text) == []


# -------------------------------------------------------------------------------- value, 16 to 20


@pytest.mark.parametrize("kind", Kind)
@pytest.mark.parametrize("other", Kind)
def test_values_are_of_the_fields_kind(kind: Kind, other: Kind) -> None:
    """16: the interpreter would compare apples with pears."""
    number = next(field.number for field in NETWORK.fields if field.kind is kind)
    content = with_criterion(number, Operator.EQUALS, GOOD_VALUE[other], template_type=NETWORK)
    same = type(GOOD_VALUE[kind]) is type(GOOD_VALUE[other])
    assert reasons(problems_of(content)) == ([] if same else [Reason.WRONG_VALUE_KIND])


@pytest.mark.parametrize("value", [b"", b" ", b"\t\n"])
@pytest.mark.parametrize("operator", [Operator.EQUALS, Operator.CONTAINS, Operator.GLOB])
def test_text_is_not_blank(value: bytes, operator: Operator) -> None:
    """17: an empty text is contained in every event."""
    content = with_criterion(IMAGE, operator, value)
    assert Reason.BLANK_VALUE in reasons(problems_of(content))


def test_text_is_not_trimmed() -> None:
    """17: values that begin or end with a space would be refused."""
    assert problems_of(with_criterion(COMMAND_LINE, Operator.CONTAINS, b" -e ")) == []


def test_text_fits_into_the_record() -> None:
    """17: a value longer than what is recorded could never match."""
    capacity = PROCESS.field(IMAGE).capacity
    assert problems_of(with_criterion(IMAGE, Operator.EQUALS, b"x" * capacity)) == []
    content = with_criterion(IMAGE, Operator.EQUALS, b"x" * (capacity + 1))
    assert reasons(problems_of(content)) == [Reason.VALUE_OUT_OF_RANGE]


def test_globs_are_limited_by_their_own_length() -> None:
    """17: a glob may be longer than what it matches, but not without end."""
    assert problems_of(with_criterion(IMAGE, Operator.GLOB, b"*x" * 200)) == []
    content = with_criterion(IMAGE, Operator.GLOB, b"x" * (LIMITS.value_bytes + 1))
    assert reasons(problems_of(content)) == [Reason.LIMIT_EXCEEDED]


def test_arguments_hold_no_nul() -> None:
    """17: arguments are joined by spaces; a value with a NUL could never match."""
    content = with_criterion(COMMAND_LINE, Operator.CONTAINS, b"sh\0-c")
    assert reasons(problems_of(content)) == [Reason.VALUE_OUT_OF_RANGE]
    assert problems_of(with_criterion(IMAGE, Operator.CONTAINS, b"a\0b")) == []


@pytest.mark.parametrize(
    ("field", "good", "bad"),
    [
        (4, 0, -1),
        (4, (1 << 64) - 1, 1 << 64),
        (SIGNED, Signed(-(1 << 63)), Signed(-(1 << 63) - 1)),
        (SIGNED, Signed((1 << 63) - 1), Signed(1 << 63)),
        (ENUM, 3, 4),
        (ENUM, 1, 0),
    ],
)
def test_numbers_are_in_range(field: int, good: int, bad: int) -> None:
    """18: a number that no record can hold would be compared with one that it can."""
    content = with_criterion(field, Operator.EQUALS, good, template_type=NETWORK)
    assert problems_of(content) == []
    content = with_criterion(field, Operator.EQUALS, bad, template_type=NETWORK)
    assert reasons(problems_of(content)) == [Reason.VALUE_OUT_OF_RANGE]


@pytest.mark.parametrize(
    "prefix",
    [
        AddressPrefix(b"", 0),
        AddressPrefix(b"\1\2\3", 24),
        AddressPrefix(bytes(17), 0),
        AddressPrefix(b"\1\2\3\4", 33),
        AddressPrefix(b"\1\2\3\4", -1),
        AddressPrefix(bytes(4), -1),
        AddressPrefix(bytes(16), 129),
        AddressPrefix(b"\1\2\3\4", 24),
        AddressPrefix(b"\x80\0\0\0", 0),
    ],
)
def test_prefixes_are_well_formed(prefix: AddressPrefix) -> None:
    """19: a prefix with bits behind its length says two things at once."""
    content = with_criterion(ADDRESS, Operator.CIDR, prefix, template_type=NETWORK)
    assert reasons(problems_of(content)) == [Reason.VALUE_OUT_OF_RANGE]


@pytest.mark.parametrize("prefix", [AddressPrefix(bytes(4), 0), AddressPrefix(bytes(16), 0), IPV4])
def test_widest_and_narrowest_prefixes(prefix: AddressPrefix) -> None:
    """19: the edges would be refused."""
    content = with_criterion(ADDRESS, Operator.CIDR, prefix, template_type=NETWORK)
    assert problems_of(content) == []


def test_equals_means_one_address() -> None:
    """19: `equals` with a network would be taken for `cidr` by its author only."""
    network = AddressPrefix(b"\x0a\0\0\0", 8)
    content = with_criterion(ADDRESS, Operator.EQUALS, network, template_type=NETWORK)
    assert reasons(problems_of(content)) == [Reason.VALUE_OUT_OF_RANGE]


@pytest.mark.parametrize(
    ("operator", "value"),
    [
        (Operator.REGEX, b"(a+"),
        (Operator.REGEX, b"(?=a)"),
        (Operator.REGEX, b"a*"),
        (Operator.GLOB, b"a\\"),
    ],
)
def test_expressions_are_within_the_subset(operator: Operator, value: bytes) -> None:
    """20: an expression outside the subset could take for ever, or differ between engines."""
    found = problems_of(with_criterion(IMAGE, operator, value))
    assert reasons(found) == [Reason.EXPRESSION_NOT_ALLOWED]
    assert ".values[0], character " in found[0].place


# ------------------------------------------------------------------------------- samples, 21 to 22


@pytest.mark.parametrize("left", [(MATCHING,), (OTHER,), ()])
def test_both_kinds_of_samples(left: tuple[Sample, ...]) -> None:
    """21: content that nobody tried, or that matches everything, would ship."""
    found = problems_of(with_instance(samples=left))
    assert reasons(found) == [Reason.SAMPLE_MISSING] * (2 - len(left))
    missing = {"must match": MATCHING, "must not match": OTHER}
    assert [problem.expected for problem in found] == [
        f"at least one that {words}" for words, sample in missing.items() if sample not in left
    ]


def test_sample_names() -> None:
    """21: a failing sample could not be told from its neighbours."""
    twice = replace(OTHER, name=MATCHING.name)
    assert reasons(problems_of(with_instance(samples=(MATCHING, twice)))) == [Reason.DUPLICATE_ID]
    blank = replace(OTHER, name=" ")
    assert reasons(problems_of(with_instance(samples=(MATCHING, blank)))) == [Reason.BLANK_VALUE]
    forged = replace(OTHER, name="a\nb")
    found = problems_of(with_instance(samples=(MATCHING, forged)))
    assert reasons(found) == [Reason.VALUE_OUT_OF_RANGE]


def test_samples_are_counted() -> None:
    """21: samples run on every sensor; a file of nothing else could hold up each trial."""
    many = tuple(replace(OTHER, name=str(number)) for number in range(LIMITS.samples_per_instance))
    assert problems_of(with_instance(samples=(MATCHING, *many[1:]))) == []
    found = problems_of(with_instance(samples=(MATCHING, *many)))
    assert reasons(found) == [Reason.LIMIT_EXCEEDED]


@pytest.mark.parametrize("operator", [Operator.EQUALS, Operator.CONTAINS, Operator.ENDS_WITH])
@pytest.mark.parametrize("value", [b"(", b"a\\", b"*"])
def test_plain_text_is_no_expression(operator: Operator, value: bytes) -> None:
    """20: text that is compared as it stands would have to be escaped."""
    assert problems_of(with_criterion(IMAGE, operator, value)) == []


def _sample_problems(
    inputs: dict[int, Value], template: TemplateInstance = INSTANCE
) -> list[Reason]:
    sample = Sample("other", must_match=False, inputs=inputs)
    instance = replace(template, samples=(*template.samples, sample))
    network = template is not INSTANCE
    content = channel_file(instance, template_type=NETWORK if network else PROCESS)
    return reasons(problems_of(content))


def test_sample_inputs_are_fields() -> None:
    """22: a sample's record could not be built."""
    assert _sample_problems({PROCESS.arity + 1: b"x"}) == [Reason.FIELD_OUT_OF_RANGE]
    assert _sample_problems({0: b"x"}) == [Reason.FIELD_OUT_OF_RANGE]


def test_sample_inputs_are_of_their_kind_and_range() -> None:
    """22: a sample's record could not be built."""
    network = VALUES_OF_EVERY_KIND.instances[0]
    assert _sample_problems({IMAGE: 5}) == [Reason.WRONG_VALUE_KIND]
    assert _sample_problems({PID: Signed(5)}) == [Reason.WRONG_VALUE_KIND]
    assert _sample_problems({PID: 1 << 64}) == [Reason.VALUE_OUT_OF_RANGE]
    assert _sample_problems({ENUM: 9}, network) == [Reason.VALUE_OUT_OF_RANGE]
    assert _sample_problems({ADDRESS: AddressPrefix(b"\1", 8)}, network) == [
        Reason.VALUE_OUT_OF_RANGE
    ]
    assert _sample_problems({ADDRESS: AddressPrefix(bytes(4), 8)}, network) == [
        Reason.VALUE_OUT_OF_RANGE
    ]


def test_sample_inputs_have_limits() -> None:
    """22: samples could fill a Channel File; texts beyond the capacity are allowed, being cut."""
    most = LIMITS.sample_value_bytes
    assert _sample_problems({IMAGE: b"x" * most}) == []
    assert _sample_problems({IMAGE: b"x" * (most + 1)}) == [Reason.LIMIT_EXCEEDED]
    assert _sample_problems({}) == [Reason.BLANK_VALUE]


def test_sample_texts_may_be_empty() -> None:
    """22: an event with an empty argument could not be tried."""
    assert _sample_problems({IMAGE: b""}) == []


def test_samples_may_have_inputs_beyond_the_rung() -> None:
    """22: content whose criteria the rung serves would be refused for its samples."""
    sample = replace(OTHER, inputs={**OTHER.inputs, THREAD_ID: 4})
    assert problems_of(with_instance(samples=(MATCHING, sample)), Rung.PSUTIL) == []
