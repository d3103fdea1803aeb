"""The record of one event of one Template Type: how inputs lie in memory.

Derived from the Definition alone: `probes.layout` writes the same slots as a C struct, and
`dtype` views whole batches of records as numpy columns. A record is

    header | numbers, 8 bytes each | addresses, 16 bytes each | text lengths, 4 bytes each |
    padding to 8 | texts, `capacity` bytes each

in field order within each group, so that no compiler inserts padding. Bytes of a text beyond its
length are stale memory and must never be looked at. `present` has bit n set when field number n
was supplied for this event, `truncated` when its value was longer than its capacity.
"""

from dataclasses import dataclass
from functools import cache

import numpy as np

from content.definitions import Kind, TemplateType

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

NUMBERS = {Kind.UNSIGNED: "u8", Kind.SIGNED: "i8", Kind.ENUM: "u8"}


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
    members: list[tuple[str, str, int]] = [
        (name, code, int(code[1:])) for name, code in HEADER
    ]
    fields = template_type.fields
    members += [(f.name, NUMBERS[f.kind], WORD) for f in fields if f.kind in NUMBERS]
    members += [(f.name, "address", ADDRESS_BYTES) for f in fields if f.kind is Kind.ADDRESS]
    texts = [f for f in fields if f.kind is Kind.TEXT]
    members += [(f.name + LENGTH_SUFFIX, "u4", 4) for f in texts]
    if len(texts) % 2:
        members.append(("padding_", "padding", 4))
    members += [(f.name, "text", f.capacity) for f in texts]
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
                (np.uint8, (slot.size,)) if slot.code in ("text", "address", "padding") else slot.code
                for slot in named
            ],
            "offsets": [slot.offset for slot in named],
            "itemsize": record_size(template_type),
        }
    )
