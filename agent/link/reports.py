"""From the supervisor's facts to messages of the wire. Pure.

Facts are JSON objects whose keys are the names of the message's fields: numbers and booleans as
such, enum values as lower-case names without their prefix, bytes as hexadecimal digits, texts as
strings. Whatever is not that raises `ReportError`, naming the field.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeVar, cast

from google.protobuf.descriptor import EnumDescriptor
from google.protobuf.message import DecodeError, Message

from agent.link.errors import ReportError
from agent.link.limits import LIMITS
from agent.link.wire_enums import names, number_of
from bulkhead.v1 import report_pb2
from content.loss_causes import LossCause

HASH_BYTES = 32

_ID = re.compile(rf"[!-~]{{1,{LIMITS.id_characters}}}")
_M = TypeVar("_M", bound=Message)


def from_facts(message: _M, facts: Mapping[str, Any]) -> _M:
    """The message, filled in; ReportError for unknown keys and for values of another kind."""
    fields = message.DESCRIPTOR.fields_by_name
    for name, value in facts.items():
        if name not in fields:
            raise _malformed(name, value, f"one of {', '.join(sorted(fields))}")
        try:
            setattr(message, name, _value(message, name, value))
        except (TypeError, ValueError) as error:
            raise _malformed(name, value, str(error)) from error
    return message


def crash(facts: Mapping[str, Any]) -> report_pb2.CrashReport:
    """A crash report; at most `LIMITS.named_attempts` kinds of attempt are named in it."""
    plain = dict(facts)
    attempts = plain.pop("attempts", {})
    if not isinstance(attempts, dict):
        raise _malformed("attempts", attempts, "an object of name and count")
    message = from_facts(report_pb2.CrashReport(), plain)
    for name, count in list(attempts.items())[: LIMITS.named_attempts]:
        message.attempts.append(from_facts(report_pb2.Attempt(), {"name": name, "count": count}))
    return message


def loss(facts: Mapping[str, Any]) -> report_pb2.LossReport:
    """A loss report; at most `LIMITS.named_processes` processes are named in it."""
    plain = dict(facts)
    named = plain.pop("processes", [])
    if not isinstance(named, list) or not all(isinstance(one, dict) for one in named):
        raise _malformed("processes", named, "a list of objects")
    message = from_facts(report_pb2.LossReport(), plain)
    message.processes.extend(
        from_facts(report_pb2.RefusedProcess(), one) for one in named[: LIMITS.named_processes]
    )
    return message


def heartbeat(
    facts: Mapping[str, Any],
    rung: str,
    active: Iterable[report_pb2.ActiveChannelFile],
    now_unix_ns: int,
) -> report_pb2.Heartbeat:
    """The cloud's share of the supervisor's state: facts that the wire has no field for are not."""
    fields = report_pb2.Heartbeat.DESCRIPTOR.fields_by_name
    shared = {name: value for name, value in facts.items() if name in fields}
    evaluations = shared.pop("evaluations", [])
    message = from_facts(report_pb2.Heartbeat(), {"rung": rung, **shared})
    message.evaluations.extend(_evaluations(evaluations))
    message.time_unix_ns = now_unix_ns
    message.active.extend(active)
    return message


def active_files(entries: Sequence[Any]) -> tuple[report_pb2.ActiveChannelFile, ...]:
    """`[{"template_type", "version", "hash", "state"}]` as the wire has it."""
    return tuple(_active_file(entry) for entry in entries)


def acknowledgement(
    digest: str, state: str, problems: Sequence[Any]
) -> report_pb2.ContentAcknowledgement:
    """Where a Channel File stands; at most `LIMITS.problems` problems, each text capped."""
    return report_pb2.ContentAcknowledgement(
        content_hash=content_hash(digest),
        state=_state(state),
        problems=[
            report_pb2.Problem(
                reason_code=text(_member(problem, "reason")),
                place=text(_member(problem, "place")),
                found=text(_member(problem, "found")),
                expected=text(_member(problem, "expected")),
            )
            for problem in problems[: LIMITS.problems]
        ],
    )


def detections(payload: bytes) -> report_pb2.DetectionBatch:
    """The evaluator's batch, strictly: what the cloud would refuse must not block the outbox.

    ReportError if it is none or empty, has fields that the wire does not know, or an id that is not
    1 to `LIMITS.id_characters` printable ASCII characters.
    """
    try:
        batch = report_pb2.DetectionBatch.FromString(payload)
    except DecodeError as error:
        raise _malformed("payload", f"{len(payload)} bytes", "a DetectionBatch") from error
    count = len(batch.detections)
    if not count:
        raise _malformed("payload", "no detection", "at least one")
    size = batch.ByteSize()
    batch.DiscardUnknownFields()
    if batch.ByteSize() != size:
        raise ReportError(
            LossCause.MALFORMED_REPORT, "payload: fields that the wire does not know", count
        )
    for one in batch.detections:
        if not _ID.fullmatch(one.id):
            raise ReportError(
                LossCause.MALFORMED_REPORT, f"detection with id {one.id!a:.80}", count
            )
    return batch


def rung(name: str) -> "report_pb2.Rung.ValueType":
    """The wire's rung of that name."""
    number = _named(report_pb2.Rung.DESCRIPTOR, name, "rung")
    return cast("report_pb2.Rung.ValueType", number)


