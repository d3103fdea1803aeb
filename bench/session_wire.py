"""gRPC as it is on the wire, by TLS and HTTP/2 alone: a connection of a light agent, and its calls.

gRPC's own client takes as much processor time for a message as the cloud that it talks to, and for
a new connection several times as much. Where ten thousand of them share two cores with that cloud,
they measure themselves. This client says the same, byte for byte, and does nothing beside it.
"""

import asyncio
import os
import ssl
import struct
from collections.abc import Callable, Iterable
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
from h2.settings import SettingCodes, Settings

SERVICE = "/bulkhead.v1.SensorService/"
PREFIX = struct.Struct("!BI")
"""gRPC's, before each message: whether it is compressed, and its length in bytes."""

MESSAGE = "grpc-message"

Headers = Iterable[tuple[Any, Any]]


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


class Call:
    """One call. over: when it has ended, what ended it ("" for a status) and the last headers.

    heard: is given each response, serialised. reads: whether the cloud is told that there is room
    for more; who never reads holds back what the cloud may send.
    """

    def __init__(self, wire: "Wire", stream: int, heard: Callable[[bytes], None]) -> None:
        self.over: asyncio.Future[tuple[str, dict[str, str]]] = (
            asyncio.get_running_loop().create_future()
        )
        self.reads = True
        self._wire = wire
        self._stream = stream
        self._heard = heard
        self._data = bytearray()

    def send(self, message: bytes) -> None:
        """One request; there has to be room for it (`room`), as there always is for a few."""
        if not self.over.done():
            self._wire.send(self._stream, message)

    async def room(self, message: bytes) -> None:
        """Return once a request can be sent, or the call is over."""
        while not self.over.done() and not self._wire.takes(self._stream, message):
            await self._wire.more_room()

    def take(self, data: bytes) -> None:
        """A part of the response."""
        self._data += data
        while len(self._data) >= PREFIX.size:
            end = PREFIX.size + PREFIX.unpack_from(self._data)[1]
            if len(self._data) < end:
                return
            self._heard(bytes(self._data[PREFIX.size : end]))
            del self._data[:end]

    def end(self, why: str, headers: Headers = ()) -> None:
        """It is over; the first reason counts."""
        if not self.over.done():
            self.over.set_result((why, dict(headers)))


class Wire(asyncio.Protocol):
    """A connection. window: bytes that the cloud may send of a call before somebody reads."""

    def __init__(self, authority: str, window: int | None = None) -> None:
        self._http = H2Connection(H2Configuration(client_side=True, header_encoding="utf-8"))
        if window is not None:
            told = {SettingCodes.INITIAL_WINDOW_SIZE: window}
            self._http.local_settings = Settings(client=True, initial_values=told)
        self._authority = authority
        self._calls: dict[int, Call] = {}
        self._more_room = asyncio.Event()
        self._transport: Any = None

    def call(
        self, method: str, first: bytes, heard: Callable[[bytes], None], *, only: bool = False
    ) -> Call:
        """Begin a call with its first request; only: there will be no other."""
        stream = self._http.get_next_available_stream_id()
        self._calls[stream] = call = Call(self, stream, heard)
        headers = (
            (":method", "POST"),
            (":scheme", "https"),
            (":path", SERVICE + method),
            (":authority", self._authority),
            ("te", "trailers"),
            ("content-type", "application/grpc"),
        )
        self._http.send_headers(stream, headers)
        self.send(stream, first, last=only)
        return call

    def send(self, stream: int, message: bytes, *, last: bool = False) -> None:
        """One request of a call."""
        data = PREFIX.pack(0, len(message)) + message
        self._http.send_data(stream, data, end_stream=last)
        self._flush()

    def takes(self, stream: int, message: bytes) -> bool:
        """Whether a request can be sent now."""
        room = self._http.local_flow_control_window(stream)
        return PREFIX.size + len(message) <= min(room, self._http.max_outbound_frame_size)

    async def more_room(self) -> None:
        """Return when it is worth asking again."""
        self._more_room.clear()
        await self._more_room.wait()

    def close(self) -> None:
        """Without a word."""
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """TLS stands: say that this is HTTP/2."""
        self._transport = transport
        self._http.initiate_connection()
        self._flush()

    def data_received(self, data: bytes) -> None:
        """Hand on what the cloud has sent, and answer what HTTP/2 itself asks for."""
        for event in self._http.receive_data(data):
            match event:
                case DataReceived():
                    self._read(event)
                case ResponseReceived() | TrailersReceived():
                    if event.stream_ended and event.stream_id in self._calls:
                        self._calls.pop(event.stream_id).end("", event.headers)
                case StreamEnded() | StreamReset():
                    if event.stream_id in self._calls:
                        self._calls.pop(event.stream_id).end("RESET")
                case ConnectionTerminated():
                    self._end("RESET")
                case _:
                    pass
        self._more_room.set()
        self._flush()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio names it
        """All calls are over."""
        self._end("LOST")
        self._more_room.set()

    def _read(self, event: DataReceived) -> None:
        call = self._calls.get(event.stream_id)
        if call is None or call.reads:
            self._http.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        if call is not None:
            call.take(event.data)

    def _flush(self) -> None:
        if data := self._http.data_to_send():
            self._transport.write(data)

    def _end(self, why: str) -> None:
        calls, self._calls = self._calls, {}
        for one in calls.values():
            one.end(why)


async def connect(address: str, context: ssl.SSLContext, window: int | None = None) -> Wire:
    """A new connection; OSError where there is none to be had."""
    host, _, port = address.rpartition(":")
    _, wire = await asyncio.get_running_loop().create_connection(
        lambda: Wire(address, window), host, int(port), ssl=context
    )
    return wire
