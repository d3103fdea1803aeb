"""The console's process: store, certificate, port; serve; end within two seconds when told to.

1. address, store and certificate: the cloud's own, as sensors know it
2. a socket; the address is announced once pages are served
3. requests, each with a deadline: who sends or reads too slowly is disconnected
4. on SIGTERM or SIGINT streams end, what is being answered has a moment, and that is all
"""

import asyncio
import signal
import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass

import uvicorn
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from cloud import journal
from cloud.console.address import listening
from cloud.console.limits import LIMITS, ConsoleLimits
from cloud.console.punctual import Punctual
from cloud.console.visit import Desk
from cloud.console.web import Console
from cloud.errors import CloudReason, KeyFileError
from cloud.folder import CloudFolder
from content.definitions import load_definitions

POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; "
    "form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)
HEADERS = [
    ("Content-Security-Policy", POLICY),
    ("X-Content-Type-Options", "nosniff"),
    ("Referrer-Policy", "same-origin"),
    ("Cache-Control", "no-store"),
    ("Cross-Origin-Opener-Policy", "same-origin"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
]


@dataclass(frozen=True, slots=True)
class Order:
    """What to serve: `listen` is HOST:PORT, port 0 picks one."""

    folder: CloudFolder
    listen: str


def serve(order: Order, ready: Callable[[str], None], limits: ConsoleLimits = LIMITS) -> None:
    """Serve until SIGTERM or SIGINT; `ready` gets the address once pages are served.

    Raises CloudError where folder, store, certificate or address can't be used.
    """
    with (
        closing(order.folder.open(limits.store_busy_ms)) as database,
        closing(listening(order.listen)) as port,
    ):
        desk = Desk(order.folder, database, load_definitions(), limits)
        asyncio.run(_run(desk, port, ready))


async def _run(desk: Desk, port: socket.socket, ready: Callable[[str], None]) -> None:
    console = Console(desk)
    server = _Server(_configuration(console, desk), ready, desk.limits)
    loop = asyncio.get_running_loop()

    def stop() -> None:
        journal.info("console_stopping")
        console.feed.end()
        server.should_exit = True

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)
    await server.serve([port])


def _configuration(console: Console, desk: Desk) -> uvicorn.Config:
    limits = desk.limits
    configuration = uvicorn.Config(
        _Sending(console.application(), limits),
        http=H11Protocol,
        ws="none",
        lifespan="off",
        log_config=None,
        log_level="error",
        access_log=False,
        proxy_headers=False,
        server_header=False,
        headers=HEADERS,
        limit_concurrency=limits.connections,
        timeout_keep_alive=limits.idle_seconds,
        timeout_graceful_shutdown=limits.stop_seconds,
        h11_max_incomplete_event_size=limits.header_bytes,
        ssl_certfile=desk.cloud.server_certificate,
        ssl_keyfile=desk.cloud.server_key,
    )
    try:
        configuration.load()
    except (ssl.SSLError, OSError) as error:
        raise KeyFileError(
            CloudReason.CERTIFICATE_INVALID,
            f"{desk.cloud.server_certificate}: {error}; expected the server's certificate and key",
        ) from error
    return configuration


class _Server(uvicorn.Server):
    """Says when it serves, leaves signals to us, and waits for nobody's handshake."""

    def __init__(
        self, configuration: uvicorn.Config, ready: Callable[[str], None], limits: ConsoleLimits
    ) -> None:
        super().__init__(configuration)
        self._ready = ready
        self._limits = limits

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Serve, and say so; as uvicorn does, but for the time that TLS may take."""
        await self.lifespan.startup()
        loop = asyncio.get_running_loop()
        self.servers = [
            await loop.create_server(
                self._connection,
                sock=one,
                ssl=self.config.ssl,
                ssl_handshake_timeout=self._limits.request_seconds,
                ssl_shutdown_timeout=self._limits.stop_seconds,
            )
            for one in sockets or ()
        ]
        self.started = True
        for one in sockets or ():
            host, port, *_ = one.getsockname()
            address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
            journal.info("console_serving", address=address)
            self._ready(address)

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """They are the loop's already."""
        yield

    def _connection(self) -> Punctual:
        return Punctual(self._limits, self.config, self.server_state, self.lifespan.state)


class _Sending:
    """Who does not read an answer is not waited for."""

    def __init__(self, application: ASGIApp, limits: ConsoleLimits) -> None:
        self._application = application
        self._seconds = limits.write_seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_in_time(message: Message) -> None:
            async with asyncio.timeout(self._seconds):
                await send(message)

        try:
            await self._application(scope, receive, send_in_time)
        except TimeoutError:
            journal.warning("console_write_stalled", client=str(scope.get("client")))
