"""Who may hold a session, how it ends, and that one agent's trouble is nobody else's."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from queue import SimpleQueue

import grpc
import pytest

from bulkhead.v1 import report_pb2
from bulkhead.v1.sensor_service_pb2 import FetchMetadataRequest, Hello, MetadataRole
from bulkhead.v1.sensor_service_pb2_grpc import SensorServiceStub
from cloud.authority import create_authority, create_issuing
from cloud.issuing import Issuer, issue_with_new_key
from tests.process.cloud_agent import (
    Request,
    ScriptedAgent,
    channel_to,
    detections,
    heartbeat,
    hello,
)
from tests.process.cloud_process import Cloud, new_cloud
from tests.process.waiting import until

HELLO_SECONDS = 0.5
KEEPALIVE_MS = 500
SMALL_WINDOW = (("grpc.http2.lookahead_bytes", 64), ("grpc.http2.bdp_probe", 0))


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    """One served cloud for all tests of this module: none of them may harm it."""
    with new_cloud(tmp_path_factory.mktemp("sessions")) as running:
        running.start(
            hello_seconds=HELLO_SECONDS,
            keepalive_ms=KEEPALIVE_MS,
            keepalive_timeout_ms=KEEPALIVE_MS,
            sessions=4,
            write_seconds=0.5,
        )
        yield running


@pytest.fixture
def bystander(cloud: Cloud) -> Iterator[ScriptedAgent]:
    """An agent that does everything right; afterwards it must still be served."""
    with ScriptedAgent(cloud.address, cloud.agent_folder("bystander")) as agent:
        agent.greet(hello("bystander"))
        yield agent
        agent.send(detections(7, f"at-{time.monotonic_ns()}"))
        until(lambda: agent.receipt() == 7)


def open_session(cloud: Cloud, agent_id: str) -> ScriptedAgent:
    """A session in which nothing was said yet."""
    return ScriptedAgent(cloud.address, cloud.agent_folder(agent_id))


def connected(cloud: Cloud) -> set[str]:
    """The agents that the fleet view calls connected."""
    return {host["agent_id"] for host in cloud.json("fleet")["hosts"] if host["connected"]}


@pytest.mark.usefixtures("bystander")
def test_an_agent_can_not_speak_for_another(cloud: Cloud) -> None:
    """Whoever holds one agent's key could report, or be offered, in any other's name."""
    with open_session(cloud, "mallory") as agent:
        agent.send(Request(hello=hello("bystander")))
        assert "AGENT_ID_MISMATCH" in agent.ended()
        assert agent.status is grpc.StatusCode.PERMISSION_DENIED


@pytest.mark.usefixtures("bystander")
def test_a_late_hello_ends_the_session(cloud: Cloud) -> None:
    """Silent connections would pile up."""
    began = time.monotonic()
    with open_session(cloud, "mallory") as agent:
        assert "HELLO_LATE" in agent.ended()
        assert agent.status is grpc.StatusCode.DEADLINE_EXCEEDED
    assert time.monotonic() - began < 10 * HELLO_SECONDS


@dataclass(frozen=True)
class _Wrong:
    """A first message that is not a hello of ours, and how it is refused."""

    name: str
    request: Request
    reason: str


def _with_unknown_field() -> Request:
    request = Request(hello=hello("mallory"))
    request.hello.supplied[0].MergeFromString(b"\xf8\x07\x01")  # field 127, varint
    return request


def _two_files_of_one_type() -> Request:
    request = Request(hello=hello("mallory"))
    for version in (1, 2):
        request.hello.active.add(template_type=4, version=version, content_hash=b"x" * 32, state=4)
    return request


WRONG_HELLOS = [
    _Wrong("heartbeat first", heartbeat(), "HELLO_MISSING"),
    _Wrong("nothing", Request(delivery=1), "HELLO_MISSING"),
    _Wrong("no rung", Request(hello=Hello(agent_id="mallory")), "hello.rung"),
    _Wrong("unknown field", _with_unknown_field(), "UNKNOWN_PROTOBUF_FIELD"),
    _Wrong("two of a type", _two_files_of_one_type(), "hello.active[1].template_type"),
    _Wrong(
        "endless name",
        Request(hello=Hello(agent_id="mallory", rung=report_pb2.RUNG_PSUTIL, platform="x" * 9999)),
        "hello.platform",
    ),
]


@pytest.mark.usefixtures("bystander")
@pytest.mark.parametrize("wrong", WRONG_HELLOS, ids=lambda one: one.name)
def test_a_malformed_hello_is_refused_with_its_place(cloud: Cloud, wrong: _Wrong) -> None:
    """Offers would be decided on a supply that makes no sense, or the author left to guess."""
    with open_session(cloud, "mallory") as agent:
        agent.send(wrong.request)
        assert wrong.reason in agent.ended()
        assert agent.status is grpc.StatusCode.INVALID_ARGUMENT


EVALUATES_NOTHING = heartbeat()
EVALUATES_NOTHING.heartbeat.evaluations.add(content_hash=b"x", events=1)
WRONG_MESSAGES = [
    _Wrong("second hello", Request(hello=hello("mallory")), "found hello in an open session"),
    _Wrong("empty", Request(delivery=3), "found nothing in an open session"),
    _Wrong("blank id", detections(1, ""), "detections[0].id"),
    _Wrong("id with escape", detections(1, "good", "\x1b[2J"), "detections[1].id"),
    _Wrong(
        "short hash",
        Request(
            acknowledgement=report_pb2.ContentAcknowledgement(
                content_hash=b"x", state=report_pb2.CONTENT_STATE_ACTIVE
            )
        ),
        "acknowledgement.content_hash",
    ),
    _Wrong("evaluations of no hash", EVALUATES_NOTHING, "heartbeat.evaluations[0].content_hash"),
    _Wrong(
        "state unset",
        Request(acknowledgement=report_pb2.ContentAcknowledgement(content_hash=b"x" * 32)),
        "acknowledgement.state",
    ),
    _Wrong("oversized", detections(1, "big", title="x" * (1024 * 1024)), "larger than max"),
]


@pytest.mark.usefixtures("bystander")
@pytest.mark.parametrize("wrong", WRONG_MESSAGES, ids=lambda one: one.name)
def test_a_malformed_message_ends_its_session_only(cloud: Cloud, wrong: _Wrong) -> None:
    """A broken agent could harm the store, or everybody else's session."""
    with open_session(cloud, "mallory") as agent:
        agent.greet(hello("mallory"))
        agent.send(wrong.request)
        assert wrong.reason in agent.ended()
    until(lambda: "mallory" not in connected(cloud))


