"""The connection to NATS: it is tried for ever, and said once when it goes and when it comes back.

Nobody waits for it: `up` says whether there is one. `turn` rises with each new connection, because
what was asked for on the last one may be gone.
"""

import asyncio
from collections.abc import Awaitable, Callable

import nats.errors
from nats.aio.client import Client
from nats.aio.msg import Msg

from cloud import journal
from cloud.errors import CloudError
from cloud.limits import CloudLimits
from cloud.messaging.address import NatsAddress


class Line:
    """One per serving process. `begun`: called with each new connection, before `up` holds."""

    def __init__(self, address: NatsAddress, limits: CloudLimits) -> None:
        self.up = False
        self.turn = 0
        self.client = Client()
        self.begun: list[Callable[[], Awaitable[None]]] = []
        self._address = address
        self._limits = limits
        self._told = ""

    async def run(self) -> None:
        """Connect, and stay connected until cancelled."""
        limits = self._limits
        try:
            user, password = self._address.secrets()
            await self.client.connect(
                self._address.url,
                name="bulkhead",
                no_echo=True,
                max_reconnect_attempts=-1,
                connect_timeout=limits.nats_connect_seconds,
                reconnect_time_wait=limits.nats_pause_seconds,
                ping_interval=limits.nats_ping_seconds,
                max_outstanding_pings=2,
                error_cb=self._failed,
                disconnected_cb=self._lost,
                reconnected_cb=self._connected,
                user=user,
                password=password,
            )
            await self._connected()
            await asyncio.Event().wait()
        except CloudError as error:  # the file with the password was damaged meanwhile
            journal.warning("nats_unreachable", reason=error.reason, message=str(error))
        finally:
            self.up = False

    async def listen(self, subject: str, heard: Callable[[bytes], None]) -> None:
        """Have messages of a subject handed over; it lasts across connections."""

        async def hand_over(message: Msg) -> None:
            heard(message.data)

        await self.client.subscribe(subject, cb=hand_over)

    async def tell(self, subject: str, data: bytes) -> None:
        """Send what may get lost."""
        if self.up:
            try:
                await self.client.publish(subject, data)
            except nats.errors.Error as error:
                await self._failed(error)

    async def close(self) -> None:
        """Let go of the connection, whatever state it is in."""
        self.up = False
        await self.client.close()

    async def _connected(self) -> None:
        for begin in self.begun:
            try:
                await begin()
            except (nats.errors.Error, TimeoutError) as error:
                journal.warning("nats_refused", message=_told(error))
        self.turn += 1
        self.up = True
        self._told = ""
        journal.info("nats_reached", url=self._address.url)

    async def _lost(self) -> None:
        if self.up:
            self.up = False
            await self._failed(ConnectionError("the connection was lost"))

    async def _failed(self, error: Exception) -> None:
        if not self.up and not self._told:
            self._told = _told(error)
            journal.warning(
                "nats_unreachable",
                url=self._address.url,
                message=f"{self._told}; the database is asked instead, reports go straight into it",
            )


def _told(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())}"
