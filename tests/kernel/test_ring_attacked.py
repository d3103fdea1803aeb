"""The kernel's ring with the page that every evaluator can write to, in hostile hands."""

import mmap
import os
import struct
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from agent.supervisor.evidence import process_of
from agent.supervisor.hand_over import _ring
from agent.supervisor.rings import RingFacts
from agent.supervisor.verdicts import start_time_ns
from content.loss_causes import LossCause
from probes.counters import CounterSlot
from tests.kernel.collection import Collection, collecting
from tests.needs import require_btf
from tests.process.waiting import until

PROCESS = 1
SMALL = "65536"


@pytest.fixture
def collection() -> Iterator[Collection]:
    """Execs are collected, into a small ring."""
    require_btf()
    with collecting("--rung", "bpf_btf", "--types", "1", "--ring-bytes", SMALL) as running:
        yield running


@pytest.fixture
def ring(collection: Collection) -> Iterator[RingFacts]:
    """The ring as the supervisor has it."""
    with ExitStack() as mapped:
        descriptor = os.dup(collection.descriptors[0])
        mapped.callback(os.close, descriptor)
        yield _ring(collection.message["rings"][0], descriptor, "epoch", mapped)


def give_back(ring: RingFacts, position: int) -> None:
    """As an evaluator writes it."""
    with mmap.mmap(ring.descriptor, mmap.PAGESIZE) as page:
        page[:8] = struct.pack("=Q", position)


def lost(collection: Collection) -> int:
    """Execs that found no room, whoever was blamed for it."""
    slots = [CounterSlot(cause, PROCESS) for cause in (LossCause.RING_FULL, LossCause.FLOOD)]
    return sum(collection.lost().get(slot, 0) for slot in slots)


def run() -> None:
    """An exec."""
    subprocess.run(["/bin/true"], check=True)


@pytest.mark.parametrize("forged", [2**62, 2**63])
def test_a_ring_that_was_shut_is_open_again(
    collection: Collection, ring: RingFacts, forged: int
) -> None:
    """One write of a hostile evaluator would leave the sensor blind for as long as it runs."""
    ring.position = ring.produced()
    give_back(ring, forged)
    before, shut_at = lost(collection), ring.produced()
    run()
    assert (ring.produced(), lost(collection) > before) == (shut_at, True)
    assert ring.repair() == 0
    run()
    assert ring.produced() > shut_at


def test_what_is_overwritten_unread_is_known_exactly(ring: RingFacts) -> None:
    """Events could be made to vanish that nobody has counted."""
    ring.position = ring.produced()
    records = ring.size // ring.stride + 20
    begin = ring.position
    while ring.produced() < begin + records * ring.stride:
        give_back(ring, ring.produced())
        run()
    gone = ring.repair()
    assert ring.position == begin + gone * ring.stride
    assert ring.given_back() == ring.position
    assert 0 <= ring.position + ring.size - ring.produced() < ring.stride


def test_the_process_that_an_event_names_is_read_from_it(ring: RingFacts) -> None:
    """An honest verdict would be taken for a forged one, or a forged one for honest."""
    position = ring.produced()
    give_back(ring, position)  # what others executed meanwhile may have filled it
    with subprocess.Popen(["/bin/sleep", "63"]) as process:
        try:
            expected = (process.pid, start_time_ns(process.pid))

            def named() -> bool:
                places = range(position, ring.produced(), ring.stride)
                return expected in [process_of(ring, place) for place in places]

            until(named)
        finally:
            process.kill()