@pytest.mark.usefixtures("bystander")
def test_bytes_that_are_no_message_end_the_call(cloud: Cloud) -> None:
    """Garbage could raise inside the cloud."""
    with channel_to(cloud.address, cloud.agent_folder("mallory")) as channel:
        raw: grpc.StreamStreamMultiCallable[bytes, bytes] = channel.stream_stream(
            "/bulkhead.v1.SensorService/Session"
        )
        call = raw(iter([b"\xff" * 100]), timeout=10)
        with pytest.raises(grpc.RpcError, match="MESSAGE_INVALID"):
            next(call)
        fetch: grpc.UnaryStreamMultiCallable[bytes, bytes] = channel.unary_stream(
            "/bulkhead.v1.SensorService/FetchChannelFile"
        )
        with pytest.raises(grpc.RpcError):
            next(fetch(b"\xff" * 100, timeout=10))
    assert "Traceback" not in cloud.log()


def test_a_certificate_of_another_authority_is_refused(cloud: Cloud, tmp_path: Path) -> None:
    """Anybody could make a certificate and join the fleet."""
    now = datetime.now(UTC)
    elsewhere = Issuer(create_issuing(create_authority(now), now))
    issued, key = issue_with_new_key(elsewhere, "mallory", now, timedelta(hours=1))
    (tmp_path / "ca.pem").write_bytes((cloud.folder / "authority" / "ca.pem").read_bytes())
    (tmp_path / "agent.pem").write_bytes(issued.chain_pem)
    (tmp_path / "agent.key").write_bytes(key)
    with ScriptedAgent(cloud.address, tmp_path) as agent:
        agent.send(Request(hello=hello("mallory")))
        agent.ended()
        assert agent.status is grpc.StatusCode.UNAVAILABLE


def test_no_certificate_no_session(cloud: Cloud) -> None:
    """The fleet would be open to whoever reaches the port."""
    authority = (cloud.folder / "authority" / "ca.pem").read_bytes()
    for credentials in (grpc.ssl_channel_credentials(authority), None):
        channel = (
            grpc.secure_channel(cloud.address, credentials)
            if credentials
            else grpc.insecure_channel(cloud.address)
        )
        with channel:
            call = SensorServiceStub(channel).Session(iter([]), timeout=10)
            with pytest.raises(grpc.RpcError) as refused:
                next(call)
        assert refused.value.code() is grpc.StatusCode.UNAVAILABLE


