"""The channel: a message arrives as it was sent, and anything else ends whoever sent it."""

import array
import contextlib
import json
import math
import os
import socket
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent import channel
from agent.channel import (
    HEADER_LENGTH,
    LIMITS,
    MESSAGES,
    MessageKind,
    ProtocolViolationError,
    Sender,
    encode,
    receive,
    send,
)
from tests.unit.agent.descriptors import none_lost, open_descriptors

TEXT = st.text(st.characters(), max_size=20)
NUMBERS = st.integers(-(2**63), 2**63)
VALUES: dict[type, st.SearchStrategy[Any]] = {
    str: TEXT,
    int: NUMBERS,
    list: st.lists(NUMBERS | TEXT, max_size=3),
    dict: st.dictionaries(TEXT, NUMBERS, max_size=3),
}
JSON = st.recursive(
    st.none() | st.booleans() | NUMBERS | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)
RIGHTS = (socket.SOL_SOCKET, socket.SCM_RIGHTS)


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    """The supervisor's end and a role's, neither of which waits."""
    ours, theirs = channel.pair()
    theirs.setblocking(False)
    with ours, theirs:
        yield ours, theirs


def deliver(datagram: bytes, sender: Sender, descriptors: int = 0) -> channel.Message | None:
    """Send raw bytes with so many descriptors through a new pair, and receive them."""
    ours, theirs = channel.pair()
    with ours, theirs:
        sent = [os.dup(theirs.fileno()) for _ in range(descriptors)]
        theirs.sendmsg([datagram], [(*RIGHTS, array.array("i", sent))] if sent else [])
        for one in sent:
            os.close(one)
        return receive(ours, sender)


def framed(header: bytes, payload: bytes = b"") -> bytes:
    """A datagram with this header."""
    return HEADER_LENGTH.pack(len(header)) + header + payload


@st.composite
def messages(draw: st.DrawFn) -> tuple[str, MessageKind, dict[str, Any], bytes]:
    """Any message of the vocabulary."""
    kind = draw(st.sampled_from(sorted(MESSAGES)))
    wanted = MESSAGES[kind].fields.items()
    fields = {name: draw(VALUES[of]) for name, of in wanted}
    return kind, MESSAGES[kind], fields, draw(st.binary(max_size=50))


@given(messages())
def test_every_message_arrives_as_it_was_sent(
    message: tuple[str, MessageKind, dict[str, Any], bytes],
) -> None:
    """Roles would misunderstand each other."""
    kind, row, fields, payload = message
    for sender in row.senders:
        found = deliver(encode(kind, fields, payload), sender)
        assert found == channel.Message(kind, fields, payload)


@given(messages(), st.sampled_from(Sender))
def test_only_the_sender_in_the_table_may_say_it(
    message: tuple[str, MessageKind, dict[str, Any], bytes], sender: Sender
) -> None:
    """An evaluator could hand over content, or the link a verdict."""
    kind, row, fields, payload = message
    if sender not in row.senders:
        with none_lost(), pytest.raises(ProtocolViolationError, match="may not send"):
            deliver(encode(kind, fields, payload), sender, descriptors=2)


@given(st.binary(min_size=1, max_size=300), st.integers(0, 3), st.sampled_from(Sender))
def test_no_datagram_raises_anything_else(data: bytes, descriptors: int, sender: Sender) -> None:
    """A broken role would take the supervisor with it, or use its descriptors up."""
    with none_lost(), pytest.raises(ProtocolViolationError):
        deliver(data, sender, descriptors)


@given(JSON, st.integers(0, 2), st.sampled_from(Sender))
def test_no_json_raises_anything_else(value: Any, descriptors: int, sender: Sender) -> None:
    """A header that is JSON but no message would end the supervisor."""
    with none_lost(), pytest.raises(ProtocolViolationError):
        deliver(framed(json.dumps(value).encode()), sender, descriptors)


@given(messages(), JSON, st.data())
def test_a_wrong_field_is_refused(
    message: tuple[str, MessageKind, dict[str, Any], bytes], value: Any, data: st.DataObject
) -> None:
    """A field of another type would raise somewhere else, where nobody expects it."""
    kind, row, fields, _ = message
    name = data.draw(st.sampled_from([*sorted(fields), "unheard of"]))
    header = json.dumps({"kind": kind, **fields, name: value}).encode()
    sender = min(row.senders)
    if name in fields and type(value) is row.fields[name]:
        assert deliver(framed(header), sender) is not None
    else:
        with none_lost(), pytest.raises(ProtocolViolationError):
            deliver(framed(header), sender, 1)


