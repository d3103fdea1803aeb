"""The copy of one record: exactly its bytes, also at the ring's end, or none."""

import os
from collections.abc import Iterator

import pytest

from agent.supervisor.evidence import HEADER_BYTES, record_at
from agent.supervisor.rings import RingFacts
from tests.unit.agent.ring_memory import RECORDS, STRIDE, collection, produce

DATA = 2 * os.sysconf("SC_PAGE_SIZE")


@pytest.fixture
def ring() -> Iterator[RingFacts]:
    """A ring in which the record at each place has its number in every byte."""
    rings = collection(1)
    ring = rings.rings[1]
    for number in range(RECORDS):
        os.pwrite(ring.descriptor, bytes([number % 251]) * STRIDE, DATA + number * STRIDE)
    yield ring
    rings.close()


@pytest.mark.parametrize("number", [0, 1, 63, 64, 100, RECORDS - 1])
def test_record_is_copied(ring: RingFacts, number: int) -> None:
    """The inquest would be held on another event."""
    produce(ring.descriptor, RECORDS)
    assert record_at(ring, number * STRIDE) == bytes([number % 251]) * (STRIDE - HEADER_BYTES)


def test_positions_go_round(ring: RingFacts) -> None:
    """After the first round of the ring no event could be copied."""
    produce(ring.descriptor, 2 * RECORDS)
    assert record_at(ring, (RECORDS + 3) * STRIDE) == bytes([3]) * (STRIDE - HEADER_BYTES)


@pytest.mark.parametrize("position", [-STRIDE, 1, 10 * STRIDE, 2**63, 2**64 - STRIDE])
def test_what_is_not_there_is_not_copied(ring: RingFacts, position: int) -> None:
    """Whoever wrote the attribution record could make the supervisor read where nothing is."""
    produce(ring.descriptor, 10)
    assert record_at(ring, position) is None


def test_what_was_written_over_is_not_copied(ring: RingFacts) -> None:
    """The inquest would be held on an event that came later."""
    produce(ring.descriptor, RECORDS + 1)
    assert record_at(ring, 0) is None
    assert record_at(ring, STRIDE) is not None


def test_ring_that_can_not_be_mapped_is_no_error(ring: RingFacts) -> None:
    """A host without memory would end the supervisor."""
    produce(ring.descriptor, 10)
    ours, ring.descriptor = ring.descriptor, os.open("/dev/null", os.O_RDONLY)
    try:
        assert record_at(ring, 0) is None
    finally:
        os.close(ring.descriptor)
        ring.descriptor = ours