def test_the_servers_own_certificate_is_no_agents(cloud: Cloud, tmp_path: Path) -> None:
    """A certificate of the same authority without an agent's name would be taken for an agent."""
    (tmp_path / "ca.pem").write_bytes((cloud.folder / "authority" / "ca.pem").read_bytes())
    for name, source in (("agent.pem", "server.pem"), ("agent.key", "server.key")):
        (tmp_path / name).write_bytes((cloud.folder / "server" / source).read_bytes())
    with ScriptedAgent(cloud.address, tmp_path) as agent:
        agent.send(Request(hello=hello("mallory")))
        agent.ended()
        assert agent.status in {grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.UNAVAILABLE}


def test_the_newer_session_of_an_agent_wins(cloud: Cloud) -> None:
    """An agent that comes back would be locked out by its own dead connection."""
    with open_session(cloud, "twice") as older, open_session(cloud, "twice") as newer:
        older.greet(hello("twice"))
        newer.greet(hello("twice"))
        assert "SESSION_REPLACED" in older.ended()
        assert older.status is grpc.StatusCode.ABORTED
        newer.send(detections(1, "after"))
        until(lambda: newer.receipt() == 1)
        assert "twice" in connected(cloud)
    assert '"session_replaced", "agent_id": "twice"' in cloud.log()


def test_sessions_are_limited(cloud: Cloud) -> None:
    """A herd of agents could take the cloud down for those that are served."""
    agents = [open_session(cloud, f"herd-{n}") for n in range(5)]
    for agent, number in zip(agents, range(4), strict=False):
        agent.greet(hello(f"herd-{number}"))
    agents[4].send(Request(hello=hello("herd-4")))
    assert "TOO_MANY_SESSIONS" in agents[4].ended()
    for agent in agents:
        agent.close()


FROZEN_AGENT = """
import sys, time
from pathlib import Path
from queue import SimpleQueue
from tests.process.cloud_agent import ScriptedAgent, hello
agent = ScriptedAgent(sys.argv[1], Path(sys.argv[2]))
agent.greet(hello("frozen"))
print("greeted", flush=True)
time.sleep(60)
"""


def test_a_frozen_agent_is_noticed(cloud: Cloud) -> None:
    """A host that is dead, or was stopped by an attacker, would count as connected for ever."""
    folder = str(cloud.agent_folder("frozen"))
    command = [sys.executable, "-c", FROZEN_AGENT, cloud.address, folder]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as agent:
        assert agent.stdout is not None
        try:
            assert agent.stdout.readline() == b"greeted\n"
            assert "frozen" in connected(cloud)
            os.kill(agent.pid, signal.SIGSTOP)
            until(lambda: "frozen" not in connected(cloud), 20)
        finally:
            agent.kill()


def test_an_agent_that_does_not_read_is_given_up(cloud: Cloud, bystander: ScriptedAgent) -> None:
    """An agent that takes nothing would hold memory for ever, or slow the others down."""
    folder = cloud.agent_folder("stalled")
    with channel_to(cloud.address, folder, SMALL_WINDOW) as channel:
        requests: SimpleQueue[Request] = SimpleQueue()
        requests.put(Request(hello=hello("stalled")))
        call = SensorServiceStub(channel).Session(iter(requests.get, None), timeout=30)
        for number in range(1, 2000):
            requests.put(detections(number, f"stalled-{number}"))
        until(lambda: "WRITE_STALLED" in cloud.log(), 20)
        assert '"stalled"' in cloud.log()
        bystander.send(detections(6, "meanwhile"))
        until(lambda: bystander.receipt() == 6)
        call.cancel()


@pytest.mark.parametrize("role", ["TIMESTAMP", "SNAPSHOT", "ROOT"])
def test_a_timestamp_brings_word_of_the_newest_root(cloud: Cloud, role: str) -> None:
    """Each look of each sensor would be two calls, the second of them for nothing."""
    request = FetchMetadataRequest(
        role=MetadataRole.Value(f"METADATA_ROLE_{role}"), version=int(role == "ROOT")
    )
    with channel_to(cloud.address, cloud.agent_folder("curious")) as channel:
        pieces = list(SensorServiceStub(channel).FetchMetadata(request, timeout=10))
    assert [piece.root_version for piece in pieces] == [int(role == "TIMESTAMP")]
    assert pieces[0].chunk.startswith(b"{")
