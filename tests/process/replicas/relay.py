"""A cable between a replica and its database, which can be made to carry nothing.

Both ends stay connected, as with a server that hangs: neither is told anything by TCP.
"""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field


@dataclass
class Relay:
    """`port` is where the other end is reached through it."""

    to_port: int
    port: int = 0
    _last: bytes = b""
    _flows: asyncio.Event = field(default_factory=asyncio.Event)
    _loop: asyncio.AbstractEventLoop | None = None

    def freeze(self) -> None:
        """Carry nothing any more."""
        self._tell(self._flows.clear)

    def freeze_after(self, words: bytes) -> None:
        """Carry nothing any more once these have gone by, with what came together with them."""
        self._last = words

    def thaw(self) -> None:
        """Carry what has piled up, and go on."""
        self._tell(self._flows.set)

    def _tell(self, what: object) -> None:
        assert self._loop is not None
        self._loop.call_soon_threadsafe(what)  # type: ignore[arg-type]

    async def run(self, ready: threading.Event, stop: asyncio.Event) -> None:
        """Carry until told to stop."""
        self._flows.set()
        async with await asyncio.start_server(self._carry, "127.0.0.1", 0) as server:
            self.port = server.sockets[0].getsockname()[1]
            ready.set()
            await stop.wait()

    async def _carry(self, here: asyncio.StreamReader, back: asyncio.StreamWriter) -> None:
        there, forth = await asyncio.open_connection("127.0.0.1", self.to_port)
        ways = [self._one_way(here, forth), self._one_way(there, back)]
        tasks = [asyncio.create_task(way) for way in ways]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:  # the relay's end: what is still on its way gets nowhere
            for writer in (back, forth):
                writer.transport.abort()
            raise
        finally:
            for writer in (back, forth):
                writer.close()
            for task in tasks:
                task.cancel()

    async def _one_way(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            while data := await reader.read(65_536):
                await self._flows.wait()
                writer.write(data)
                await writer.drain()
                if self._last and self._last in data:
                    self._last = b""
                    self._flows.clear()


@contextmanager
def new_relay(to_port: int) -> Iterator[Relay]:
    """A relay at work in a thread of its own."""
    relay, ready, stop = Relay(to_port), threading.Event(), asyncio.Event()

    async def work() -> None:
        relay._loop = asyncio.get_running_loop()
        await relay.run(ready, stop)

    thread = threading.Thread(target=lambda: asyncio.run(work()), daemon=True)
    thread.start()
    assert ready.wait(10)
    try:
        yield relay
    finally:
        relay._tell(relay._flows.set)
        relay._tell(stop.set)
        thread.join(10)
