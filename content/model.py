"""Rapid Response Content as plain values: what a Channel File says, and nothing that acts.

Numbers of the enums are those of bulkhead.v1, with nothing for "unspecified": a value that was not
set can't be represented here, so `content.channel_file.load` has to refuse it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from ipaddress import IPv4Address, IPv6Address
from types import MappingProxyType

from content.record import ADDRESS_BYTES, IPV4_BYTES, IPV4_MAPPED_PREFIX
from content.template_type import Kind, SchemaVersion


class Disposition(IntEnum):
    """What the Sensor Detection Engine does with a match."""

    OBSERVE = 1
    DETECT = 2
    PREVENT = 3


class Severity(IntEnum):
    """How bad a match is."""

    INFORMATIONAL = 1
    LOW = 2
    MEDIUM = 3
    HIGH = 4
    CRITICAL = 5


class Operator(IntEnum):
    """How a criterion compares; docs/content-language.md says which kind takes which."""

    EQUALS = 1
    STARTS_WITH = 2
    ENDS_WITH = 3
    CONTAINS = 4
    GLOB = 5
    REGEX = 6
    CIDR = 7
    LESS = 8
    LESS_OR_EQUAL = 9
    GREATER = 10
    GREATER_OR_EQUAL = 11
    EXISTS = 12


_COMMON_OPERATORS = frozenset({Operator.EQUALS, Operator.EXISTS})
ORDER_OPERATORS = frozenset(
    {Operator.LESS, Operator.LESS_OR_EQUAL, Operator.GREATER, Operator.GREATER_OR_EQUAL}
)
"""They take one value, on numbers."""

TEXT_OPERATORS = frozenset(
    {
        Operator.STARTS_WITH,
        Operator.ENDS_WITH,
        Operator.CONTAINS,
        Operator.GLOB,
        Operator.REGEX,
    }
)
OPERATORS: Mapping[Kind, frozenset[Operator]] = {
    Kind.UNSIGNED: _COMMON_OPERATORS | ORDER_OPERATORS,
    Kind.SIGNED: _COMMON_OPERATORS | ORDER_OPERATORS,
    Kind.ENUM: _COMMON_OPERATORS,
    Kind.ADDRESS: _COMMON_OPERATORS | {Operator.CIDR},
    Kind.TEXT: _COMMON_OPERATORS | TEXT_OPERATORS,
}
"""Which operators a field of each kind can be compared with."""


@dataclass(frozen=True, slots=True)
class AddressPrefix:
    """An address of 4 or 16 bytes and how many of its leading bits count."""

    address: bytes
    length: int

    def mapped(self) -> "AddressPrefix":
        """The same prefix over IPv4-mapped IPv6 addresses (16 bytes), as records hold them."""
        if len(self.address) == IPV4_BYTES:
            return AddressPrefix(IPV4_MAPPED_PREFIX + self.address, self.length + 96)
        return self

    @property
    def is_single(self) -> bool:
        """Whether it names exactly one address."""
        return self.length == 8 * len(self.address)

    def __str__(self) -> str:
        if len(self.address) == IPV4_BYTES:
            shown: object = IPv4Address(self.address)
        elif len(self.address) == ADDRESS_BYTES:
            shown = IPv6Address(self.address)
        else:
            shown = f"0x{self.address.hex()}"
        return f"{shown}/{self.length}"


class Signed(int):
    """A value that travels as `signed` on the wire: what fields of kind signed are compared with.

    A plain int travels as `unsigned`. The two are never mixed: a Channel File must pack back to
    the bytes that it was loaded from.
    """

    __slots__ = ()


Value = bytes | int | AddressPrefix
"""bytes for text, int for unsigned and enum, Signed for signed, AddressPrefix for address."""


FORMS: Mapping[Kind, str] = {
    Kind.UNSIGNED: "an unsigned number",
    Kind.ENUM: "an unsigned number",
    Kind.SIGNED: "a signed number",
    Kind.ADDRESS: "an address prefix",
    Kind.TEXT: "text",
}
"""In which form the values of a field of each kind come."""


def form_of(value: Value) -> str:
    """The form that a value has."""
    if isinstance(value, bytes):
        return FORMS[Kind.TEXT]
    if isinstance(value, AddressPrefix):
        return FORMS[Kind.ADDRESS]
    return FORMS[Kind.SIGNED if isinstance(value, Signed) else Kind.UNSIGNED]


@dataclass(frozen=True, slots=True)
class Criterion:
    """One condition on one field: any of the values matches; a field without one is a wildcard."""

    field: int
    operator: Operator
    values: tuple[Value, ...]
    negated: bool = False
    case_sensitive: bool = False


@dataclass(frozen=True, slots=True)
class Clause:
    """All criteria must hold."""

    criteria: tuple[Criterion, ...]


@dataclass(frozen=True, slots=True)
class Sample:
    """An event written by the author, and whether its instance must match it.

    inputs: values by field number; an address is an AddressPrefix of full length. A field that is
    not there was not supplied.
    """

    name: str
    must_match: bool
    inputs: Mapping[int, Value]

    def record_inputs(self) -> dict[int, bytes | int]:
        """The inputs as `content.record.encode` takes them: addresses as 16 bytes."""
        return {
            number: value.mapped().address if isinstance(value, AddressPrefix) else value
            for number, value in self.inputs.items()
        }


@dataclass(frozen=True, slots=True)
class TemplateInstance:
    """Matching criteria over the fields of one Template Type: any of the clauses matches.

    author, license, source, references: whose work it is and where it comes from; may be empty.
    """

    id: str
    disposition: Disposition
    severity: Severity
    title: str
    description: str
    attack_techniques: tuple[str, ...]
    false_positives: tuple[str, ...]
    clauses: tuple[Clause, ...]
    samples: tuple[Sample, ...]
    author: str = ""
    license: str = ""
    source: str = ""
    references: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class TemplateTypeReference:
    """The Template Type that content was written for, as its author knew it."""

    number: int
    version: SchemaVersion
    fingerprint: bytes
    arity: int


@dataclass(frozen=True, slots=True)
class ChannelFile:
    """All Template Instances of one Template Type, in one version."""

    template_type: TemplateTypeReference
    version: int
    instances: tuple[TemplateInstance, ...]


def read_only(inputs: Mapping[int, Value]) -> Mapping[int, Value]:
    """A copy of sample inputs that nobody can change."""
    return MappingProxyType(dict(inputs))
