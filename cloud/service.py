"""SensorService over grpc.aio: one session per agent, and the fetch of what it was offered.

    1. the certificate names the agent; nothing that it says afterwards changes that
    2. its hello arrives in time, is complete, and is by that agent
    3. from then on at once, until one of them ends: read and store, decide, write

Whatever goes wrong in a session ends that session with a status and "REASON: message".
"""

import asyncio
import importlib.metadata
import time
from collections.abc import AsyncIterator, Coroutine, Mapping
from types import MappingProxyType
from typing import Any, NoReturn

import grpc
from google.protobuf.message import DecodeError

from bulkhead.v1.sensor_service_pb2 import (
    FetchChannelFileRequest,
    FetchChannelFileResponse,
    FetchMetadataRequest,
    FetchMetadataResponse,
    Hello,
    MetadataRole,
    SessionRequest,
    SessionResponse,
    Welcome,
)
from bulkhead.v1.sensor_service_pb2_grpc import SensorServiceServicer
from cloud import journal
from cloud.authority import agent_id_of
from cloud.catalogue import Library
from cloud.connections import AgentConnection, Connections
from cloud.dispatch import Dispatcher
from cloud.errors import CloudError, CloudReason, SessionError
from cloud.limits import CloudLimits
from cloud.messages import effect_of
from cloud.reporting import Reports
from cloud.store import hosts
from cloud.store.writer import Writer
from cloud.wire import require_hash, require_hello, require_known_fields
from content.problems import ContentError
from content.wire import supply_from_proto

VERSION = importlib.metadata.version("bulkhead")
SPIFFE_ID = "peer_spiffe_id"
"""Where gRPC puts the URI name of the peer's certificate, if it has exactly one."""

