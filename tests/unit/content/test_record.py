"""Records: what is encoded is decoded, nothing outside a record is read, the layout is dense."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from content.definitions import Field, Kind, Rung, TemplateType
from content.record import (
    LENGTH_SUFFIX,
    decode,
    dtype,
    encode,
    header_problem,
    number_range,
    record_size,
    slots,
)
from tests.unit.content.examples import BY_NAME, COMMAND_LINE, IMAGE, NETWORK, PID, PROCESS, TYPES

IPV4_MAPPED = bytes(10) + b"\xff\xff\x0a\0\0\1"


def _values(field: Field) -> st.SearchStrategy[bytes | int]:
    if field.kind is Kind.TEXT:
        return st.binary(max_size=field.capacity)
    if field.kind is Kind.ADDRESS:
        return st.binary(min_size=16, max_size=16)
    return st.integers(*number_range(field.kind))


@st.composite
def events(draw: st.DrawFn) -> tuple[TemplateType, dict[int, bytes | int]]:
    """A Template Type, and inputs for some of its fields."""
    template_type = draw(st.sampled_from(list(TYPES.values())))
    fields = draw(st.lists(st.sampled_from(template_type.fields), unique=True))
    return template_type, {field.number: draw(_values(field)) for field in fields}


@given(events())
def test_what_is_encoded_is_decoded(event: tuple[TemplateType, dict[int, bytes | int]]) -> None:
    """Content would see other inputs than the event had."""
    template_type, inputs = event
    record = encode(template_type, inputs, rung=Rung.PSUTIL, time_ns=5)
    seen = {
        number: value.replace(b"\0", b" ")
        if isinstance(value, bytes) and template_type.field(number).arguments
        else value
        for number, value in inputs.items()
    }
    assert decode(template_type, record) == seen
    assert record["present"][0] == sum(1 << number for number in inputs)
    assert not record["truncated"][0]


@pytest.mark.parametrize("name", list(BY_NAME))
def test_layout_is_dense_and_aligned(name: str) -> None:
    """A C compiler would insert padding, and every column would be read from the wrong place."""
    placed = slots(BY_NAME[name])
    for before, after in pairwise(placed):
        assert before.offset + before.size == after.offset
    for slot in placed:
        if slot.code not in ("text", "address", "padding"):
            assert slot.offset % slot.size == 0
    assert record_size(BY_NAME[name]) % 8 == 0
    assert dtype(BY_NAME[name]).itemsize == record_size(BY_NAME[name])


def test_header() -> None:
    """An event could not be told from one of another type, version, rung or time."""
    record = encode(NETWORK, {}, rung=Rung.PSUTIL, time_ns=1 << 60)[0]
    assert record["template_type"] == NETWORK.number
    version = NETWORK.version
    assert (record["schema_major"], record["schema_minor"]) == (version.major, version.minor)
    assert record["arity"] == NETWORK.arity
    assert record["rung"] == 4
    assert record["time_ns"] == 1 << 60


def test_long_texts_are_cut_and_marked() -> None:
    """A cut text would be taken for a whole one."""
    capacity = PROCESS.field(IMAGE).capacity
    whole = encode(PROCESS, {IMAGE: b"x" * capacity}, rung=Rung.BPF_BTF)
    assert not whole["truncated"][0]
    cut = encode(PROCESS, {IMAGE: b"x" * (capacity + 1), PID: 1}, rung=Rung.BPF_BTF)
    assert cut["truncated"][0] == 1 << IMAGE
    assert decode(PROCESS, cut) == {IMAGE: b"x" * capacity, PID: 1}


def test_arguments_are_joined_by_spaces() -> None:
    """Content that looks for `sh -c` would not find it between NULs."""
    record = encode(PROCESS, {COMMAND_LINE: b"sh\0-c\0\0id", IMAGE: b"a\0b"}, rung=Rung.BPF_BTF)
    assert decode(PROCESS, record) == {COMMAND_LINE: b"sh -c  id", IMAGE: b"a\0b"}


def test_ipv4_is_mapped() -> None:
    """IPv4 and IPv6 could not be compared with one another."""
    record = encode(NETWORK, {3: b"\x0a\0\0\1"}, rung=Rung.BPF_BTF)
    assert decode(NETWORK, record) == {3: IPV4_MAPPED}


def test_stale_bytes_are_not_read() -> None:
    """Memory of an earlier event would leak into this one."""
    record = encode(PROCESS, {IMAGE: b"/bin/sh"}, rung=Rung.BPF_BTF)
    record["image"][0, 7:] = ord("!")
    assert decode(PROCESS, record) == {IMAGE: b"/bin/sh"}


def test_a_damaged_length_is_bounded() -> None:
    """A record with a wrong length would be read beyond its text."""
    record = encode(PROCESS, {IMAGE: b"x"}, rung=Rung.BPF_BTF)
    record["image" + LENGTH_SUFFIX] = (1 << 32) - 1
    found = decode(PROCESS, record)[IMAGE]
    assert isinstance(found, bytes)
    assert len(found) == PROCESS.field(IMAGE).capacity


@pytest.mark.parametrize("name", ["template_type", "schema_major", "schema_minor", "arity"])
def test_headers_that_disagree_are_found(name: str) -> None:
    """Records of another layout would be read with this one."""
    records = np.concatenate([encode(PROCESS, {}, rung=Rung.BPF_BTF)] * 3)
    assert not header_problem(PROCESS, records).any()
    records[name][1] += 1
    assert header_problem(PROCESS, records).tolist() == [False, True, False]


def test_what_no_record_can_hold_is_refused() -> None:
    """A caller's mistake would become another event."""
    for number in (0, PROCESS.arity + 1):
        with pytest.raises(KeyError):
            encode(PROCESS, {number: 1}, rung=Rung.BPF_BTF)
    for inputs in ({IMAGE: 5}, {PID: b"5"}):
        with pytest.raises(TypeError):
            encode(PROCESS, inputs, rung=Rung.BPF_BTF)
    for number, value in ((4, -1), (4, 1 << 64), (7, 1 << 63), (3, bytes(15))):
        with pytest.raises(ValueError, match=r"fit|address"):
            encode(NETWORK, {number: value}, rung=Rung.BPF_BTF)
