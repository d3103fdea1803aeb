"""Metadata over the session's channel: capped while they arrive, and in time.

A cloud that has none says NOT_FOUND. Anything else that is no answer is tried again a few times;
after that it is a reason to refuse what was offered, so that it is told to somebody.
"""

import asyncio

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


class MetadataFetcher:
    """Fetches over one session's channel; an instance is a `agent.link.verifier.Fetch`."""

    def __init__(self, stub: Stub, backoff: Backoff) -> None:
        self._stub = stub
        self._backoff = backoff

    async def __call__(self, role: str, version: int, limit: int) -> bytes | None:
        """At most `limit` bytes, or None where the cloud has none; FetchRefusedError."""
        request = sensor_service_pb2.FetchMetadataRequest(role=ROLES[role], version=version)
        while True:
            try:
                data = await self._collect(role, request, limit)
            except grpc.aio.AioRpcError as error:
                if error.code() is grpc.StatusCode.NOT_FOUND:
                    return None
                slow = error.code() is grpc.StatusCode.DEADLINE_EXCEEDED
                if slow or self._backoff.failures >= LIMITS.fetch_tries - 1:
                    self._backoff.reset()
                    raise _no_answer(role, error.code()) from error
                await asyncio.sleep(self._backoff.next_delay())
            else:
                self._backoff.reset()
                return data

    async def _collect(
        self, role: str, request: sensor_service_pb2.FetchMetadataRequest, limit: int
    ) -> bytes:
        call = self._stub.FetchMetadata(request, timeout=LIMITS.metadata_seconds)
        data = bytearray()
        try:
            async for piece in call:
                data += piece.chunk
                if len(data) > limit:
                    raise FetchRefusedError(
                        DeliveryReason.METADATA_TOO_LARGE,
                        f"metadata.{role}",
                        f"more than {limit} bytes",
                        f"at most {limit} bytes",
                    )
        finally:
            call.cancel()
        return bytes(data)


def _no_answer(role: str, status: grpc.StatusCode) -> FetchRefusedError:
    slow = status is grpc.StatusCode.DEADLINE_EXCEEDED
    return FetchRefusedError(
        DeliveryReason.METADATA_SLOW if slow else DeliveryReason.METADATA_MISSING,
        f"metadata.{role}",
        status.name,
        f"an answer within {LIMITS.metadata_seconds:g} s",
    )
