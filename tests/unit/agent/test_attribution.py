"""The attribution record: what the evaluator wrote is what the supervisor reads, even rubbish."""

import os
import struct
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent import attribution
from agent.attribution import MAX_INSTANCES, NONE, RECORD_BYTES, Attribution, Phase, Progress

STRIDE = 64
ONE, TWO = b"\x01" * 32, b"\x02" * 32


@pytest.fixture
def record() -> Iterator[int]:
    """A record's descriptor."""
    descriptor = attribution.create()
    yield descriptor
    os.close(descriptor)


def evaluating(position: int, count: int, row: int | None) -> Progress:
    """Progress of an evaluator that works on ring 3."""
    return Progress(Phase.EVALUATING, 3, position, count, row, 7, "an-instance")


def test_untouched_record_says_starting(record: int) -> None:
    """A death before the first word would be blamed on an event that nobody evaluated."""
    assert attribution.read(record) == Progress(Phase.STARTING, 0, 0, 0, None, 0, "")


def test_progress_is_read_as_it_was_written(record: int) -> None:
    """The wrong event or the wrong instance would be blamed."""
    writer = Attribution(record)
    assert attribution.read(record).phase is Phase.LOADING
    writer.name_instances([("first", ONE), ("second", TWO)])
    writer.batch(3, 4096, 10)
    assert attribution.read(record) == Progress(Phase.EVALUATING, 3, 4096, 10, None, None, "")
    writer.note(9, 1)
    assert attribution.read(record) == Progress(
        Phase.EVALUATING, 3, 4096, 10, 9, 1, "second", TWO.hex()
    )
    writer.batch(4, 0, 1, Phase.SHADOW)
    assert attribution.read(record).row is None
    writer.phase(Phase.IDLE)
    assert attribution.read(record).phase is Phase.IDLE
    assert attribution.read(record).count == 0


def test_row_without_instance(record: int) -> None:
    """The only event of a batch would not be known as the suspect."""
    writer = Attribution(record)
    writer.batch(1, 0, 1)
    writer.note(0, NONE)
    progress = attribution.read(record)
    assert (progress.row, progress.instance, progress.instance_id) == (0, None, "")


def test_long_and_last_ids_stay_in_their_slots(record: int) -> None:
    """A long id would run into its neighbour's slot, or the last one out of the record."""
    writer = Attribution(record)
    writer.name_instances([("x" * 100, ONE + ONE), ("neighbour", TWO)])
    writer.batch(1, 0, 1)
    writer.note(0, 0)
    assert _named(record) == ("x" * 64, ONE.hex())
    writer.note(0, 1)
    assert _named(record) == ("neighbour", TWO.hex())
    writer.note(0, MAX_INSTANCES - 1)
    assert attribution.read(record).instance_id == ""


@given(
    words=st.lists(st.integers(0, 2**64 - 1), min_size=8, max_size=8), slot=st.binary(max_size=96)
)
def test_rubbish_never_raises(words: list[int], slot: bytes) -> None:
    """An evaluator that dies writing rubbish would take the supervisor with it."""
    descriptor = attribution.create()
    try:
        os.pwrite(descriptor, struct.pack("<8Q", *words), 0)
        os.pwrite(descriptor, slot, 64)
        progress = attribution.read(descriptor)
        kept = progress.within(accounted=10 * STRIDE, produced=1000 * STRIDE, stride=STRIDE)
    finally:
        os.close(descriptor)
    assert progress.row is None or progress.row < progress.count
    assert progress.instance is None or progress.instance < MAX_INSTANCES
    assert kept.position + kept.count * STRIDE <= 1000 * STRIDE
    assert kept.position % STRIDE == 0
    assert len(progress.instance_digest) in (0, 64)


def test_instance_without_a_digest_is_not_named_by_one(record: int) -> None:
    """All instances whose digest nobody wrote down would be quarantined as one."""
    writer = Attribution(record)
    writer.name_instances([("short", b""), ("first", ONE)])
    writer.batch(1, 0, 1)
    writer.note(0, 0)
    assert _named(record) == ("short", "")
    for forged in (2, MAX_INSTANCES - 1, MAX_INSTANCES, 2**63):
        writer.note(0, forged)
        assert _named(record) == ("", "")


def _named(record: int) -> tuple[str, str]:
    progress = attribution.read(record)
    return progress.instance_id, progress.instance_digest


def test_writer_can_not_take_the_record_away(record: int) -> None:
    """A broken evaluator could shrink the record, and reading it would end the supervisor."""
    for size in (0, RECORD_BYTES * 2):
        with pytest.raises(PermissionError):
            os.ftruncate(record, size)
    assert attribution.read(record).phase is Phase.STARTING


def test_plausible_progress_is_kept() -> None:
    """A true record would be thrown away and nobody be blamed."""
    for progress in (evaluating(640, 10, 3), evaluating(640, 10, None), evaluating(0, 20, 10)):
        assert progress.within(10 * STRIDE, 20 * STRIDE, STRIDE) is progress


@pytest.mark.parametrize(
    "progress",
    [
        evaluating(0, 20, 9),  # that event was accounted for by a frame
        evaluating(0, 10, None),  # that whole batch was
        evaluating(640, 11, 0),  # beyond what was produced
        evaluating(641, 2, 0),  # between two events
        evaluating(2**64 - 64, 1, 0),
        evaluating(640, 0, None),
    ],
)
def test_impossible_progress_names_no_event(progress: Progress) -> None:
    """An innocent or impossible event would be set aside, and counted as lost."""
    found = progress.within(10 * STRIDE, 20 * STRIDE, STRIDE)
    assert (found.ring, found.position, found.count, found.row) == (0, 0, 0, None)
    assert found.phase is Phase.EVALUATING
    assert found.instance_id == "an-instance"


def test_shadow_run_may_look_at_events_of_the_past() -> None:
    """The report of a death on trial would not say on which event."""
    progress = Progress(Phase.SHADOW, 3, 0, 10, 2, None, "")
    assert progress.within(10 * STRIDE, 20 * STRIDE, STRIDE) is progress
