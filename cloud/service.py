"""SensorService over grpc.aio: one session per agent, and the fetch of what it was offered.

    1. the certificate names the agent and was not revoked; nothing that it says afterwards changes
       who it is
    2. it is admitted (`cloud.admission`), or told when to come back
    3. its hello arrives in time, is complete, and is by that agent
    4. from then on at once, until one of them ends: read and store, decide, write

Whatever goes wrong in a session ends that session with a status and "REASON: message".
"""

import asyncio
import importlib.metadata
import time
from collections.abc import AsyncIterator, Coroutine, Mapping
from contextlib import suppress
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, NoReturn

import grpc
from google.protobuf.message import DecodeError
from sqlalchemy import Connection

from bulkhead.v1.sensor_service_pb2 import (
    FetchChannelFileRequest,
    FetchChannelFileResponse,
    FetchMetadataRequest,
    FetchMetadataResponse,
    Hello,
    MetadataRole,
    RenewCertificateRequest,
    RenewCertificateResponse,
    SessionRequest,
    SessionResponse,
    Welcome,
)
from bulkhead.v1.sensor_service_pb2_grpc import SensorServiceServicer
from cloud import journal
from cloud.admission import Admission, Place
from cloud.catalogue import Library
from cloud.connections import AgentConnection, Connections, refusal
from cloud.dispatch import Dispatcher
from cloud.errors import CloudError, CloudReason, SessionError
from cloud.issuing import AgentCertificate, read_agent_certificate
from cloud.limits import CloudLimits
from cloud.messages import effect_of
from cloud.offers import Host
from cloud.renewals import Renewals
from cloud.reporting import Reports
from cloud.store import certificates, hosts
from cloud.store.writer import Writer
from cloud.wire import require_hash, require_hello, require_known_fields
from content.problems import ContentError
from content.wire import supply_from_proto

VERSION = importlib.metadata.version("bulkhead")
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

Context = grpc.aio.ServicerContext[SessionRequest, SessionResponse]


@dataclass(frozen=True, slots=True)
class Parts:
    """What sessions stand on, one of each in a serving process."""

    connections: Connections
    library: Library
    dispatcher: Dispatcher
    writer: Writer
    renewals: Renewals
    admission: Admission
    reports: Reports


