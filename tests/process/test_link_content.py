"""Offers, content, revocations and acknowledgements through the real link."""

import fcntl
import hashlib
import os
import time
from collections.abc import Callable, Iterator

import pytest

from agent.link.fetching import SEALS
from bulkhead.v1 import channel_file_pb2, report_pb2, sensor_service_pb2
from content.channel_file import Envelope, Signature, SignatureAlgorithm, pack_envelope
from content.definitions import load_definitions
from tests.process.link_cloud import Response, ScriptedCloud, running_cloud
from tests.process.link_repository import repository, target
from tests.process.link_supervisor import AGENT, ScriptedSupervisor, running_link

MIB = 1024 * 1024
PAYLOAD = bytes(range(256)) * 4096
KEY_ID = "0f" * 32


@pytest.fixture
def cloud() -> Iterator[ScriptedCloud]:
    """A cloud that is there."""
    with running_cloud() as running:
        repository().publish(target(PAYLOAD), target(b"rejected"))
        running.serve(repository())
        yield running


@pytest.fixture
def supervisor(cloud: ScriptedCloud) -> Iterator[ScriptedSupervisor]:
    """A supervisor with a link that is connected to that cloud."""
    with running_link(cloud.address) as running:
        running.until(lambda: running.facts.get("connected") == 1)
        yield running


def envelope(payload: bytes = PAYLOAD) -> bytes:
    """A signed Channel File as it is fetched; the signature is none that anybody would trust."""
    signature = Signature(KEY_ID, SignatureAlgorithm.ED25519, b"s" * 64)
    return pack_envelope(Envelope(payload, (signature,)))


def pieces(data: bytes, size: int = 65536) -> list[bytes]:
    """Data as the cloud sends it."""
    return [data[start : start + size] for start in range(0, len(data), size)]


def offer(
    content_hash: bytes, size_bytes: int = 1, along: sensor_service_pb2.Enclosed | None = None
) -> Response:
    """An offer for Template Type 4."""
    return Response(
        offer=sensor_service_pb2.Offer(
            content_hash=content_hash,
            template_type=4,
            version=1,
            size_bytes=size_bytes,
            enclosed=along,
        )
    )


def sha256(payload: bytes) -> bytes:
    """The name of a payload."""
    return hashlib.sha256(payload).digest()


def test_an_offer_arrives_as_a_sealed_memfd_with_the_right_bytes(
    cloud: ScriptedCloud, supervisor: ScriptedSupervisor
) -> None:
    """The supervisor gets other bytes than were signed, or bytes that can still be changed."""
    cloud.files[sha256(PAYLOAD)] = pieces(envelope())
    cloud.push(offer(sha256(PAYLOAD), len(PAYLOAD)))
    supervisor.until(lambda: bool(supervisor.of_kind("content")))
    content = supervisor.of_kind("content")[0]
    assert content.fields == {
        "hash": sha256(PAYLOAD).hex(),
        "signatures": [[KEY_ID, (b"s" * 64).hex()]],
        "template_type": 4,
    }
    (descriptor,) = content.descriptors
    try:
        assert os.pread(descriptor, len(PAYLOAD) + 1, 0) == PAYLOAD
        assert fcntl.fcntl(descriptor, fcntl.F_GET_SEALS) == SEALS
        with pytest.raises(PermissionError):
            os.pwrite(descriptor, b"x", 0)
    finally:
        os.close(descriptor)


