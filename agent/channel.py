"""The channel between the supervisor and one role: a SEQPACKET socket pair.

One datagram is one message: a 4-byte header length (big endian), a JSON object with `kind` and the
message's fields, and an opaque payload. File descriptors travel beside it. A datagram that is not
exactly that raises `ProtocolViolationError`, and whoever sent it is ended by the receiver. Nothing
in a message nests deeper than a limit, and numbers are finite: whoever receives it can log it and
send it on as JSON.

`MESSAGES` is the whole vocabulary: kind, sender, and the fields with their types. The standard
library only, because the supervisor uses it.
"""

import array
import json
import math
import os
import socket
import struct
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Any

HEADER_LENGTH = struct.Struct("!I")


@dataclass(frozen=True, slots=True)
class ChannelLimits:
    """Caps while reading, per datagram."""

    message_bytes: int = 128 * 1024
    descriptors: int = 64
    # Lists and objects within each other in one field. What JSON's reader takes at one depth of the
    # stack, its writer and `str` may refuse a few calls further in, with a RecursionError.
    nesting: int = 16


LIMITS = ChannelLimits()


class Violation(StrEnum):
    """What a peer did that it may not do; the names stand in crash reports."""

    # Not a message of ours, or one with a value that can't be.
    MALFORMED_MESSAGE = "MALFORMED_MESSAGE"
    OVERSIZED_MESSAGE = "OVERSIZED_MESSAGE"
    # A kind of message that there isn't, or that another role sends.
    NOT_ITS_MESSAGE = "NOT_ITS_MESSAGE"
    # One of its own, at a time when it may not say that.
    OUT_OF_TURN = "OUT_OF_TURN"
    STRAY_DESCRIPTORS = "STRAY_DESCRIPTORS"
    # A ring or a file that it was not given.
    NOT_ITS_RING = "NOT_ITS_RING"
    NOT_ITS_FILE = "NOT_ITS_FILE"
    FORGED_POSITION = "FORGED_POSITION"
    FORGED_COUNT = "FORGED_COUNT"
    FORGED_CHECKSUM = "FORGED_CHECKSUM"
    # About a process that the event does not name.
    FORGED_VERDICT = "FORGED_VERDICT"


class ProtocolViolationError(Exception):
    """The peer sent something that is not a message of ours, or that it may not say."""

    def __init__(self, words: str, violation: Violation = Violation.MALFORMED_MESSAGE) -> None:
        super().__init__(words)
        self.violation = violation


class Sender(StrEnum):
    """Who may send a kind of message."""

    SUPERVISOR = "supervisor"
    COLLECTOR = "collector"
    EVALUATOR = "evaluator"
    LINK = "link"


@dataclass(frozen=True, slots=True)
class MessageKind:
    """One row of the vocabulary: who sends it and which fields it has, all required."""

    senders: frozenset[Sender]
    fields: Mapping[str, type]


def _kind(*senders: Sender, **fields: type) -> MessageKind:
    return MessageKind(frozenset(senders), MappingProxyType(fields))


_S, _C, _E, _L = Sender.SUPERVISOR, Sender.COLLECTOR, Sender.EVALUATOR, Sender.LINK

