"""The serving process: acquire folder, store and port; serve; end cleanly when told to.

    1. the folder's lock: one process serves a folder
    2. store, certificates, the keys for snapshot and timestamp; the operator's are never among them
    3. port and service; the address is announced once sessions are accepted
    4. notice what operators push, revoke or set, and look at rollouts if no other replica does,
       until a signal comes
    5. end every session, store what is queued, mark its hosts as not connected

It ends within two seconds of the signal.
"""

import asyncio
import gc
import os
import random
import resource
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import grpc

from bulkhead.v1.sensor_service_pb2_grpc import add_SensorServiceServicer_to_server
from cloud import journal
from cloud.addresses import in_use, require_address
from cloud.admission import Admission
from cloud.catalogue import Library
from cloud.conductor import Conductor
from cloud.connections import Connections
from cloud.conversation import Parts
from cloud.dispatch import Dispatcher
from cloud.enclosing import Enclosing
from cloud.errors import (
    CloudError,
    CloudReason,
    FolderError,
    KeyFileError,
    SessionError,
    StoreError,
)
from cloud.files import read_capped
from cloud.folder import CloudFolder, ServingNote, announce, sole_server
from cloud.gate import Gate, ValidatorProcess
from cloud.limits import LIMITS, CloudLimits
from cloud.membership import Membership, new_replica
from cloud.messaging.address import NatsAddress
from cloud.messaging.messaging import Messaging
from cloud.publish import publish
from cloud.renewals import Renewals
from cloud.service import SensorService
from cloud.store.database import Database
from cloud.store.writer import Writer


@dataclass(frozen=True, slots=True)
class Order:
    """What to serve: `listen` is HOST:PORT, port 0 picks one."""

    folder: CloudFolder
    listen: str
    unsafe: bool = False
    nats: NatsAddress | None = None


def serve(order: Order, ready: Callable[[str], None], limits: CloudLimits = LIMITS) -> None:
    """Serve until SIGTERM or SIGINT; `ready` gets the address once agents can connect.

    Raises CloudError where folder, store, keys or address can't be used.
    """
    require_address(order.listen)
    _raise_descriptor_limit(limits)
    # To look for cycles of garbage among the millions of objects of ten thousand sessions takes a
    # third of a second each time, and they make few cycles.
    gc.set_threshold(limits.objects_between_collections)
    with sole_server(order.folder):
        shared = order.folder.is_shared()
        database = order.folder.open(limits.shared_busy_ms if shared else limits.serving_busy_ms)
        try:
            asyncio.run(_Serving(order, database, limits).run(ready))
        finally:
            database.close()