def test_content_that_is_here_is_not_fetched_again(
    cloud: ScriptedCloud, supervisor: ScriptedSupervisor
) -> None:
    """Each reconnection fetches what is active or on trial, and the supervisor tries it again."""
    active, on_trial, rejected = (sha256(name) for name in (b"active", b"trial", b"rejected"))
    entry = {"template_type": 4, "version": 1, "hash": active.hex(), "state": "accepted"}
    supervisor.send("state", facts={}, active=[entry])
    supervisor.send("outcome", hash=on_trial.hex(), state="trial", problems=[])
    supervisor.send("outcome", hash=rejected.hex(), state="rejected", problems=[])
    cloud.wait(lambda: len(cloud.of_kind("acknowledgement")) == 2)
    for one in (active, on_trial, rejected):
        cloud.push(offer(one))
    # A rejection is the supervisor's to repeat, so that one is fetched.
    cloud.wait(lambda: cloud.fetches == [rejected])


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        pytest.param(envelope(b"another payload"), "HASH_MISMATCH", id="another payload"),
        pytest.param(envelope()[:-1], "NOT_A_CHANNEL_FILE", id="last byte missing"),
        pytest.param(envelope()[: len(PAYLOAD) // 2], "NOT_A_CHANNEL_FILE", id="half"),
        pytest.param(b"\xff" * 1000, "NOT_A_CHANNEL_FILE", id="rubbish"),
        pytest.param(b"", "EMPTY_FILE", id="empty"),
        pytest.param(envelope() + b"\x7a\x01x", "UNKNOWN_PROTOBUF_FIELD", id="unknown field"),
        pytest.param(b"\0" * (33 * MIB), "FILE_TOO_LARGE", id="33 MiB"),
    ],
)
def test_what_was_not_offered_is_refused_with_a_reason(
    cloud: ScriptedCloud, supervisor: ScriptedSupervisor, data: bytes, reason: str
) -> None:
    """Rubbish reaches the supervisor, ends the link, or is dropped without telling the author."""
    cloud.files[sha256(PAYLOAD)] = pieces(data, MIB)
    cloud.push(offer(sha256(PAYLOAD)))
    supervisor.until(lambda: bool(cloud.of_kind("acknowledgement")))
    acknowledgement = cloud.of_kind("acknowledgement")[0].acknowledgement
    assert acknowledgement.content_hash == sha256(PAYLOAD)
    assert acknowledgement.state == report_pb2.CONTENT_STATE_UNDELIVERED
    assert [problem.reason_code for problem in acknowledgement.problems] == [reason]
    # The link goes on: the right bytes are taken when they are offered again.
    cloud.files[sha256(PAYLOAD)] = pieces(envelope())
    cloud.push(offer(sha256(PAYLOAD)))
    supervisor.until(lambda: bool(supervisor.of_kind("content")))
    (content,) = supervisor.of_kind("content")
    os.close(content.descriptors[0])


def test_an_offer_of_100_mib_is_refused_without_a_fetch(
    cloud: ScriptedCloud, supervisor: ScriptedSupervisor
) -> None:
    """A cloud makes every sensor fetch what none would take."""
    cloud.push(offer(sha256(PAYLOAD), 100 * MIB))
    supervisor.until(lambda: bool(cloud.of_kind("acknowledgement")))
    (problem,) = cloud.of_kind("acknowledgement")[0].acknowledgement.problems
    assert problem.reason_code == "FILE_TOO_LARGE"
    assert not cloud.fetches


def test_a_fetch_that_breaks_is_tried_again(
    cloud: ScriptedCloud, supervisor: ScriptedSupervisor
) -> None:
    """A broken connection counts as a verdict on content, or the content never arrives."""
    cloud.push(offer(sha256(PAYLOAD)))  # not there yet: NOT_FOUND
    cloud.wait(lambda: len(cloud.fetches) == 1)
    cloud.files[sha256(PAYLOAD)] = pieces(envelope())
    supervisor.until(lambda: bool(supervisor.of_kind("content")))
    os.close(supervisor.of_kind("content")[0].descriptors[0])
    assert not cloud.of_kind("acknowledgement")


def test_an_unsigned_file_is_left_to_the_supervisor(
    cloud: ScriptedCloud, supervisor: ScriptedSupervisor
) -> None:
    """The link decides about signatures, or fails on an envelope that has none."""
    bare = pack_envelope(Envelope(PAYLOAD))
    cloud.files[sha256(PAYLOAD)] = pieces(bare)
    cloud.push(offer(sha256(PAYLOAD)))
    supervisor.until(lambda: bool(supervisor.of_kind("content")))
    content = supervisor.of_kind("content")[0]
    assert content["signatures"] == []
    os.close(content.descriptors[0])