MESSAGES: Mapping[str, MessageKind] = MappingProxyType(
    {
        # supervisor → a collector that joins a running collection. Descriptors are the counters
        # map, then the maps that `shared` names.
        "join": _kind(_S, shared=list),
        # collector → supervisor. attached: descriptors are one per ring, then the counters map if
        # `counters` is not empty, then the maps that `shared` names, then attachments and programs;
        # `more` says that further descriptors follow in another message. A ring has template_type,
        # bytes, stride and kind (bpf or memfd); a counter, which is one slot of 8 bytes in the
        # counters map, has cause and template_type. serves: for each of the attachments and
        # programs, those that follow included, the list of Template Types that it is there for; an
        # empty list says lineage, which every type needs. flooders: the Template Type of each place
        # behind the counters in which a process is named (content.flooders). Who joins has neither
        # counters nor shared maps.
        "attached": _kind(
            _C,
            rung=str,
            rings=list,
            counters=list,
            flooders=list,
            shared=list,
            serves=list,
            probes=list,
            more=int,
        ),
        "attachments": _kind(_C, more=int),
        "failed": _kind(_C, rung=str, reason=str, detail=str),
        # A polling collector has not looked from one moment to the other (nanoseconds since boot),
        # so that so many looks are missing.
        "late": _kind(_C, from_ns=int, to_ns=int, missed=int),
        # A collector that was started with --seed, after everything else, about the Template Type
        # that processes are an event of. seeding: it can make events of the processes that ran
        # already. seed: content for them is in force, and events are judged from a position of the
        # ring on. seeded: how many there are so far, of each kind (probes.already_running.Counts),
        # and the ring's position behind the last one; reason and detail say why some are left.
        "seeding": _kind(_C, template_type=int),
        "seed": _kind(_S, position=int),
        "seeded": _kind(
            _C,
            position=int,
            written=int,
            executed=int,
            without_program=int,
            left=int,
            reason=str,
            detail=str,
            done=int,
        ),
        # supervisor → evaluator. load: descriptors are the attribution record, one per ring, one
        # per Channel File payload. files: [{"hash": hex, "template_type": number, "trial": 1 or 0,
        # "active_version": version that a file on trial must exceed, "quarantined": digests of
        # instances that are not to be run}]. epochs: {ring: random name}.
        "load": _kind(_S, rung=str, rings=list, files=list, epochs=dict),
        # positions: {ring: bytes}. careful: {ring: position up to which events are evaluated one by
        # one}, because a predecessor died in a batch there. aside: {ring: [positions]} of events
        # that are not evaluated again. prevention: 1 if verdicts are acted upon, 0 if the policy is
        # off; so in a message of its own when that changes.
        "go": _kind(_S, positions=dict, careful=dict, aside=dict, prevention=int),
        "prevention": _kind(_S, prevention=int),
        "drain": _kind(_S),
        # Instead of load, to a throw-away evaluator: descriptors are its attribution record, a
        # sealed copy of one record's bytes, and one Channel File. Which of `count` instances from
        # `first` on does an evaluator die of, on that event?
        "inquest": _kind(_S, template_type=int, quarantined=list, first=int, count=int),
        # evaluator → supervisor. files: [{"hash", "template_type", "version", "instances"}].
        # payload: what the kernel is to prevent by itself (content.prevention_table.pack_entries).
        "ready": _kind(_E, files=list, sandbox=dict),
        # files: [{"hash", "problems"}] of one on trial, or of all that this sensor does not serve.
        "rejected": _kind(_E, files=list),
        # payload: a serialised DetectionBatch. position: bytes of the ring consumed once this
        # frame counts. verdicts: [{"pid", "start_time", "sequence", "instance"}]
        "frame": _kind(
            _E, ring=int, position=int, evaluated=int, detections=int, verdicts=list, crc32=int
        ),
        # rings: [[ring, position, evaluated]], as frames in which nothing was found would say it.
        "progress": _kind(_E, rings=list),
        "fault": _kind(_E, hash=str, instance=str, reason=str, detail=str),
        # rows: pairs of an event and an instance that is skipped, on which it might have matched.
        "undecided": _kind(_E, ring=int, rows=int),
        "drained": _kind(_E, positions=dict),
        # The end of an inquest without a death: of so many instances that the file has.
        "survived": _kind(_E, instances=int),
        # any role → supervisor.
        "heartbeat": _kind(_C, _E, _L, facts=dict),
        # The first thing after lock-down, once: the descriptor tells of system calls that are not
        # permitted, which then wait for an answer (agent.supervisor.listener).
        "locked": _kind(_C, _E, _L),
        # link → supervisor. content: one descriptor, a sealed memfd with the payload. signatures:
        # [[id of the key, signature]], both in hexadecimal.
        "content": _kind(_L, hash=str, signatures=list, template_type=int),
        # A rollback order: the fields that content.signing_domains.RollbackOrder has.
        "revoke": _kind(
            _L,
            hash=str,
            template_type=int,
            from_version=int,
            to_version=int,
            group=str,
            issued=int,
            expires=int,
            reason=str,
            signatures=list,
        ),
        # Keys have been replaced: what content.signing_domains.TrustRecord has, keys in
        # hexadecimal, with its signatures by root keys.
        "trust": _kind(
            _L,
            version=int,
            root_keys=list,
            root_threshold=int,
            targets_keys=list,
            targets_threshold=int,
            signatures=list,
        ),
        # The link has stored everything up to this report number durably.
        "stored": _kind(_L, report=int),
        # supervisor → link. identity comes first, and again when the rung changes; `run` is random
        # per run of the supervisor, so that (run, report) names a report for good.
        # not_collected: Template Types that the rung should supply and that can't be had.
        "identity": _kind(
            _S,
            agent=str,
            run=str,
            rung=str,
            refused=list,
            not_collected=list,
            boot_id=str,
            active=list,
        ),
        # processes: [[pid, start time in nanoseconds since boot]] of the sensor's own, those that
        # are new; before any report about them.
        "own": _kind(_S, processes=list),
        "outcome": _kind(_S, hash=str, state=str, problems=list),
        "state": _kind(_S, facts=dict, active=list),
        # Numbered reports, sent in rising order; detections carry a DetectionBatch as payload.
        # After a restart of the link, those that were not yet `stored` are sent again.
        "detections": _kind(_S, report=int),
        "crash": _kind(_S, report=int, facts=dict),
        "loss": _kind(_S, report=int, facts=dict),
        # supervisor → any role.
        "stop": _kind(_S),
    }
)


@dataclass(frozen=True, slots=True)
class Message:
    """A received message; `descriptors` are owned by the receiver."""

    kind: str
    fields: Mapping[str, Any]
    payload: bytes = b""
    descriptors: tuple[int, ...] = field(default=())

    def __getitem__(self, name: str) -> Any:
        return self.fields[name]


