"""SensorService over grpc.aio: one session per agent, and the fetch of what it was offered.

    1. the certificate names the agent and was not revoked; nothing that it says afterwards changes
       who it is
    2. a session is held (`cloud.conversation`), a fetch answered, a renewal passed on

Whatever goes wrong in a session ends that session with a status and "REASON: message".
"""

from collections.abc import AsyncIterator, Mapping
from types import MappingProxyType
from typing import Any, NoReturn

import grpc

from bulkhead.v1.sensor_service_pb2 import (
    FetchChannelFileRequest,
    FetchChannelFileResponse,
    FetchMetadataRequest,
    FetchMetadataResponse,
    MetadataRole,
    RenewCertificateRequest,
    RenewCertificateResponse,
)
from bulkhead.v1.sensor_service_pb2_grpc import SensorServiceServicer
from cloud import journal
from cloud.connections import AgentConnection
from cloud.conversation import Context, Conversations, Parts
from cloud.errors import CloudError, CloudReason, SessionError
from cloud.issuing import AgentCertificate, read_agent_certificate
from cloud.limits import CloudLimits
from cloud.wire import require_hash, require_known_fields

PEER_CERTIFICATE = "x509_pem_cert"
"""Where gRPC puts the peer's certificate, whose chain it has verified."""

RETRY_AFTER = "retry-after-ms"
"""Trailing metadata of a refusal: milliseconds after which the agent should come back."""

STATUS: Mapping[CloudReason, grpc.StatusCode] = MappingProxyType(
    {
        CloudReason.CERTIFICATE_WITHOUT_AGENT_ID: grpc.StatusCode.UNAUTHENTICATED,
        CloudReason.AGENT_ID_MISMATCH: grpc.StatusCode.PERMISSION_DENIED,
        CloudReason.CERTIFICATE_REVOKED: grpc.StatusCode.PERMISSION_DENIED,
        CloudReason.NO_SESSION: grpc.StatusCode.FAILED_PRECONDITION,
        CloudReason.TOO_MANY_RENEWALS: grpc.StatusCode.RESOURCE_EXHAUSTED,
        CloudReason.HELLO_LATE: grpc.StatusCode.DEADLINE_EXCEEDED,
        CloudReason.HELLO_MISSING: grpc.StatusCode.INVALID_ARGUMENT,
        CloudReason.MESSAGE_INVALID: grpc.StatusCode.INVALID_ARGUMENT,
        CloudReason.UNKNOWN_PROTOBUF_FIELD: grpc.StatusCode.INVALID_ARGUMENT,
        CloudReason.SESSION_REPLACED: grpc.StatusCode.ABORTED,
        CloudReason.ADMISSION: grpc.StatusCode.RESOURCE_EXHAUSTED,
        CloudReason.TOO_MANY_SESSIONS: grpc.StatusCode.RESOURCE_EXHAUSTED,
        CloudReason.TOO_MANY_FETCHES: grpc.StatusCode.RESOURCE_EXHAUSTED,
        CloudReason.OUTGOING_QUEUE_FULL: grpc.StatusCode.RESOURCE_EXHAUSTED,
        CloudReason.WRITE_STALLED: grpc.StatusCode.DEADLINE_EXCEEDED,
        CloudReason.NOT_OFFERED: grpc.StatusCode.NOT_FOUND,
        CloudReason.CONTENT_REVOKED: grpc.StatusCode.FAILED_PRECONDITION,
    }
)
"""How a refusal is called on the wire; everything else is UNAVAILABLE."""

METADATA_ROLES: Mapping[int, str] = MappingProxyType(
    {
        MetadataRole.METADATA_ROLE_ROOT: "root",
        MetadataRole.METADATA_ROLE_TIMESTAMP: "timestamp",
        MetadataRole.METADATA_ROLE_SNAPSHOT: "snapshot",
        MetadataRole.METADATA_ROLE_TARGETS: "targets",
    }
)


