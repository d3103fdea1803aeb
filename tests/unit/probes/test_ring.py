"""Reading a ring: wrap-around, busy and foreign entries, private cursors."""

import mmap
import os
import struct
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from content.definitions import Rung
from probes.errors import RingCorruptError, RingOverrunError
from probes.memory_ring import MemoryRing
from probes.ring import BUSY_BIT, DISCARD_BIT, HEADER_BYTES, PAGE, Ring, RingKind, stride
from tests.unit.probes.small_types import RECORD_BYTES, SMALL, STRIDE

RESULT_OFFSET = 48
SIZE = 1024
"""Of the ring that mimics the kernel's: 7 records and a bit."""


class KernelLikeRing:
    """A memfd that a test fills as the kernel fills a BPF ring: data twice in a row."""

    def __init__(self) -> None:
        length = 2 * PAGE + 2 * SIZE
        self.descriptor = os.memfd_create("ring")
        os.ftruncate(self.descriptor, length)
        self.memory = mmap.mmap(self.descriptor, length)
        self.position = 0

    def write(self, result: int, length: int = RECORD_BYTES) -> None:
        """Append a record whose only content is its result."""
        record = bytearray(RECORD_BYTES)
        struct.pack_into("=q", record, RESULT_OFFSET, result)
        entry = struct.pack("=II", length, 0) + record
        for index, byte in enumerate(entry):
            place = 2 * PAGE + (self.position + index) % SIZE
            self.memory[place] = self.memory[place + SIZE] = byte
        self.position += STRIDE
        self.memory[PAGE : PAGE + 8] = struct.pack("=Q", self.position)

    def ring(self, *, read_only: bool = False) -> Ring:
        """The reading end."""
        return Ring(self.descriptor, STRIDE, SIZE, RingKind.BPF, SMALL, read_only=read_only)


@pytest.fixture
def kernel() -> Iterator[KernelLikeRing]:
    """An empty ring."""
    ring = KernelLikeRing()
    yield ring
    ring.memory.close()
    os.close(ring.descriptor)


def results(ring: Ring, position: int, count: int = 100) -> list[int]:
    """The results in a batch."""
    return [int(result) for result in ring.read(position, count)["result"]]


def test_stride_is_header_and_record() -> None:
    """If it failed, every record but the first would be misread."""
    assert stride(SMALL) == STRIDE == HEADER_BYTES + RECORD_BYTES


def test_batches_follow_each_other(kernel: KernelLikeRing) -> None:
    """If it failed, records would be read twice or passed over."""
    with kernel.ring() as ring:
        assert results(ring, 0) == []
        for number in range(5):
            kernel.write(number)
        assert results(ring, 0, 3) == [0, 1, 2]
        ring.commit(3 * STRIDE)
        assert ring.consumer_position == 3 * STRIDE
        assert results(ring, ring.consumer_position) == [3, 4]


def test_batch_crosses_the_end(kernel: KernelLikeRing) -> None:
    """If it failed, the record that lies across the end would be garbage."""
    with kernel.ring() as ring:
        for number in range(25):
            kernel.write(number)
            if number % 5 == 4:
                assert results(ring, ring.consumer_position) == list(range(number - 4, number + 1))
                ring.commit(kernel.position)


def test_nothing_behind_a_busy_record_is_read(kernel: KernelLikeRing) -> None:
    """If it failed, a half-written record would be evaluated."""
    with kernel.ring() as ring:
        kernel.write(1)
        kernel.write(2, RECORD_BYTES | BUSY_BIT)
        kernel.write(3)
        assert results(ring, 0) == [1]
        assert results(ring, STRIDE) == []


@pytest.mark.parametrize("length", [RECORD_BYTES - 8, RECORD_BYTES | DISCARD_BIT, 0, 0xFFFFFFFF])
def test_entry_of_another_size_is_refused(kernel: KernelLikeRing, length: int) -> None:
    """If it failed, a wrong stride or a discarded record would be misread without a word."""
    with kernel.ring() as ring:
        kernel.write(1)
        kernel.write(2, length)
        with pytest.raises(RingCorruptError, match=f"entry at {STRIDE}"):
            ring.read(0, 10)


@pytest.mark.parametrize(
    ("stride_bytes", "size", "kind"),
    [
        (STRIDE + 8, SIZE, "bpf"),
        (STRIDE, SIZE + 8, "bpf"),
        (STRIDE, 64, "bpf"),
        (STRIDE, SIZE, "memfd"),
        (STRIDE, SIZE, "file"),
    ],
)
def test_impossible_shapes_are_refused(
    kernel: KernelLikeRing, stride_bytes: int, size: int, kind: str
) -> None:
    """If it failed, a ring of another Template Type could be mapped and misread."""
    with pytest.raises(ValueError, match=r"ring of small|not a valid RingKind"):
        Ring(kernel.descriptor, stride_bytes, size, kind, SMALL)


def test_private_cursor_changes_nothing(kernel: KernelLikeRing) -> None:
    """If it failed, a trial would take events away from the evaluator in charge."""
    with kernel.ring(read_only=True) as ring:
        kernel.write(1)
        assert results(ring, 0) == [1]
        with pytest.raises(ValueError, match="read-only"):
            ring.commit(STRIDE)
        assert ring.intact(0)


