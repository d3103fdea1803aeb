"""Generated interface cases: complete, right on both matchers, and able to fail."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from ipaddress import ip_address, ip_network

import pytest

from content import interface_cases
from content.definitions import load_definitions
from content.interface_cases import cases, check
from content.interpreter import Engine, Interpreter
from content.matching.hyperscan_matcher import HyperscanMatcher
from content.matching.matcher import MatcherFactory
from content.matching.re2_matcher import Re2Matcher
from content.model import FORMS, OPERATORS, ChannelFile, form_of
from content.problems import ContentError, Problem
from content.reasons import Reason
from content.template_type import Field, Kind, Rung, TemplateType

TYPES = load_definitions()


@pytest.mark.parametrize("template_type", TYPES.values(), ids=lambda one: one.name)
@pytest.mark.parametrize("matcher", [HyperscanMatcher, Re2Matcher])
def test_every_field_and_operator_gets_the_right_answer(
    template_type: TemplateType, matcher: MatcherFactory
) -> None:
    """A field or an operator of the sensor would be dead, as field 21 was for four months."""

    def factory(files: Sequence[ChannelFile], types: Mapping[int, TemplateType]) -> Engine:
        return Interpreter(files, types, matcher=matcher)

    assert check(template_type, factory) == []


@pytest.mark.parametrize("template_type", TYPES.values(), ids=lambda one: one.name)
def test_every_field_and_operator_has_its_cases(template_type: TemplateType) -> None:
    """A new field would not be tested the day it appears."""
    found = [(one.instance.clauses[0].criteria[-1]) for one in cases(template_type)]
    expected = [
        (field.number, operator)
        for field in template_type.fields
        for operator in OPERATORS[field.kind]
        for _ in range(2)
    ]
    assert sorted((one.field, one.operator) for one in found) == sorted(expected)
    assert len({one.instance.id for one in cases(template_type)}) == len(expected)


@pytest.mark.parametrize("template_type", TYPES.values(), ids=lambda one: one.name)
def test_every_case_reaches_the_engine(template_type: TemplateType) -> None:
    """Half of the cases would be made and never tried."""
    tried: list[str] = []

    def factory(files: Sequence[ChannelFile], types: Mapping[int, TemplateType]) -> Engine:
        tried.extend(one.id for file in files for one in file.instances)
        return Interpreter(files, types)

    assert check(template_type, factory) == []
    assert sorted(tried) == sorted(one.instance.id for one in cases(template_type))


@pytest.mark.parametrize("template_type", TYPES.values(), ids=lambda one: one.name)
def test_all_other_fields_are_wildcards_or_all_are_constrained(template_type: TemplateType) -> None:
    """A field would be tried on its own only, or only where the others are constrained as well."""
    for case in cases(template_type):
        (clause,) = case.instance.clauses
        fields = [criterion.field for criterion in clause.criteria]
        everything = list(range(1, template_type.arity + 1))
        assert sorted(fields) == (everything if case.constrained else fields[-1:])


@pytest.mark.parametrize("template_type", TYPES.values(), ids=lambda one: one.name)
def test_values_are_of_the_fields_kind(template_type: TemplateType) -> None:
    """A trial would try what no Channel File can hold."""
    for case in cases(template_type):
        for criterion in case.instance.clauses[0].criteria:
            forms = {form_of(value) for value in criterion.values}
            assert forms <= {FORMS[template_type.field(criterion.field).kind]}


@pytest.mark.parametrize("count", [1, 2, 3])
def test_the_other_value_of_an_enum_is_one_of_its_own(count: int) -> None:
    """An enum would be tried with a value that it can't have, or with the same one twice."""
    values = {f"v{number}": number for number in range(1, count + 1)}
    field = Field(1, "choice", Kind.ENUM, "", frozenset(Rung), values=values)
    chosen = replace(TYPES[4], fields=(field,))
    assert check(chosen, Interpreter) == []
    equals = [one for one in cases(chosen) if one.instance.clauses[0].criteria[0].values]
    for case in equals:
        assert case.match == {1: 1}
        assert case.non_match.get(1) in ({None} if count == 1 else set(values.values()) - {1})


def test_addresses_are_those_of_the_documentation() -> None:
    """A trial would speak of addresses that belong to somebody (RFC 5737)."""
    assert str(interface_cases.NETWORK) == "192.0.2.0/24"
    assert ip_address(interface_cases.ADDRESS.address) in ip_network("192.0.2.0/24")
    assert ip_address(interface_cases.OTHER_ADDRESS.address) in ip_network("198.51.100.0/24")
    assert interface_cases.ADDRESS.is_single
    assert interface_cases.OTHER_ADDRESS.is_single


def test_a_new_field_is_tested_the_day_it_appears() -> None:
    """The 21st field would again be the one that nobody tries."""
    ipc = TYPES[4]
    field = Field(21, "new_field", Kind.TEXT, "New.", frozenset({Rung.BPF_BTF}), capacity=16)
    grown = replace(ipc, fields=(*ipc.fields, field))
    names = [one.instance.title for one in cases(grown)]
    assert sum(name.startswith("ipc.new_field ") for name in names) == 2 * len(OPERATORS[Kind.TEXT])
    assert check(grown, Interpreter) == []


def test_cases_that_the_engine_refuses_are_problems() -> None:
    """A sensor on which no case can be built would pass its trial, or end in a traceback."""
    refused = Problem(Reason.EXPRESSION_NOT_ALLOWED, "clauses[0]", "x", "y")

    def factory(_files: Sequence[ChannelFile], _types: Mapping[int, TemplateType]) -> Engine:
        raise ContentError([refused])

    assert check(TYPES[4], factory) == [refused, refused]


@pytest.mark.parametrize("number", [1, 2, 20])
def test_an_engine_that_never_reads_a_field_fails(number: int) -> None:
    """The cases would pass whatever the engine does."""

    def blind(files: Sequence[ChannelFile], types: Mapping[int, TemplateType]) -> Engine:
        file = files[0]
        instances = tuple(
            replace(
                one,
                clauses=tuple(
                    replace(
                        clause,
                        criteria=tuple(c for c in clause.criteria if c.field != number)
                        or clause.criteria,
                    )
                    for clause in one.clauses
                ),
            )
            for one in file.instances
        )
        return Interpreter([replace(file, instances=instances)], types)

    assert check(TYPES[4], blind)
