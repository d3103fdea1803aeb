"""A light agent of `bench.sessions` that comes back after an outage, with as little work as can be.

gRPC's own client takes several times as much processor time for a new connection as the cloud that
it connects to. Where ten thousand of them share two cores with that cloud, they measure themselves.
This one says the same on the wire, by TLS and HTTP/2 themselves, and nobody holds it back:

    connect, hello, welcome    with the sensor's own deadlines and pauses in between
    beat                       one heartbeat; the session is left if nothing confirms it in time

What it would be offered or ordered it does not answer: it comes back with what is active.
"""

import asyncio
import os
import ssl
import struct
import time
from collections.abc import Callable
from typing import Any

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import (
    ConnectionTerminated,
    DataReceived,
    ResponseReceived,
    StreamEnded,
    StreamReset,
    TrailersReceived,
)

from agent.link.limits import LIMITS
from agent.link.pause import RETRY_AFTER, Pause, hint_of
from bench.session_agent import Silence, Surroundings
from bulkhead.v1 import report_pb2, sensor_service_pb2

METHOD = "/bulkhead.v1.SensorService/Session"
STREAM = 1
PREFIX = struct.Struct("!BI")
"""gRPC's, before each message: whether it is compressed, and its length in bytes."""

Response = sensor_service_pb2.SessionResponse


def trust(authority: bytes, key: bytes, chain: bytes) -> ssl.SSLContext:
    """What a connection of this agent needs; all of it in PEM form."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["h2"])
    context.load_verify_locations(cadata=authority.decode())
    descriptor = os.memfd_create("identity", os.MFD_CLOEXEC)  # it takes files only
    try:
        os.write(descriptor, key + chain)
        context.load_cert_chain(f"/proc/self/fd/{descriptor}")
    finally:
        os.close(descriptor)
    return context


class _Call(asyncio.Protocol):
    """One connection with one call on it.

    heard: is given each response. over: what ended it, and the trailing metadata.
    """

    def __init__(self, authority: str, first: bytes, heard: Callable[[Response], None]) -> None:
        self.over: asyncio.Future[tuple[str, list[tuple[str, str]]]] = (
            asyncio.get_running_loop().create_future()
        )
        self._http = H2Connection(H2Configuration(client_side=True, header_encoding="utf-8"))
        self._headers = (
            (":method", "POST"),
            (":scheme", "https"),
            (":path", METHOD),
            (":authority", authority),
            ("te", "trailers"),
            ("content-type", "application/grpc"),
        )
        self._first = first
        self._heard = heard
        self._data = bytearray()
        self._transport: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._http.initiate_connection()
        self._http.send_headers(STREAM, self._headers)
        self.send(self._first)

    def send(self, message: bytes) -> None:
        """One request; it is small, so that it always fits into the window."""
        if not self.over.done():
            self._http.send_data(STREAM, PREFIX.pack(0, len(message)) + message)
            self._transport.write(self._http.data_to_send())

    def data_received(self, data: bytes) -> None:
        for event in self._http.receive_data(data):
            match event:
                case DataReceived():
                    self._http.acknowledge_received_data(event.flow_controlled_length, STREAM)
                    self._take(event.data)
                case ResponseReceived() | TrailersReceived() if event.stream_ended:
                    self._end("", event.headers)
                case StreamEnded():
                    self._end("CLOSED")
                case StreamReset() | ConnectionTerminated():
                    self._end("RESET")
                case _:
                    pass
        self._transport.write(self._http.data_to_send())

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio names it
        self._end("LOST")

    def close(self) -> None:
        """Without a word."""
        if self._transport is not None:
            self._transport.abort()

    def _take(self, data: bytes) -> None:
        self._data += data
        while len(self._data) >= PREFIX.size:
            end = PREFIX.size + PREFIX.unpack_from(self._data)[1]
            if len(self._data) < end:
                return
            self._heard(Response.FromString(bytes(self._data[PREFIX.size : end])))
            del self._data[:end]

    def _end(self, why: str, headers: Any = ()) -> None:
        if not self.over.done():
            self.over.set_result((why, list(headers)))


class Returning:
    """A light agent that has lost its session; what it shows of itself is as with `Agent`.

    hello: the serialised request that its sessions begin with.
    """

    def __init__(
        self,
        world: Surroundings,
        context: ssl.SSLContext,
        pause: Pause,
        hello: bytes,
        active: list[report_pb2.ActiveChannelFile],
    ) -> None:
        self.world = world
        self.connected_at = self.active_at = self.withdrawn_at = 0.0
        self.content = b""
        self._context = context
        self._pause = pause
        self._hello = hello
        self._heartbeat = report_pb2.Heartbeat(rung=report_pb2.RUNG_BPF_BTF, active=active)
        self._delivery = time.time_ns() // 1_000_000
        self._call: _Call | None = None
        self._welcome: asyncio.Event = asyncio.Event()
        self._silence = Silence(world.ends)

    async def run(self) -> None:
        """Sessions for ever, with pauses in between; the first after a pause."""
        hint: float | None = None
        lived = LIMITS.stable_seconds
        while True:
            await asyncio.sleep(self._pause.after(lived, hint))
            hint = await self._session()
            lived = time.monotonic() - self.connected_at if self.connected_at else 0.0
            self.connected_at = 0.0

    async def beat(self) -> None:
        """One heartbeat, if connected."""
        if not self.connected_at or self._call is None:
            return
        self._delivery += 1
        request = sensor_service_pb2.SessionRequest(
            delivery=self._delivery, heartbeat=self._heartbeat
        )
        self._call.send(request.SerializeToString())
        self._silence.begin(self._call.close)

    async def _session(self) -> float | None:
        self.world.tries += 1
        host, _, port = self.world.address.rpartition(":")
        self._welcome.clear()
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(LIMITS.connect_seconds):
                _, self._call = await loop.create_connection(
                    lambda: _Call(self.world.address, self._hello, self._hear),
                    host,
                    int(port),
                    ssl=self._context,
                )
        except (TimeoutError, OSError):
            self.world.ends["NOT_REACHED"] += 1
            return None
        try:
            return await self._until_over(self._call)
        finally:
            self._call.close()
            self._call = None
            self._silence.end()

    async def _until_over(self, call: _Call) -> float | None:
        welcome = asyncio.create_task(self._welcome.wait())
        try:
            await asyncio.wait(
                (welcome, call.over),
                timeout=LIMITS.welcome_seconds,
                return_when=asyncio.FIRST_COMPLETED,
            )
        finally:
            welcome.cancel()
        if not self._welcome.is_set() and not call.over.done():
            self.world.ends["NO_WELCOME"] += 1
            return None
        why, trailing = await call.over
        said = dict(trailing).get("grpc-message", "")
        self.world.ends[why or said.partition(":")[0] or "CLOSED"] += 1
        return hint_of([pair for pair in trailing if pair[0] == RETRY_AFTER])

    def _hear(self, response: Response) -> None:
        match response.WhichOneof("message"):
            case "welcome":
                self.connected_at = time.monotonic()
                self._welcome.set()
            case "receipt":
                self._silence.end()