def test_private_cursor_that_fell_behind(kernel: KernelLikeRing) -> None:
    """If it failed, a trial would judge what was overwritten under its eyes."""
    with kernel.ring(read_only=True) as ring:
        for number in range(9):
            kernel.write(number)
        assert not ring.intact(0)
        with pytest.raises(RingOverrunError, match="small: cursor 0 is"):
            ring.read(0, 100)
        assert results(ring, 2 * STRIDE) == list(range(2, 9))


@pytest.mark.parametrize("position", [-STRIDE, 7, 2 * STRIDE])
def test_positions_that_can_not_be_are_refused(kernel: KernelLikeRing, position: int) -> None:
    """If it failed, a wrong position would be committed and events be lost or doubled."""
    with kernel.ring() as ring:
        kernel.write(1)
        with pytest.raises(ValueError, match=r"position|commit"):
            ring.commit(position)
        assert ring.consumer_position == 0


def test_batch_can_not_be_written(kernel: KernelLikeRing) -> None:
    """If it failed, a reader could change what others read."""
    with kernel.ring() as ring:
        kernel.write(1)
        batch = ring.read(0, 1)
        with pytest.raises(ValueError, match="read-only"):
            batch["result"][0] = 2
        del batch


@given(
    steps=st.lists(st.integers(min_value=-4, max_value=4), max_size=60),
    capacity=st.integers(min_value=1, max_value=5),
)
def test_writer_and_reader_agree(steps: list[int], capacity: int) -> None:
    """If it failed, some order of writing and reading would lose, double or change a record.

    A positive step writes so many records, a negative one reads so many.
    """
    writer = MemoryRing(SMALL, capacity * STRIDE + 8, Rung.PSUTIL)
    told = writer.description
    held: list[int] = []
    written = 0
    with Ring(told.descriptor, told.stride, told.size, told.kind, SMALL) as ring:
        for step in steps:
            for _ in range(max(0, step)):
                kept = writer.append({"result": written, "image": b"%d" % written})
                assert kept is (len(held) < capacity)
                held += [written] if kept else []
                written += 1
            batch = ring.read(ring.consumer_position, max(0, -step))
            texts = [bytes(row["image"][: row["image_length"]]) for row in batch]
            count = len(batch)
            assert [int(result) for result in batch["result"]] == held[:count]
            assert texts == [b"%d" % number for number in held[:count]]
            assert count == min(max(0, -step), len(held)) or ring.consumer_position % told.size
            del batch
            ring.commit(ring.consumer_position + count * STRIDE)
            held = held[count:]
    writer.close()


def test_writer_does_not_trust_the_consumer() -> None:
    """If it failed, a reader that went wrong could make the collector overwrite unread events."""
    writer = MemoryRing(SMALL, 3 * STRIDE, Rung.PSUTIL)
    memory = mmap.mmap(writer.description.descriptor, PAGE)
    for position in (1 << 63, STRIDE, 5):
        memory[:8] = struct.pack("=Q", position)
        assert not writer.append({"result": 1})
    memory[:8] = bytes(8)
    assert writer.append({"result": 1})
    memory.close()
    writer.close()


def test_writer_fills_what_it_is_given() -> None:
    """If it failed, the psutil rung's records would have another shape than the kernel's."""
    writer = MemoryRing(SMALL, 3 * STRIDE, Rung.PSUTIL)
    told = writer.description
    values: dict[str, int | bytes] = {
        "operation": 2,
        "address": bytes(range(16)),
        "command_line": b"x" * 30,
        "result": -5,
    }
    assert writer.append(values)
    with Ring(told.descriptor, told.stride, told.size, told.kind, SMALL) as ring:
        (row,) = ring.read(0, 10).copy()
    assert [int(row[name]) for name in ("template_type", "schema_major", "schema_minor")] == [
        7,
        2,
        3,
    ]
    assert [int(row[name]) for name in ("arity", "rung", "operation", "result")] == [6, 4, 2, -5]
    assert int(row["present"]) == 1 << 1 | 1 << 3 | 1 << 4 | 1 << 5
    assert int(row["truncated"]) == 1 << 5
    assert row["command_line_length"] == 24
    assert np.array_equal(row["address"], np.arange(16))
    writer.close()


def test_writer_keeps_to_what_the_rung_promises() -> None:
    """If it failed, a field could be filled in on a rung that does not promise it."""
    writer = MemoryRing(SMALL, 3 * STRIDE, Rung.PSUTIL)
    with pytest.raises(ValueError, match=r"small\.secret"):
        writer.append({"secret": 1})
    writer.close()


def test_size_of_the_memory_is_sealed() -> None:
    """If it failed, a reader could shrink the ring and kill the collector with SIGBUS."""
    writer = MemoryRing(SMALL, 3 * STRIDE, Rung.PSUTIL)
    with pytest.raises(PermissionError):
        os.ftruncate(writer.description.descriptor, PAGE)
    writer.close()
