"""The record of one event of one Template Type: how inputs lie in memory.

Derived from the Definition alone: `probes.layout` writes the same slots as a C struct, and
`dtype` views whole batches of records as numpy columns. A record is

    header | numbers, 8 bytes each | addresses, 16 bytes each | text lengths, 4 bytes each |
    padding to 8 | texts, `capacity` bytes each

in field order within each group, so that no compiler inserts padding; texts with the smallest
capacity first, so that a record with short texts touches few pages: each costs whoever writes it
as much as ten fields. Bytes of a text beyond its length are stale memory and must never be looked
at. `present` has bit n set when field number n was supplied for this event, `truncated` when its
value was longer than its capacity.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, TypeVar

import numpy as np

from content.template_type import RUNG_NUMBERS, Field, Kind, Rung, TemplateType

HEADER = (
    ("template_type", "u2"),
    ("schema_major", "u2"),
    ("schema_minor", "u2"),
    ("arity", "u2"),
    ("rung", "u4"),
    ("processor", "u4"),
    ("time_ns", "u8"),
    ("present", "u8"),
    ("truncated", "u8"),
)
"""Name and width of each header slot; time_ns is CLOCK_BOOTTIME."""

LENGTH_SUFFIX = "_length"
WORD = 8
ADDRESS_BYTES = 16
IPV4_BYTES = 4
IPV4_MAPPED_PREFIX = bytes(10) + b"\xff\xff"
"""What stands before an IPv4 address in its IPv4-mapped IPv6 address."""

NUMBERS = {Kind.UNSIGNED: "u8", Kind.SIGNED: "i8", Kind.ENUM: "u8"}

_Wanted = TypeVar("_Wanted", bytes, int)


def number_range(kind: Kind) -> tuple[int, int]:
    """Least and greatest value that the 64 bits of a number hold, both inclusive."""
    return (-(1 << 63), (1 << 63) - 1) if kind is Kind.SIGNED else (0, (1 << 64) - 1)


@dataclass(frozen=True, slots=True)
class Slot:
    """One member of a record: `code` as numpy spells it, or 'text' / 'address' / 'padding'."""

    name: str
    code: str
    offset: int
    size: int


@cache
def slots(template_type: TemplateType) -> tuple[Slot, ...]:
    """All members of the record, in order, with offset and size in bytes."""
    members: list[tuple[str, str, int]] = [(name, code, int(code[1:])) for name, code in HEADER]
    fields = template_type.fields
    members += [(f.name, NUMBERS[f.kind], WORD) for f in fields if f.kind in NUMBERS]
    members += [(f.name, "address", ADDRESS_BYTES) for f in fields if f.kind is Kind.ADDRESS]
    texts = [f for f in fields if f.kind is Kind.TEXT]
    members += [(f.name + LENGTH_SUFFIX, "u4", 4) for f in texts]
    if len(texts) % 2:
        members.append(("padding_", "padding", 4))
    smallest_first = sorted(texts, key=lambda field: field.capacity)
    members += [(f.name, "text", f.capacity) for f in smallest_first]
    placed: list[Slot] = []
    offset = 0
    for name, code, size in members:
        placed.append(Slot(name, code, offset, size))
        offset += size
    return tuple(placed)


def record_size(template_type: TemplateType) -> int:
    """Bytes of one record, a multiple of 8."""
    last = slots(template_type)[-1]
    return last.offset + last.size


@cache
def dtype(template_type: TemplateType) -> np.dtype[np.void]:
    """A structured dtype over one record; texts and addresses are byte arrays (u1)."""
    named = slots(template_type)
    return np.dtype(
        {
            "names": [slot.name for slot in named],
            "formats": [
                (np.uint8, (slot.size,))
                if slot.code in ("text", "address", "padding")
                else slot.code
                for slot in named
            ],
            "offsets": [slot.offset for slot in named],
            "itemsize": record_size(template_type),
        }
    )


Records = np.ndarray[tuple[int], np.dtype[np.void]]
"""Any number of records of one Template Type, shape (n,), dtype(template_type)."""


def encode(
    template_type: TemplateType,
    inputs: Mapping[int, bytes | int],
    *,
    rung: Rung,
    time_ns: int = 0,
) -> Records:
    """One record, shape (1,), of inputs by field number.

    Texts are bytes (cut at their capacity, with the truncated bit), addresses 16 bytes or 4
    (IPv4), everything else int. Raises KeyError for a number outside the arity, TypeError for the
    wrong kind of value, and ValueError for a number that 64 bits can't hold or a wrong address.
    """
    record = np.zeros(1, dtype(template_type))
    _write_header(template_type, record, RUNG_NUMBERS[rung], time_ns)
    present = truncated = 0
    for number, value in inputs.items():
        field = template_type.field(number)
        present |= 1 << number
        if field.kind is Kind.TEXT:
            data = _require(value, bytes)
            truncated |= (len(data) > field.capacity) << number
            _write_text(record, field, data[: field.capacity])
        elif field.kind is Kind.ADDRESS:
            record[field.name][0] = np.frombuffer(_mapped(_require(value, bytes)), np.uint8)
        else:
            record[field.name][0] = _fitting(_require(value, int), field)
    record["present"] = present
    record["truncated"] = truncated
    return record


def decode(template_type: TemplateType, record: Records) -> dict[int, bytes | int]:
    """The inputs that one record (shape (1,)) holds, by field number, as content sees them.

    Arguments are joined by spaces, addresses are 16 bytes. A text length beyond the capacity, which
    only a damaged record has, is cut to it.
    """
    row = record[0]
    present = int(row["present"])
    found: dict[int, bytes | int] = {}
    for field in template_type.fields:
        if not present >> field.number & 1:
            continue
        if field.kind is Kind.TEXT:
            length = min(int(row[field.name + LENGTH_SUFFIX]), field.capacity)
            text = row[field.name][:length].tobytes()
            found[field.number] = text.replace(b"\0", b" ") if field.arguments else text
        elif field.kind is Kind.ADDRESS:
            found[field.number] = row[field.name].tobytes()
        else:
            found[field.number] = int(row[field.name])
    return found


def header_problem(template_type: TemplateType, records: Records) -> np.ndarray[Any, Any]:
    """Which records (bool, shape (n,)) are of another type, version or arity than the Definition.

    Compared before anything else in a record is looked at.
    """
    return np.asarray(
        (records["template_type"] != template_type.number)
        | (records["schema_major"] != template_type.version.major)
        | (records["schema_minor"] != template_type.version.minor)
        | (records["arity"] != template_type.arity)
    )


def _write_header(template_type: TemplateType, record: Records, rung: int, time_ns: int) -> None:
    record["template_type"] = template_type.number
    record["schema_major"] = template_type.version.major
    record["schema_minor"] = template_type.version.minor
    record["arity"] = template_type.arity
    record["rung"] = rung
    record["time_ns"] = time_ns


def _write_text(record: Records, field: Field, data: bytes) -> None:
    record[field.name][0, : len(data)] = np.frombuffer(data, np.uint8)
    record[field.name + LENGTH_SUFFIX] = len(data)


def _require(value: bytes | int, wanted: type[_Wanted]) -> _Wanted:
    if not isinstance(value, wanted):
        raise TypeError(f"{type(value).__name__} where {wanted.__name__} is needed")
    return value


def _mapped(address: bytes) -> bytes:
    if len(address) == IPV4_BYTES:
        return IPV4_MAPPED_PREFIX + address
    if len(address) != ADDRESS_BYTES:
        raise ValueError(f"an address has 4 or 16 bytes, not {len(address)}")
    return address


def _fitting(value: int, field: Field) -> int:
    least, most = number_range(field.kind)
    if not least <= value <= most:
        raise ValueError(f"{value} does not fit {field.name} ({field.kind}, 64 bits)")
    return value