def content_hash(value: Any) -> bytes:
    """A SHA-256 from its 64 hexadecimal digits."""
    try:
        digest = bytes.fromhex(value)
    except (TypeError, ValueError):
        digest = b""
    if len(digest) != HASH_BYTES:
        raise _malformed("hash", value, "64 hexadecimal digits")
    return digest


def text(value: Any, place: str = "text") -> str:
    """A string that protobuf can hold, no longer than `LIMITS.text_characters`."""
    if not isinstance(value, str):
        raise _malformed(place, value, "a string")
    return value[: LIMITS.text_characters].encode("utf-8", "backslashreplace").decode("utf-8")


def _evaluations(entries: Any) -> list[report_pb2.Evaluations]:
    pairs = entries if isinstance(entries, list) else [entries]
    if not all(isinstance(one, list) and len(one) == len(("hash", "events")) for one in pairs):
        raise _malformed("evaluations", entries, "a list of hash and count")
    told = []
    for digest, events in pairs:
        one = from_facts(report_pb2.Evaluations(), {"events": events})
        one.content_hash = content_hash(digest)
        told.append(one)
    return told


def _active_file(entry: Any) -> report_pb2.ActiveChannelFile:
    facts = {name: _member(entry, name) for name in ("template_type", "version", "state")}
    file = from_facts(report_pb2.ActiveChannelFile(), facts)
    file.content_hash = content_hash(_member(entry, "hash"))
    return file


def _value(message: Message, name: str, value: Any) -> object:
    field = message.DESCRIPTOR.fields_by_name[name]
    if field.is_repeated or field.message_type is not None:
        raise ValueError("a plain field")
    if field.enum_type is not None:
        return _named(cast("EnumDescriptor", field.enum_type), value, name)
    match getattr(message, name):
        case bool():
            return _truth(value)
        case str():
            return text(value, name)
        case bytes():
            return bytes.fromhex(value)
        case _:
            return _whole(value)


def _whole(value: Any) -> int:
    if type(value) is not int:
        raise TypeError("an integer")
    return value


def _truth(value: Any) -> bool:
    if value not in (0, 1):
        raise ValueError("true or false")
    return bool(value)


def _named(enum: EnumDescriptor, name: Any, place: str) -> int:
    number = number_of(enum, name) if isinstance(name, str) else None
    if number is None:
        raise _malformed(place, name, f"one of {', '.join(names(enum))}")
    return number


def _state(name: Any) -> "report_pb2.ContentState.ValueType":
    number = _named(report_pb2.ContentState.DESCRIPTOR, name, "state")
    return cast("report_pb2.ContentState.ValueType", number)


def _member(entry: Any, name: str) -> Any:
    if not isinstance(entry, dict) or name not in entry:
        raise _malformed(name, entry, f"an object with {name}")
    return entry[name]


def _malformed(place: str, found: Any, expected: str) -> ReportError:
    return ReportError(
        LossCause.MALFORMED_REPORT, f"{place}: found {found!r:.80}, expected {expected}"
    )
