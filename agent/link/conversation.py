"""One session with the cloud: hello, then three things at once until one of them ends.

    send     the latest heartbeat and the outbox in order, within a window of unconfirmed deliveries
    receive  receipts to the store, offers to the courier, revocations to the supervisor
    courier  one offer after the other: fetch, check, hand over to the supervisor

It ends with grpc's error where the connection does, with `CloudError` where the cloud breaks the
rules, and quietly where the cloud closes. Nothing here decides about content.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable

from agent.link.courier import Courier, Stub
from agent.link.errors import CloudError
from agent.link.limits import LIMITS
from agent.link.mailbox import HandOver, Mailbox
from agent.link.outbox import Delivery, Kind, OutboxReader
from agent.link.sensor import Sensor
from bulkhead.v1 import channel_file_pb2, report_pb2, sensor_service_pb2


class Conversation:
    """State of one session; `confirmed` outlives it: what a receipt has covered so far."""

    def __init__(
        self,
        stub: Stub,
        sensor: Sensor,
        reader: OutboxReader,
        mailbox: Mailbox,
        confirmed: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._call = stub.Session(None)  # written to, not iterated over
        self._sensor = sensor
        self._reader = reader
        self._mailbox = mailbox
        self._clock = clock
        self._courier = Courier(stub, sensor, mailbox)
        self._wake = asyncio.Event()
        self._sent = self.confirmed = confirmed
        self._in_flight: deque[tuple[int, int]] = deque()
        self._in_flight_bytes = 0
        self._last_progress = clock()
        self._welcomed: float | None = None
        self._heartbeat: report_pb2.Heartbeat | None = None

    @property
    def connected_seconds(self) -> float:
        """How long the session was open, from the welcome on; 0 without one."""
        return 0.0 if self._welcomed is None else self._clock() - self._welcomed

    def wake(self) -> None:
        """There may be something to send."""
        self._wake.set()

    async def run(self) -> None:
        """Talk until the session ends."""
        await self._greet()
        self._welcomed = self._clock()
        self._mailbox.connected = True
        tasks = [
            asyncio.create_task(work)
            for work in (self._send(), self._receive(), self._courier.run(), self._watch())
        ]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            self._mailbox.connected = False
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _greet(self) -> None:
        hello = sensor_service_pb2.SessionRequest(hello=self._sensor.hello())
        async with asyncio.timeout(LIMITS.welcome_seconds):
            await self._call.write(hello)
            response = await self._call.read()
        if not isinstance(response, sensor_service_pb2.SessionResponse):
            # The stream has ended without a word; its status says why.
            raise CloudError("NO_WELCOME", f"the cloud ended the session: {await self._status()}")
        if response.WhichOneof("message") != "welcome":
            raise CloudError("NO_WELCOME", f"got {response.WhichOneof('message')} first")

    async def _status(self) -> str:
        return f"{await self._call.code()}"

    async def _send(self) -> None:
        while True:
            self._wake.clear()
            await self._send_heartbeat()
            rows = self._reader.after(self._sent, self._room())
            for row in rows:
                await self._deliver(row)
            if not rows:
                await self._wake.wait()

    async def _send_heartbeat(self) -> None:
        latest = self._sensor.heartbeat
        if latest is not None and latest is not self._heartbeat:
            self._heartbeat = latest
            await self._call.write(sensor_service_pb2.SessionRequest(heartbeat=latest))

    async def _deliver(self, row: Delivery) -> None:
        if not self._in_flight:
            self._last_progress = self._clock()
        self._in_flight.append((row.number, len(row.message)))
        self._in_flight_bytes += len(row.message)
        self._sent = row.number
        await self._call.write(_request(row))

    def _room(self) -> int:
        """How many rows may be read and sent now."""
        if self._in_flight_bytes >= LIMITS.window_bytes:
            return 0
        return min(LIMITS.read_rows, LIMITS.window_deliveries - len(self._in_flight))

    async def _receive(self) -> None:
        while True:
            response = await self._call.read()
            if not isinstance(response, sensor_service_pb2.SessionResponse):
                return
            match response.WhichOneof("message"):
                case "receipt":
                    self._confirm(response.receipt.delivery)
                case "offer":
                    self._courier.offer(response.offer)
                case "revocation":
                    await self._revoke(response.revocation)
                case "welcome":
                    raise CloudError("WELCOME_TWICE", "a second welcome in one session")
                case _:
                    # A newer cloud may say more than we know; that is no reason to part.
                    continue

    def _confirm(self, delivery: int) -> None:
        if delivery > self._sent:
            raise CloudError("RECEIPT_AHEAD", f"receipt {delivery}, sent only up to {self._sent}")
        while self._in_flight and self._in_flight[0][0] <= delivery:
            self._in_flight_bytes -= self._in_flight.popleft()[1]
            self._last_progress = self._clock()
        if delivery > self.confirmed:
            self.confirmed = delivery
            self._mailbox.post_receipt(delivery)
        self._wake.set()

    async def _revoke(self, revocation: sensor_service_pb2.Revocation) -> None:
        self._courier.withdraw(revocation.content_hash)
        # The order is idempotent: the supervisor follows the one that a key of its own has signed,
        # and it is also the one to refuse an order that nobody has signed.
        unsigned = [channel_file_pb2.Signature()]
        for signature in revocation.signatures[: LIMITS.signatures] or unsigned:
            order = HandOver(
                "revoke",
                {
                    "hash": revocation.content_hash.hex(),
                    "key_id": signature.key_id,
                    "signature": signature.signature.hex(),
                    "reason": revocation.reason[: LIMITS.text_characters],
                },
            )
            self._mailbox.post_hand_over(order)
            await asyncio.wrap_future(order.done)

    async def _watch(self) -> None:
        """End a session in which nothing is confirmed any more although it seems to be alive."""
        while True:
            await asyncio.sleep(1.0)
            silence = self._clock() - self._last_progress
            if self._in_flight and silence > LIMITS.receipt_seconds:
                raise CloudError("NO_RECEIPT", f"nothing was confirmed for {silence:.0f} s")


def _request(row: Delivery) -> sensor_service_pb2.SessionRequest:
    request = sensor_service_pb2.SessionRequest(delivery=row.number)
    match row.kind:
        case Kind.ACKNOWLEDGEMENT:
            request.acknowledgement.ParseFromString(row.message)
        case Kind.DETECTIONS:
            request.detections.ParseFromString(row.message)
        case Kind.CRASH_REPORT:
            request.crash_report.ParseFromString(row.message)
        case Kind.LOSS_REPORT:
            request.loss_report.ParseFromString(row.message)
    return request
