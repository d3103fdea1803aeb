"""Reports through JetStream: kept in a file there before their receipt, stored by any replica.

    1. a session hands over what an agent reported; it is published, and JetStream has it on its
       disk when it says so: that is when the agent may have its receipt
    2. a replica fetches reports, stores them by their ids, and acknowledges them after the commit;
       what it has not acknowledged in time, another one gets

So the database may be gone or slow, and reports wait in the stream. Where NATS is gone or full they
go straight into the database, as without it. A report that goes both ways, or twice, is stored
once: its id decides.
"""

import asyncio
import hashlib
import time
from contextlib import suppress

import nats.errors
from google.protobuf.message import DecodeError
from nats.aio.msg import Msg
from nats.js import JetStreamContext
from nats.js.api import ConsumerConfig, DiscardPolicy, RetentionPolicy, StorageType, StreamConfig
from nats.js.errors import NotFoundError

from bulkhead.v1.sensor_service_pb2 import SessionRequest
from cloud import journal
from cloud.errors import CloudError, CloudReason
from cloud.limits import CloudLimits
from cloud.messages import report_job
from cloud.messaging.line import Line
from cloud.store.writer import Job, Writer

STREAM = "BULKHEAD_REPORTS"
SUBJECT = "bulkhead.reports"
CONSUMER = "storing"
AGENT = "Bulkhead-Agent"
RECEIVED = "Bulkhead-Received"
ID = "Nats-Msg-Id"
FAILURES = (nats.errors.Error, TimeoutError, OSError)


class ReportStream:
    """Publishes what this replica's agents report, and stores what is in the stream."""

    def __init__(self, line: Line, writer: Writer, limits: CloudLimits) -> None:
        self._line = line
        self._writer = writer
        self._limits = limits
        self._context = JetStreamContext(line.client, timeout=limits.nats_answer_seconds)
        self._rests_until = 0.0
        line.begun.append(self._begin)

    async def keep(self, agent_id: str, request: SessionRequest, job: Job) -> None:
        """Returns when it is on a disk; StoreError where neither NATS nor the store takes it."""
        payload = _without_delivery(request)
        if self._takes(payload):
            try:
                await self._publish(agent_id, payload)
            except FAILURES as error:
                self._rests_until = time.monotonic() + self._limits.nats_rest_seconds
                journal.warning("report_not_queued", agent_id=agent_id, message=str(error))
            else:
                return
        await self._writer.submit(job)

    async def run(self, stop: asyncio.Event) -> None:
        """Store what is in the stream until the end is asked for."""
        turn, waiting = 0, None
        while not stop.is_set():
            try:
                if self._line.up and (waiting is None or turn != self._line.turn):
                    turn = self._line.turn
                    waiting = await self._subscribe()
                if waiting is not None and self._line.up:
                    messages = await waiting.fetch(
                        self._limits.nats_batch, timeout=self._limits.nats_fetch_seconds
                    )
                    await self._store(messages)
                    continue
            except TimeoutError:  # nothing came
                continue
            except FAILURES as error:
                waiting = None
                if self._line.up:
                    journal.warning("reports_not_fetched", message=str(error))
            with suppress(TimeoutError):
                async with asyncio.timeout(self._limits.nats_pause_seconds):
                    await stop.wait()

    def _takes(self, payload: bytes) -> bool:
        fits = len(payload) <= self._limits.nats_report_bytes
        return self._line.up and fits and time.monotonic() >= self._rests_until

    async def _publish(self, agent_id: str, payload: bytes) -> None:
        name = hashlib.sha256(agent_id.encode("ascii") + b"\0" + payload).hexdigest()
        headers = {AGENT: agent_id, RECEIVED: str(time.time_ns()), ID: name}
        await self._context.publish(
            SUBJECT, payload, timeout=self._limits.nats_answer_seconds, headers=headers
        )

    async def _begin(self) -> None:
        """The stream, made by whoever comes first; an operator's changes to it stay."""
        with suppress(NotFoundError):
            await self._context.stream_info(STREAM)
            return
        await self._context.add_stream(
            StreamConfig(
                name=STREAM,
                subjects=[SUBJECT],
                retention=RetentionPolicy.WORK_QUEUE,
                storage=StorageType.FILE,
                discard=DiscardPolicy.NEW,
                max_bytes=self._limits.nats_stream_bytes,
                duplicate_window=self._limits.nats_duplicate_seconds,
            )
        )

    async def _subscribe(self) -> JetStreamContext.PullSubscription:
        config = ConsumerConfig(
            ack_wait=self._limits.nats_storing_seconds, max_ack_pending=self._limits.nats_unstored
        )
        return await self._context.pull_subscribe(
            SUBJECT, durable=CONSUMER, stream=STREAM, config=config
        )

    async def _store(self, messages: list[Msg]) -> None:
        found = [(message, job) for message in messages if (job := await _job_of(message))]
        work = (self._writer.submit(job) for _, job in found)
        outcomes = await asyncio.gather(*work, return_exceptions=True)
        for (message, _), outcome in zip(found, outcomes, strict=True):
            if isinstance(outcome, BaseException):  # nothing is thrown away for a mistake of ours
                reason = getattr(outcome, "reason", type(outcome).__name__)
                journal.warning("report_not_stored", reason=reason, message=str(outcome))
                await message.nak(delay=self._limits.nats_pause_seconds)
            else:
                await message.ack()


async def _job_of(message: Msg) -> Job | None:
    """How to store it; what is no report is thrown away, and said: nobody of ours has sent it."""
    headers = message.headers or {}
    try:
        request = SessionRequest.FromString(message.data)
        return report_job(request, headers[AGENT], int(headers[RECEIVED]))
    except (CloudError, DecodeError, KeyError, ValueError) as error:
        told = error if isinstance(error, CloudError) else type(error).__name__
        journal.warning("queued_report_refused", reason=CloudReason.MESSAGE_INVALID, message=told)
        await message.term()
        return None


def _without_delivery(request: SessionRequest) -> bytes:
    """The same bytes however often an agent sends it, so that JetStream knows it again."""
    plain = SessionRequest()
    plain.CopyFrom(request)
    plain.delivery = 0
    return plain.SerializeToString(deterministic=True)
