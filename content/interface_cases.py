"""Generated tests of the interface between content and sensor: every field, every operator.

The finding of 2024 was that no test ever varied the criterion of the last field. Here the cases
are derived from the Definition, so that a new field is tested the day it appears: for every field
and every operator that its kind allows, one event that must match and one that must not, once with
all other fields wildcards and once with all other fields constrained. All cases of a Template Type
are instances of one Channel File and run through the real engine as one batch of records; the test
suite does that, and so does every trial on a sensor.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import ip_network

import numpy as np

from content.interpreter import Engine
from content.model import (
    OPERATORS,
    AddressPrefix,
    ChannelFile,
    Clause,
    Criterion,
    Disposition,
    Operator,
    Severity,
    Signed,
    TemplateInstance,
    TemplateTypeReference,
    Value,
)
from content.problems import ContentError, Problem
from content.reasons import Reason
from content.record import Records, encode
from content.template_type import Field, Kind, Rung, TemplateType

EngineFactory = Callable[[Sequence[ChannelFile], Mapping[int, TemplateType]], Engine]
Inputs = dict[int, bytes | int]

TEXT, OTHER_TEXT = b"ab-Cd.7", b"xb_Cd.8"
"""Short enough for the smallest field; the other one fails every operator below."""

NUMBER, SMALLER, LARGER = 7, 6, 8


def _prefix(text: str) -> AddressPrefix:
    network = ip_network(text)
    return AddressPrefix(network.network_address.packed, network.prefixlen)


ADDRESS = _prefix("192.0.2.7")
OTHER_ADDRESS = _prefix("198.51.100.7")
NETWORK = _prefix("192.0.2.0/24")
"""Of the ranges that are kept for documentation (RFC 5737)."""

_TEXT_VALUES: Mapping[Operator, bytes] = {
    Operator.EQUALS: b"ab-Cd.7",
    Operator.STARTS_WITH: b"ab-",
    Operator.ENDS_WITH: b".7",
    Operator.CONTAINS: b"-Cd",
    Operator.GLOB: b"ab*.?",
    Operator.REGEX: b"^ab-[a-c]d",
}
_ORDER_VALUES: Mapping[Operator, tuple[int, int]] = {
    Operator.EQUALS: (NUMBER, LARGER),
    Operator.LESS: (LARGER, LARGER),
    Operator.LESS_OR_EQUAL: (NUMBER, LARGER),
    Operator.GREATER: (SMALLER, SMALLER),
    Operator.GREATER_OR_EQUAL: (NUMBER, SMALLER),
}
"""For each operator on numbers: what to compare with, and an input that must not match."""


@dataclass(frozen=True, slots=True)
class Case:
    """One instance, an event that it must match and one that it must not."""

    instance: TemplateInstance
    match: Inputs
    non_match: Inputs
    constrained: bool


def cases(template_type: TemplateType) -> Iterator[Case]:
    """All cases of a Template Type, in the order of its fields."""
    for field in template_type.fields:
        for operator in sorted(OPERATORS[field.kind]):
            for constrained in (False, True):
                yield _case(template_type, field, operator, constrained=constrained)


def check(template_type: TemplateType, factory: EngineFactory) -> list[Problem]:
    """Run all cases through an engine; a problem for each wrong answer."""
    found = list(cases(template_type))
    # Apart, because instances with wildcards match every fully supplied event.
    groups = [[case for case in found if case.constrained is group] for group in (False, True)]
    return [problem for group in groups for problem in _run(group, template_type, factory)]


def _run(
    found: Sequence[Case], template_type: TemplateType, factory: EngineFactory
) -> list[Problem]:
    types = {template_type.number: template_type}
    try:
        engine = factory([_channel_file(template_type, found)], types)
    except ContentError as error:
        return list(error.problems)
    rows = _Rows(template_type)
    placed = [(case, rows.row(case.match), rows.row(case.non_match)) for case in found]
    evaluation = engine.evaluate(template_type, rows.records())
    matched = {(match.row, match.instance.id) for match in evaluation.matches}
    return [problem for entry in placed for problem in _judge(*entry, matched)]


class _Rows:
    """The events of many cases as records, each event once."""

    def __init__(self, template_type: TemplateType) -> None:
        self._template_type = template_type
        self._rows: dict[tuple[tuple[int, bytes | int], ...], int] = {}

    def row(self, inputs: Inputs) -> int:
        return self._rows.setdefault(tuple(sorted(inputs.items())), len(self._rows))

    def records(self) -> Records:
        encoded = [
            encode(self._template_type, dict(event), rung=Rung.BPF_BTF) for event in self._rows
        ]
        return np.concatenate(encoded)


def _judge(
    case: Case, match: int, non_match: int, matched: set[tuple[int, str]]
) -> Iterator[Problem]:
    name = case.instance.id
    if (match, name) not in matched:
        yield _problem(case, "no match", "a match")
    if (non_match, name) in matched:
        yield _problem(case, "a match", "no match")


def _problem(case: Case, found: str, expected: str) -> Problem:
    return Problem(Reason.INTERFACE_CASE_FAILED, case.instance.title, found, expected)


def _case(
    template_type: TemplateType, field: Field, operator: Operator, *, constrained: bool
) -> Case:
    value, other = _values(field, operator)
    tested = Criterion(field.number, operator, () if value is None else (value,))
    others = [one for one in template_type.fields if one is not field] if constrained else []
    criteria = (*(_usual_criterion(one) for one in others), tested)
    usual = {one.number: _usual_input(one) for one in others}
    match = {**usual, field.number: _usual_input(field)}
    non_match = usual if other is None else {**usual, field.number: other}
    words = "constrained" if constrained else "wildcards"
    title = f"{template_type.name}.{field.name} {operator.name.lower()}, others {words}"
    name = f"case-{field.number}-{int(operator)}-{int(constrained)}"
    return Case(_instance(name, title, criteria), match, non_match, constrained)


def _values(field: Field, operator: Operator) -> tuple[Value | None, bytes | int | None]:
    """What to compare with (None: nothing), and an input that must not match (None: absent)."""
    if operator is Operator.EXISTS:
        return None, None
    if field.kind is Kind.TEXT:
        return _TEXT_VALUES[operator], OTHER_TEXT
    if field.kind is Kind.ADDRESS:
        value = NETWORK if operator is Operator.CIDR else ADDRESS
        return value, OTHER_ADDRESS.mapped().address
    if field.kind is Kind.ENUM:
        numbers = sorted(field.values.values())
        return numbers[0], numbers[-1] if len(numbers) > 1 else None
    number, other = _ORDER_VALUES[operator]
    return (Signed(number), other) if field.kind is Kind.SIGNED else (number, other)


def _usual_input(field: Field) -> bytes | int:
    if field.kind is Kind.TEXT:
        return TEXT
    if field.kind is Kind.ADDRESS:
        return ADDRESS.mapped().address
    return min(field.values.values()) if field.kind is Kind.ENUM else NUMBER


def _usual_criterion(field: Field) -> Criterion:
    value, _ = _values(field, Operator.EQUALS)
    return Criterion(field.number, Operator.EQUALS, () if value is None else (value,))


def _instance(name: str, title: str, criteria: tuple[Criterion, ...]) -> TemplateInstance:
    return TemplateInstance(
        id=name,
        disposition=Disposition.OBSERVE,
        severity=Severity.INFORMATIONAL,
        title=title,
        description="",
        attack_techniques=(),
        false_positives=(),
        clauses=(Clause(criteria),),
        samples=(),
    )


def _channel_file(template_type: TemplateType, found: Sequence[Case]) -> ChannelFile:
    reference = TemplateTypeReference(
        template_type.number,
        template_type.version,
        template_type.fingerprint,
        template_type.arity,
    )
    return ChannelFile(reference, 1, tuple(case.instance for case in found))
