"""A scripted agent: the real wire and real certificates, and a test that says what to send."""

import queue
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Self

import grpc

from bulkhead.v1 import report_pb2, sensor_service_pb2
from bulkhead.v1.channel_file_pb2 import SignedChannelFile
from bulkhead.v1.sensor_service_pb2_grpc import SensorServiceStub
from content.supply import Supply
from content.template_type import Rung
from content.wire import supply_to_proto
from tests.process.cloud_files import TYPES
from tests.process.waiting import until

Request = sensor_service_pb2.SessionRequest
Response = sensor_service_pb2.SessionResponse
CALL_SECONDS = 40.0


def hello(agent_id: str, rung: Rung = Rung.BPF_BTF) -> sensor_service_pb2.Hello:
    """What a sensor of this release says on that rung."""
    supply = Supply.of(TYPES, rung)
    number = list(Rung).index(rung) + 1
    return sensor_service_pb2.Hello(
        agent_id=agent_id,
        sensor_version="0.1.0",
        platform="linux/x86_64/6.1.0",
        rung=report_pb2.Rung.ValueType(number),
        supplied=supply_to_proto(supply),
        boot_id="b0071d00-0000-0000-0000-000000000001",
    )


def channel_to(
    address: str, folder: Path, options: tuple[tuple[str, int], ...] = ()
) -> grpc.Channel:
    """A connection with the certificate in a folder that `bulkhead cloud enroll` has filled."""
    credentials = grpc.ssl_channel_credentials(
        (folder / "ca.pem").read_bytes(),
        (folder / "agent.key").read_bytes(),
        (folder / "agent.pem").read_bytes(),
    )
    return grpc.secure_channel(address, credentials, options=[("grpc.enable_retries", 0), *options])


class ScriptedAgent:
    """One session: `responses` and, once it is over, `status` and `details` can be looked at."""

    def __init__(
        self, address: str, folder: Path, options: tuple[tuple[str, int], ...] = ()
    ) -> None:
        self.responses: list[Response] = []
        self.status: grpc.StatusCode | None = None
        self.details = ""
        self._channel = channel_to(address, folder, options)
        self._stub = SensorServiceStub(self._channel)
        self._outgoing: queue.SimpleQueue[Request | None] = queue.SimpleQueue()
        self._call = self._stub.Session(self._requests(), timeout=CALL_SECONDS)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the session and the connection."""
        self._outgoing.put(None)
        self._call.cancel()
        self._reader.join(5)
        self._channel.close()

    def send(self, request: Request) -> None:
        """Queue one message."""
        self._outgoing.put(request)

    def greet(self, said: sensor_service_pb2.Hello) -> Self:
        """Say hello and wait for the welcome."""
        self.send(Request(hello=said))
        until(lambda: bool(self.of("welcome")) or self.status is not None)
        assert self.status is None, f"{self.status}: {self.details}"
        return self

    def of(self, kind: str) -> list[Response]:
        """The responses of one kind so far."""
        return [one for one in list(self.responses) if one.WhichOneof("message") == kind]

    def offers(self) -> list[sensor_service_pb2.Offer]:
        """The offers so far."""
        return [one.offer for one in self.of("offer")]

    def receipt(self) -> int:
        """The highest delivery that the cloud has confirmed."""
        return max((one.receipt.delivery for one in self.of("receipt")), default=0)

    def hint(self) -> int | None:
        """After how many milliseconds the cloud wants it back, once the session is over."""
        found = dict(self._call.trailing_metadata() or ()).get("retry-after-ms")
        return None if found is None else int(found)

    def ended(self) -> str:
        """Wait for the end of the session; its details."""
        until(lambda: self.status is not None, 20)
        return self.details

    def fetch(self, content_hash: bytes) -> SignedChannelFile:
        """Fetch an offered Channel File, all chunks within their limit."""
        request = sensor_service_pb2.FetchChannelFileRequest(content_hash=content_hash)
        chunks = [one.chunk for one in self._stub.FetchChannelFile(request, timeout=20)]
        assert all(0 < len(chunk) <= 64 * 1024 for chunk in chunks)
        return SignedChannelFile.FromString(b"".join(chunks))

    def acknowledge(
        self,
        delivery: int,
        content_hash: bytes,
        state: report_pb2.ContentState.ValueType,
        reason: str = "",
    ) -> None:
        """Say where a Channel File stands."""
        problems = [report_pb2.Problem(reason_code=reason, place="version")] if reason else []
        told = report_pb2.ContentAcknowledgement(
            content_hash=content_hash, state=state, problems=problems
        )
        self.send(Request(delivery=delivery, acknowledgement=told))

    def _requests(self) -> Iterator[Request]:
        while (request := self._outgoing.get()) is not None:
            yield request

    def _read(self) -> None:
        try:
            self.responses.extend(self._call)
        except grpc.RpcError:
            self.details = str(self._call.details())
        self.status = self._call.code()


def detections(delivery: int, *names: str, title: str = "") -> Request:
    """A batch of detections with these ids."""
    batch = [
        report_pb2.Detection(
            id=name,
            time_unix_ns=1_700_000_000_000_000_000,
            template_type=4,
            instance_id="test-word",
            title=title,
        )
        for name in names
    ]
    return Request(delivery=delivery, detections=report_pb2.DetectionBatch(detections=batch))


def heartbeat(
    *active: report_pb2.ActiveChannelFile, events_evaluated: int = 0, evaluator_deaths: int = 0
) -> Request:
    """A heartbeat on the best rung."""
    beat = report_pb2.Heartbeat(
        rung=report_pb2.RUNG_BPF_BTF,
        active=active,
        events_evaluated=events_evaluated,
        evaluator_deaths=evaluator_deaths,
    )
    return Request(heartbeat=beat)