class SensorService(SensorServiceServicer):
    """The one service between sensor and cloud."""

    def __init__(self, parts: Parts, limits: CloudLimits) -> None:
        self._parts = parts
        self._limits = limits
        self._conversations = Conversations(parts, limits)

    async def Session(  # type: ignore[override]  # noqa: N802  grpc.aio's other handler style
        self, request_iterator: Any, context: Any
    ) -> None:
        """One session, from hello to end; requests are read from the context."""
        del request_iterator
        agent_id = "unknown"
        try:
            certificate = self._certified(context)
            agent_id = certificate.agent_id
            await self._conversations.hold(certificate, context)
        except CloudError as error:
            await _refuse(agent_id, error, context)

    async def FetchChannelFile(  # noqa: N802
        self, request: FetchChannelFileRequest, context: Any
    ) -> AsyncIterator[FetchChannelFileResponse]:
        """The serialised SignedChannelFile of an offer made in the agent's open session."""
        agent_id = "unknown"
        try:
            agent_id = self._certified(context).agent_id
            connection = self._offered_to(agent_id, request)
            fetch = connection.begin_fetch(self._limits.fetches_per_agent)
            try:
                with fetch:
                    data = await self._parts.library.signed_bytes(request.content_hash)
                for start in range(0, len(data), self._limits.chunk_bytes):
                    chunk = data[start : start + self._limits.chunk_bytes]
                    yield FetchChannelFileResponse(chunk=chunk)
            finally:
                connection.end_fetch(fetch)
        except CloudError as error:
            await _refuse(agent_id, error, context)

    async def FetchMetadata(  # noqa: N802
        self, request: FetchMetadataRequest, context: Any
    ) -> AsyncIterator[FetchMetadataResponse]:
        """Metadata of the repository; version 0 asks for the newest."""
        agent_id = "unknown"
        try:
            agent_id = self._certified(context).agent_id
            data, root_version = self._metadata(request), self._root_version(request)
            for start in range(0, len(data), self._limits.chunk_bytes):
                piece = data[start : start + self._limits.chunk_bytes]
                yield FetchMetadataResponse(chunk=piece, root_version=root_version)
                root_version = 0
        except CloudError as error:
            if error.reason is not CloudReason.METADATA_MISSING:
                await _refuse(agent_id, error, context)
            # Asked for the root after the newest one, as TUF's clients do: no refusal.
            await context.abort(grpc.StatusCode.NOT_FOUND, f"{error.reason}: {error}")

    async def RenewCertificate(  # noqa: N802
        self, request: RenewCertificateRequest, context: Any
    ) -> RenewCertificateResponse:
        """The next certificate of the agent, by whoever holds the issuing key."""
        agent_id = "unknown"
        try:
            require_known_fields(request)
            certificate = self._certified(context)
            agent_id = certificate.agent_id
            self._parts.renewals.take_turn(self._parts.connections.get(agent_id), certificate)
            chain = await self._parts.renewals.ask(_peer_certificate(context), request)
        except CloudError as error:
            await _refuse(agent_id, error, context)
        except grpc.aio.AioRpcError as error:  # its own refusal, in its own words
            journal.warning("renewal_refused", agent_id=agent_id, message=error.details())
            await context.abort(error.code(), error.details() or "")
        return RenewCertificateResponse(certificate_chain=chain)

    def _certified(self, context: Any) -> AgentCertificate:
        certificate = read_agent_certificate(_peer_certificate(context))
        if certificate is None:
            raise SessionError(
                CloudReason.CERTIFICATE_WITHOUT_AGENT_ID,
                "the certificate names no agent of this cloud",
            )
        self._parts.require_not_expelled(certificate)
        return certificate

    def _metadata(self, request: FetchMetadataRequest) -> bytes:
        require_known_fields(request)
        role, catalogue = METADATA_ROLES.get(request.role, ""), self._parts.library.catalogue
        number = request.version
        found = catalogue.metadata.get((role, number)) if number else catalogue.newest(role)
        if found is None:
            raise SessionError(CloudReason.METADATA_MISSING, f"{role or 'role'} {number}: none")
        return found

    def _root_version(self, request: FetchMetadataRequest) -> int:
        """What a timestamp is sent with, so that a sensor need not ask for roots that aren't."""
        if request.role != MetadataRole.METADATA_ROLE_TIMESTAMP:
            return 0
        return self._parts.library.catalogue.newest_version("root")

    def _offered_to(self, agent_id: str, request: FetchChannelFileRequest) -> AgentConnection:
        require_known_fields(request)
        require_hash(request.content_hash, "content_hash")
        connection = self._parts.connections.get(agent_id)
        if connection is None or request.content_hash not in connection.fetchable:
            raise SessionError(
                CloudReason.NOT_OFFERED,
                f"{request.content_hash.hex()}: not offered in an open session of this agent",
            )
        if request.content_hash in self._parts.library.catalogue.revocations:
            raise SessionError(
                CloudReason.CONTENT_REVOKED, f"{request.content_hash.hex()}: was revoked"
            )
        return connection


def _peer_certificate(context: Any) -> bytes:
    (pem,) = tuple(context.auth_context().get(PEER_CERTIFICATE, ())) or (b"",)
    return bytes(pem)


async def _refuse(agent_id: str, error: CloudError, context: Context) -> NoReturn:
    journal.warning("refused", agent_id=agent_id, reason=error.reason, message=str(error))
    status = STATUS.get(error.reason, grpc.StatusCode.UNAVAILABLE)
    hint = error.retry_after_ms if isinstance(error, SessionError) else None
    trailing = () if hint is None else ((RETRY_AFTER, str(hint)),)
    await context.abort(status, f"{error.reason}: {error}", trailing)
