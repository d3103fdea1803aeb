"""Messages are taken apart, counted and limited before protobuf builds anything from them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from content.channel_file import load, pack
from content.framing import MAX_HEAD_RECORDS, Frame, Repeated, split
from content.limits import LIMITS
from content.problems import ContentError
from content.reasons import Reason
from tests.unit.content.examples import VALUES_OF_EVERY_KIND

THREE = Repeated(3, "things", most_items=2, most_bytes_each=4)
HEAD = b"\x08\x96\x01" + b"\x11" + bytes(8) + b"\x1d" + bytes(4) + b"\x22\x01x"


def refusal(data: bytes) -> tuple[Reason, str]:
    """Reason and place with which these bytes are refused."""
    with pytest.raises(ContentError) as refused:
        split(data, THREE, "Thing")
    (problem,) = refused.value.problems
    return problem.reason, problem.place


def test_parts() -> None:
    """Items would be lost, or the head be another message."""
    assert split(HEAD + b"\x1a\x00\x1a\x04abcd", THREE, "") == Frame(HEAD, (b"", b"abcd"), True)
    assert split(b"", THREE, "") == Frame(b"", (), True)


@pytest.mark.parametrize(
    "data",
    [
        b"\x1a\x01a\x08\x01",  # the head after an item
        b"\x9a\x00\x01a",  # a tag longer than it need be
        b"\x1a\x81\x00a",  # a length longer than it need be
    ],
)
def test_other_ways_to_say_the_same_are_noticed(data: bytes) -> None:
    """The same content could have many hashes."""
    assert not split(data, THREE, "").in_order


def test_items_are_counted_and_limited() -> None:
    """A file of empty items would become gigabytes once it is parsed."""
    assert refusal(b"\x1a\x00" * 3) == (Reason.LIMIT_EXCEEDED, "things")
    assert refusal(b"\x1a\x00\x1a\x05abcde") == (Reason.LIMIT_EXCEEDED, "things[1]")
    split(b"\x08\x00" * MAX_HEAD_RECORDS, THREE, "")
    assert refusal(b"\x08\x00" * (MAX_HEAD_RECORDS + 1)) == (Reason.LIMIT_EXCEEDED, "Thing")


@pytest.mark.parametrize(
    "data",
    [
        b"\x08",
        b"\x08\x80",
        b"\x08" + b"\x80" * 10 + b"\x01",
        b"\x11" + bytes(7),
        b"\x1d" + bytes(3),
        b"\x1a\x02a",
        b"\x1a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
        b"\x00\x00",
        b"\x02\x00",
        b"\x0b",
        b"\x0c",
        b"\x0e",
        b"\x80",
    ],
)
def test_broken_framing_is_refused(data: bytes) -> None:
    """Broken bytes would be read beyond their end, or without end."""
    assert refusal(data) == (Reason.NOT_A_CHANNEL_FILE, "Thing")


@given(st.binary(max_size=40))
def test_any_bytes(data: bytes) -> None:
    """Bytes would be lost between head and items."""
    try:
        frame = split(data, Repeated(3, "things", 100, 100), "Thing")
    except ContentError:
        return
    rebuilt = frame.head + b"".join(b"\x1a%c%b" % (len(item), item) for item in frame.items)
    assert not frame.in_order or rebuilt == data


def test_the_loader_uses_it() -> None:
    """16 MiB of empty instances took 32 s and 2.6 GB before they were refused."""
    payload = pack(VALUES_OF_EVERY_KIND)
    with pytest.raises(ContentError, match=r"LIMIT_EXCEEDED: instances: "):
        load(payload + b"\x1a\x00" * LIMITS.instances)
    with pytest.raises(ContentError, match=r"LIMIT_EXCEEDED: instances\[1\]: "):
        load(payload + b"\x1a\x81\x80\x10" + bytes(LIMITS.instance_bytes + 1))
