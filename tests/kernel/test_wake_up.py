"""A reader that sleeps is woken by the first event, and by no further one until it has read."""

import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

from agent.evaluator.waiting import Waiter
from probes.ring import RingKind
from tests.kernel.collection import Collection, collecting
from tests.needs import require_btf
from tests.patience import patient

EXECS = 20


@contextmanager
def asleep(collection: Collection) -> Iterator[Waiter]:
    """What an evaluator would sleep with; whatever had been pending at its rings is taken."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs:
        waiter = Waiter(ours)
        waiter.add_ring(collection.descriptors[0], RingKind.BPF)
        waiter.wait(0, asleep=True)
        yield waiter


def wakes(waiter: Waiter, seconds: float) -> bool:
    """Whether a ring ends the sleep within so many seconds."""
    return bool(waiter._asleep.poll(seconds))


def test_a_sleeping_reader_is_woken_once() -> None:
    """It would sleep through events, or be woken for each at the cost of those who cause them."""
    require_btf()
    with collecting("--rung", "bpf_btf", "--types", "1") as collection:
        ring = collection.rings["process"]
        with asleep(collection) as waiter:
            for _ in range(3):
                ring.commit(ring.producer_position)
                subprocess.run(["/bin/true"], check=True)
                assert wakes(waiter, patient(10.0))
                unread = ring.consumer_position
                for _ in range(EXECS):
                    subprocess.run(["/bin/true"], check=True)
                assert ring.producer_position - unread > EXECS * ring.stride
                assert not wakes(waiter, 0)
