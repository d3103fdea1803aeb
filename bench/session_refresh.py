"""How long a sensor takes to learn from a busy cloud that nothing has changed.

The link's own verifier and fetcher, over a connection of their own: the timestamp is asked for,
which brings word of the newest root, and verified against what is stored.
"""

import asyncio
import tempfile
import time
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import grpc.aio

from agent.backoff import Backoff
from agent.link.metadata_fetching import Look, MetadataFetcher
from agent.link.metadata_store import MetadataStore
from agent.link.session import OPTIONS
from agent.link.verifier import Verifier
from bulkhead.v1.sensor_service_pb2_grpc import SensorServiceStub


def refreshes(address: str, folder: Path, often: int) -> list[float]:
    """Milliseconds of each; folder: what a sensor is enrolled with."""
    with (
        tempfile.TemporaryDirectory(prefix="bulkhead-refresh-") as state,
        closing(MetadataStore(Path(state))) as store,
    ):
        root = (folder / "root.json").read_bytes()
        verifier = Verifier(root, store, lambda: datetime.now(UTC))
        return asyncio.run(_refreshes(address, folder, verifier, often))


async def _refreshes(address: str, folder: Path, verifier: Verifier, often: int) -> list[float]:
    files = ("ca.pem", "agent.key", "agent.pem")
    credentials = grpc.ssl_channel_credentials(*((folder / one).read_bytes() for one in files))
    samples = []
    async with grpc.aio.secure_channel(address, credentials, options=OPTIONS) as channel:
        fetch = MetadataFetcher(SensorServiceStub(channel), Backoff(1.0, 1.0, lambda: 1.0))
        await verifier.refresh(Look(fetch))  # brings everything
        for _ in range(often):
            began = time.perf_counter()
            await verifier.refresh(Look(fetch))
            samples.append((time.perf_counter() - began) * 1e3)
    return samples
