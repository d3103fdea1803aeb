"""Strict reading of what agents send: protobuf keeps unknown fields silently, so look for them.

Each check raises SessionError with the place; what passes can be stored as it is.
"""

import re
from collections.abc import Iterable, Sequence

from google.protobuf.message import Message

from bulkhead.v1.report_pb2 import ActiveChannelFile, ContentState, Evaluations, Rung
from bulkhead.v1.sensor_service_pb2 import Hello, SessionRequest
from cloud.errors import CloudReason, SessionError
from cloud.limits import LIMITS

HASH_BYTES = 32
REPORT_ID = re.compile(rf"[!-~]{{1,{LIMITS.report_id}}}", re.ASCII)
"""Printable ASCII without spaces: an id goes into keys and onto screens."""


def require_known_fields(message: Message) -> None:
    """Refuse a message that holds fields, at any level, that this version does not know."""
    known = type(message)()
    known.CopyFrom(message)
    known.DiscardUnknownFields()
    if known.ByteSize() != message.ByteSize():
        raise SessionError(
            CloudReason.UNKNOWN_PROTOBUF_FIELD,
            f"{message.DESCRIPTOR.name}: expected only fields of bulkhead.v1",
        )


def require_hello(request: SessionRequest, agent_id: str) -> Hello:
    """The hello in the first message, complete and by the agent that the certificate names."""
    if request.WhichOneof("message") != "hello":
        raise SessionError(
            CloudReason.HELLO_MISSING,
            f"first message is {request.WhichOneof('message')}, expected hello",
        )
    require_known_fields(request)
    hello = request.hello
    if hello.agent_id != agent_id:
        raise SessionError(
            CloudReason.AGENT_ID_MISMATCH,
            f"hello by {hello.agent_id[:64]!a}, certificate of {agent_id!a}",
        )
    for name in ("sensor_version", "platform", "boot_id"):
        require_short(getattr(hello, name), f"hello.{name}")
    require_rung(hello.rung, "hello.rung")
    require_at_most(len(hello.supplied), LIMITS.supplied_types, "hello.supplied")
    require_active(hello.active, "hello.active")
    require_at_most(len(hello.refused_rungs), len(Rung.values()), "hello.refused_rungs")
    for index, refused in enumerate(hello.refused_rungs):
        require_rung(refused.rung, f"hello.refused_rungs[{index}].rung")
        require_short(refused.reason, f"hello.refused_rungs[{index}].reason")
        require_at_most(
            len(refused.detail), LIMITS.refusal_characters, f"hello.refused_rungs[{index}].detail"
        )
    return hello


def require_active(files: Iterable[ActiveChannelFile], place: str) -> None:
    """At most one Channel File per Template Type, each with a whole hash and a known state."""
    types: set[int] = set()
    for index, file in enumerate(files):
        here = f"{place}[{index}]"
        require_at_most(index + 1, LIMITS.active_files, place)
        require_hash(file.content_hash, f"{here}.content_hash")
        if file.state not in ContentState.values():
            raise _invalid(f"{here}.state", file.state, "a ContentState")
        if file.template_type in types:
            raise _invalid(f"{here}.template_type", file.template_type, "each type once")
        types.add(file.template_type)


def require_evaluations(counts: Sequence[Evaluations], place: str) -> None:
    """As many as there can be Channel Files in force, each with a whole hash."""
    require_at_most(len(counts), LIMITS.active_files, place)
    for index, one in enumerate(counts):
        require_hash(one.content_hash, f"{place}[{index}].content_hash")


def require_hash(value: bytes, place: str) -> None:
    """A SHA-256."""
    if len(value) != HASH_BYTES:
        raise _invalid(place, f"{len(value)} bytes", f"{HASH_BYTES} bytes")


def require_report_id(value: str, place: str) -> None:
    """An id by which a report is stored once."""
    if not REPORT_ID.fullmatch(value):
        expected = f"1 to {LIMITS.report_id} printable ASCII characters without spaces"
        raise _invalid(place, repr(value[:64]), expected)


def require_rung(value: int, place: str) -> None:
    """A rung of the ladder, not the unset one."""
    if not value or value not in Rung.values():
        raise _invalid(place, value, "a rung of the ladder")


def require_short(value: str, place: str) -> None:
    """Text that an agent says about itself."""
    require_at_most(len(value), LIMITS.short_text, f"characters of {place}")


def require_at_most(count: int, limit: int, place: str) -> None:
    """A count within its limit."""
    if count > limit:
        raise _invalid(place, count, f"at most {limit}")


def _invalid(place: str, found: object, expected: str) -> SessionError:
    return SessionError(
        CloudReason.MESSAGE_INVALID, f"{place}: found {found!a:.100}, expected {expected}"
    )
