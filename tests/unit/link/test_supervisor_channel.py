"""The link's end of the channel: never waits, keeps what matters, hears a dying supervisor out."""

import os
import select
import socket
from collections.abc import Iterator

import pytest

from agent import channel
from agent.channel import Sender
from agent.link.mailbox import HandOver, Mailbox
from agent.link.supervisor_channel import SupervisorChannel


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, SupervisorChannel]]:
    """The supervisor's end and the link's."""
    ours, theirs = channel.pair()
    yield ours, SupervisorChannel(theirs)
    ours.close()
    theirs.close()


def said(supervisor: socket.socket) -> list[tuple[str, object]]:
    """Everything the link has said so far: kind and first field."""
    found: list[tuple[str, object]] = []
    while True:
        try:
            message = channel.receive(supervisor, Sender.LINK)
        except BlockingIOError:
            return found
        assert message is not None
        found.append((message.kind, next(iter(message.fields.values()))))
        for descriptor in message.descriptors:
            os.close(descriptor)


def revoke(number: int) -> HandOver:
    """An order that fills a queue quickly."""
    numbers = dict.fromkeys(("template_type", "from_version", "to_version", "issued", "expires"), 0)
    texts = {"group": "", "reason": "r" * 50_000}
    return HandOver("revoke", {"hash": str(number), **numbers, **texts, "signatures": []})


def test_a_full_queue_keeps_orders_and_the_latest_of_the_rest(
    ends: tuple[socket.socket, SupervisorChannel],
) -> None:
    """A stalled supervisor misses an order, or gets a backlog of stale heartbeats."""
    supervisor, link = ends
    orders = [revoke(number) for number in range(30)]
    for order in orders:
        link.hand_over(order)
    assert not link.flush()
    assert not orders[-1].done.done()
    for number in range(5):
        link.stored(number)
        link.heartbeat({"connected": number})
        assert not link.flush()
    heard = said(supervisor)
    while not link.flush():
        heard += said(supervisor)
    heard += said(supervisor)
    assert [value for kind, value in heard if kind == "revoke"] == [str(n) for n in range(30)]
    assert [value for kind, value in heard if kind == "stored"] == [4]
    assert [value for kind, value in heard if kind == "heartbeat"] == [{"connected": 4}]
    assert all(order.done.done() for order in orders)


def test_what_a_dying_supervisor_had_said_is_still_heard(
    ends: tuple[socket.socket, SupervisorChannel],
) -> None:
    """Reports that were sent before the supervisor died are lost with it."""
    supervisor, link = ends
    link.stored(1)
    assert link.flush()
    for number in range(3):
        channel.send(supervisor, "loss", report=number, facts={})
    supervisor.close()  # with a message of ours unread
    link.stored(2)
    assert link.flush()
    assert [message["report"] for message in link.messages()] == [0, 1, 2]
    assert link.closed


def test_descriptors_of_orders_are_closed_when_nobody_hears_them(
    ends: tuple[socket.socket, SupervisorChannel],
) -> None:
    """A supervisor that is gone leaves Channel Files open in the link."""
    supervisor, link = ends
    reading, writing = os.pipe()
    supervisor.close()
    fields = {"hash": "", "signatures": [], "template_type": 1}
    link.hand_over(HandOver("content", fields, reading))
    assert link.flush()
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(reading)
    os.close(writing)


def test_descriptors_that_come_unasked_are_closed(
    ends: tuple[socket.socket, SupervisorChannel],
) -> None:
    """The link collects descriptors that nobody meant for it."""
    supervisor, link = ends
    reading, writing = os.pipe()
    channel.send(supervisor, "stop", descriptors=[writing])
    os.close(writing)
    (message,) = link.messages()
    assert message.kind == "stop"
    assert os.read(reading, 1) == b""  # the other end is open nowhere
    os.close(reading)


def test_waiting_ends_with_mail(ends: tuple[socket.socket, SupervisorChannel]) -> None:
    """What the session posts lies unnoticed until the supervisor says something."""
    _, link = ends
    mailbox = Mailbox()
    mailbox.post_receipt(5)
    mailbox.post_receipt(3)
    mailbox.post_refused(9)
    link.wait(mailbox.descriptor, 30.0)
    post = mailbox.take()
    assert (post.receipt, post.refused) == (5, [9])
    assert mailbox.take().receipt == 0
    os.close(mailbox.descriptor)


def test_only_news_is_worth_a_wake_up() -> None:
    """The main thread is woken for each of a thousand receipts, or never for the last one."""
    mailbox = Mailbox()

    def woken() -> bool:
        return bool(select.select([mailbox.descriptor], [], [], 0)[0])

    mailbox.post_receipt(5)
    assert woken()
    mailbox.take()
    mailbox.post_receipt(6)
    assert not woken()
    mailbox.receipts_stored()  # Only 5 was: 6 came in between.
    assert woken()
    assert mailbox.take().receipt == 6
    mailbox.receipts_stored()
    assert not woken()
    mailbox.connected = True
    assert woken()
    mailbox.take()
    mailbox.connected = True
    assert not woken()
    os.close(mailbox.descriptor)


def test_a_hang_up_is_noticed_without_reading(
    ends: tuple[socket.socket, SupervisorChannel],
) -> None:
    """A link whose disk is full never notices that its supervisor is gone."""
    supervisor, link = ends
    mailbox = Mailbox()
    supervisor.close()
    link.wait(mailbox.descriptor, 30.0, reading=False)
    assert link.closed
    os.close(mailbox.descriptor)


def test_a_session_that_ends_while_it_waits_is_no_error() -> None:
    """A hand-over that nobody waits for any more ends the link."""
    order = revoke(1)
    assert order.done.cancel()
    order.finish()
