"""Where reports go from a session: into the store, or into a stream that is stored from."""

from typing import Protocol

from bulkhead.v1.sensor_service_pb2 import SessionRequest
from cloud.store.writer import Job, Writer


class Reports(Protocol):
    """Keeps what agents report."""

    async def keep(self, agent_id: str, request: SessionRequest, job: Job) -> None:
        """Returns when the report is on a disk, for its receipt; StoreError where it is not.

        job: what stores it.
        """


class DirectReports:
    """Straight into the store."""

    def __init__(self, writer: Writer) -> None:
        self._writer = writer

    async def keep(self, agent_id: str, request: SessionRequest, job: Job) -> None:
        """In the transaction of whatever else waits."""
        del agent_id, request
        await self._writer.submit(job)
