"""A cloud that does as a test tells it: the real service over mutual TLS on loopback.

What it has stored survives `stop` and `start`, as a real cloud's database would; deliveries that it
had before are recognised by their number, as the wire demands.
"""

import contextlib
import queue
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import grpc

from bulkhead.v1 import report_pb2, sensor_service_pb2, sensor_service_pb2_grpc
from tests.process.link_certificates import authority
from tests.process.link_repository import Repository
from tests.process.waiting import until

Enclosed = sensor_service_pb2.Enclosed
Request = sensor_service_pb2.SessionRequest
Response = sensor_service_pb2.SessionResponse
Answer = Response | grpc.StatusCode | None
"""A response, the status that ends the session, or its end without one."""

Metadata = Iterable[bytes] | grpc.StatusCode

OPTIONS = (("grpc.so_reuseport", 0),)


@contextlib.contextmanager
def running_cloud() -> Iterator["ScriptedCloud"]:
    """A cloud that serves until the end of the block."""
    cloud = ScriptedCloud()
    cloud.start()
    try:
        yield cloud
    finally:
        cloud.stop()


@dataclass
class ScriptedCloud(sensor_service_pb2_grpc.SensorServiceServicer):
    """The cloud's side; attributes may be changed at any time.

    files: content hash → pieces of the envelope. metadata: of the repository, by role and version,
    0 for the newest timestamp; or the status that a fetch of them ends with. greeting: responses
    right after the welcome. along: what is sent along with it. asked: for which metadata it was.
    receipts: False lets deliveries go unanswered; reading: False leaves them on the wire.
    busy_ms: not 0 refuses sessions with that hint. refused_at: when, by the monotonic clock.
    invalid: a detection with this id ends the session as invalid.
    """

    files: dict[bytes, list[bytes]] = field(default_factory=dict)
    metadata: dict[tuple[str, int], Metadata] = field(default_factory=dict)
    greeting: list[Response] = field(default_factory=list)
    along: Enclosed = field(default_factory=Enclosed)
    asked: list[tuple[str, int]] = field(default_factory=list)
    root_version: int = 0
    receipts: bool = True
    reading: bool = True
    welcome: bool = True
    busy_ms: int = 0
    invalid: str = ""
    hellos: list[sensor_service_pb2.Hello] = field(default_factory=list)
    refused_at: list[float] = field(default_factory=list)
    heartbeats: list[report_pb2.Heartbeat] = field(default_factory=list)
    stored: list[Request] = field(default_factory=list)
    repeated: int = 0
    fetches: list[bytes] = field(default_factory=list)
    port: int = 0
    _last: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _server: grpc.Server | None = None
    _sessions: "list[queue.SimpleQueue[Answer]]" = field(default_factory=list)

    @property
    def address(self) -> str:
        """HOST:PORT for the link."""
        return f"127.0.0.1:{self.port}"

    def start(self) -> None:
        """Serve, on the same port as before."""
        self._server = grpc.server(ThreadPoolExecutor(8), options=OPTIONS)
        sensor_service_pb2_grpc.add_SensorServiceServicer_to_server(self, self._server)
        trust = authority()
        credentials = grpc.ssl_server_credentials(
            [(trust.cloud.key, trust.cloud.certificate)],
            root_certificates=trust.certificate,
            require_client_auth=True,
        )
        self.port = self._server.add_secure_port(f"127.0.0.1:{self.port}", credentials)
        self._server.start()

    def stop(self) -> None:
        """Go away in the middle of everything."""
        if self._server is not None:
            for session in self._sessions:
                session.put(None)
            self._sessions.clear()
            self._server.stop(grace=None).wait()
            self._server = None

    def push(self, response: Response) -> None:
        """Say something to every connected sensor."""
        for session in self._sessions:
            session.put(response)

    def detections(self) -> list[str]:
        """Ids of all detections, in order of arrival."""
        with self._lock:
            return [one.id for request in self.stored for one in request.detections.detections]

    def of_kind(self, kind: str) -> list[Request]:
        """What was delivered of one kind."""
        with self._lock:
            return [request for request in self.stored if request.WhichOneof("message") == kind]

    def wait(self, condition: Callable[[], bool], seconds: float = 10.0) -> None:
        """Until that holds; the test fails where it never does."""
        until(condition, seconds)

    def Session(  # noqa: N802 — the generated name
        self,
        request_iterator: Any,
        context: Any,
    ) -> Iterator[Response]:
        """One session: a thread reads, this generator answers."""
        hello = next(request_iterator).hello
        if self.busy_ms:
            self.refused_at.append(time.monotonic())
            context.set_trailing_metadata((("retry-after-ms", str(self.busy_ms)),))
            context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "ADMISSION: busy")
        self.hellos.append(hello)
        answers: queue.SimpleQueue[Answer] = queue.SimpleQueue()
        context.add_callback(lambda: answers.put(None))
        if self.welcome:
            welcome = sensor_service_pb2.Welcome(cloud_version="test", enclosed=self.along)
            answers.put(Response(welcome=welcome))
        for response in self.greeting:
            answers.put(response)
        self._sessions.append(answers)
        reader = threading.Thread(target=self._read, args=(request_iterator, answers), daemon=True)
        reader.start()
        while (answer := answers.get()) is not None:
            if not isinstance(answer, Response):
                context.abort(answer, "MESSAGE_INVALID")
                return
            yield answer

    def FetchChannelFile(  # noqa: N802 — the generated name
        self,
        request: sensor_service_pb2.FetchChannelFileRequest,
        context: Any,
    ) -> Iterator[sensor_service_pb2.FetchChannelFileResponse]:
        """The pieces of a file, as the test laid them out."""
        self.fetches.append(request.content_hash)
        if request.content_hash not in self.files:
            context.abort(grpc.StatusCode.NOT_FOUND, "no such file")
        for piece in self.files[request.content_hash]:
            yield sensor_service_pb2.FetchChannelFileResponse(chunk=piece)

    def FetchMetadata(  # noqa: N802 — the generated name
        self,
        request: sensor_service_pb2.FetchMetadataRequest,
        context: Any,
    ) -> Iterator[sensor_service_pb2.FetchMetadataResponse]:
        """Metadata, as the test laid them out."""
        name = sensor_service_pb2.MetadataRole.Name(request.role).removeprefix("METADATA_ROLE_")
        self.asked.append((name.lower(), request.version))
        found = self.metadata.get((name.lower(), request.version), grpc.StatusCode.NOT_FOUND)
        if isinstance(found, grpc.StatusCode):
            context.abort(found, "no such metadata")
            return
        root_version = self.root_version if name == "TIMESTAMP" else 0
        for piece in found:
            yield sensor_service_pb2.FetchMetadataResponse(chunk=piece, root_version=root_version)
            root_version = 0

    def RenewCertificate(  # noqa: N802 — the generated name
        self,
        request: sensor_service_pb2.RenewCertificateRequest,
        context: Any,
    ) -> sensor_service_pb2.RenewCertificateResponse:
        """This cloud issues no certificates."""
        del request
        context.abort(grpc.StatusCode.UNAVAILABLE, "ENROLMENT_UNAVAILABLE: not here")
        return sensor_service_pb2.RenewCertificateResponse()

    def serve(self, repository: Repository) -> None:
        """Serve the metadata of a repository as they are now."""
        self.metadata = {name: [data] for name, data in repository.metadata.items()}

    def _read(self, requests: Iterator[Request], answers: "queue.SimpleQueue[Answer]") -> None:
        try:
            until(lambda: self.reading, 60.0)
            for request in requests:
                if self.invalid in {one.id for one in request.detections.detections}:
                    answers.put(grpc.StatusCode.INVALID_ARGUMENT)
                    return
                self._take(request)
                if request.delivery and self.receipts:
                    receipt = sensor_service_pb2.Receipt(delivery=request.delivery)
                    answers.put(Response(receipt=receipt))
        except grpc.RpcError:
            pass  # the sensor is gone
        finally:
            answers.put(None)

    def _take(self, request: Request) -> None:
        with self._lock:
            if request.HasField("heartbeat"):
                self.heartbeats.append(request.heartbeat)
            elif request.delivery > self._last:
                self._last = request.delivery
                self.stored.append(request)
            else:
                self.repeated += 1
