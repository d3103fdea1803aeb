"""The Channel File as bytes: strict loading, deterministic packing, and its envelope.

`load` promises: whatever comes back packs to exactly the bytes that were given, and nothing in
them was ignored. In this order:

    1. size
    2. framing, number and size of instances (`content.framing`); from here on one instance at a
       time, so that no file can take much more memory than its size
    3. protobuf
    4. no field that this version doesn't know, at any level
    5. canonical bytes
    6. no unset or unknown enum, no value without kind, no count over its limit
       (`content.wire_reader`)

What the content means is the business of `content.validator`.

The envelope (`SignedChannelFile`) carries the payload unopened beside its signatures. Values are
those of `content.model`, which this module offers as well.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import IntEnum
from itertools import islice
from pathlib import Path
from typing import TypeVar

from google.protobuf.message import DecodeError, Message
from google.protobuf.unknown_fields import UnknownFieldSet

from bulkhead.v1 import channel_file_pb2
from content.framing import Frame, Repeated, split
from content.limits import LIMITS
from content.model import (
    AddressPrefix,
    ChannelFile,
    Clause,
    Criterion,
    Disposition,
    Operator,
    Sample,
    Severity,
    Signed,
    TemplateInstance,
    TemplateTypeReference,
    Value,
)
from content.problems import ContentError, Problem
from content.reasons import Reason
from content.wire import channel_file_to_proto
from content.wire_reader import ChannelFileReader

__all__ = [
    "AddressPrefix",
    "ChannelFile",
    "Clause",
    "Criterion",
    "Disposition",
    "Envelope",
    "Operator",
    "Sample",
    "Severity",
    "Signature",
    "SignatureAlgorithm",
    "Signed",
    "TemplateInstance",
    "TemplateTypeReference",
    "Value",
    "content_hash",
    "load",
    "load_envelope",
    "pack",
    "pack_envelope",
    "read_envelope",
]

INSTANCES = Repeated(
    channel_file_pb2.ChannelFile.INSTANCES_FIELD_NUMBER,
    "instances",
    LIMITS.instances,
    LIMITS.instance_bytes,
)
_SIGNATURES = Repeated(
    channel_file_pb2.SignedChannelFile.SIGNATURES_FIELD_NUMBER,
    "signatures",
    LIMITS.signatures,
    LIMITS.signature_bytes,
)

_M = TypeVar("_M", bound=Message)


class SignatureAlgorithm(IntEnum):
    """How a signature was made."""

    ED25519 = 1


@dataclass(frozen=True, slots=True)
class Signature:
    """A signature over `content.signing_domains.CHANNEL_FILE_DOMAIN` and the payload.

    key_id: SHA-256 of the raw public key, lower-case hexadecimal. signature: raw bytes.
    """

    key_id: str
    algorithm: SignatureAlgorithm
    signature: bytes


@dataclass(frozen=True, slots=True)
class Envelope:
    """A serialised Channel File that nobody has looked into, and its signatures."""

    payload: bytes
    signatures: tuple[Signature, ...] = ()


def load(payload: bytes) -> ChannelFile:
    """The Channel File in these bytes; ContentError with the problems that were found."""
    frame = _frame(payload, "ChannelFile", INSTANCES, LIMITS.payload_bytes)
    reader = ChannelFileReader()
    channel_file = reader.channel_file(_parse(channel_file_pb2.ChannelFile(), frame.head, ""))
    instances: list[TemplateInstance | None] = []
    for index, data in enumerate(frame.items):
        place = f"instances[{index}]"
        try:
            message = _parse(channel_file_pb2.TemplateInstance(), data, place)
        except ContentError as error:
            reader.problems.extend(error.problems)
        else:
            instances.append(reader.instance(message, place))
        if reader.report.is_full:
            break
    if channel_file is None or reader.problems:
        raise ContentError(reader.problems[: LIMITS.problems])
    _require_order(frame, "ChannelFile")
    complete = tuple(instance for instance in instances if instance is not None)
    return replace(channel_file, instances=complete)


def pack(channel_file: ChannelFile) -> bytes:
    """The one serialisation of these values; ValueError where a number doesn't fit the wire."""
    return channel_file_to_proto(channel_file).SerializeToString(deterministic=True)


def content_hash(payload: bytes) -> bytes:
    """SHA-256 of the payload (32 bytes): what content is called everywhere."""
    return hashlib.sha256(payload).digest()


