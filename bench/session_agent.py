"""A light agent of `bench.sessions`: real wire and TLS, no sensor behind it.

Each has its own key, certificate, channel and TCP connection, and waits between two sessions as
`agent.link` does. What each does, in number of calls and messages, is what a sensor's link does:

    begin   hello, welcome; the first time snapshot and targets are asked for
    offer   whatever did not come along is asked for; verified, trial, active; accepted later
    order   rolled back, acknowledged
    beat    one heartbeat; the session is left if nothing is confirmed within 5 seconds

Left out: verification (signatures of metadata; the payload's hash is compared), trial, supervisor,
a disk. Thousands of them share a processor, as real ones would not: so only a few of a process
connect and greet at once, the others wait for their turn before they begin.
"""

import asyncio
import hashlib
import random
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import grpc
import grpc.aio

from agent.link.limits import LIMITS
from agent.link.pause import Pause, hint_of
from agent.link.reaching import reach
from agent.link.session import OPTIONS
from bulkhead.v1 import channel_file_pb2, report_pb2, sensor_service_pb2
from bulkhead.v1.sensor_service_pb2_grpc import SensorServiceStub
from cloud.issuing import Issuer, issue_with_new_key
from tests.process.cloud_agent import hello

Request = sensor_service_pb2.SessionRequest
LIFETIME = timedelta(days=1)
DEAF_OPTIONS = (("grpc.http2.lookahead_bytes", 64), ("grpc.http2.bdp_probe", 0))
"""With a small window, an agent that does not read is felt by the cloud at once."""

DEAF_DETECTIONS = 2_000
STARTING = 8
METADATA = {
    "timestamp": sensor_service_pb2.METADATA_ROLE_TIMESTAMP,
    "snapshot": sensor_service_pb2.METADATA_ROLE_SNAPSHOT,
    "targets": sensor_service_pb2.METADATA_ROLE_TARGETS,
}
LOST = (grpc.aio.AioRpcError, grpc.aio.UsageError, asyncio.CancelledError)
"""How a call ends whose session is over."""

PROBATION_SECONDS = 30.0
STATES = (
    report_pb2.CONTENT_STATE_VERIFIED,
    report_pb2.CONTENT_STATE_TRIAL,
    report_pb2.CONTENT_STATE_ACTIVE,
)


@dataclass(slots=True)
class Surroundings:
    """What all agents of a process share: whom they trust, where the cloud is, and the tally.

    authority: its certificate, in PEM form. issuer: who makes their certificates.
    tries: sessions that were tried. ends: how they ended. starting: who connects and greets.
    """

    authority: bytes
    issuer: Issuer
    address: str
    tries: int = 0
    ends: Counter[str] = field(default_factory=Counter)
    starting: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(STARTING))