STATUS: Mapping[CloudReason, grpc.StatusCode] = MappingProxyType(
    {
        CloudReason.CERTIFICATE_WITHOUT_AGENT_ID: grpc.StatusCode.UNAUTHENTICATED,
        CloudReason.AGENT_ID_MISMATCH: grpc.StatusCode.PERMISSION_DENIED,
        CloudReason.HELLO_LATE: grpc.StatusCode.DEADLINE_EXCEEDED,
        CloudReason.HELLO_MISSING: grpc.StatusCode.INVALID_ARGUMENT,
        CloudReason.MESSAGE_INVALID: grpc.StatusCode.INVALID_ARGUMENT,
        CloudReason.UNKNOWN_PROTOBUF_FIELD: grpc.StatusCode.INVALID_ARGUMENT,
        CloudReason.SESSION_REPLACED: grpc.StatusCode.ABORTED,
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


class SensorService(SensorServiceServicer):
    """The one service between sensor and cloud."""

    def __init__(
        self,
        connections: Connections,
        library: Library,
        dispatcher: Dispatcher,
        writer: Writer,
        reports: Reports,
        limits: CloudLimits,
    ) -> None:
        self._reports = reports
        self._connections = connections
        self._library = library
        self._dispatcher = dispatcher
        self._writer = writer
        self._limits = limits

    async def Session(  # type: ignore[override]  # noqa: N802  grpc.aio's other handler style
        self, request_iterator: Any, context: Any
    ) -> None:
        """One session, from hello to end; requests are read from the context."""
        del request_iterator
        agent_id = "unknown"
        try:
            agent_id = _certified_agent(context)
            await self._converse(await self._hello(agent_id, context), context)
        except CloudError as error:
            await _refuse(agent_id, error, context)

    async def FetchChannelFile(  # noqa: N802
        self, request: FetchChannelFileRequest, context: Any
    ) -> AsyncIterator[FetchChannelFileResponse]:
        """The serialised SignedChannelFile of an offer made in the agent's open session."""
        agent_id = "unknown"
        try:
            agent_id = _certified_agent(context)
            connection = self._offered_to(agent_id, request)
            connection.fetching += 1
            try:
                data = await self._library.signed_bytes(request.content_hash)
                for start in range(0, len(data), self._limits.chunk_bytes):
                    chunk = data[start : start + self._limits.chunk_bytes]
                    yield FetchChannelFileResponse(chunk=chunk)
            finally:
                connection.fetching -= 1
        except CloudError as error:
            await _refuse(agent_id, error, context)

    async def FetchMetadata(  # noqa: N802
        self, request: FetchMetadataRequest, context: Any
    ) -> AsyncIterator[FetchMetadataResponse]:
        """Metadata of the repository; version 0 asks for the newest."""
        agent_id = "unknown"
        try:
            agent_id = _certified_agent(context)
            data = self._metadata(request)
            for start in range(0, len(data), self._limits.chunk_bytes):
                yield FetchMetadataResponse(chunk=data[start : start + self._limits.chunk_bytes])
        except CloudError as error:
            if error.reason is not CloudReason.METADATA_MISSING:
                await _refuse(agent_id, error, context)
            # Asked for the root after the newest one: the usual end of every refresh, no refusal.
            await context.abort(grpc.StatusCode.NOT_FOUND, f"{error.reason}: {error}")

    def _metadata(self, request: FetchMetadataRequest) -> bytes:
        require_known_fields(request)
        role, catalogue = METADATA_ROLES.get(request.role, ""), self._library.catalogue
        number = request.version
        found = catalogue.metadata.get((role, number)) if number else catalogue.newest(role)
        if found is None:
            raise SessionError(CloudReason.METADATA_MISSING, f"{role or 'role'} {number}: none")
        return found

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

    async def _converse(self, hello: Hello, context: Context) -> None:
        connection = AgentConnection(hello, self._limits, self._connections.replica)
        self._connections.join(connection)
        try:
            # Queued in the order of joining, so that the store agrees on who came last.
            await _until_one_ends(self._introduce(connection), _ended(connection))
            welcome = SessionResponse(welcome=Welcome(cloud_version=VERSION))
            connection.outgoing.put(welcome)
            connection.due.set()
            await _until_one_ends(
                self._read(connection, context),
                self._write(connection, context),
                self._dispatcher.serve(connection),
                _ended(connection),
            )
        finally:
            journal.info("session_closed", agent_id=connection.agent_id)
            self._connections.leave(connection)
            agent_id, session = connection.agent_id, connection.session
            self._writer.post(lambda store: hosts.disconnect(store, agent_id, session))

    def _introduce(self, connection: AgentConnection) -> Coroutine[Any, Any, None]:
        stored = self._writer.submit(
            lambda store: hosts.say_hello(
                store, connection.hello, connection.session, time.time_ns()
            )
        )

        async def remember() -> None:
            connection.remember(await stored)
            connection.learn_active(connection.hello.active)
            journal.info(
                "session_opened",
                agent_id=connection.agent_id,
                rung=connection.hello.rung,
                sensor_version=connection.hello.sensor_version,
            )

        return remember()

    async def _read(self, connection: AgentConnection, context: Context) -> None:
        while (request := await _receive(context)) is not None:
            effect = effect_of(request, connection, self._library.catalogue)
            if effect.job is not None and effect.is_report:
                await self._reports.keep(connection.agent_id, request, effect.job)
            elif effect.job is not None:
                await self._writer.submit(effect.job)
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
        connection = self._connections.get(agent_id)
        if connection is None or request.content_hash not in connection.fetchable:
            raise SessionError(
                CloudReason.NOT_OFFERED,
                f"{request.content_hash.hex()}: not offered in an open session of this agent",
            )
        if request.content_hash in self._library.catalogue.revocations:
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


async def _ended(connection: AgentConnection) -> None:
    raise await asyncio.shield(connection.ended)


async def _until_one_ends(*work: Coroutine[Any, Any, None]) -> None:
    """Run all; when one ends or fails, end the others and pass on how it ended."""
    tasks = [asyncio.create_task(one) for one in work]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _certified_agent(context: Context) -> str:
    names = tuple(context.auth_context().get(SPIFFE_ID, ()))
    agent_id = agent_id_of(names[0].decode("utf-8", "replace")) if len(names) == 1 else None
    if agent_id is None:
        raise SessionError(
            CloudReason.CERTIFICATE_WITHOUT_AGENT_ID,
            "the certificate names no agent of this cloud",
        )
    return agent_id


async def _refuse(agent_id: str, error: CloudError, context: Context) -> NoReturn:
    journal.warning("refused", agent_id=agent_id, reason=error.reason, message=str(error))
    status = STATUS.get(error.reason, grpc.StatusCode.UNAVAILABLE)
    await context.abort(status, f"{error.reason}: {error}")
