"""A Template Type: the one source for record layout, decoder, validator and documentation.

Template Types are declared in `content/definitions/*.yaml` and read by `content.definitions`.
Everything else about one is derived from the `TemplateType` here; nothing is mirrored by hand.
"""

import hashlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType

MAX_FIELDS = 63
"""One bit per field number in the record's 64-bit masks; bit 0 stays unused."""

TEXT_CAPACITY_STEP = 8
"""Text capacities are whole 8-byte words, so that records need no padding."""


class Kind(StrEnum):
    """What a field holds; numbers are 64 bits wide, addresses 16 bytes."""

    UNSIGNED = "unsigned"
    SIGNED = "signed"
    ENUM = "enum"
    ADDRESS = "address"
    TEXT = "text"


class Rung(StrEnum):
    """Kernel dependency ladder, best first."""

    BPF_BTF = "bpf_btf"
    BPF_TRACEPOINT = "bpf_tracepoint"
    PROCESS_CONNECTOR = "process_connector"
    PSUTIL = "psutil"


RUNG_NUMBERS: Mapping[Rung, int] = MappingProxyType(
    {rung: number for number, rung in enumerate(Rung, start=1)}
)
"""The number that marks each rung in a record and on the wire (bulkhead.v1.Rung)."""


@dataclass(frozen=True, slots=True)
class SchemaVersion:
    """Version of a Definition; content is evaluated only where both parts are equal."""

    major: int
    minor: int

    def __str__(self) -> str:
        return f"{self.major}.{self.minor}"


@dataclass(frozen=True, slots=True)
class ValueSupply:
    """Where one value of an enum is told, if not on every rung that supplies its field.

    rungs: where it is. otherwise: the value that is told in its place on the others, 0 for none.
    """

    rungs: frozenset[Rung]
    otherwise: int = 0


@dataclass(frozen=True, slots=True)
class Field:
    """One input of a Template Type.

    capacity: bytes that the record holds of a text, 0 for other kinds.
    arguments: the record holds NUL-separated arguments, which content sees joined by spaces.
    values: names and numbers of an enum, empty for other kinds.
    rungs: where the field is really supplied.
    value_supply: by number, the values of an enum that only some of these rungs tell.
    """

    number: int
    name: str
    kind: Kind
    description: str
    rungs: frozenset[Rung]
    capacity: int = 0
    arguments: bool = False
    values: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}), hash=False)
    value_supply: Mapping[int, ValueSupply] = field(
        default_factory=lambda: MappingProxyType({}), hash=False
    )

    def untold(self, rung: Rung, values: Collection[int]) -> frozenset[int]:
        """Those values of an enum for which a criterion that names them all waits in vain.

        The rung does not tell them, and what it tells in their place is not named as well.
        """
        return frozenset(
            number
            for number, supply in self.value_supply.items()
            if number in values and rung not in supply.rungs and supply.otherwise not in values
        )


@dataclass(frozen=True, slots=True)
class TemplateType:
    """A numbered list of typed fields for one kind of event; fields are numbered 1 to arity."""

    number: int
    name: str
    version: SchemaVersion
    title: str
    description: str
    fields: tuple[Field, ...]

    @property
    def arity(self) -> int:
        """How many inputs the sensor supplies."""
        return len(self.fields)

    @property
    def fingerprint(self) -> bytes:
        """SHA-256 over number, name and kind of every field (32 bytes)."""
        lines = [f"{field.number} {field.name} {field.kind}\n" for field in self.fields]
        return hashlib.sha256("".join(lines).encode("ascii")).digest()

    def field(self, number: int) -> Field:
        """The field with that number; KeyError if it is outside 1 to arity."""
        if not 1 <= number <= self.arity:
            raise KeyError(number)
        return self.fields[number - 1]

    def supplied_fields(self, rung: Rung) -> frozenset[int]:
        """Numbers of the fields that a rung fills in; empty where it can't see this type."""
        return frozenset(field.number for field in self.fields if rung in field.rungs)
