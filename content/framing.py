"""Take a protobuf message apart at its top level, before protobuf builds anything from it.

A message of 16 MiB that is nothing but empty items becomes gigabytes once it is parsed. `split`
counts the items of one repeated field and limits the size of each while it walks over the bytes, so
that they can be parsed one by one, and the rest of the message (its head) as a small message.
"""

from dataclasses import dataclass

from content.problems import ContentError, Problem
from content.reasons import Reason

MAX_HEAD_RECORDS = 1024
"""Records beside the items; messages of ours have two."""

_VARINT, _FIXED_64, _LENGTH, _FIXED_32 = 0, 1, 2, 5
_FIXED_BYTES = {_FIXED_64: 8, _FIXED_32: 4}
_WIRE_TYPE_BITS = 3
_GROUP_BITS = 7
_MORE = 1 << _GROUP_BITS
_MAX_VARINT_BYTES = 10


@dataclass(frozen=True, slots=True)
class Repeated:
    """The field whose items are taken out: its number and name, and limits on it."""

    number: int
    name: str
    most_items: int
    most_bytes_each: int


@dataclass(frozen=True, slots=True)
class Frame:
    """A message in parts; head is itself a message, without the items.

    in_order: whether the items came last and were framed as briefly as can be, as a canonical
    message has them.
    """

    head: bytes
    items: tuple[bytes, ...]
    in_order: bool


def split(data: bytes, repeated: Repeated, kind: str) -> Frame:
    """The parts of a message; ContentError for broken framing or a limit. `kind` names it."""
    head: list[bytes] = []
    items: list[bytes] = []
    in_order = True
    at = 0
    while at < len(data):
        start = at
        tag, at = _varint(data, at, kind)
        if tag < 1 << _WIRE_TYPE_BITS:  # there is no field 0
            raise _broken(kind)
        body, at = _body(data, at, tag & ((1 << _WIRE_TYPE_BITS) - 1), kind)
        if tag == repeated.number << _WIRE_TYPE_BITS | _LENGTH:
            items.append(data[body:at])
            _limit(repeated.name, len(items), repeated.most_items, "items")
            place = f"{repeated.name}[{len(items) - 1}]"
            _limit(place, at - body, repeated.most_bytes_each, "bytes")
            in_order &= body - start == _shortest(tag) + _shortest(at - body)
        else:
            head.append(data[start:at])
            _limit(kind, len(head), MAX_HEAD_RECORDS, "fields")
            in_order &= not items
    return Frame(b"".join(head), tuple(items), in_order)


def _varint(data: bytes, at: int, kind: str) -> tuple[int, int]:
    """The number at a position, and the position behind it."""
    value = 0
    for index, byte in enumerate(data[at : at + _MAX_VARINT_BYTES]):
        value |= (byte & (_MORE - 1)) << _GROUP_BITS * index
        if byte < _MORE:
            return value, at + index + 1
    raise _broken(kind)


def _body(data: bytes, at: int, wire_type: int, kind: str) -> tuple[int, int]:
    """Where the value of a record begins and ends."""
    body = at
    if wire_type == _VARINT:
        _, end = _varint(data, at, kind)
    elif wire_type == _LENGTH:
        length, body = _varint(data, at, kind)
        end = body + length
    elif wire_type in _FIXED_BYTES:
        end = at + _FIXED_BYTES[wire_type]
    else:
        raise _broken(kind)
    if end > len(data):
        raise _broken(kind)
    return body, end


def _shortest(value: int) -> int:
    """Bytes of the shortest varint of a number."""
    return max(1, -(-value.bit_length() // _GROUP_BITS))


def _limit(place: str, count: int, limit: int, unit: str) -> None:
    if count > limit:
        found, expected = f"more {unit}", f"at most {limit} {unit}"
        raise ContentError([Problem(Reason.LIMIT_EXCEEDED, place, found, expected)])


def _broken(kind: str) -> ContentError:
    found = "bytes that are no protobuf message of this kind"
    problem = Problem(Reason.NOT_A_CHANNEL_FILE, kind, found, f"a serialised {kind}")
    return ContentError([problem])
