"""The enrolment process: acquire folder, store, issuing key and ports; serve; end when told to.

    1. the folder's lock for enrolment: one process holds the issuing key
    2. store, issuing authority, the server's certificate
    3. the port for hosts that join (TLS, no certificate asked for), and a socket in the folder on
       which the serving process passes on renewals
    4. announced once both are open; from then on until a signal comes

Without it, nobody joins and no certificate is renewed; sessions go on.
"""

import asyncio
import os
import signal
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

import grpc

from bulkhead.v1.enrolment_service_pb2_grpc import add_EnrolmentServiceServicer_to_server
from cloud import journal
from cloud.addresses import in_use, require_address
from cloud.enrolment.issuance import Issuance
from cloud.enrolment.service import EnrolmentService
from cloud.errors import AddressError, CloudReason
from cloud.files import PRIVATE_FILE, read_capped
from cloud.folder import CloudFolder, ServingNote, announce_enrolment, sole_issuer
from cloud.limits import LIMITS, CloudLimits

LONGEST_SOCKET_PATH = 107
"""Bytes; Linux takes no more."""


@dataclass(frozen=True, slots=True)
class Order:
    """What to serve: `listen` is HOST:PORT, port 0 picks one."""

    folder: CloudFolder
    listen: str
    lifetime: timedelta


def serve(order: Order, ready: Callable[[str], None], limits: CloudLimits = LIMITS) -> None:
    """Serve until SIGTERM or SIGINT; `ready` gets the address once hosts can join.

    Raises CloudError where folder, store, keys or address can't be used.
    """
    require_address(order.listen)
    _require_short(order.folder)
    with sole_issuer(order.folder):
        database = order.folder.open(limits.serving_busy_ms)
        try:
            issuance = Issuance(database, order.folder.issuer(), order.lifetime, limits)
            asyncio.run(_run(order, EnrolmentService(issuance, limits), ready, limits))
        finally:
            database.close()


async def _run(
    order: Order, service: EnrolmentService, ready: Callable[[str], None], limits: CloudLimits
) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    server = grpc.aio.server(
        options=_options(limits), maximum_concurrent_rpcs=limits.enrolments_at_once
    )
    add_EnrolmentServiceServicer_to_server(service, server)
    address = _bind(server, order)
    await server.start()
    announce_enrolment(order.folder, ServingNote(address, os.getpid(), unsafe=False))
    journal.info("enrolling", address=address, hours=order.lifetime / timedelta(hours=1))
    ready(address)
    await stop.wait()
    await server.stop(limits.stop_seconds)


def _bind(server: grpc.aio.Server, order: Order) -> str:
    host, _, _ = order.listen.rpartition(":")
    socket = order.folder.enrolment_socket
    try:
        port = server.add_secure_port(order.listen, _credentials(order.folder))
    except RuntimeError as error:
        raise in_use(order.listen) from error
    try:
        server.add_insecure_port(f"unix:{socket.absolute()}")
        socket.chmod(PRIVATE_FILE)
    except (RuntimeError, OSError) as error:
        raise in_use(str(socket)) from error
    return f"{host}:{port}"


def _credentials(folder: CloudFolder) -> grpc.ServerCredentials:
    limit = LIMITS.key_file_bytes
    pair = (
        read_capped(folder.server_key, limit),
        read_capped(folder.server_certificate, limit),
    )
    return grpc.ssl_server_credentials([pair])


def _require_short(folder: CloudFolder) -> None:
    path = str(folder.enrolment_socket.absolute())
    if len(os.fsencode(path)) > LONGEST_SOCKET_PATH:
        raise AddressError(
            CloudReason.ADDRESS_INVALID,
            f"{path}: expected a path of at most {LONGEST_SOCKET_PATH} bytes for a socket",
        )


def _options(limits: CloudLimits) -> list[tuple[str, int]]:
    return [
        ("grpc.so_reuseport", 0),
        ("grpc.max_receive_message_length", limits.enrolment_receive_bytes),
        ("grpc.max_metadata_size", limits.metadata_bytes),
        ("grpc.max_concurrent_streams", limits.streams_per_connection),
        ("grpc.max_connection_age_ms", limits.enrolment_connection_ms),
        ("grpc.max_connection_age_grace_ms", limits.enrolment_connection_ms),
    ]
