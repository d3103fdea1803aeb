"""What waits for an agent is bounded and in order; one session per agent."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial

import pytest

from bulkhead.v1.report_pb2 import ActiveChannelFile
from bulkhead.v1.sensor_service_pb2 import Hello, Offer, Receipt, SessionResponse
from cloud.connections import AgentConnection, Connections, Outgoing
from cloud.errors import CloudReason, SessionError
from cloud.limits import LIMITS


def run(story: Callable[[], Awaitable[None]]) -> None:
    """Run a story in an event loop, with an end."""

    async def bounded() -> None:
        async with asyncio.timeout(5):
            await story()

    asyncio.run(bounded())


def offer(version: int) -> SessionResponse:
    """A response."""
    return SessionResponse(offer=Offer(version=version))


def test_receipts_replace_each_other_and_offers_keep_their_order() -> None:
    """A busy agent would pile up receipts, or get offers in the wrong order."""
    outgoing = Outgoing(10)
    outgoing.put(offer(1))
    for delivery in range(1, 1000):
        outgoing.confirm(delivery)
    outgoing.put(offer(2))
    found = [one for _ in range(3) if (one := outgoing.next()) is not None]
    assert found[0].receipt.delivery == 999
    assert [one.offer.version for one in found[1:]] == [1, 2]
    assert outgoing.next() is None
    outgoing.confirm(1000)
    assert outgoing.next() == SessionResponse(receipt=Receipt(delivery=1000))


def test_a_receipt_never_goes_back() -> None:
    """A message that is sent again would make the agent's outbox grow backwards."""
    outgoing = Outgoing(10)
    outgoing.confirm(7)
    outgoing.confirm(3)
    assert outgoing.next() == SessionResponse(receipt=Receipt(delivery=7))


def test_an_agent_that_reads_nothing_is_given_up() -> None:
    """What waits for one agent would fill the cloud's memory."""
    outgoing = Outgoing(3)
    for version in range(3):
        outgoing.put(offer(version))
    with pytest.raises(SessionError) as refused:
        outgoing.put(offer(3))
    assert refused.value.reason is CloudReason.OUTGOING_QUEUE_FULL


def test_the_newest_session_of_an_agent_is_the_current_one() -> None:
    """Two sessions would be offered and would answer for one host."""

    async def story() -> None:
        connections = Connections(replace(LIMITS, sessions=1))
        older, newer = (AgentConnection(Hello(agent_id="a"), LIMITS) for _ in range(2))
        connections.join(older)
        connections.join(newer)
        with pytest.raises(SessionError) as replaced, older.ending:
            pytest.fail("the older one goes on")
        assert replaced.value.reason is CloudReason.SESSION_REPLACED
        connections.leave(older)
        assert connections.get("a") is newer
        with pytest.raises(SessionError) as refused:
            connections.join(AgentConnection(Hello(agent_id="b"), LIMITS))
        assert refused.value.reason is CloudReason.TOO_MANY_SESSIONS
        assert refused.value.retry_after_ms == 60_000
        connections.leave(newer)
        assert connections.get("a") is None

    run(story)


def test_the_first_are_told_before_it_is_decided_about_the_last() -> None:
    """A halt would reach the first of ten thousand hosts when it was decided about all of them."""

    async def story() -> None:
        connections, decided, told = Connections(LIMITS), list[str](), list[int]()

        def decide(agent: str) -> None:
            decided.append(agent)
            asyncio.get_running_loop().call_soon(lambda: told.append(len(decided)))

        agents = [f"host-{number}" for number in range(450)]
        for agent in agents:
            connection = AgentConnection(Hello(agent_id=agent), LIMITS)
            connection.decide = partial(decide, agent)
            connections.join(connection)
        await connections.decide_all()
        assert decided == agents
        assert told[0] <= 100

    run(story)


def test_only_news_about_active_content_are_news() -> None:
    """Every heartbeat would rewrite the store and lead to another decision."""

    async def story() -> None:
        connection = AgentConnection(Hello(agent_id="a"), LIMITS)
        one = ActiveChannelFile(template_type=4, version=1, content_hash=b"1" * 32)
        two = ActiveChannelFile(template_type=4, version=2, content_hash=b"2" * 32)
        assert connection.learn_active([one])
        assert not connection.learn_active([one])
        connection.learn_one_active(two)
        assert connection.host.active[4].version == 2
        assert connection.learn_active([one]), "the agent went back before its next heartbeat"

    run(story)