class _Serving:
    """One run of the serving process."""

    def __init__(self, order: Order, database: Database, limits: CloudLimits) -> None:
        self._order = order
        self._limits = limits
        self._stop = asyncio.Event()
        self._database = database
        self._writer = Writer(database, limits)
        self._unsigned: CloudReason | None = None
        self._library = Library(database, limits, self._publish)
        self._renewals = Renewals(order.folder.enrolment_socket, limits)
        self._admission = Admission(limits, random.random)
        self._wake = asyncio.Event()
        self._ours = new_replica(order.folder.path, unsafe=order.unsafe)
        self._connections = Connections(limits, self._ours.replica)
        self._membership = Membership(
            self._writer,
            limits,
            self._ours,
            database,
            expired=lambda: self._end_all(CloudReason.REPLICA_EXPIRED, "was taken for dead"),
        )
        self._connections.living = self._membership.living
        self._messaging = Messaging(order.nats, self._ours.replica, self._writer, limits)
        self._gate = Gate(
            self._library,
            lambda: self._library.catalogue.trusted,
            ValidatorProcess(limits),
            limits,
        )

    async def run(self, ready: Callable[[str], None]) -> None:
        """Serve until told to stop."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop.set)
        writing = asyncio.create_task(self._writer.run())
        try:
            await self._membership.join()
            await asyncio.gather(self._library.refresh(), self._gate.start())
            server = self._server()
            address = self._bind(server)
            await server.start()
            self._announce(address, ready)
            self._membership.serves(address)
            working = (
                self._conduct(),
                self._membership.run(self._stop),
                self._membership.watch(self._stop),
                self._messaging.run(self._stop),
            )
            tasks = [asyncio.create_task(work) for work in working]
            await self._watch()
            await asyncio.gather(*tasks)
            await self._end(server)
        finally:
            await self._gate.close()
            await self._renewals.close()
            self._library.close()
            self._membership.leave()
            self._writer.close()
            await writing

    def _server(self) -> grpc.aio.Server:
        server = grpc.aio.server(options=_options(self._limits))
        enclosing = Enclosing(self._library, self._limits)
        dispatcher = Dispatcher(
            self._library,
            self._gate,
            self._writer,
            enclosing,
            self._limits,
            unsafe=self._order.unsafe,
        )
        parts = Parts(
            self._connections,
            self._library,
            dispatcher,
            enclosing,
            self._writer,
            self._renewals,
            self._admission,
            self._messaging.reports,
        )
        add_SensorServiceServicer_to_server(SensorService(parts, self._limits), server)
        return server

    def _bind(self, server: grpc.aio.Server) -> str:
        listen = self._order.listen
        host, _, _ = listen.rpartition(":")
        try:
            port = server.add_secure_port(listen, _credentials(self._order.folder))
        except RuntimeError as error:
            raise in_use(listen) from error
        return f"{host}:{port}"

    def _announce(self, address: str, ready: Callable[[str], None]) -> None:
        unsafe = self._order.unsafe
        announce(self._order.folder, ServingNote(address, os.getpid(), unsafe))
        journal.info("serving", address=address, unsafe=unsafe)
        ready(address)

    def _publish(self) -> None:
        """Renew snapshot and timestamp; without their keys, sensors take nothing that is new."""
        try:
            publish(self._database, self._order.folder.online_keys(), datetime.now(UTC))
        except (KeyFileError, FolderError, StoreError) as error:
            # What is withdrawn must reach hosts all the same.
            if error.reason != self._unsigned:
                journal.warning("metadata_unsigned", reason=error.reason, message=str(error))
            self._unsigned = error.reason
        else:
            self._unsigned = None

    async def _watch(self) -> None:
        """Look for pushes and revocations by other processes until the end is asked for."""
        trouble: CloudReason | None = None
        hints = self._messaging.announcements
        renewal = time.monotonic() + self._limits.publish_seconds
        while not self._stop.is_set():
            if time.monotonic() >= renewal:
                renewal += self._limits.publish_seconds
                await asyncio.to_thread(self._publish)
            await _first_of(self._watch_seconds(), self._stop, self._wake, hints.heard)
            told = hints.heard.is_set()
            self._wake.clear()
            hints.heard.clear()
            try:
                news = await self._library.refresh()
            except StoreError as error:
                if error.reason != trouble:
                    journal.warning("store_unreadable", reason=error.reason, message=str(error))
                trouble = error.reason
                continue
            trouble = None
            if news:
                self._connections.expel(self._library.catalogue.expelled)
                await self._connections.decide_all()
                if not told:
                    await hints.tell()

    def _watch_seconds(self) -> float:
        if not self._database.shared:
            return self._limits.watch_seconds
        if self._messaging.announcements.listening:
            return self._limits.announced_watch_seconds
        return self._limits.shared_watch_seconds

    async def _conduct(self) -> None:
        """Look at the rollouts while this replica leads, until the end is asked for.

        A store that refuses is asked again. Who begins to lead goes on where the store says.
        """
        conductor, term = Conductor(self._database, self._limits), self._membership.term
        delays_at = took = 0.0
        while not self._stop.is_set():
            rest = max(self._limits.rollout_look_seconds, took * self._limits.rollout_look_rest)
            with suppress(TimeoutError):
                async with asyncio.timeout(rest):
                    await self._stop.wait()
            began = time.monotonic()
            if term != self._membership.term:
                conductor, term = Conductor(self._database, self._limits), self._membership.term
            try:
                looked = [] if term is None else await asyncio.to_thread(conductor.look)
                for job in looked:
                    await self._writer.submit(self._membership.led(job, term or 0))
                    self._wake.set()
            except CloudError as error:  # the store, or an operator who was faster
                journal.warning("rollout_not_stored", reason=error.reason, message=str(error))
            now = time.monotonic()
            took = now - began
            if now - delays_at > self._limits.delay_look_seconds:
                delays_at = now
                if self._library.catalogue.delays:
                    await self._connections.decide_all()

    async def _end(self, server: grpc.aio.Server) -> None:
        journal.info("stopping", sessions=len(self._connections))
        self._end_all(CloudReason.CLOUD_STOPPING, "is stopping")
        # A session that takes longer to say why it ends than gRPC's grace would be told nothing.
        with suppress(TimeoutError):
            async with asyncio.timeout(self._limits.farewell_seconds):
                while len(self._connections):  # noqa: ASYNC110 - once, at the very end
                    await asyncio.sleep(self._limits.farewell_look_seconds)
        await server.stop(self._limits.stop_seconds)

    def _end_all(self, reason: CloudReason, why: str) -> None:
        agents = len(self._connections)
        for connection in self._connections:
            wait = self._admission.return_ms(agents)  # another one each time
            connection.end(SessionError(reason, f"the cloud {why}", retry_after_ms=wait))


async def _first_of(seconds: float, *events: asyncio.Event) -> None:
    """Return when one of them is set, or after so many seconds."""
    tasks = [asyncio.create_task(event.wait()) for event in events]
    await asyncio.wait(tasks, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    for task in tasks:
        task.cancel()


def _raise_descriptor_limit(limits: CloudLimits) -> None:
    """A session is a descriptor, and the usual limit is 1,024 unless a process asks for more."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    if most != resource.RLIM_INFINITY and most < limits.sessions + limits.other_descriptors:
        journal.info("descriptors_limited", limit=most, sessions=limits.sessions)


def _credentials(folder: CloudFolder) -> Any:
    limit = LIMITS.key_file_bytes
    pair = (
        read_capped(folder.server_key, limit),
        read_capped(folder.server_certificate, limit),
    )
    authority = read_capped(folder.authority_certificate, limit)
    return grpc.ssl_server_credentials(
        [pair], root_certificates=authority, require_client_auth=True
    )


def _options(limits: CloudLimits) -> list[tuple[str, int]]:
    return [
        ("grpc.so_reuseport", 0),  # a second server on the same port must fail
        ("grpc.max_receive_message_length", limits.receive_bytes),
        ("grpc.max_metadata_size", limits.metadata_bytes),
        ("grpc.max_concurrent_streams", limits.streams_per_connection),
        # What a session costs in memory: a TLS record of up to 16 KiB, and buffers that grow with
        # a bandwidth that reports don't need.
        ("grpc.tsi.max_frame_size", limits.tls_record_bytes),
        ("grpc.http2.bdp_probe", 0),
        ("grpc.keepalive_time_ms", limits.keepalive_ms),
        ("grpc.keepalive_timeout_ms", limits.keepalive_timeout_ms),
        ("grpc.http2.ping_timeout_ms", limits.keepalive_timeout_ms),  # else 60 s, measured
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.max_pings_without_data", 0),
        ("grpc.http2.min_recv_ping_interval_without_data_ms", limits.least_ping_interval_ms),
    ]
