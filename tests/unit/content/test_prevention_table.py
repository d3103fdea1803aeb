"""The table of paths that the kernel prevents: each is found, and what travels is read strictly."""

import random

import pytest

from content.prevention_table import (
    INDEX_SHIFT,
    LONGEST_PATH,
    MAX_ENTRIES,
    PROBES,
    SLOT,
    SLOTS,
    Compared,
    Entry,
    pack_entries,
    place,
    slot_bytes,
    tag_of,
    unpack_entries,
)

ENTRIES = [Entry(Compared.IMAGE, b"/opt/%d" % number) for number in range(MAX_ENTRIES)]


def test_each_entry_lies_where_the_kernel_looks() -> None:
    """The kernel would not find a path that content prevents."""
    seeds = random.Random(7)  # noqa: S311 - repeatable
    placed = 0
    for _ in range(50):
        seed = seeds.getrandbits(64)
        slots = place(ENTRIES, seed)
        if slots is None:
            continue
        placed += 1
        for index, entry in enumerate(slots):
            if entry is not None:
                first = tag_of(entry, seed) >> INDEX_SHIFT
                way = [(first + step) % SLOTS for step in range((index - first) % SLOTS + 1)]
                assert len(way) <= PROBES
                assert all(slots[step] is not None for step in way)
        assert sorted(filter(None, slots)) == sorted(ENTRIES)
    assert placed > 0


def test_a_full_table_nearly_always_finds_a_seed() -> None:
    """Content with as many paths as are allowed would go without the kernel."""
    seeds = random.Random(11)  # noqa: S311 - repeatable
    failed = sum(place(ENTRIES, seeds.getrandbits(64)) is None for _ in range(100))
    assert failed < 50


def test_more_than_the_table_holds_is_refused() -> None:
    """Slots would overflow into each other."""
    more = [*ENTRIES, Entry(Compared.IMAGE, b"/one/more")]
    with pytest.raises(ValueError, match="257 entries"):
        place(more, 1)


def test_tags_depend_on_everything() -> None:
    """Two paths would be taken for one, or a seed that is drawn anew would change nothing."""
    one = Entry(Compared.IMAGE, b"/opt/x")
    others = [
        tag_of(Entry(Compared.EXECUTABLE_PATH, b"/opt/x"), 1),
        tag_of(Entry(Compared.IMAGE, b"/opt/X"), 1),
        tag_of(Entry(Compared.IMAGE, b"/opt/xx"), 1),
        tag_of(one, 2),
    ]
    assert tag_of(one, 1) not in others
    assert tag_of(one, 1) & 1


@pytest.mark.parametrize("path", [b"", b"/" + b"x" * LONGEST_PATH, b"/a\0b"])
def test_what_no_slot_holds_is_no_entry(path: bytes) -> None:
    """A path that is cut off would prevent every path that begins like it."""
    with pytest.raises(ValueError, match="expected 1 to"):
        Entry(Compared.IMAGE, path)


def test_a_slot_keeps_its_count() -> None:
    """What the kernel has stopped would be forgotten with every change of content."""
    entry = Entry(Compared.EXECUTABLE_PATH, b"/opt/x")
    tag, length, compared, stopped, path = SLOT.unpack(slot_bytes(entry, 5, 3))
    assert (tag, length, compared, stopped) == (tag_of(entry, 5), 6, 2, 3)
    assert path == b"/opt/x".ljust(256, b"\0")
    assert SLOT.unpack(slot_bytes(None, 5, 3))[:4] == (0, 0, 0, 3)


def test_entries_travel_unchanged() -> None:
    """The supervisor would prevent another path than the evaluator has found in content."""
    entries = (*ENTRIES[:-1], Entry(Compared.EXECUTABLE_PATH, b"/" + b"\xff" * 254))
    assert unpack_entries(pack_entries(entries)) == entries
    assert unpack_entries(b"") == ()


@pytest.mark.parametrize(
    "packed",
    [
        b"\x01",
        b"\x01\x05/abc",
        b"\x01\x00",
        b"\x00\x02/a",
        b"\x03\x02/a",
        b"\x01\x03./a",
        b"\x01\x03/a\x00",
        pack_entries(ENTRIES) + b"\x01\x02/a",
        b'["/bin/sh"]',
    ],
)
def test_anything_else_is_refused(packed: bytes) -> None:
    """An evaluator that was taken over could put rubbish into the kernel's table."""
    with pytest.raises(ValueError):  # noqa: PT011 - each has words of its own
        unpack_entries(packed)