@pytest.mark.parametrize(
    "header",
    [
        b'{"kind": "stored", "report": true}',
        b'{"kind": "stored", "report": 1.0}',
        b'{"kind": "stored", "report": "1"}',
        b'{"kind": "stored", "report": null}',
        b'{"kind": "stored"}',
        b'{"kind": "stored", "report": 1, "more": 1}',
        b'{"kind": ["stored"], "report": 1}',
        b'{"report": 1}',
        b"[" * 50_000,
        b'{"kind": "stored", "report": ' + b"9" * 5000 + b"}",
        b'{"kind": "\xff"}',
        b'{"kind": "heartbeat", "facts": {"a": NaN}}',
        b'{"kind": "heartbeat", "facts": {"a": -Infinity}}',
        b'{"kind": "heartbeat", "facts": {"a": 1e999}}',
        b'{"kind": "heartbeat", "facts": {"a": ' + b"[" * 900 + b"]" * 900 + b"}}",
    ],
)
def test_near_misses(header: bytes) -> None:
    """Something that looks like a message would be taken for one."""
    with none_lost(), pytest.raises(ProtocolViolationError):
        deliver(framed(header), Sender.LINK, 1)


def test_nesting_at_its_limit() -> None:
    """Deep nesting could end whoever logs or passes it on deeper in the stack than it was read."""
    levels = LIMITS.nesting - 1  # the field's own is the first one
    value: Any = 1
    for _ in range(levels):
        value = [value]
    assert deliver(encode("heartbeat", {"facts": {"a": value}}), Sender.LINK) is not None
    with pytest.raises(ValueError, match="nesting"):
        encode("heartbeat", {"facts": {"a": [value]}})
    header = json.dumps({"kind": "heartbeat", "facts": {"a": [value]}}).encode()
    with none_lost(), pytest.raises(ProtocolViolationError, match="nesting"):
        deliver(framed(header), Sender.LINK, 1)


@pytest.mark.parametrize("length", [1, 3, 2**32 - 1])
def test_wrong_header_length_is_refused(length: int) -> None:
    """A header would be read beyond its datagram, or payload be taken for it."""
    header = encode("stored", {"report": 1})[HEADER_LENGTH.size :]
    with pytest.raises(ProtocolViolationError):
        deliver(HEADER_LENGTH.pack(length) + header, Sender.LINK)


def test_too_large_a_datagram_is_refused() -> None:
    """A role could fill the supervisor's memory, or have a message cut and half understood."""
    good = encode("stored", {"report": 1})
    for extra in (1, 50_000):
        data = good + bytes(LIMITS.message_bytes - len(good) + extra)
        with none_lost(), pytest.raises(ProtocolViolationError, match="limit"):
            deliver(data, Sender.LINK, 1)
    assert deliver(good + bytes(LIMITS.message_bytes - len(good)), Sender.LINK) is not None


def test_descriptors_without_a_message_are_closed() -> None:
    """A role could use up the supervisor's descriptors with datagrams that look like its end."""
    with none_lost():
        assert deliver(b"", Sender.LINK, 2) is None


def test_too_many_descriptors_are_refused() -> None:
    """A role could use up the supervisor's descriptors."""
    good = encode("stored", {"report": 1})
    with none_lost(), pytest.raises(ProtocolViolationError, match="limit"):
        deliver(good, Sender.LINK, LIMITS.descriptors + 10)


def test_descriptors_arrive_and_do_not_survive_exec(
    ends: tuple[socket.socket, socket.socket],
) -> None:
    """A ring would not reach the evaluator, or another role would inherit it."""
    ours, theirs = ends
    before = open_descriptors()
    send(theirs, "attachments", descriptors=[ours.fileno(), theirs.fileno()], more=0)
    message = receive(ours, Sender.COLLECTOR)
    assert message is not None
    assert [os.fstat(one).st_ino for one in message.descriptors] == [
        os.fstat(end.fileno()).st_ino for end in ends
    ]
    assert not any(os.get_inheritable(one) for one in message.descriptors)
    for one in message.descriptors:
        os.close(one)
    assert open_descriptors() == before


def test_closed_peer_is_told_from_silence(ends: tuple[socket.socket, socket.socket]) -> None:
    """The end of a role would not be noticed, or every pause be taken for it."""
    ours, theirs = ends
    with pytest.raises(BlockingIOError):
        receive(ours, Sender.LINK)
    theirs.close()
    assert receive(ours, Sender.LINK) is None


def test_full_queue_refuses_and_does_not_wait(ends: tuple[socket.socket, socket.socket]) -> None:
    """A link that doesn't read would stop the supervisor."""
    ours, _ = ends
    sent = 0
    with contextlib.suppress(BlockingIOError):
        while sent < 100_000:
            send(ours, "detections", report=1, payload=bytes(1000))
            sent += 1
    assert 0 < sent < 100_000


def test_sender_notices_its_own_mistakes() -> None:
    """A role would be ended for a message that its own side should have refused to send."""
    with pytest.raises(ValueError, match="stored"):
        encode("stored", {"report": "1"})
    with pytest.raises(ValueError, match="stored"):
        encode("stored", {})
    room = LIMITS.message_bytes - len(encode("stored", {"report": 1}))
    assert len(encode("stored", {"report": 1}, bytes(room))) == LIMITS.message_bytes
    with pytest.raises(ValueError, match="exceeds"):
        encode("stored", {"report": 1}, bytes(room + 1))
    with pytest.raises(ValueError, match="JSON compliant"):
        encode("heartbeat", {"facts": {"a": math.inf}})
    with pytest.raises(KeyError):
        encode("unheard of", {})
