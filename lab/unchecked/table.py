"""Turns Template Instances into the arrays that the unchecked interpreter reads.

The arrays refer to each other and to the texts by address, so `Table` keeps all of them alive.
Nothing is validated: field numbers go in as the content says. That is the point.
"""

import ctypes
from collections.abc import Sequence

from content.model import Criterion, Operator, Signed, TemplateInstance, Value

SUPPORTED = frozenset(
    {
        Operator.EQUALS,
        Operator.STARTS_WITH,
        Operator.ENDS_WITH,
        Operator.CONTAINS,
        Operator.LESS,
        Operator.LESS_OR_EQUAL,
        Operator.GREATER,
        Operator.GREATER_OR_EQUAL,
        Operator.EXISTS,
    }
)
"""Operators that the interpreter in C knows; instances with others are evaluated elsewhere."""

TEXT, UNSIGNED, SIGNED = 1, 2, 3
NUMBER_BYTES = 8
NUMBER_MASK = 2**64 - 1


class Entry(ctypes.Structure):
    """An input or a value: address of a text or a number, and length in bytes."""

    _fields_ = (("number", ctypes.c_uint64), ("length", ctypes.c_uint64))


class _Criterion(ctypes.Structure):
    _fields_ = (
        ("field", ctypes.c_uint32),
        ("first_value", ctypes.c_uint32),
        ("value_count", ctypes.c_uint32),
        ("operator_number", ctypes.c_uint8),
        ("kind", ctypes.c_uint8),
        ("negated", ctypes.c_uint8),
        ("case_sensitive", ctypes.c_uint8),
    )


class _Range(ctypes.Structure):
    _fields_ = (("first", ctypes.c_uint32), ("count", ctypes.c_uint32))


class Content(ctypes.Structure):
    """What the interpreter takes: the addresses of four arrays."""

    _fields_ = (
        ("instances", ctypes.c_void_p),
        ("clauses", ctypes.c_void_p),
        ("criteria", ctypes.c_void_p),
        ("values", ctypes.c_void_p),
    )


class Table:
    """Compiled content; `content` is valid for as long as this lives."""

    def __init__(self, instances: Sequence[TemplateInstance]) -> None:
        self._texts: list[ctypes.Array[ctypes.c_char]] = []
        values: list[Entry] = []
        criteria: list[_Criterion] = []
        clauses: list[_Range] = []
        ranges: list[_Range] = []
        for instance in instances:
            ranges.append(_Range(len(clauses), len(instance.clauses)))
            for clause in instance.clauses:
                clauses.append(_Range(len(criteria), len(clause.criteria)))
                for criterion in clause.criteria:
                    criteria.append(_compiled(criterion, len(values)))
                    values.extend(map(self._entry, criterion.values))
        self._arrays = (
            (_Range * len(ranges))(*ranges),
            (_Range * len(clauses))(*clauses),
            (_Criterion * len(criteria))(*criteria),
            (Entry * len(values))(*values),
        )
        self.content = Content(*[ctypes.addressof(array) for array in self._arrays])

    def _entry(self, value: Value) -> Entry:
        if isinstance(value, int):
            return Entry(value & NUMBER_MASK, NUMBER_BYTES)
        if not isinstance(value, bytes):
            raise TypeError(f"{type(value).__name__} is not a text or a number")
        text = ctypes.create_string_buffer(value)
        self._texts.append(text)
        return Entry(ctypes.addressof(text), len(value))


def is_supported(instance: TemplateInstance) -> bool:
    """Whether the interpreter in C can evaluate all of an instance."""
    return all(
        criterion.operator in SUPPORTED
        and all(isinstance(value, bytes | int) for value in criterion.values)
        for clause in instance.clauses
        for criterion in clause.criteria
    )


def _compiled(criterion: Criterion, first_value: int) -> _Criterion:
    return _Criterion(
        field=criterion.field,
        first_value=first_value,
        value_count=len(criterion.values),
        operator_number=criterion.operator.value,
        kind=_kind(criterion.values),
        negated=criterion.negated,
        case_sensitive=criterion.case_sensitive,
    )


def _kind(values: Sequence[Value]) -> int:
    if values and isinstance(values[0], Signed):
        return SIGNED
    return UNSIGNED if values and isinstance(values[0], int) else TEXT
