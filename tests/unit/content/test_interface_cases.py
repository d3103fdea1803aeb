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
from content.model import OPERATORS, ChannelFile
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
