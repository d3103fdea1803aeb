"""Metadata over a real session's channel: no more, and for no longer, than they may take."""

import asyncio
import time
from collections.abc import Iterator
from dataclasses import replace

import grpc
import grpc.aio
import pytest

from agent.backoff import Backoff
from agent.link import metadata_fetching
from agent.link.errors import FetchRefusedError
from agent.link.limits import LIMITS
from agent.link.metadata_fetching import MetadataFetcher
from bulkhead.v1 import sensor_service_pb2_grpc
from tests.process.link_certificates import authority
from tests.process.link_cloud import Metadata, ScriptedCloud, running_cloud

LIMIT = 100_000


@pytest.fixture(scope="module")
def cloud() -> Iterator[ScriptedCloud]:
    """A cloud that is there."""
    with running_cloud() as running:
        yield running


def fetched(cloud: ScriptedCloud, timestamp: Metadata | None) -> bytes | None:
    """A fetch of this timestamp."""
    cloud.metadata = {} if timestamp is None else {("timestamp", 0): timestamp}

    async def run() -> bytes | None:
        trust = authority()
        credentials = grpc.ssl_channel_credentials(
            trust.certificate, trust.agent.key, trust.agent.certificate
        )
        async with grpc.aio.secure_channel(cloud.address, credentials) as channel:
            stub = sensor_service_pb2_grpc.SensorServiceStub(channel)
            fetch = MetadataFetcher(stub, Backoff(0.01, 0.01, lambda: 0.0))
            return await fetch("timestamp", 0, LIMIT)

    return asyncio.run(run())


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
