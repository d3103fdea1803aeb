"""From a detection of the wire to one line of the local detection log. Pure.

A line is a JSON object in ASCII. Everything that the observed process or the content chose is a
string escaped by `content.escape.safe`, so that no value ends a line, moves a cursor or loses a
byte. Fields have the names of their Template Type's Definition, enum values theirs; addresses are
written as addresses. What this sensor's Definitions don't know is shown by number.
"""

import ipaddress
import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime

from google.protobuf.descriptor import EnumDescriptor

from agent.link.wire_enums import name_of
from bulkhead.v1 import channel_file_pb2, report_pb2
from content.definitions import Field, Kind, TemplateType
from content.escape import safe

NANOSECONDS = 1_000_000_000
_PLAIN = re.compile(rb"[ -\[\]-~]*")  # printable ASCII without the backslash
_BITS_PER_BYTE = 8
_ADDRESS_LENGTHS = (4, 16)

Shown = str | int | None


class Renderer:
    """Writes detections with the names that the Definitions give."""

    def __init__(self, types: Mapping[int, TemplateType]) -> None:
        self._types = types

    def line(self, detection: report_pb2.Detection) -> bytes:
        """One JSON object and a newline."""
        return json.dumps(self.document(detection)).encode("ascii") + b"\n"

    def document(self, detection: report_pb2.Detection) -> dict[str, object]:
        """The object itself; docs/link.md lists its members."""
        template_type = self._types.get(detection.template_type)
        fields = {field.number: field for field in template_type.fields} if template_type else {}
        return {
            "time": _time(detection.time_unix_ns),
            "id": _text(detection.id),
            "template_type": template_type.name if template_type else detection.template_type,
            "sequence": detection.sequence,
            "instance": _text(detection.instance_id),
            "channel_file_version": detection.channel_file_version,
            "title": _text(detection.title),
            "disposition": _enum(channel_file_pb2.Disposition.DESCRIPTOR, detection.disposition),
            "prevention": _prevention(detection.prevention),
            "severity": _enum(channel_file_pb2.Severity.DESCRIPTOR, detection.severity),
            "attack_techniques": [_text(one) for one in detection.attack_techniques],
            "rung": _enum(report_pb2.Rung.DESCRIPTOR, detection.rung),
            "own_activity": detection.own_activity,
            "inputs": {
                _name(fields, one.field): _value(fields.get(one.field), one.value)
                for one in detection.inputs
            },
            "truncated": [_name(fields, number) for number in detection.truncated_fields],
        }


def _time(unix_ns: int) -> str:
    """RFC 3339 in UTC with nanoseconds; 64 bits reach from 1677 to 2262."""
    seconds, rest = divmod(unix_ns, NANOSECONDS)
    moment = datetime.fromtimestamp(seconds, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{rest:09d}Z"


def _text(value: bytes | str) -> str:
    # Nearly all values are plain, and `safe` looks at each character.
    raw = value if isinstance(value, bytes) else value.encode("utf-8")
    return raw.decode("ascii") if _PLAIN.fullmatch(raw) else safe(value)


def _enum(enum: EnumDescriptor, number: int) -> Shown:
    return name_of(enum, number) or number


def _prevention(number: int) -> Shown:
    """Empty for an instance that is not to prevent."""
    return _enum(report_pb2.Prevention.DESCRIPTOR, number) if number else ""


def _name(fields: Mapping[int, Field], number: int) -> str:
    field = fields.get(number)
    return field.name if field else f"field_{number}"


def _value(field: Field | None, value: channel_file_pb2.Value) -> Shown:
    match value.WhichOneof("kind"):
        case "text":
            return _text(value.text)
        case "unsigned":
            return _named(field, value.unsigned)
        case "signed":
            return value.signed
        case "prefix":
            return _address(value.prefix)
        case _:
            return None


def _named(field: Field | None, number: int) -> Shown:
    if field is None or field.kind is not Kind.ENUM:
        return number
    return next((name for name, known in field.values.items() if known == number), number)


def _address(prefix: channel_file_pb2.AddressPrefix) -> str:
    """192.0.2.7, 2001:db8::1 or, where not every bit counts, 192.0.2.0/24."""
    if len(prefix.address) not in _ADDRESS_LENGTHS:
        return f"{prefix.address[:16].hex()}/{prefix.length}"
    address = ipaddress.ip_address(prefix.address)
    bits = len(prefix.address) * _BITS_PER_BYTE
    hidden = max(0, bits - prefix.length)
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
        address, bits = address.ipv4_mapped, 32
    return f"{address}" if not hidden else f"{address}/{max(0, bits - hidden)}"
