"""Loss counters lie where their slots say."""

import os
import struct

from content.loss_causes import LossCause
from probes.counters import (
    ANY_TEMPLATE_TYPE,
    FOR_ALL,
    PER_TEMPLATE_TYPE,
    Counters,
    CounterSlot,
    slots,
)


def test_slots_are_in_order_and_complete() -> None:
    """If it failed, a loss would be counted under another cause or type."""
    found = slots([4, 1])
    assert found[:2] == (CounterSlot(LossCause.RING_FULL, 1), CounterSlot(LossCause.RING_FULL, 4))
    assert found[-1].template_type == ANY_TEMPLATE_TYPE
    assert {slot.cause for slot in found} == {*PER_TEMPLATE_TYPE, *FOR_ALL}
    assert len(set(found)) == len(found)


def test_values_are_read_from_shared_memory() -> None:
    """If it failed, losses would be there and nobody would see them."""
    counted = slots([1, 2])
    descriptor = os.memfd_create("counters")
    os.ftruncate(descriptor, 4096)
    with Counters(descriptor, counted) as counters:
        assert set(counters.read().values()) == {0}
        os.pwrite(descriptor, struct.pack("=Q", 1 << 40), 8)
        assert counters.read()[counted[1]] == 1 << 40
    os.close(descriptor)