def load_envelope(data: bytes) -> Envelope:
    """The envelope in these bytes, as strictly as `load`; the payload stays closed."""
    frame = _frame(data, "SignedChannelFile", _SIGNATURES, LIMITS.envelope_bytes)
    head = _parse(channel_file_pb2.SignedChannelFile(), frame.head, "")
    signatures = [
        _parse(channel_file_pb2.Signature(), item, f"signatures[{index}]")
        for index, item in enumerate(frame.items)
    ]
    _require_order(frame, "SignedChannelFile")
    if not head.payload:
        raise _refused(Reason.EMPTY_FILE, "payload", "no bytes", "a serialised Channel File")
    if len(head.payload) > LIMITS.payload_bytes:
        raise _too_large("payload", LIMITS.payload_bytes)
    return Envelope(
        head.payload,
        tuple(
            Signature(one.key_id, _algorithm(one.algorithm, index), one.signature)
            for index, one in enumerate(signatures)
        ),
    )


def pack_envelope(envelope: Envelope) -> bytes:
    """The serialisation of an envelope."""
    return channel_file_pb2.SignedChannelFile(
        payload=envelope.payload,
        signatures=[
            channel_file_pb2.Signature(
                key_id=one.key_id,
                algorithm=channel_file_pb2.SignatureAlgorithm.ValueType(one.algorithm),
                signature=one.signature,
            )
            for one in envelope.signatures
        ],
    ).SerializeToString(deterministic=True)


def read_envelope(path: Path) -> Envelope:
    """The envelope in a file, of which no more than the limit is read; OSError passes through."""
    with path.open("rb") as file:
        return load_envelope(file.read(LIMITS.envelope_bytes + 1))


def _frame(data: bytes, kind: str, repeated: Repeated, limit: int) -> Frame:
    # 1. Size.
    if not data:
        raise _refused(Reason.EMPTY_FILE, kind, "no bytes", f"a serialised {kind}")
    if len(data) > limit:
        raise _too_large(kind, limit)
    # 2. Framing, number and size of what is repeated.
    return split(data, repeated, kind)


def _parse(message: _M, data: bytes, place: str) -> _M:
    """The message in these bytes; `place` is where it stands, "" for the outermost."""
    kind = message.DESCRIPTOR.name
    # 3. Protobuf.
    try:
        message.ParseFromString(data)
    except DecodeError as error:
        found = "bytes that are no protobuf message of this kind"
        expected = f"a serialised {kind}"
        raise _refused(Reason.NOT_A_CHANNEL_FILE, place or kind, found, expected) from error
    # 4. Unknown fields, which protobuf keeps silently. Asking every message is slow: ask whether
    #    there is anything to find first.
    known = type(message)()
    known.CopyFrom(message)
    known.DiscardUnknownFields()
    if known.ByteSize() != message.ByteSize():
        raise ContentError(list(islice(_unknown(message, place), LIMITS.problems)))
    # 5. Canonical bytes: the only serialisation of these values.
    if message.SerializeToString(deterministic=True) != data:
        raise _not_canonical(place or kind)
    return message


def _require_order(frame: Frame, place: str) -> None:
    if not frame.in_order:
        raise _not_canonical(place)


def _not_canonical(place: str) -> ContentError:
    found = "bytes that say the same in another way"
    return _refused(Reason.NOT_CANONICAL, place, found, "exactly what packing it again gives")


def _unknown(message: Message, place: str) -> Iterator[Problem]:
    unknown = UnknownFieldSet(message)
    for number in range(len(unknown)):
        found = f"field number {unknown[number].field_number}"
        expected = f"only fields of bulkhead.v1.{message.DESCRIPTOR.name}"
        yield Problem(
            Reason.UNKNOWN_PROTOBUF_FIELD, place or message.DESCRIPTOR.name, found, expected
        )
    for field, value in message.ListFields():
        if field.message_type is None:
            continue
        name = f"{place}.{field.name}" if place else field.name
        if isinstance(value, Message):
            yield from _unknown(value, name)
        else:
            for index, item in enumerate(value):
                yield from _unknown(item, f"{name}[{index}]")


def _algorithm(number: int, index: int) -> SignatureAlgorithm:
    try:
        return SignatureAlgorithm(number)
    except ValueError:
        reason = Reason.UNKNOWN_ENUM if number else Reason.UNSET_ENUM
        raise _refused(reason, f"signatures[{index}].algorithm", str(number), "ED25519") from None


def _too_large(place: str, limit: int) -> ContentError:
    return _refused(Reason.FILE_TOO_LARGE, place, "more bytes", f"at most {limit} bytes")


def _refused(reason: Reason, place: str, found: str, expected: str) -> ContentError:
    return ContentError([Problem(reason, place, found, expected)])