def test_a_revocation_passes_through_and_overtakes_its_content(
    cloud: ScriptedCloud, supervisor: ScriptedSupervisor
) -> None:
    """An order to withdraw content is changed, or waits behind a fetch, or is undone by one."""
    cloud.push(offer(sha256(PAYLOAD)))  # NOT_FOUND: is tried again for a while
    cloud.wait(lambda: len(cloud.fetches) == 1)
    signatures = [
        channel_file_pb2.Signature(key_id=KEY_ID, signature=b"r" * 64),
        channel_file_pb2.Signature(key_id="1f" * 32, signature=b"q" * 64),
    ]
    order = sensor_service_pb2.Revocation(
        content_hash=sha256(PAYLOAD),
        template_type=4,
        from_version=3,
        to_version=2,
        group="shop",
        issued_unix=5,
        expires_unix=6,
        reason="it\nkills",
        signatures=signatures,
    )
    cloud.push(Response(revocation=order))
    supervisor.until(lambda: len(supervisor.of_kind("revoke")) == 1)
    cloud.files[sha256(PAYLOAD)] = pieces(envelope())
    assert supervisor.of_kind("revoke")[0].fields == {
        "hash": sha256(PAYLOAD).hex(),
        "template_type": 4,
        "from_version": 3,
        "to_version": 2,
        "group": "shop",
        "issued": 5,
        "expires": 6,
        "reason": "it\nkills",
        "signatures": [[KEY_ID, (b"r" * 64).hex()], ["1f" * 32, (b"q" * 64).hex()]],
    }
    cloud.wait(lambda: len(cloud.fetches) > 1)
    supervisor.detect(report_pb2.Detection(id="later"))
    supervisor.until(lambda: cloud.detections() == ["later"])
    assert not supervisor.of_kind("content")


def test_more_revocations_than_a_stalled_supervisor_takes_wait_in_order(
    cloud: ScriptedCloud, supervisor: ScriptedSupervisor
) -> None:
    """Orders are lost or mixed up when the supervisor does not read for a while."""
    count = 600
    for number in range(count):
        revocation = sensor_service_pb2.Revocation(
            content_hash=sha256(b"%d" % number), reason="r" * 1000
        )
        cloud.push(Response(revocation=revocation))
    time.sleep(0.5)  # longer than it takes to fill the supervisor's queue
    supervisor.until(lambda: len(supervisor.of_kind("revoke")) == count)
    expected = [sha256(b"%d" % number).hex() for number in range(count)]
    assert [message["hash"] for message in supervisor.of_kind("revoke")] == expected


def test_outcomes_arrive_with_their_problems(
    cloud: ScriptedCloud, supervisor: ScriptedSupervisor
) -> None:
    """The author is not told why content was refused."""
    problem = {
        "reason": "ARITY_MISMATCH",
        "place": "template_type.arity",
        "found": "21 \ud800",
        "expected": "20",
    }
    supervisor.send("outcome", hash="ab" * 32, state="rejected", problems=[problem])
    supervisor.until(lambda: bool(cloud.of_kind("acknowledgement")))
    acknowledgement = cloud.of_kind("acknowledgement")[0].acknowledgement
    assert acknowledgement == report_pb2.ContentAcknowledgement(
        content_hash=b"\xab" * 32,
        state=report_pb2.CONTENT_STATE_REJECTED,
        problems=[
            report_pb2.Problem(
                reason_code="ARITY_MISMATCH",
                place="template_type.arity",
                found="21 \\ud800",
                expected="20",
            )
        ],
    )


def test_only_the_latest_state_is_sent_after_an_absence(
    cloud: ScriptedCloud, supervisor: ScriptedSupervisor
) -> None:
    """The cloud gets stale states after an absence, or never gets the last one."""
    cloud.stop()
    supervisor.until(lambda: supervisor.facts["connected"] == 0)
    for state in ("received", "verified", "trial", "active"):
        supervisor.send("outcome", hash="ab" * 32, state=state, problems=[])
    supervisor.send("outcome", hash="cd" * 32, state="rolled_back", problems=[])
    supervisor.until(lambda: supervisor.facts["outbox"] == 2)
    supervisor.kill()
    supervisor.start()
    cloud.start()
    supervisor.until(lambda: len(cloud.stored) == 2, 15.0)
    states = {
        request.acknowledgement.content_hash: request.acknowledgement.state
        for request in cloud.stored
    }
    assert states == {
        b"\xab" * 32: report_pb2.CONTENT_STATE_ACTIVE,
        b"\xcd" * 32: report_pb2.CONTENT_STATE_ROLLED_BACK,
    }


