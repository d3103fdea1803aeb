"""A Channel File as the C reader makes it: the arrays that the unchecked interpreter takes.

The same reader runs in the kernel module, in the agent's process and in the evaluator, on the same
bytes. Here its memory is Python's: the arrays refer to each other and to the payload by address, so
`Compiled` keeps all of them alive. Nothing is validated: field numbers go in as the content says.
That is the point.
"""

import ctypes
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum

from lab.unchecked import build

TEXT = 1
"""BULKHEAD_TEXT in interpreter.h."""


class ReadReason(IntEnum):
    """Why the C reader gave up (reader.h)."""

    TRUNCATED = -1
    MALFORMED = -2
    TOO_MANY = -3


class ReadError(Exception):
    """The C reader can't read these bytes."""

    def __init__(self, reason: ReadReason) -> None:
        super().__init__(f"{reason.name}: the C reader can't read this Channel File")
        self.reason = reason


class Entry(ctypes.Structure):
    """An input or a value: address of a text or a number, and length in bytes."""

    _fields_ = (("number", ctypes.c_uint64), ("length", ctypes.c_uint64))


class _Identity(ctypes.Structure):
    _fields_ = (("id", Entry), ("supported", ctypes.c_uint64))


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


class _Content(ctypes.Structure):
    """What the interpreter takes: the addresses of four arrays."""

    _fields_ = (
        ("instances", ctypes.c_void_p),
        ("clauses", ctypes.c_void_p),
        ("criteria", ctypes.c_void_p),
        ("values", ctypes.c_void_p),
    )


class _Counts(ctypes.Structure):
    _fields_ = (
        ("instances", ctypes.c_uint32),
        ("clauses", ctypes.c_uint32),
        ("criteria", ctypes.c_uint32),
        ("values", ctypes.c_uint32),
    )


class _Room(ctypes.Structure):
    _fields_ = (
        ("identities", ctypes.c_void_p),
        ("instances", ctypes.c_void_p),
        ("clauses", ctypes.c_void_p),
        ("criteria", ctypes.c_void_p),
        ("values", ctypes.c_void_p),
        ("most", _Counts),
    )


class _File(ctypes.Structure):
    _fields_ = (
        ("version", ctypes.c_uint64),
        ("template_type", ctypes.c_uint32),
        ("arity", ctypes.c_uint32),
        ("counts", _Counts),
    )


@dataclass(frozen=True, slots=True)
class Identity:
    """Who an instance is. supported: whether the C code knows all of its operators and values."""

    id: bytes
    supported: bool


class Compiled:
    """A payload, compiled by the C reader.

    Raises ReadError for bytes that it can't read, BuildError where there is no C code.
    """

    def __init__(self, payload: bytes) -> None:
        self._payload = ctypes.create_string_buffer(payload, max(1, len(payload)))
        file = _File()
        self._read(len(payload), None, file)
        counts = file.counts
        identities = (_Identity * counts.instances)()
        self._arrays = (
            (_Range * counts.instances)(),
            (_Range * counts.clauses)(),
            (_Criterion * counts.criteria)(),
            (Entry * counts.values)(),
        )
        addresses = [ctypes.addressof(array) for array in self._arrays]
        room = _Room(ctypes.addressof(identities), *addresses, counts)
        self._read(len(payload), room, file)
        self._content = _Content(*addresses)
        self._evaluate = _evaluate()
        self.template_type = int(file.template_type)
        self.arity = int(file.arity)
        self.version = int(file.version)
        self.identities = tuple(
            Identity(ctypes.string_at(one.id.number, one.id.length), bool(one.supported))
            for one in identities
        )

    def clause(self, instance: int, inputs: int) -> int:
        """The first clause of an instance that matches the input block at an address, or -1."""
        return self._evaluate(ctypes.byref(self._content), instance, inputs)

    def first_text(self) -> tuple[int, bytes]:
        """Field and text of the first criterion; (0, b"") where that has no text."""
        _, _, criteria, values = self._arrays
        if not criteria or not criteria[0].value_count or criteria[0].kind != TEXT:
            return 0, b""
        value = values[criteria[0].first_value]
        return int(criteria[0].field), ctypes.string_at(value.number, value.length)

    def _read(self, length: int, room: _Room | None, file: _File) -> None:
        given = None if room is None else ctypes.byref(room)
        result = _reader()(self._payload, length, given, ctypes.byref(file))
        if result:
            raise ReadError(ReadReason(result))


def _reader() -> Callable[..., int]:
    """bulkhead_read(payload, length, room, file)."""
    function = build.load().bulkhead_read
    function.argtypes = [ctypes.c_void_p, ctypes.c_uint64, ctypes.c_void_p, ctypes.c_void_p]
    function.restype = ctypes.c_int
    found: Callable[..., int] = function
    return found


def _evaluate() -> Callable[..., int]:
    """bulkhead_evaluate(content, instance, inputs)."""
    function = build.load().bulkhead_evaluate
    function.argtypes = [ctypes.c_void_p, ctypes.c_uint32, ctypes.c_void_p]
    function.restype = ctypes.c_int
    found: Callable[..., int] = function
    return found