class Silence:
    """How long nothing was confirmed of what was sent; after a sensor's patience it is left.

    ends: where that is counted.
    """

    def __init__(self, ends: Counter[str]) -> None:
        self._ends = ends
        self._timer: asyncio.TimerHandle | None = None

    def begin(self, leave: Callable[[], object]) -> None:
        """Something was sent; it goes on if nothing was heard since."""
        if self._timer is None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(LIMITS.silence_seconds, self._over, leave)

    def end(self) -> None:
        """Something was heard, or the session is over."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _over(self, leave: Callable[[], object]) -> None:
        self._ends["NO_ANSWER"] += 1
        leave()


class Agent:
    """One light agent; `connected_at` is 0 where it is not.

    `active_at` and `withdrawn_at` are of the last time, 0 where that was not since `forget`.
    """

    def __init__(self, agent_id: str, world: Surroundings, *, deaf: bool = False) -> None:
        self.world = world
        self.deaf = deaf
        issued, key = issue_with_new_key(world.issuer, agent_id, datetime.now(UTC), LIFETIME)
        self.pem = key, issued.chain_pem
        self._hello = hello(agent_id)
        self._pause = Pause(random.random)
        self._call: Any = None
        self._stub: Any = None
        self._delivery = time.time_ns() // 1_000_000
        self.active: dict[int, report_pb2.ActiveChannelFile] = {}
        self._metadata_known = False
        self._silence = Silence(world.ends)
        self._work: set[asyncio.Task[None]] = set()
        self.connected_at = self.active_at = self.withdrawn_at = 0.0
        self.content = b""

    async def run(self) -> None:
        """Sessions for ever, with pauses in between."""
        while True:
            hint = await self._session()
            lived = time.monotonic() - self.connected_at if self.connected_at else 0.0
            self.connected_at = 0.0
            pause = self._pause.after(lived, hint)
            await asyncio.sleep(pause)

    def greeting(self) -> Request:
        """What a session begins with."""
        self._hello.ClearField("active")
        self._hello.active.extend(self.active.values())
        return Request(hello=self._hello)

    async def beat(self) -> None:
        """One heartbeat, if connected."""
        if not self.connected_at or self.deaf:
            return
        beat = report_pb2.Heartbeat(
            rung=report_pb2.RUNG_BPF_BTF,
            active=list(self.active.values()),
            evaluations=[
                report_pb2.Evaluations(content_hash=one.content_hash, events=1_000)
                for one in self.active.values()
            ],
            evaluation_ns=900,
            evaluator_memory_bytes=60_000_000,
        )
        await self._send(heartbeat=beat)

    async def crash(self, number: int) -> None:
        """Report that the content which is active has killed the evaluator."""
        await self._send(
            crash_report=report_pb2.CrashReport(
                id=f"crash-{number}",
                role=report_pb2.ROLE_EVALUATOR,
                signal=11,
                cause="SIGNAL",
                suspect_content_hash=self.content,
            )
        )

    async def _session(self) -> float | None:
        credentials = grpc.ssl_channel_credentials(self.world.authority, *self.pem)
        options = (*OPTIONS, *DEAF_OPTIONS) if self.deaf else OPTIONS
        async with grpc.aio.secure_channel(
            self.world.address, credentials, options=options
        ) as channel:
            self._stub = SensorServiceStub(channel)
            try:
                async with self.world.starting:
                    welcome = await self._greet(channel)
                if welcome is None:
                    return None
                await self._talk(welcome)
                self.world.ends["CLOSED"] += 1
            except (grpc.aio.AioRpcError, asyncio.InvalidStateError):
                return await self._why()
            finally:
                self._silence.end()
        return None

    async def _why(self) -> float | None:
        code, details = await self._call.code(), await self._call.details() or ""
        reason = details.partition(":")[0] if code is not grpc.StatusCode.UNAVAILABLE else ""
        if details.startswith("CLOUD_STOPPING"):
            reason = "CLOUD_STOPPING"
        self.world.ends[reason or code.name] += 1
        return hint_of(await self._call.trailing_metadata())

    async def _greet(self, channel: grpc.aio.Channel) -> sensor_service_pb2.Welcome | None:
        self.world.tries += 1
        step = "NOT_REACHED"
        try:
            await reach(channel)
            step = "NO_WELCOME"
            async with asyncio.timeout(LIMITS.welcome_seconds):
                self._call = self._stub.Session(None)
                await self._call.write(self.greeting())
                response = await self._call.read()
        except TimeoutError:
            response = grpc.aio.EOF
        if response is grpc.aio.EOF:
            self.world.ends[step] += 1
            return None
        self.connected_at = time.monotonic()
        welcome: sensor_service_pb2.Welcome = response.welcome
        return welcome

    async def _talk(self, welcome: sensor_service_pb2.Welcome) -> None:
        if self.deaf:
            await self._flood()
        self._begin(self._look(welcome.enclosed))
        await self._listen()

    async def _listen(self) -> None:
        while (response := await self._call.read()) is not grpc.aio.EOF:
            match response.WhichOneof("message"):
                case "receipt":
                    self._silence.end()
                case "offer":
                    self._begin(self._take(response.offer))
                case "revocation":
                    await self._give_up(response.revocation)

    async def _flood(self) -> None:
        for number in range(DEAF_DETECTIONS):
            found = report_pb2.Detection(
                id=f"{time.monotonic_ns()}-{number}", template_type=4, instance_id="test-word"
            )
            await self._send(detections=report_pb2.DetectionBatch(detections=[found]))
        await self._call.code()

    async def _send(self, **message: Any) -> None:
        self._delivery += 1
        if not self.deaf:
            self._silence.begin(self._call.cancel)
        try:
            await self._call.write(Request(delivery=self._delivery, **message))
        except (grpc.aio.AioRpcError, asyncio.InvalidStateError):
            return  # whoever reads says why

    def _begin(self, work: Any) -> None:
        task = asyncio.create_task(work)
        self._work.add(task)
        task.add_done_callback(self._work.discard)

    async def _look(self, along: sensor_service_pb2.Enclosed) -> None:
        """At the metadata, as a session begins."""
        try:
            await self._ask(along, METADATA if not self._metadata_known else ("timestamp",))
            self._metadata_known = True
        except LOST:
            self.world.ends["FETCH"] += 1

    async def _ask(self, along: sensor_service_pb2.Enclosed, roles: Iterable[str]) -> None:
        """For what did not come along."""
        if not along.root_version:
            await self._metadata(sensor_service_pb2.METADATA_ROLE_ROOT, 2)
        for role in roles:
            if not getattr(along, role):
                await self._metadata(METADATA[role])

    async def _metadata(
        self, role: sensor_service_pb2.MetadataRole.ValueType, version: int = 0
    ) -> None:
        request = sensor_service_pb2.FetchMetadataRequest(role=role, version=version)
        try:
            async for _ in self._stub.FetchMetadata(request, timeout=LIMITS.metadata_seconds):
                pass
        except grpc.aio.AioRpcError as error:
            if error.code() is not grpc.StatusCode.NOT_FOUND:
                raise

    async def _take(self, offer: sensor_service_pb2.Offer) -> None:
        try:
            await self._ask(offer.enclosed, METADATA)
            data = offer.enclosed.channel_file or await self._fetch(offer.content_hash)
        except LOST:
            self.world.ends["FETCH"] += 1
            return
        envelope = channel_file_pb2.SignedChannelFile.FromString(data)
        if hashlib.sha256(envelope.payload).digest() != offer.content_hash:
            raise RuntimeError("not what was offered")
        for state in STATES:
            await self._acknowledge(offer.content_hash, state)
        self._begin(self._accept(offer.content_hash))
        self.active[offer.template_type] = report_pb2.ActiveChannelFile(
            template_type=offer.template_type,
            version=offer.version,
            content_hash=offer.content_hash,
            state=report_pb2.CONTENT_STATE_ACTIVE,
        )
        self.content, self.active_at = offer.content_hash, time.monotonic()

    async def _accept(self, name: bytes) -> None:
        await asyncio.sleep(PROBATION_SECONDS)
        if name in (one.content_hash for one in self.active.values()):
            await self._acknowledge(name, report_pb2.CONTENT_STATE_ACCEPTED)

    async def _fetch(self, name: bytes) -> bytes:
        request = sensor_service_pb2.FetchChannelFileRequest(content_hash=name)
        data = bytearray()
        async for piece in self._stub.FetchChannelFile(request, timeout=LIMITS.fetch_seconds):
            data += piece.chunk
        return bytes(data)

    async def _give_up(self, order: sensor_service_pb2.Revocation) -> None:
        if self.content == order.content_hash:
            self.active.pop(order.template_type, None)
            self.withdrawn_at = time.monotonic()
        await self._acknowledge(order.content_hash, report_pb2.CONTENT_STATE_ROLLED_BACK)

    async def _acknowledge(self, name: bytes, state: report_pb2.ContentState.ValueType) -> None:
        told = report_pb2.ContentAcknowledgement(content_hash=name, state=state)
        await self._send(acknowledgement=told)
