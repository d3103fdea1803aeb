"""An evaluator looks often while there are events, and sleeps while there are none."""

import os
import select
import socket
from collections.abc import Iterator

import pytest

from agent.evaluator.limits import LIMITS
from agent.evaluator.waiting import Looks, Waiter
from probes.ring import RingKind


@pytest.fixture
def channel() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Two ends: the evaluator's and the supervisor's."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs:
        yield ours, theirs


def test_looks_become_rarer_and_then_it_sleeps() -> None:
    """An idle host would pay for looks at empty rings."""
    looks = Looks()
    looks.looked(100.0, found=True)
    assert looks.seconds == LIMITS.poll_busy_seconds
    waits = []
    for _ in range(5):
        looks.looked(100.1, found=False)
        waits.append(looks.seconds)
    assert waits == sorted(waits)
    assert waits[-1] == LIMITS.poll_idle_seconds
    assert not looks.idle(100.1)
    assert looks.idle(100.0 + LIMITS.awake_seconds)


def test_events_bring_the_quick_looks_back() -> None:
    """Under load, latency would be that of an idle host."""
    looks = Looks()
    for _ in range(5):
        looks.looked(99.0, found=False)
    looks.looked(100.0, found=True)
    assert looks.seconds == LIMITS.poll_busy_seconds
    assert not looks.idle(100.0)


@pytest.mark.parametrize("asleep", [False, True], ids=["awake", "asleep"])
def test_the_supervisor_is_heard(
    channel: tuple[socket.socket, socket.socket], *, asleep: bool
) -> None:
    """A drain would wait until the next event."""
    ours, theirs = channel
    waiter = Waiter(ours)
    assert not waiter.wait(0, asleep=asleep)
    theirs.send(b"x")
    assert waiter.wait(10.0, asleep=asleep)
    assert waiter.wait(0, asleep=asleep), "it was not taken yet"


def test_a_ring_ends_a_sleep_once_for_each_wake_up(
    channel: tuple[socket.socket, socket.socket],
) -> None:
    """A ring with unread records would keep the evaluator awake, or could not wake it at all."""
    waiter = Waiter(channel[0])
    reading, writing = os.pipe()
    try:
        waiter.add_ring(reading, RingKind.BPF)
        woken = select.epoll()
        woken.register(waiter._asleep.fileno(), select.EPOLLIN)
        assert not woken.poll(0)
        os.write(writing, b"x")
        assert woken.poll(10.0)
        assert not waiter.wait(10.0, asleep=True), "an event is no word of the supervisor"
        assert not woken.poll(0)
        os.write(writing, b"x")
        assert woken.poll(10.0)
        woken.close()
    finally:
        os.close(reading)
        os.close(writing)


def test_nobody_sleeps_beside_a_ring_that_wakes_nobody(
    channel: tuple[socket.socket, socket.socket],
) -> None:
    """Below BPF, events would wait for the next heartbeat."""
    waiter = Waiter(channel[0])
    assert waiter.can_sleep
    waiter.add_ring(channel[1].fileno(), RingKind.MEMFD)
    assert not waiter.can_sleep