def pair() -> tuple[socket.socket, socket.socket]:
    """A connected pair: the supervisor's end (non-blocking) and the role's."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.setblocking(False)
    return ours, theirs


def encode(kind: str, fields: Mapping[str, Any], payload: bytes = b"") -> bytes:
    """The datagram of a message; ValueError if it is not in the vocabulary or too large."""
    _require_fields(kind, fields, ValueError)
    header = json.dumps({"kind": kind, **fields}, separators=(",", ":"), allow_nan=False).encode()
    datagram = HEADER_LENGTH.pack(len(header)) + header + payload
    if len(datagram) > LIMITS.message_bytes:
        raise ValueError(f"message {kind} of {len(datagram)} bytes exceeds {LIMITS.message_bytes}")
    return datagram


def send(
    sock: socket.socket,
    kind: str,
    *,
    payload: bytes = b"",
    descriptors: Sequence[int] = (),
    **fields: Any,
) -> None:
    """Send one message; BlockingIOError where the socket is non-blocking and its queue is full."""
    datagram = encode(kind, fields, payload)
    ancillary = []
    if descriptors:
        ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", descriptors))]
    sock.sendmsg([datagram], ancillary)


def receive(sock: socket.socket, sender: Sender) -> Message | None:
    """The next message, or None where the peer has closed.

    Raises ProtocolViolationError for anything that `sender` may not say; descriptors that came
    with such a datagram are closed.
    """
    data, descriptors, flags = _receive_datagram(sock)
    if not data:
        _close(descriptors)
        return None
    try:
        if flags & (socket.MSG_TRUNC | socket.MSG_CTRUNC):
            raise ProtocolViolationError(
                "datagram or its descriptors exceed the limit", Violation.OVERSIZED_MESSAGE
            )
        kind, fields, payload = _decode(data, sender)
    except ProtocolViolationError:
        _close(descriptors)
        raise
    return Message(kind, fields, payload, descriptors)


def checksum(payload: bytes) -> int:
    """CRC-32 of a frame's payload."""
    return zlib.crc32(payload)


def _receive_datagram(sock: socket.socket) -> tuple[bytes, tuple[int, ...], int]:
    # Python 3.11's socket.recv_fds ignores its flags: descriptors would be inherited.
    descriptors = array.array("i")
    room = socket.CMSG_SPACE(LIMITS.descriptors * descriptors.itemsize)
    data, ancillary, flags, _ = sock.recvmsg(LIMITS.message_bytes, room, socket.MSG_CMSG_CLOEXEC)
    for level, kind, raw in ancillary:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
            descriptors.frombytes(raw[: len(raw) - len(raw) % descriptors.itemsize])
    return data, tuple(descriptors), flags


def _decode(data: bytes, sender: Sender) -> tuple[str, dict[str, Any], bytes]:
    if len(data) < HEADER_LENGTH.size:
        raise ProtocolViolationError("datagram without a header")
    (length,) = HEADER_LENGTH.unpack_from(data)
    end = HEADER_LENGTH.size + length
    if end > len(data):
        raise ProtocolViolationError("header longer than its datagram")
    try:
        fields = json.loads(
            data[HEADER_LENGTH.size : end], parse_float=_finite, parse_constant=_finite
        )
    except (ValueError, RecursionError) as error:
        raise ProtocolViolationError("header is not JSON") from error
    kind = fields.pop("kind", None) if isinstance(fields, dict) else None
    if not isinstance(kind, str) or kind not in MESSAGES or sender not in MESSAGES[kind].senders:
        raise ProtocolViolationError(
            f"{sender} may not send {kind!r:.40}", Violation.NOT_ITS_MESSAGE
        )
    _require_fields(kind, fields, ProtocolViolationError)
    return kind, fields, data[end:]


def _require_fields(kind: str, fields: Mapping[str, Any], error: type[Exception]) -> None:
    expected = MESSAGES[kind].fields
    if fields.keys() != expected.keys():
        raise error(f"{kind}: fields {sorted(fields)!r:.200}, expected {sorted(expected)}")
    for name, wanted in expected.items():
        if type(fields[name]) is not wanted:
            raise error(f"{kind}.{name}: {type(fields[name]).__name__}, expected {wanted.__name__}")
        if _nests_deeper(fields[name], LIMITS.nesting):
            raise error(f"{kind}.{name}: deeper nesting than {LIMITS.nesting}")


def _nests_deeper(value: object, levels: int) -> bool:
    if not isinstance(value, list | dict):
        return False
    inner = value.values() if isinstance(value, dict) else value
    return not levels or any(_nests_deeper(one, levels - 1) for one in inner)


def _finite(text: str) -> float:
    """A JSON number; ValueError for one beyond any, and for the NaN that JSON does not have."""
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(text)
    return number


def _close(descriptors: Sequence[int]) -> None:
    for descriptor in descriptors:
        os.close(descriptor)