class SensorService(SensorServiceServicer):
    """The one service between sensor and cloud."""

    def __init__(self, parts: Parts, limits: CloudLimits) -> None:
        self._parts = parts
        self._limits = limits

    async def Session(  # type: ignore[override]  # noqa: N802  grpc.aio's other handler style
        self, request_iterator: Any, context: Any
    ) -> None:
        """One session, from hello to end; requests are read from the context."""
        del request_iterator
        agent_id = "unknown"
        try:
            certificate = self._certified(context)
            agent_id = certificate.agent_id
            place = await self._admit(context)
            try:
                hello = await self._hello(agent_id, context)
                await self._converse(hello, certificate, place, context)
            finally:
                place.leave()
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
            connection.fetching += 1
            try:
                data = await self._parts.library.signed_bytes(request.content_hash)
                for start in range(0, len(data), self._limits.chunk_bytes):
                    chunk = data[start : start + self._limits.chunk_bytes]
                    yield FetchChannelFileResponse(chunk=chunk)
            finally:
                connection.fetching -= 1
                connection.end_turn()
        except CloudError as error:
            await _refuse(agent_id, error, context)

    async def FetchMetadata(  # noqa: N802
        self, request: FetchMetadataRequest, context: Any
    ) -> AsyncIterator[FetchMetadataResponse]:
        """Metadata of the repository; version 0 asks for the newest."""
        agent_id = "unknown"
        try:
            agent_id = self._certified(context).agent_id
            data = self._metadata(request)
            for start in range(0, len(data), self._limits.chunk_bytes):
                yield FetchMetadataResponse(chunk=data[start : start + self._limits.chunk_bytes])
        except CloudError as error:
            if error.reason is not CloudReason.METADATA_MISSING:
                await _refuse(agent_id, error, context)
            # Asked for the root after the newest one: the usual end of every refresh, no refusal.
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
        self._require_not_expelled(certificate)
        return certificate

    def _require_not_expelled(self, certificate: AgentCertificate | None) -> None:
        error = refusal(certificate, self._parts.library.catalogue.expelled)
        if error is not None:
            raise error

    def _metadata(self, request: FetchMetadataRequest) -> bytes:
        require_known_fields(request)
        role, catalogue = METADATA_ROLES.get(request.role, ""), self._parts.library.catalogue
        number = request.version
        found = catalogue.metadata.get((role, number)) if number else catalogue.newest(role)
        if found is None:
            raise SessionError(CloudReason.METADATA_MISSING, f"{role or 'role'} {number}: none")
        return found

    async def _admit(self, context: Context) -> Place:
        """A place, or a refusal after the hello: a client that still writes loses the hint."""
        try:
            return self._parts.admission.enter()
        except SessionError:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._limits.hello_seconds):
                    await _receive(context)
            raise

    async def _hello(self, agent_id: str, context: Context) -> Hello:
        try:
            async with asyncio.timeout(self._limits.hello_seconds):
                request = await _receive(context)
        except TimeoutError:
            raise SessionError(
                CloudReason.HELLO_LATE, f"no hello within {self._limits.hello_seconds:g} s"
            ) from None
        if request is None:
            raise SessionError(CloudReason.HELLO_MISSING, "the stream ended before a hello")
        hello = require_hello(request, agent_id)
        try:
            supply_from_proto(hello.rung, hello.supplied)
        except ContentError as error:
            raise SessionError(CloudReason.MESSAGE_INVALID, f"hello: {error}") from error
        return hello

    async def _converse(
        self, hello: Hello, certificate: AgentCertificate, place: Place, context: Context
    ) -> None:
        self._require_not_expelled(certificate)  # since the hello took its time
        replica = self._parts.connections.replica
        connection = AgentConnection(hello, self._limits, certificate, replica)
        self._parts.connections.join(connection)
        try:
            # Queued in the order of joining, so that the store agrees on who came last.
            introduced = self._introduce(connection, hello)
            del hello  # nobody needs it any more, and there are thousands
            await _until_one_ends(connection.ended, introduced)
            welcome = SessionResponse(welcome=Welcome(cloud_version=VERSION))
            connection.outgoing.put(welcome)
            place.leave()
            connection.due.set()
            await _until_one_ends(
                connection.ended,
                self._read(connection, context),
                self._write(connection, context),
                self._parts.dispatcher.serve(connection),
            )
        finally:
            journal.info("session_closed", agent_id=connection.agent_id)
            self._parts.connections.leave(connection)
            connection.end_turn()
            agent_id, session = connection.agent_id, connection.session
            self._parts.writer.post(lambda store: hosts.disconnect(store, agent_id, session))

    def _introduce(self, connection: AgentConnection, hello: Hello) -> Coroutine[Any, Any, None]:
        def store_hello(store: Connection) -> Host:
            if connection.certificate is not None:
                certificates.shown_by(store, connection.certificate)
            return hosts.say_hello(store, hello, connection.session, time.time_ns())

        stored = self._parts.writer.submit(store_hello)

        async def remember() -> None:
            connection.remember(await stored)
            connection.learn_active(hello.active)
            journal.info(
                "session_opened",
                agent_id=connection.agent_id,
                rung=hello.rung,
                sensor_version=hello.sensor_version,
            )

        return remember()

    async def _read(self, connection: AgentConnection, context: Context) -> None:
        while (request := await _receive(context)) is not None:
            effect = effect_of(request, connection, self._parts.library.catalogue)
            if effect.job is not None and effect.is_report:
                await self._parts.reports.keep(connection.agent_id, request, effect.job)
            elif effect.job is not None:
                await self._parts.writer.submit(effect.job)
            if request.delivery:
                connection.outgoing.confirm(request.delivery)
            if effect.changes_offers:
                connection.due.set()

    async def _write(self, connection: AgentConnection, context: Context) -> None:
        while True:
            response = await connection.outgoing.next()
            try:
                async with asyncio.timeout(self._limits.write_seconds):
                    await context.write(response)
            except TimeoutError:
                raise SessionError(
                    CloudReason.WRITE_STALLED,
                    f"the agent took nothing for {self._limits.write_seconds:g} s",
                ) from None

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
        if connection.fetching >= self._limits.fetches_per_agent:
            raise SessionError(
                CloudReason.TOO_MANY_FETCHES,
                f"expected at most {self._limits.fetches_per_agent} at a time",
            )
        return connection


async def _receive(context: Context) -> SessionRequest | None:
    """The next message, or None where the agent has closed the stream."""
    try:
        request: object = await context.read()
    except DecodeError as error:
        raise SessionError(
            CloudReason.MESSAGE_INVALID, "bytes that are no SessionRequest"
        ) from error
    return request if isinstance(request, SessionRequest) else None


async def _until_one_ends(
    ended: "asyncio.Future[SessionError]", *work: Coroutine[Any, Any, None]
) -> None:
    """Run all; when one ends or fails, or `ended` says why, end the others and pass that on."""
    tasks = [asyncio.create_task(one) for one in work]
    try:
        awaited: list[asyncio.Future[Any]] = [*tasks, ended]
        await asyncio.wait(awaited, return_when=asyncio.FIRST_COMPLETED)
        if ended.done():
            raise ended.result()
        for task in tasks:
            if task.done():
                task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _peer_certificate(context: Any) -> bytes:
    (pem,) = tuple(context.auth_context().get(PEER_CERTIFICATE, ())) or (b"",)
    return bytes(pem)


async def _refuse(agent_id: str, error: CloudError, context: Context) -> NoReturn:
    journal.warning("refused", agent_id=agent_id, reason=error.reason, message=str(error))
    status = STATUS.get(error.reason, grpc.StatusCode.UNAVAILABLE)
    hint = error.retry_after_ms if isinstance(error, SessionError) else None
    trailing = () if hint is None else ((RETRY_AFTER, str(hint)),)
    await context.abort(status, f"{error.reason}: {error}", trailing)
