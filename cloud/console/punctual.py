"""Connections with a deadline: who begins a request and does not go on is disconnected.

So is who has more of them than a browser needs, so that one address can't take all there are.
uvicorn has a deadline for connections that rest between requests, and neither of these.

What is left of a request that was answered early is dropped as it comes, until the same deadline:
a connection that is closed under who still sends is reset, and they may never see the answer.
"""

import asyncio
from typing import Any

import h11
from uvicorn import Config
from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle
from uvicorn.server import ServerState

from cloud.console.limits import ConsoleLimits


class Punctual(H11Protocol):
    """From its first byte, or from the connection, a request's head has so many seconds."""

    def __init__(
        self,
        limits: ConsoleLimits,
        configuration: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
    ) -> None:
        super().__init__(configuration, server_state, app_state)
        self._limits = limits
        self._deadline: asyncio.TimerHandle | None = None
        self._awaited_after: object = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A request has to come."""
        super().connection_made(transport)
        if self._same_address() > self._limits.connections_by_address:
            transport.abort()
            return
        self._await_request()

    def data_received(self, data: bytes) -> None:
        """Where that was no whole head, the rest has to come."""
        super().data_received(data)
        if self._idle() and (self._deadline is None or self._awaited_after is not self.cycle):
            self._await_request()

    def on_response_complete(self) -> None:
        """Where a request was answered early, what is left of it has to come."""
        super().on_response_complete()
        if self.conn.their_state is h11.SEND_BODY:
            self._await_request()

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing has to come any more."""
        if self._deadline is not None:
            self._deadline.cancel()
        super().connection_lost(exc)

    @property
    def address(self) -> str:
        """Who is at the other end."""
        return self.client[0] if self.client else ""

    def _same_address(self) -> int:
        ours = (one for one in self.connections if isinstance(one, Punctual))
        return sum(one.address == self.address for one in ours)

    def _idle(self) -> bool:
        cycle: RequestResponseCycle | None = getattr(self, "cycle", None)
        return cycle is None or cycle.response_complete

    def _await_request(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
        self._awaited_after = self.cycle
        self._deadline = self.loop.call_later(self._limits.request_seconds, self._end_if_idle)

    def _end_if_idle(self) -> None:
        self._deadline = None
        if self._idle() and self.cycle is self._awaited_after:
            self.transport.abort()
