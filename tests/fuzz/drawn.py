"""Content and events for EVERY_KIND, drawn from `Choices`: few values, so that the two meet.

They are the ones of `tests.unit.content.event_strategies`; drawing them here is several times
faster than through hypothesis, and a fuzzer lives on the number of its tries.
"""

import numpy as np

from content.model import (
    OPERATORS,
    ORDER_OPERATORS,
    AddressPrefix,
    Clause,
    Criterion,
    Operator,
    Signed,
    Value,
)
from content.record import LENGTH_SUFFIX, Records, encode
from content.template_type import Field, Kind, Rung
from tests.fuzz.choices import Choices
from tests.unit.content.event_strategies import (
    ALPHABET,
    ATOMS,
    EVERY_KIND,
    GLOB_PARTS,
    REPEATS,
    SEEN_ADDRESSES,
    SIGNED_EDGES,
    UNSIGNED_EDGES,
    apart,
    is_allowed,
    make_stale,
)

TEXT_BYTES, WANTED_BYTES = 18, 5
OTHER_BYTES = bytes(range(256))
MAPPED = bytes(10) + b"\xff\xff"


def text(choices: Choices, most: int = TEXT_BYTES) -> bytes:
    """A short text, mostly over the small alphabet."""
    return bytes(
        choices.pick(OTHER_BYTES if choices.once_in(30) else ALPHABET)
        for _ in range(choices.number(most + 1))
    )


def clause(choices: Choices) -> Clause:
    """A sound clause."""
    return Clause(choices.some(criterion, 1, 3))


def clauses(choices: Choices) -> tuple[Clause, ...]:
    """The clauses of a sound instance."""
    return choices.some(clause, 1, 2)


def criterion(choices: Choices) -> Criterion:
    """A sound criterion on any field."""
    field = choices.pick(EVERY_KIND.fields)
    negated = choices.once_in(3)
    operator = choices.pick(sorted(OPERATORS[field.kind]))
    if operator is Operator.EXISTS:
        return Criterion(field.number, operator, (), negated)
    most = 1 if operator in ORDER_OPERATORS else 3
    values = choices.some(lambda drawn: _wanted(drawn, field, operator), 1, most)
    case_sensitive = field.kind is Kind.TEXT and choices.once_in(2)
    return Criterion(field.number, operator, values, negated, case_sensitive)


def _wanted(choices: Choices, field: Field, operator: Operator) -> Value:
    if operator is Operator.GLOB:
        return b"".join(choices.some(lambda drawn: drawn.pick(GLOB_PARTS), 1, 6))
    if operator is Operator.REGEX:
        return expression(choices)
    if field.kind is Kind.TEXT:
        return text(choices, WANTED_BYTES)
    if operator is Operator.CIDR:
        return prefix(choices)
    return sample_value(field, value(choices, field))


def expression(choices: Choices) -> bytes:
    """An expression of the subset; a single letter where the choices lead elsewhere."""
    drawn = b"|".join(choices.some(_alternative, 1, 2))
    return drawn if is_allowed(drawn) else b"a"


def _alternative(choices: Choices) -> bytes:
    start, end = choices.pick(["", "^"]), choices.pick(["", "$"])
    return (start + "".join(choices.some(_part, 1, 3)) + end).encode()


def _part(choices: Choices) -> str:
    atoms = choices.some(lambda drawn: drawn.pick(ATOMS), 1, 3)
    joined = choices.pick(["", "|"]).join(atoms)
    return f"(?:{joined}){choices.pick(['', *REPEATS])}"


def prefix(choices: Choices) -> AddressPrefix:
    """A prefix of either family, bits behind its length included."""
    address = choices.pick(SEEN_ADDRESSES)
    if address.startswith(MAPPED) and choices.once_in(2):
        address = address.removeprefix(MAPPED)
    return AddressPrefix(address, choices.number(8 * len(address) + 1))


def value(choices: Choices, field: Field) -> bytes | int:
    """An input as records have it."""
    if field.kind is Kind.TEXT:
        return text(choices)
    if field.kind is Kind.ADDRESS:
        return choices.pick(SEEN_ADDRESSES)
    if field.kind is Kind.ENUM:
        return choices.pick(list(field.values.values()))
    return choices.pick(SIGNED_EDGES if field.kind is Kind.SIGNED else UNSIGNED_EDGES)


def sample_value(field: Field, value: bytes | int) -> Value:
    """An input as content has it."""
    if field.kind is Kind.ADDRESS and isinstance(value, bytes):
        return AddressPrefix(value, 8 * len(value))
    return Signed(value) if field.kind is Kind.SIGNED and isinstance(value, int) else value


def event(choices: Choices) -> dict[int, bytes | int]:
    """Inputs of one event, some of them absent."""
    return {
        field.number: value(choices, field) for field in EVERY_KIND.fields if not choices.once_in(6)
    }


def batch(choices: Choices) -> Records:
    """Records as a ring holds them, and now and then one that is damaged."""
    events = choices.some(event, 1, 6)
    records = np.concatenate([encode(EVERY_KIND, one, rung=Rung.BPF_BTF) for one in events])
    for row in range(len(records)):
        make_stale(records, row, text(choices))
        if choices.once_in(10):
            records[choices.pick(["arity", "schema_minor", "template_type"])][row] += 1
        if choices.once_in(10):
            records["path" + LENGTH_SUFFIX][row] = choices.pick([9, 500, (1 << 32) - 1])
    return apart(records, choices.pick([0, 8, 24, 3]))