def test_hello_and_heartbeat_say_what_the_sensor_is(
    cloud: ScriptedCloud, supervisor: ScriptedSupervisor
) -> None:
    """The cloud validates against another supply than the sensor's, or shows stale health."""
    (hello,) = cloud.hellos
    assert (hello.agent_id, hello.rung, hello.boot_id) == (AGENT, report_pb2.RUNG_BPF_BTF, "boot")
    assert hello.platform.startswith("linux/")
    assert hello.sensor_version
    supplied = {one.template_type.number: one for one in hello.supplied}
    assert supplied.keys() == load_definitions().keys()
    assert supplied[4].template_type.arity == len(supplied[4].supplied_fields) == 20
    assert len(supplied[4].template_type.fingerprint) == 32
    entry = {"template_type": 4, "version": 3, "hash": "ab" * 32, "state": "active"}
    facts = {"events_evaluated": 7, "reduced_functionality": 1, "uptime_ms": 9, "unknown": "x"}
    supervisor.send("state", facts=facts, active=[entry])
    supervisor.until(lambda: bool(cloud.heartbeats))
    heartbeat = cloud.heartbeats[-1]
    assert (heartbeat.events_evaluated, heartbeat.uptime_ms) == (7, 9)
    assert heartbeat.reduced_functionality
    assert heartbeat.active[0] == report_pb2.ActiveChannelFile(
        template_type=4,
        version=3,
        content_hash=b"\xab" * 32,
        state=report_pb2.CONTENT_STATE_ACTIVE,
    )


def test_a_new_rung_begins_a_new_session(
    cloud: ScriptedCloud, supervisor: ScriptedSupervisor
) -> None:
    """The cloud goes on validating against what the sensor no longer supplies."""
    supervisor.introduce()  # nothing has changed
    supervisor.rung = "psutil"
    supervisor.introduce()
    supervisor.until(lambda: len(cloud.hellos) == 2)
    assert cloud.hellos[1].rung == report_pb2.RUNG_PSUTIL
    assert [one.template_type.number for one in cloud.hellos[1].supplied] == [1, 3]


def test_no_session_before_the_rung_is_known(cloud: ScriptedCloud) -> None:
    """The cloud gets a hello from a sensor that can't yet say what it supplies."""
    with running_link() as supervisor:
        supervisor.close()
        supervisor.cloud, supervisor.rung = cloud.address, ""
        supervisor.start()
        supervisor.until(lambda: "connected" in supervisor.facts)
        time.sleep(0.3)
        assert not cloud.hellos
        supervisor.rung = "bpf_btf"
        supervisor.introduce()
        supervisor.until(lambda: len(cloud.hellos) == 1)


def _two_welcomes(cloud: ScriptedCloud) -> None:
    cloud.push(Response(welcome=sensor_service_pb2.Welcome()))


def _receipt_ahead(cloud: ScriptedCloud) -> None:
    cloud.push(Response(receipt=sensor_service_pb2.Receipt(delivery=2**62)))


def _short_hash(cloud: ScriptedCloud) -> None:
    cloud.push(offer(b"short"))


@pytest.mark.parametrize("offence", [_two_welcomes, _receipt_ahead, _short_hash])
def test_a_cloud_that_breaks_the_rules_loses_the_session_only(
    cloud: ScriptedCloud, supervisor: ScriptedSupervisor, offence: Callable[[ScriptedCloud], None]
) -> None:
    """A wrong word of the cloud ends the link, or empties the outbox."""
    offence(cloud)
    supervisor.until(lambda: len(cloud.hellos) == 2)
    supervisor.detect(report_pb2.Detection(id="later"))
    supervisor.until(lambda: cloud.detections() == ["later"])
