"""One session with an agent, from its place in the process to its end.

1. it is admitted (`cloud.admission`), or told when to come back
2. its hello arrives in time, is complete, and is by the agent that its certificate names
3. from then on it reads and stores until the agent ends the session; it decides and writes
   whenever there is reason to

Whatever ends it raises CloudError, which says why.
"""

import asyncio
import time
from collections.abc import Coroutine
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import grpc
from google.protobuf.message import DecodeError
from sqlalchemy import Connection

from bulkhead.v1.sensor_service_pb2 import (
    Hello,
    SessionRequest,
    SessionResponse,
)
from cloud import journal
from cloud.admission import Admission, Place
from cloud.catalogue import Library
from cloud.connections import AgentConnection, Connections, refusal
from cloud.dispatch import Dispatcher
from cloud.enclosing import Enclosing
from cloud.errand import Errand
from cloud.errors import CloudReason, SessionError
from cloud.issuing import AgentCertificate
from cloud.limits import CloudLimits
from cloud.messages import effect_of
from cloud.offers import Host
from cloud.renewals import Renewals
from cloud.reporting import Reports
from cloud.store import certificates, hosts
from cloud.store.writer import Writer
from cloud.wire import require_hello
from content.problems import ContentError
from content.wire import supply_from_proto

Context = grpc.aio.ServicerContext[SessionRequest, SessionResponse]


@dataclass(frozen=True, slots=True)
class Parts:
    """What sessions stand on, one of each in a serving process."""

    connections: Connections
    library: Library
    dispatcher: Dispatcher
    enclosing: Enclosing
    writer: Writer
    renewals: Renewals
    admission: Admission
    reports: Reports

    def require_not_expelled(self, certificate: AgentCertificate) -> None:
        """SessionError for whoever shows a certificate that is not good any more."""
        error = refusal(certificate, self.library.catalogue.expelled)
        if error is not None:
            raise error


class Conversations:
    """All sessions of a serving process, each held by `hold`."""

    def __init__(self, parts: Parts, limits: CloudLimits) -> None:
        self._parts = parts
        self._limits = limits

    async def hold(self, certificate: AgentCertificate, context: Context) -> None:
        """Talk until the session ends; CloudError says why it does."""
        place = await self._admit(context)
        try:
            hello = self._hello(certificate.agent_id, context)
            await self._converse(await hello, certificate, place, context)
        finally:
            place.leave()

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
        self._parts.require_not_expelled(certificate)  # since the hello took its time
        replica = self._parts.connections.replica
        connection = AgentConnection(hello, self._limits, certificate, replica)
        self._parts.connections.join(connection)
        sending = Errand(lambda: self._write(connection, context), connection.end)
        deciding = Errand(lambda: self._parts.dispatcher.decide(connection), connection.end)
        connection.outgoing.some = sending.ask
        try:
            with connection.ending:
                # Queued in the order of joining, so that the store agrees on who came last.
                introduced = self._introduce(connection, hello)
                del hello  # nobody needs it any more, and there are thousands
                await introduced
                del introduced
                connection.outgoing.put(self._parts.enclosing.welcome())
                place.leave()
                connection.decide = deciding.ask
                connection.decide()
                await self._read(connection, context)
        finally:
            journal.info("session_closed", agent_id=connection.agent_id)
            self._parts.connections.leave(connection)
            agent_id, session = connection.agent_id, connection.session
            self._parts.writer.post(lambda store: hosts.disconnect(store, agent_id, session))
            connection.close()
            try:
                await asyncio.gather(sending.end(), deciding.end())
            finally:
                self._parts.dispatcher.forget(connection)

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
                connection.decide()

    async def _write(self, connection: AgentConnection, context: Context) -> None:
        while (response := connection.outgoing.next()) is not None:
            try:
                async with asyncio.timeout(self._limits.write_seconds):
                    await context.write(response)
            except TimeoutError:
                raise SessionError(
                    CloudReason.WRITE_STALLED,
                    f"the agent took nothing for {self._limits.write_seconds:g} s",
                ) from None


async def _receive(context: Context) -> SessionRequest | None:
    """The next message, or None where the agent has closed the stream."""
    try:
        request: object = await context.read()
    except DecodeError as error:
        raise SessionError(
            CloudReason.MESSAGE_INVALID, "bytes that are no SessionRequest"
        ) from error
    return request if isinstance(request, SessionRequest) else None
