"""Metadata over a real session's channel: no more, and for no longer, than they may take."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from typing import Any

import grpc
import grpc.aio
import pytest

from agent.backoff import Backoff
from agent.link import metadata_fetching
from agent.link.errors import FetchRefusedError
from agent.link.limits import LIMITS
from agent.link.metadata_fetching import Look, MetadataFetcher
from bulkhead.v1 import sensor_service_pb2_grpc
from tests.process.link_certificates import authority
from tests.process.link_cloud import Metadata, ScriptedCloud, running_cloud

LIMIT = 100_000


@pytest.fixture(scope="module")
def cloud() -> Iterator[ScriptedCloud]:
    """A cloud that is there."""
    with running_cloud() as running:
        yield running


Use = Callable[[MetadataFetcher], Awaitable[Any]]


def with_fetcher(cloud: ScriptedCloud, use: Use) -> Any:
    """What somebody finds with a fetcher of this cloud; it is noted anew what that asks for."""

    async def run() -> Any:
        trust = authority()
        credentials = grpc.ssl_channel_credentials(
            trust.certificate, trust.agent.key, trust.agent.certificate
        )
        async with grpc.aio.secure_channel(cloud.address, credentials) as channel:
            stub = sensor_service_pb2_grpc.SensorServiceStub(channel)
            return await use(MetadataFetcher(stub, Backoff(0.01, 0.01, lambda: 0.0)))

    cloud.asked.clear()
    return asyncio.run(run())


def fetched(cloud: ScriptedCloud, timestamp: Metadata | None) -> bytes | None:
    """A fetch of this timestamp."""
    cloud.metadata = {} if timestamp is None else {("timestamp", 0): timestamp}
    found: bytes | None = with_fetcher(cloud, lambda fetch: fetch("timestamp", 0, LIMIT))
    return found


async def looked(fetcher: MetadataFetcher) -> list[bytes | None]:
    """What a refresh asks for first: roots until there is none, then the timestamp."""
    look, found, version = Look(fetcher), [], 2
    while (root := await look("root", version, LIMIT)) is not None:
        found.append(root)
        version += 1
    return [*found, await look("timestamp", 0, LIMIT)]


def dripping() -> Iterator[bytes]:
    """A byte now and then, for a minute."""
    for _ in range(600):
        yield b"x"
        time.sleep(0.1)


def test_metadata_arrive_whole_or_not_at_all(cloud: ScriptedCloud) -> None:
    """Metadata would be cut, or the end of all roots look like an error."""
    assert fetched(cloud, [b"x" * 60_000, b"y" * 40_000]) == b"x" * 60_000 + b"y" * 40_000
    assert fetched(cloud, None) is None


def test_one_byte_too_many_is_refused(cloud: ScriptedCloud) -> None:
    """A server could fill the memory of every sensor (endless data)."""
    with pytest.raises(FetchRefusedError, match="METADATA_TOO_LARGE"):
        fetched(cloud, [b"x" * LIMIT, b"y"])


def test_a_slow_server_is_given_up(cloud: ScriptedCloud, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server could keep a sensor from all that follows by a byte a minute (slow retrieval)."""
    quick = replace(LIMITS, metadata_seconds=0.5)
    monkeypatch.setattr(metadata_fetching, "LIMITS", quick)
    with pytest.raises(FetchRefusedError, match="METADATA_SLOW"):
        fetched(cloud, dripping())


def test_a_server_that_only_fails_is_named(cloud: ScriptedCloud) -> None:
    """What was offered would be tried for ever, and nobody be told."""
    with pytest.raises(FetchRefusedError, match="INTERNAL"):
        fetched(cloud, grpc.StatusCode.INTERNAL)


@pytest.mark.parametrize("known", [1, 2, 0], ids=["nothing new", "a new root", "not said"])
def test_a_look_asks_for_roots_that_there_are(cloud: ScriptedCloud, known: int) -> None:
    """An hourly look would be two calls; or a new root be passed over, because of a word of it."""
    cloud.root_version = known
    cloud.metadata = {("timestamp", 0): [b"tt", b"tt"]}
    if known != 1:
        cloud.metadata["root", 2] = [b"r"]
    assert with_fetcher(cloud, looked) == [*([b"r"] if known != 1 else []), b"tttt"]
    asked = {
        1: [("timestamp", 0)],
        2: [("timestamp", 0), ("root", 2)],
        0: [("timestamp", 0), ("root", 2), ("root", 3)],
    }
    assert cloud.asked == asked[known]


def test_a_new_root_counts_without_a_timestamp(cloud: ScriptedCloud) -> None:
    """A server that has lost its timestamp could keep a lost key in force."""
    cloud.metadata = {("root", 2): [b"r"]}
    assert with_fetcher(cloud, looked) == [b"r", None]
    cloud.metadata = {("root", 2): [b"r"], ("timestamp", 0): grpc.StatusCode.INTERNAL}
    with pytest.raises(FetchRefusedError, match="INTERNAL"):
        with_fetcher(cloud, looked)
    assert ("root", 2) in cloud.asked
