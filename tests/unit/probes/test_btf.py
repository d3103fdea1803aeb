"""Offsets of kernel structs, from BTF that is made by hand and from the running kernel's."""

import struct
import time

import pytest

from probes.btf import HEADER, KERNEL_BTF, MAGIC, KernelTypes
from probes.errors import ProbeError, ProbeReason
from probes.program import KERNEL_MEMBERS, OPTIONAL_MEMBERS
from tests.needs import skip_unavoidable

INT, ARRAY, STRUCT, UNION, ENUM, FUNCTION_PROTOTYPE, DATA_SECTION = 1, 3, 4, 5, 6, 13, 15
STRINGS = b"\0int\0outer\0first\0second\0inner_one\0inner_two\0forward\0bits\0"
LARGEST_SECONDS = 1.0


def name(text: bytes) -> int:
    """Offset of a string of STRINGS."""
    return STRINGS.index(b"\0" + text + b"\0") + 1


def one(kind: int, named: bytes = b"", size: int = 4, count: int = 0, flag: int = 0) -> bytes:
    """The three header words of a type."""
    return struct.pack("=III", name(named) if named else 0, flag << 31 | kind << 24 | count, size)


def member(named: bytes, type_id: int, bits: int) -> bytes:
    """A member of a struct or union."""
    return struct.pack("=III", name(named) if named else 0, type_id, bits)


def blob(types: bytes, strings: bytes = STRINGS, magic: int = MAGIC, version: int = 1) -> bytes:
    """A whole BTF blob."""
    header = HEADER.pack(magic, version, 0, 24, 0, len(types), len(types), len(strings))
    return header + types + strings


# 1 int, 2 array, 3 enum, 4 prototype, 5 section, 6 unnamed union, 7 unnamed struct, 8 outer
TYPES = b"".join(
    (
        one(INT, b"int") + bytes(4),
        one(ARRAY) + bytes(12),
        one(ENUM, count=2) + bytes(16),
        one(FUNCTION_PROTOTYPE, count=3) + bytes(24),
        one(DATA_SECTION, count=1) + bytes(12),
        one(UNION, count=1) + member(b"inner_one", 1, 32),
        one(STRUCT, count=2) + member(b"", 6, 64) + member(b"inner_two", 1, 0),
        one(STRUCT, b"outer", count=3)
        + member(b"first", 1, 0)
        + member(b"", 7, 128)
        + member(b"second", 1, 320),
        one(STRUCT, b"bits", count=1, flag=1) + member(b"second", 1, 5 << 24 | 96),
    )
)


@pytest.mark.parametrize(
    ("found", "expected"),
    [("first", 0), ("second", 40), ("inner_two", 16), ("inner_one", 16 + 8 + 4)],
)
def test_members_are_found_through_unnamed_ones(found: str, expected: int) -> None:
    """If it failed, the programs would read other members of kernel structs."""
    assert KernelTypes(blob(TYPES)).offset("outer", found) == expected


def test_bit_field_encoding() -> None:
    """If it failed, structs with bit fields would have absurd offsets."""
    assert KernelTypes(blob(TYPES)).offset("bits", "second") == 12


@pytest.mark.parametrize("pair", [("outer", "third"), ("nowhere", "first"), ("forward", "first")])
def test_missing_member_is_named(pair: tuple[str, str]) -> None:
    """If it failed, a kernel that lacks a member would be read at a made-up place."""
    with pytest.raises(ProbeError, match=rf"{pair[0]}\.{pair[1]}") as caught:
        KernelTypes(blob(TYPES)).offset(*pair)
    assert caught.value.reason is ProbeReason.BTF_MEMBER_MISSING


def test_optional_member_may_be_missing() -> None:
    """If it failed, a kernel without IPv6 would have no sensor."""
    absent = ("outer", "third")
    types = KernelTypes(blob(TYPES))
    assert types.offsets([absent, ("outer", "second")], frozenset({absent})) == {
        absent: 0,
        ("outer", "second"): 40,
    }


def test_names_are_whole() -> None:
    """If it failed, a helper would be called that this kernel does not have."""
    types = KernelTypes(blob(TYPES))
    assert types.has_name("inner_one")
    assert not types.has_name("inner")
    assert not types.has_name("ner_one")


@pytest.mark.parametrize(
    "broken",
    [
        b"",
        b"\x9f\xeb",
        blob(TYPES, magic=0x9FEB),
        blob(TYPES, version=2),
        blob(TYPES[:-3]),
        blob(TYPES + one(31)[:4]),
    ],
)
def test_what_is_not_btf_is_refused(broken: bytes) -> None:
    """If it failed, a truncated or foreign blob would be a traceback or a wrong offset."""
    with pytest.raises(ProbeError) as caught:
        KernelTypes(broken)
    assert caught.value.reason is ProbeReason.BTF_INVALID


def test_running_kernel_has_all_members_soon() -> None:
    """If it failed, the BPF rung would not start here, or start late."""
    if not KERNEL_BTF.exists():
        skip_unavoidable(f"the kernel has no {KERNEL_BTF}")
    started = time.monotonic()
    offsets = KernelTypes.of_kernel().offsets(KERNEL_MEMBERS, OPTIONAL_MEMBERS)
    assert time.monotonic() - started < LARGEST_SECONDS
    assert offsets[("task_struct", "tgid")] == offsets[("task_struct", "pid")] + 4
    assert offsets[("mm_struct", "arg_end")] == offsets[("mm_struct", "arg_start")] + 8
    assert offsets[("sock_common", "skc_daddr")] == 0
