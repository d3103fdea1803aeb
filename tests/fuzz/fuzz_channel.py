"""Any datagram on an agent's channel is refused, or is a message that its receiver can work with.

Work with means here: log it, put it into the status as JSON and send it on, from deeper in the
stack than where it was received. The datagrams go through a real socket pair.

An input is: a byte, and a datagram as it is (RAW) or its header and payload, apart by SEPARATOR,
which are framed here: a length that must fit is hard to hit upon.
"""

import json
from collections.abc import Iterator
from contextlib import suppress

from agent import channel
from agent.channel import MESSAGES, Message, ProtocolViolationError, Sender, encode
from tests.fuzz.target import Target

SENDERS = tuple(Sender)
RAW = 0x80
SEPARATOR = b"\n"
STACK = 60
"""Calls that may lie between receiving a message and passing it on."""

OURS, THEIRS = channel.pair()
EXAMPLES = {
    str: "text",
    int: 7,
    list: [{"reason": "X", "place": "y", "nested": [[1, 2.5, None, True]]}],
    dict: {"1": 4096, "facts": {"evaluated": 12}},
}


def one_input(data: bytes) -> None:
    """Receive a datagram; the first byte says from whom it seems to be."""
    first, rest = data[0] if data else 0, data[1:]
    datagram = rest if first & RAW else _framed(*rest.partition(SEPARATOR)[::2])
    if not datagram:  # the end of the channel
        return
    THEIRS.send(datagram)
    with suppress(ProtocolViolationError):
        message = channel.receive(OURS, SENDERS[first % len(SENDERS)])
        assert message is not None
        _work_with(message, STACK)


def _framed(header: bytes, payload: bytes) -> bytes:
    return channel.HEADER_LENGTH.pack(len(header)) + header + payload


def _work_with(message: Message, calls: int) -> None:
    if calls:
        _work_with(message, calls - 1)
        return
    str(message.fields)
    json.loads(json.dumps({"status": {"of": message.fields}}, allow_nan=False))
    with suppress(ValueError):  # it may be longer when it is written as ours are
        encode(message.kind, message.fields, message.payload)


def seeds() -> Iterator[bytes]:
    """Every message of the vocabulary, and some that nest as deeply as JSON's reader goes."""
    for kind, row in MESSAGES.items():
        sender = SENDERS.index(min(row.senders))
        datagram = encode(kind, {name: EXAMPLES[of] for name, of in row.fields.items()}, b"payload")
        yield bytes([sender | RAW]) + datagram
        header = datagram[channel.HEADER_LENGTH.size :].removesuffix(b"payload")
        yield bytes([sender]) + header + SEPARATOR + b"payload"
    for depth in (100, 900, 950, 980):
        nested = b"[" * depth + b"]" * depth
        yield (
            bytes([SENDERS.index(Sender.LINK)]) + b'{"kind":"heartbeat","facts":{"a":%b}}' % nested
        )


TARGET = Target(one_input, seeds, quick_runs=100_000)
