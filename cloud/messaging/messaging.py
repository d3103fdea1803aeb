"""What a serving process needs of NATS, or does without: one object for both."""

import asyncio

from cloud import journal
from cloud.limits import CloudLimits
from cloud.messaging.address import NatsAddress
from cloud.messaging.announcements import Announcements, NatsAnnouncements, NoAnnouncements
from cloud.messaging.line import Line
from cloud.messaging.stream import ReportStream
from cloud.reporting import DirectReports, Reports
from cloud.store.writer import Writer


class Messaging:
    """Where reports go, and by what hints come; both without NATS unless it is named."""

    announcements: Announcements
    reports: Reports

    def __init__(
        self, address: NatsAddress | None, replica: str, writer: Writer, limits: CloudLimits
    ) -> None:
        self._line: Line | None = None
        self._stream: ReportStream | None = None
        if address is None:
            self.announcements, self.reports = NoAnnouncements(), DirectReports(writer)
            return
        self._line = Line(address, limits)
        self.announcements = NatsAnnouncements(self._line, replica)
        self.reports = self._stream = ReportStream(self._line, writer, limits)

    async def run(self, stop: asyncio.Event) -> None:
        """Keep the connection and store what comes, until the end is asked for."""
        if self._line is None or self._stream is None:
            return
        connecting = asyncio.create_task(self._line.run())
        connecting.add_done_callback(_log_failure)
        try:
            await self._stream.run(stop)
        finally:
            connecting.cancel()
            await asyncio.wait([connecting])
            await self._line.close()


def _log_failure(connecting: "asyncio.Task[None]") -> None:
    if not connecting.cancelled() and (error := connecting.exception()):
        journal.warning("nats_given_up", message=f"{type(error).__name__}: {error}")
