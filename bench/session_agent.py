"""A light agent of `bench.sessions`: gRPC's wire and mutual TLS, no sensor behind it.

Each has its own key, certificate and TCP connection, and waits between two sessions as `agent.link`
does. What each does, in number of calls and messages, is what a sensor's link does:

    begin   connect, hello, welcome; the first time snapshot and targets are asked for
    offer   whatever did not come along is asked for; verified, trial, active; accepted later
    order   rolled back, acknowledged
    beat    one heartbeat; the session is left if nothing is confirmed within 5 seconds

Left out: verification (signatures of metadata; the payload's hash is compared), trial, supervisor,
a disk. Nobody holds them back: they come and answer when a sensor would.
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

from agent.link.limits import LIMITS
from agent.link.pause import Pause, hint_of
from bench.session_wire import MESSAGE, Call, Wire, connect, trust
from bulkhead.v1 import channel_file_pb2, report_pb2, sensor_service_pb2
from cloud.issuing import Issuer, issue_with_new_key
from tests.process.cloud_agent import hello

Request, Response = sensor_service_pb2.SessionRequest, sensor_service_pb2.SessionResponse
LIFETIME = timedelta(days=1)
DEAF_WINDOW = 1024
"""With a small window, an agent that does not read is felt by the cloud at once."""

DEAF_DETECTIONS = 2_000
METADATA = {
    "timestamp": sensor_service_pb2.METADATA_ROLE_TIMESTAMP,
    "snapshot": sensor_service_pb2.METADATA_ROLE_SNAPSHOT,
    "targets": sensor_service_pb2.METADATA_ROLE_TARGETS,
}
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
    tries: sessions that were tried. ends: how they ended, and what else went wrong.
    """

    authority: bytes
    issuer: Issuer
    address: str
    tries: int = 0
    ends: Counter[str] = field(default_factory=Counter)


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
        self.deaf = deaf
        self.connected_at = self.active_at = self.withdrawn_at = 0.0
        self.content = b""
        self._world = world
        issued, key = issue_with_new_key(world.issuer, agent_id, datetime.now(UTC), LIFETIME)
        self._trust = trust(world.authority, key, issued.chain_pem)
        self._id = agent_id
        self._pause = Pause(random.random)
        self._wire: Wire | None = None
        self._call: Call | None = None
        self._delivery = time.time_ns() // 1_000_000
        self._active: dict[int, report_pb2.ActiveChannelFile] = {}
        self._metadata_known = False
        self._silence = Silence(world.ends)
        self._welcome: asyncio.Future[sensor_service_pb2.Welcome] | None = None
        self._work: set[asyncio.Task[None]] = set()

    async def run(self, *, after_a_session: bool = False) -> None:
        """Sessions for ever, with pauses in between; where one has just ended, a pause first."""
        hint: float | None = None
        lived = LIMITS.stable_seconds
        while True:
            if after_a_session:
                await asyncio.sleep(self._pause.after(lived, hint))
            after_a_session = True
            hint = await self._session()
            lived = time.monotonic() - self.connected_at if self.connected_at else 0.0
            self.connected_at = 0.0

    async def beat(self) -> None:
        """One heartbeat, if connected."""
        if not self.connected_at or self.deaf:
            return
        active = list(self._active.values())
        self._send(
            heartbeat=report_pb2.Heartbeat(
                rung=report_pb2.RUNG_BPF_BTF,
                active=active,
                evaluations=[
                    report_pb2.Evaluations(content_hash=one.content_hash, events=1_000)
                    for one in active
                ],
                evaluation_ns=900,
                evaluator_memory_bytes=60_000_000,
            )
        )

    async def crash(self, number: int) -> None:
        """Report that the content which is active has killed the evaluator."""
        self._send(
            crash_report=report_pb2.CrashReport(
                id=f"crash-{number}",
                role=report_pb2.ROLE_EVALUATOR,
                signal=11,
                cause="SIGNAL",
                suspect_content_hash=self.content,
            )
        )

    async def _session(self) -> float | None:
        """From connecting to its end; the cloud's hint when to come back, if any."""
        world = self._world
        world.tries += 1
        try:
            async with asyncio.timeout(LIMITS.connect_seconds):
                window = DEAF_WINDOW if self.deaf else None
                self._wire = await connect(world.address, self._trust, window)
        except (TimeoutError, OSError):
            world.ends["NOT_REACHED"] += 1
            return None
        try:
            return await self._talk(self._wire)
        finally:
            self._wire.close()
            self._wire = self._call = None
            self._silence.end()

    async def _talk(self, wire: Wire) -> float | None:
        self._welcome = asyncio.get_running_loop().create_future()
        self._call = call = wire.call("Session", self._greeting(), self._hear)
        await asyncio.wait(
            (self._welcome, call.over),
            timeout=LIMITS.welcome_seconds,
            return_when=asyncio.FIRST_COMPLETED,
        )
        if self._welcome.done():
            if self.deaf:
                await self._flood(call)
            self._begin(self._look(self._welcome.result().enclosed))
        elif not call.over.done():
            self._world.ends["NO_WELCOME"] += 1
            return None
        why, last = await call.over
        self._world.ends[why or last.get(MESSAGE, "").partition(":")[0] or "CLOSED"] += 1
        return hint_of(last.items())

    def _greeting(self) -> bytes:
        greeting = hello(self._id)
        greeting.ClearField("active")
        greeting.active.extend(self._active.values())
        return Request(hello=greeting).SerializeToString()

    def _hear(self, data: bytes) -> None:
        response = Response.FromString(data)
        match response.WhichOneof("message"):
            case "welcome" if self._welcome is not None and not self._welcome.done():
                self.connected_at = time.monotonic()
                self._welcome.set_result(response.welcome)
            case _ if self.deaf:
                pass
            case "receipt":
                self._silence.end()
            case "offer":
                self._begin(self._take(response.offer))
            case "revocation":
                self._give_up(response.revocation)

    async def _flood(self, call: Call) -> None:
        call.reads = False
        for number in range(DEAF_DETECTIONS):
            found = report_pb2.Detection(
                id=f"{time.monotonic_ns()}-{number}", template_type=4, instance_id="test-word"
            )
            self._delivery += 1
            batch = report_pb2.DetectionBatch(detections=[found])
            data = Request(delivery=self._delivery, detections=batch).SerializeToString()
            await call.room(data)
            call.send(data)

    def _send(self, **message: Any) -> None:
        if self._call is None or self._wire is None:
            return
        self._delivery += 1
        self._silence.begin(self._wire.close)
        self._call.send(Request(delivery=self._delivery, **message).SerializeToString())

    def _begin(self, work: Any) -> None:
        task = asyncio.create_task(work)
        self._work.add(task)
        task.add_done_callback(self._work.discard)

    async def _look(self, along: sensor_service_pb2.Enclosed) -> None:
        """At the metadata, as a session begins."""
        if await self._ask(along, METADATA if not self._metadata_known else ("timestamp",)):
            self._metadata_known = True

    async def _ask(self, along: sensor_service_pb2.Enclosed, roles: Iterable[str]) -> bool:
        """For what did not come along; whether all of it is there."""
        wanted = [METADATA[role] for role in roles if not getattr(along, role)]
        requests = [sensor_service_pb2.FetchMetadataRequest(role=role) for role in wanted]
        if not along.root_version:
            root = sensor_service_pb2.METADATA_ROLE_ROOT
            requests.append(sensor_service_pb2.FetchMetadataRequest(role=root, version=2))
        for request in requests:
            if await self._fetch("FetchMetadata", request, LIMITS.metadata_seconds) is None:
                return False
        return True

    async def _fetch(self, method: str, request: Any, seconds: float) -> list[bytes] | None:
        """What a call answers, or None where it does not get as far as a status."""
        if self._wire is None:
            return None
        found: list[bytes] = []
        call = self._wire.call(method, request.SerializeToString(), found.append, only=True)
        try:
            async with asyncio.timeout(seconds):
                why, _ = await call.over
        except TimeoutError:
            why = "LATE"
        if why:
            self._world.ends["FETCH"] += 1
        return None if why else found

    async def _take(self, offer: sensor_service_pb2.Offer) -> None:
        if not await self._ask(offer.enclosed, METADATA):
            return
        data = offer.enclosed.channel_file
        if not data:
            wanted = sensor_service_pb2.FetchChannelFileRequest(content_hash=offer.content_hash)
            pieces = await self._fetch("FetchChannelFile", wanted, LIMITS.fetch_seconds)
            if pieces is None:
                return
            part = sensor_service_pb2.FetchChannelFileResponse
            data = b"".join(part.FromString(one).chunk for one in pieces)
        envelope = channel_file_pb2.SignedChannelFile.FromString(data)
        if hashlib.sha256(envelope.payload).digest() != offer.content_hash:
            raise RuntimeError("not what was offered")
        for state in STATES:
            self._acknowledge(offer.content_hash, state)
            await asyncio.sleep(0)
        self._begin(self._accept(offer.content_hash))
        self._active[offer.template_type] = report_pb2.ActiveChannelFile(
            template_type=offer.template_type,
            version=offer.version,
            content_hash=offer.content_hash,
            state=report_pb2.CONTENT_STATE_ACTIVE,
        )
        self.content, self.active_at = offer.content_hash, time.monotonic()

    async def _accept(self, name: bytes) -> None:
        await asyncio.sleep(PROBATION_SECONDS)
        if name in (one.content_hash for one in self._active.values()):
            self._acknowledge(name, report_pb2.CONTENT_STATE_ACCEPTED)

    def _give_up(self, order: sensor_service_pb2.Revocation) -> None:
        if self.content == order.content_hash:
            self._active.pop(order.template_type, None)
            self.withdrawn_at = time.monotonic()
        self._acknowledge(order.content_hash, report_pb2.CONTENT_STATE_ROLLED_BACK)

    def _acknowledge(self, name: bytes, state: report_pb2.ContentState.ValueType) -> None:
        self._send(
            acknowledgement=report_pb2.ContentAcknowledgement(content_hash=name, state=state)
        )
