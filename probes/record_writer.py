"""Records that user space writes: header and fields, under the rules that hold for the kernel's.

For rungs below BPF, which write all their records so, and for processes that ran already when
collection began (probes/already_running.py).
"""

import time
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from content.definitions import RUNG_NUMBERS, Kind, Rung, TemplateType
from content.record import ADDRESS_BYTES, LENGTH_SUFFIX

Value = int | bytes
"""What a record takes: a number, an address of 16 bytes, or a text (arguments NUL-separated)."""


class RecordWriter:
    """Fills records of one Template Type; rung: marks every record."""

    def __init__(self, template_type: TemplateType, rung: Rung) -> None:
        self._type = template_type
        self._header = _header(template_type, rung)
        self._supplied = template_type.supplied_fields(rung)

    def promised(self, values: Mapping[str, Value]) -> dict[str, Value]:
        """Those fields that the Definition promises for this rung."""
        names = {field.name for field in self._type.fields if field.number in self._supplied}
        return {name: value for name, value in values.items() if name in names}

    def fill(self, record: NDArray[np.void], values: Mapping[str, Value]) -> int:
        """Write the fields given by name; how many of them were longer than the record holds.

        ValueError for a field that the Definition doesn't promise for this rung.
        """
        present = truncated = 0
        for name, value in self._header.items():
            record[name] = value
        for field in self._type.fields:
            value_given = values.get(field.name)
            if value_given is None:
                continue
            if field.number not in self._supplied:
                raise ValueError(f"{self._type.name}.{field.name} is not promised for this rung")
            present |= 1 << field.number
            if isinstance(value_given, int):
                record[field.name] = value_given
            else:
                capacity = ADDRESS_BYTES if field.kind is Kind.ADDRESS else field.capacity
                truncated |= (len(value_given) > capacity) << field.number
                _copy(record, field.name, value_given[:capacity], field.kind)
        record["processor"] = 0
        record["time_ns"] = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
        record["present"] = present
        record["truncated"] = truncated
        return truncated.bit_count()


def _header(template_type: TemplateType, rung: Rung) -> dict[str, int]:
    return {
        "template_type": template_type.number,
        "schema_major": template_type.version.major,
        "schema_minor": template_type.version.minor,
        "arity": template_type.arity,
        "rung": RUNG_NUMBERS[rung],
    }


def _copy(record: NDArray[np.void], name: str, value: bytes, kind: Kind) -> None:
    record[name][: len(value)] = np.frombuffer(value, np.uint8)
    if kind is Kind.TEXT:
        record[name + LENGTH_SUFFIX] = len(value)
