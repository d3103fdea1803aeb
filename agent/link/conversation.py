"""One session with the cloud: hello, then three things at once until one of them ends.

    send     the latest heartbeat and the outbox in order, within a window of unconfirmed deliveries
    receive  receipts to the store, offers to the courier, revocations to the supervisor
    courier  one offer after the other: fetch, check, hand over to the supervisor

After the cloud has called something invalid, what was under way is sent one by one, each after the
one before was confirmed: if it happens again, `refused` names the delivery to give up.

It ends with `CloudError` where the connection breaks (its reason is then the name of gRPC's status)
or the cloud breaks the rules, with TimeoutError where there is no welcome, and quietly where the
cloud closes. Nothing here decides about content.
"""

import asyncio
import time
from collections import deque
from dataclasses import dataclass

import grpc
import grpc.aio

from agent.link.courier import Courier
from agent.link.errors import CloudError
from agent.link.limits import LIMITS
from agent.link.mailbox import HandOver, Mailbox
from agent.link.outbox import Delivery, Kind, OutboxReader
from agent.link.pause import hint_of
from agent.link.sensor import Sensor
from agent.link.stub import Stub
from agent.link.verifier import Verifier
from bulkhead.v1 import report_pb2, sensor_service_pb2

INVALID = grpc.StatusCode.INVALID_ARGUMENT.name
SUSPICIOUS = frozenset({INVALID, grpc.StatusCode.INTERNAL.name, grpc.StatusCode.UNKNOWN.name})
"""How a session may end after something invalid was sent: gRPC hides the status if a write fails
at the same moment."""


@dataclass(slots=True)
class Progress:
    """What outlives a session, as delivery numbers.

    confirmed: a receipt has covered everything up to it. careful_until: up to it, deliveries are
    sent one by one.
    """

    confirmed: int = 0
    careful_until: int = 0


