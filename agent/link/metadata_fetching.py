"""Metadata over the session's channel: capped while they arrive, and in time.

A cloud that has none says NOT_FOUND. Anything else that is no answer is tried again a few times;
after that it is a reason to refuse what was offered, so that it is told to somebody.
"""

import asyncio
from dataclasses import dataclass

import grpc
import grpc.aio

from agent.backoff import Backoff
from agent.link.errors import FetchRefusedError
from agent.link.limits import LIMITS
from agent.link.stub import Stub
from agent.link.verifier import DeliveryReason
from bulkhead.v1 import sensor_service_pb2

ROLES = {
    "root": sensor_service_pb2.METADATA_ROLE_ROOT,
    "timestamp": sensor_service_pb2.METADATA_ROLE_TIMESTAMP,
    "snapshot": sensor_service_pb2.METADATA_ROLE_SNAPSHOT,
    "targets": sensor_service_pb2.METADATA_ROLE_TARGETS,
}


@dataclass(frozen=True, slots=True)
class Answer:
    """Metadata, or None where the cloud has none; root_version: as in the wire's Enclosed."""

    data: bytes | None
    root_version: int = 0


class MetadataFetcher:
    """Fetches over one session's channel; an instance is a `agent.link.verifier.Fetch`."""

    def __init__(self, stub: Stub, backoff: Backoff) -> None:
        self._stub = stub
        self._backoff = backoff

    async def __call__(self, role: str, version: int, limit: int) -> bytes | None:
        """At most `limit` bytes, or None where the cloud has none; FetchRefusedError."""
        return (await self.ask(role, version, limit)).data

    async def ask(self, role: str, version: int, limit: int) -> Answer:
        """The same, with what else the answer says."""
        request = sensor_service_pb2.FetchMetadataRequest(role=ROLES[role], version=version)
        while True:
            try:
                answer = await self._collect(role, request, limit)
            except grpc.aio.AioRpcError as error:
                if error.code() is grpc.StatusCode.NOT_FOUND:
                    return Answer(None)
                slow = error.code() is grpc.StatusCode.DEADLINE_EXCEEDED
                if slow or self._backoff.failures >= LIMITS.fetch_tries - 1:
                    self._backoff.reset()
                    raise _no_answer(role, error.code()) from error
                await asyncio.sleep(self._backoff.next_delay())
            else:
                self._backoff.reset()
                return answer

    async def _collect(
        self, role: str, request: sensor_service_pb2.FetchMetadataRequest, limit: int
    ) -> Answer:
        call = self._stub.FetchMetadata(request, timeout=LIMITS.metadata_seconds)
        data, root_version = bytearray(), 0
        try:
            async for piece in call:
                data += piece.chunk
                root_version = root_version or piece.root_version
                if len(data) > limit:
                    raise FetchRefusedError(
                        DeliveryReason.METADATA_TOO_LARGE,
                        f"metadata.{role}",
                        f"more than {limit} bytes",
                        f"at most {limit} bytes",
                    )
        finally:
            call.cancel()
        return Answer(bytes(data), root_version)


class Look:
    """What one refresh fetches; an instance is a `agent.link.verifier.Fetch`, for once.

    The timestamp is asked for before any root: it is sent with word of the newest root, so that a
    look which finds nothing new is one call. What that word can do, a server could do as well by
    saying that there is no other root.
    """

    def __init__(self, fetcher: MetadataFetcher) -> None:
        self._fetcher = fetcher
        self._timestamp: Answer | None = None

    async def __call__(self, role: str, version: int, limit: int) -> bytes | None:
        """As a MetadataFetcher does."""
        if role == "root" and self._timestamp is None:
            self._timestamp = await self._ask_for_timestamp()
        known = self._timestamp or Answer(None)
        if role == "root" and 0 < known.root_version < version:
            return None
        if role == "timestamp" and known.data is not None:
            return known.data
        return await self._fetcher(role, version, limit)

    async def _ask_for_timestamp(self) -> Answer:
        """Whatever is wrong with it is said when it is its turn: new roots count nevertheless."""
        try:
            return await self._fetcher.ask("timestamp", 0, LIMITS.timestamp_bytes)
        except FetchRefusedError:
            return Answer(None)


def _no_answer(role: str, status: grpc.StatusCode) -> FetchRefusedError:
    slow = status is grpc.StatusCode.DEADLINE_EXCEEDED
    return FetchRefusedError(
        DeliveryReason.METADATA_SLOW if slow else DeliveryReason.METADATA_MISSING,
        f"metadata.{role}",
        status.name,
        f"an answer within {LIMITS.metadata_seconds:g} s",
    )
