"""Passing an agent's wish for its next certificate on to the enrolment process, and back.

What is passed on carries the agent's own proof: nothing is believed of whoever passes it on.
"""

import time
from pathlib import Path

import grpc

from bulkhead.v1.enrolment_service_pb2 import RenewRequest, RenewResponse
from bulkhead.v1.enrolment_service_pb2_grpc import EnrolmentServiceStub
from bulkhead.v1.sensor_service_pb2 import RenewCertificateRequest
from cloud.connections import AgentConnection
from cloud.errors import CloudReason, SessionError
from cloud.issuing import AgentCertificate
from cloud.limits import CloudLimits

ABSENT = frozenset({grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED})


class Renewals:
    """One connection to the folder's enrolment process, made when it is needed."""

    def __init__(self, socket: Path, limits: CloudLimits) -> None:
        self._target = f"unix:{socket.absolute()}"
        self._limits = limits
        self._channel: grpc.aio.Channel | None = None

    def take_turn(self, connection: AgentConnection | None, certificate: AgentCertificate) -> None:
        """SessionError unless it is asked in that certificate's own session, and not too often."""
        now, pause = time.monotonic(), self._limits.renewal_pause_seconds
        if connection is None or connection.certificate != certificate:
            raise SessionError(CloudReason.NO_SESSION, "no open session with this certificate")
        if now - connection.renewed < pause:
            raise SessionError(CloudReason.TOO_MANY_RENEWALS, f"expected one in {pause:g} s")
        connection.renewed = now

    async def ask(self, certificate: bytes, request: RenewCertificateRequest) -> bytes:
        """The new chain; SessionError if nobody issues now, AioRpcError where it is refused."""
        if self._channel is None:
            # Its own backoff would outlast the absence of a process that has just been started.
            options = [
                ("grpc.initial_reconnect_backoff_ms", 100),
                ("grpc.max_reconnect_backoff_ms", 1000),
            ]
            self._channel = grpc.aio.insecure_channel(self._target, options=options)
        asked = RenewRequest(
            certificate=certificate,
            signing_request=request.signing_request,
            proof=request.proof,
        )
        try:
            response: object = await EnrolmentServiceStub(self._channel).Renew(
                asked, timeout=self._limits.renewal_seconds
            )
        except grpc.aio.AioRpcError as error:
            if error.code() not in ABSENT:
                raise
            raise SessionError(
                CloudReason.ENROLMENT_UNAVAILABLE, "no enrolment process answers; try again later"
            ) from error
        return response.certificate_chain if isinstance(response, RenewResponse) else b""

    async def close(self) -> None:
        """Hang up."""
        if self._channel is not None:
            await self._channel.close()