class Conversation:
    """State of one session."""

    def __init__(
        self,
        stub: Stub,
        sensor: Sensor,
        verifier: Verifier,
        reader: OutboxReader,
        mailbox: Mailbox,
        progress: Progress,
    ) -> None:
        self._call = stub.Session(None)  # written to, not iterated over
        self._sensor = sensor
        self._reader = reader
        self._mailbox = mailbox
        self._clock = time.monotonic
        self._courier = Courier(stub, sensor, verifier, mailbox)
        self._wake = asyncio.Event()
        self._progress = progress
        self._sent = progress.confirmed
        self._in_flight: deque[tuple[int, int]] = deque()
        self._in_flight_bytes = 0
        self._asked: float | None = None
        self.welcomed = asyncio.Event()
        self._welcomed: float | None = None
        self._heartbeat: report_pb2.Heartbeat | None = None

    @property
    def connected_seconds(self) -> float:
        """How long the session was open, from the welcome on; 0 without one."""
        return 0.0 if self._welcomed is None else self._clock() - self._welcomed

    def refused(self, reason: str) -> int | None:
        """The session was ended for a reason: be careful, or name the delivery that it was.

        Only a status that says "invalid", and while one delivery alone was under way, is proof.
        """
        if self._careful and reason == INVALID and len(self._in_flight) == 1:
            return self._in_flight[0][0]
        if reason in SUSPICIOUS and self._in_flight:
            self._progress.careful_until = max(self._progress.careful_until, self._sent)
        return None

    def wake(self) -> None:
        """There may be something to send."""
        self._wake.set()

    async def run(self) -> None:
        """Talk until the session ends."""
        try:
            await self._talk()
        except (grpc.aio.AioRpcError, asyncio.InvalidStateError) as error:
            # What a failed write says, or one after the end, depends on timing: ask the call.
            status, details = await self._call.code(), await self._call.details()
            hint = hint_of(await self._call.trailing_metadata())
            raise CloudError(status.name, details or "no details", hint) from error

    async def _talk(self) -> None:
        welcome = await self._greet()
        self._welcomed = self._clock()
        self.welcomed.set()
        self._mailbox.connected = True
        tasks = [
            asyncio.create_task(work)
            for work in (
                self._send(),
                self._receive(),
                self._courier.run(welcome.enclosed),
                self._watch(),
            )
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

    async def _greet(self) -> sensor_service_pb2.Welcome:
        hello = sensor_service_pb2.SessionRequest(hello=self._sensor.hello())
        async with asyncio.timeout(LIMITS.welcome_seconds):
            await self._call.write(hello)
            response = await self._call.read()
        if not isinstance(response, sensor_service_pb2.SessionResponse):
            raise CloudError("NO_WELCOME", "the cloud ended the session without one")
        if response.WhichOneof("message") != "welcome":
            raise CloudError("NO_WELCOME", f"got {response.WhichOneof('message')} first")
        return response.welcome

    async def _send(self) -> None:
        while True:
            self._wake.clear()
            if not self._careful:
                await self._send_heartbeat()
            rows = self._reader.after(self._sent, self._room())
            for row in rows:
                await self._deliver(row)
            if not rows:
                await self._wake.wait()

    async def _send_heartbeat(self) -> None:
        latest = self._sensor.heartbeat
        if latest is None or latest is self._heartbeat:
            return
        self._heartbeat = latest
        # With the number of what needs no receipt any more, to be answered nevertheless.
        number = self._reader.last_settled()
        await self._write(sensor_service_pb2.SessionRequest(delivery=number, heartbeat=latest))

    async def _deliver(self, row: Delivery) -> None:
        self._in_flight.append((row.number, len(row.message)))
        self._in_flight_bytes += len(row.message)
        self._sent = row.number
        await self._write(_request(row))

    async def _write(self, request: sensor_service_pb2.SessionRequest) -> None:
        if self._asked is None:
            self._asked = self._clock()
        await self._call.write(request)

    def _room(self) -> int:
        """How many rows may be read and sent now."""
        if self._careful:
            return 0 if self._in_flight else 1
        if self._in_flight_bytes >= LIMITS.window_bytes:
            return 0
        return min(LIMITS.read_rows, LIMITS.window_deliveries - len(self._in_flight))

    @property
    def _careful(self) -> bool:
        return self._progress.confirmed < self._progress.careful_until

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
        # A cloud may confirm what an earlier link sent, but not what was never numbered.
        if delivery > self._sent and delivery > (last := self._reader.last_number()):
            raise CloudError("RECEIPT_AHEAD", f"receipt {delivery}, the last delivery is {last}")
        self._sent = max(self._sent, delivery)
        while self._in_flight and self._in_flight[0][0] <= delivery:
            self._in_flight_bytes -= self._in_flight.popleft()[1]
        self._asked = self._clock() if self._in_flight else None
        if delivery > self._progress.confirmed:
            self._progress.confirmed = delivery
            self._mailbox.post_receipt(delivery)
        self._wake.set()

    async def _revoke(self, revocation: sensor_service_pb2.Revocation) -> None:
        self._courier.withdraw(revocation.content_hash)
        # The supervisor is the one to refuse an order: it writes down what it is told here, and
        # asks whether that was signed.
        order = HandOver(
            "revoke",
            {
                "hash": revocation.content_hash.hex(),
                "template_type": revocation.template_type,
                "from_version": revocation.from_version,
                "to_version": revocation.to_version,
                "group": revocation.group[: LIMITS.text_characters],
                "issued": revocation.issued_unix,
                "expires": revocation.expires_unix,
                "reason": revocation.reason[: LIMITS.text_characters],
                "signatures": [
                    [
                        one.key_id[: LIMITS.id_characters],
                        one.signature[: LIMITS.id_characters].hex(),
                    ]
                    for one in revocation.signatures[: LIMITS.signatures]
                ],
            },
        )
        self._mailbox.post_hand_over(order)
        await asyncio.wrap_future(order.done)

    async def _watch(self) -> None:
        """End a session that is dead although nobody has said so: pings of gRPC don't see it.

        They are put off by every write, and a process that hangs has a kernel that answers.
        """
        while True:
            silence = self._clock() - self._asked if self._asked is not None else 0.0
            if silence >= LIMITS.silence_seconds:
                raise CloudError("NO_ANSWER", f"nothing was confirmed for {silence:.1f} s")
            # Whatever is asked meanwhile has at least as long from then on.
            await asyncio.sleep(LIMITS.silence_seconds - silence)


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
