"""Connections with a deadline: who begins a request and does not go on is disconnected.

uvicorn has one for connections that rest between requests, and none for the others.
"""

import asyncio

from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle

from cloud.console.limits import LIMITS


class Punctual(H11Protocol):
    """From its first byte, or from the connection, a request's head has so many seconds."""

    request_seconds = LIMITS.request_seconds
    _deadline: asyncio.TimerHandle | None = None
    _awaited_after: object = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A request has to come."""
        super().connection_made(transport)
        self._await_request()

    def data_received(self, data: bytes) -> None:
        """Where that was no whole head, the rest has to come."""
        super().data_received(data)
        if self._idle() and (self._deadline is None or self._awaited_after is not self.cycle):
            self._await_request()

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing has to come any more."""
        if self._deadline is not None:
            self._deadline.cancel()
        super().connection_lost(exc)

    def _idle(self) -> bool:
        cycle: RequestResponseCycle | None = getattr(self, "cycle", None)
        return cycle is None or cycle.response_complete

    def _await_request(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
        self._awaited_after = self.cycle
        self._deadline = self.loop.call_later(self.request_seconds, self._end_if_idle)

    def _end_if_idle(self) -> None:
        self._deadline = None
        if self._idle() and self.cycle is self._awaited_after:
            self.transport.abort()


def punctual(seconds: float) -> type[asyncio.Protocol]:
    """The protocol with a deadline of so many seconds."""
    return type("PunctualProtocol", (Punctual,), {"request_seconds": seconds})
