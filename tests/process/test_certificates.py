"""A certificate is renewed over the session that it is used in, and is good until it is revoked."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from datetime import UTC, datetime, timedelta
from pathlib import Path

import grpc
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from agent.link.signing_request import new_request, proof_of
from bulkhead.v1.enrolment_service_pb2 import RenewRequest
from bulkhead.v1.enrolment_service_pb2_grpc import EnrolmentServiceStub
from bulkhead.v1.sensor_service_pb2 import (
    FetchMetadataRequest,
    MetadataRole,
    RenewCertificateRequest,
)
from bulkhead.v1.sensor_service_pb2_grpc import SensorServiceStub
from cli.output import ExitCode
from cloud.authority import SPIFFE_PREFIX
from cloud.folder import operator_folder
from tests.process.cloud_agent import ScriptedAgent, channel_to, hello
from tests.process.cloud_process import Cloud, new_cloud
from tests.process.enrolment_process import Enrolment, certificate_in, enrolment, join, token
from tests.process.waiting import until

SECONDS_TO_END = 10.0
SHORT_SECONDS = 6


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    """A cloud that is served."""
    with new_cloud(tmp_path_factory.mktemp("certificates")) as made:
        made.start(renewal_pause_seconds=0.0)
        yield made


@pytest.fixture(scope="module")
def desk(cloud: Cloud) -> Iterator[Enrolment]:
    """Where its certificates are issued."""
    with enrolment(cloud) as running:
        yield running


def key_in(tls: Path) -> ec.EllipticCurvePrivateKey:
    """An agent's key."""
    key = serialization.load_pem_private_key((tls / "agent.key").read_bytes(), None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    return key


def renew(
    cloud: Cloud,
    tls: Path,
    *names: str,
    signer: ec.EllipticCurvePrivateKey | None = None,
    over: grpc.Channel | None = None,
) -> tuple[bytes, bytes]:
    """A new key and chain, asked for with the pair in a folder; RpcError where it is refused."""
    uris = [x509.UniformResourceIdentifier(SPIFFE_PREFIX + name) for name in names]
    key, request = new_request(*uris)
    proof = proof_of(signer or key_in(tls), request)
    asked = RenewCertificateRequest(signing_request=request, proof=proof)
    with nullcontext(over) if over else channel_to(cloud.address, tls) as channel:
        answer = SensorServiceStub(channel).RenewCertificate(asked, timeout=20)
    return key, bytes(answer.certificate_chain)


def refused(cloud: Cloud, tls: Path, *names: str) -> tuple[grpc.StatusCode, str]:
    """How a renewal ends that must not be; status and reason."""
    with pytest.raises(grpc.RpcError) as error:
        renew(cloud, tls, *names)
    return error.value.code(), str(error.value.details()).partition(":")[0]


def write_pair(tls: Path, like: Path, key: bytes, chain: bytes) -> Path:
    """A folder with a renewed pair, else like another one."""
    tls.mkdir()
    (tls / "ca.pem").write_bytes((like / "ca.pem").read_bytes())
    (tls / "agent.pem").write_bytes(chain)
    (tls / "agent.key").write_bytes(key)
    return tls


@pytest.mark.usefixtures("desk")
def test_a_session_renews_its_certificate_and_goes_on(cloud: Cloud, tmp_path: Path) -> None:
    """Hosts would fall out of the fleet every day, or every renewal would cut a session."""
    tls = cloud.agent_folder("renews")
    with ScriptedAgent(cloud.address, tls) as agent:
        agent.greet(hello("renews"))
        key, chain = renew(cloud, tls, "renews")
        assert agent.status is None
        newer = write_pair(tmp_path / "newer", tls, key, chain)
        certificate = certificate_in(newer)
        assert certificate.public_key() != certificate_in(tls).public_key()
        life = certificate.not_valid_after_utc - datetime.now(UTC)
        assert timedelta(hours=23) < life <= timedelta(hours=24)
    with ScriptedAgent(cloud.address, newer) as agent:
        agent.greet(hello("renews"))
        (host,) = [one for one in cloud.json("fleet")["hosts"] if one["agent_id"] == "renews"]
    assert host["certificate"] == f"{certificate.serial_number:x}"
    expires = datetime.fromisoformat(host["certificate_expires"])
    assert expires == certificate.not_valid_after_utc


@pytest.mark.usefixtures("desk")
def test_an_agent_renews_for_itself_only_and_in_its_session_only(cloud: Cloud) -> None:
    """One agent's key could become any other's."""
    tls = cloud.agent_folder("honest")
    assert refused(cloud, tls) == (grpc.StatusCode.FAILED_PRECONDITION, "NO_SESSION")
    with ScriptedAgent(cloud.address, tls) as agent:
        agent.greet(hello("honest"))
        invalid = grpc.StatusCode.INVALID_ARGUMENT
        assert refused(cloud, tls, "another") == (invalid, "CSR_NAME")
        other = cloud.agent_folder("another")
        with pytest.raises(grpc.RpcError, match="PROOF_INVALID"):
            renew(cloud, tls, "honest", signer=key_in(other))
        assert refused(cloud, other, "honest") == (
            grpc.StatusCode.FAILED_PRECONDITION,
            "NO_SESSION",
        )


def test_a_certificate_that_has_ended_is_renewed_in_its_session_and_opens_no_other(
    tmp_path: Path,
) -> None:
    """An absence of the desk would cost the fleet, or an old key be good for ever."""
    with new_cloud(tmp_path) as cloud, enrolment(cloud, SHORT_SECONDS / 3600):
        cloud.start(renewal_pause_seconds=5.0)
        tls = tmp_path / "tls"
        join(token(cloud, tmp_path / "join.json", "--agent-id", "late"), tls)
        with channel_to(cloud.address, tls) as channel:  # opened while it was good
            grpc.channel_ready_future(channel).result(10)
            with ScriptedAgent(cloud.address, tls) as agent:
                agent.greet(hello("late"))
                ends = certificate_in(tls).not_valid_after_utc
                until(lambda: datetime.now(UTC) > ends)
                key, chain = renew(cloud, tls, "late", over=channel)
                with pytest.raises(grpc.RpcError, match="TOO_MANY_RENEWALS"):
                    renew(cloud, tls, "late", over=channel)
                assert agent.status is None
        assert session_status(cloud, tls, "late") != "welcome"
        newer = write_pair(tmp_path / "newer", tls, key, chain)
        assert certificate_in(newer).not_valid_after_utc > ends


def ask_desk(cloud: Cloud, request: RenewRequest) -> None:
    """What a serving process could ask for that was taken over."""
    with grpc.insecure_channel(f"unix:{cloud.folder}/enrolment.sock") as channel:
        EnrolmentServiceStub(channel).Renew(request, timeout=10)


def test_nobody_renews_at_the_port_for_joining(cloud: Cloud, desk: Enrolment) -> None:
    """A stolen key would be good for a day after its certificate's end, and without a session."""
    tls = cloud.agent_folder("outside")
    _, request = new_request()
    asked = RenewRequest(
        certificate=(tls / "agent.pem").read_bytes(),
        signing_request=request,
        proof=proof_of(key_in(tls), request),
    )
    with channel_to(desk.address, tls) as channel, pytest.raises(grpc.RpcError, match="NO_SESSION"):
        EnrolmentServiceStub(channel).Renew(asked, timeout=10)
    ask_desk(cloud, asked)


@pytest.mark.usefixtures("desk")
def test_who_serves_can_not_ask_in_an_agents_place(cloud: Cloud) -> None:
    """Whoever takes the serving process over could make certificates for any agent."""
    tls = cloud.agent_folder("victim")
    ours = ec.generate_private_key(ec.SECP256R1())
    _, request = new_request()
    certificate = (tls / "agent.pem").read_bytes()
    cases = {
        "PROOF_INVALID": RenewRequest(
            certificate=certificate, signing_request=request, proof=proof_of(ours, request)
        ),
        "CERTIFICATE_FOREIGN": RenewRequest(
            certificate=self_signed("victim", ours),
            signing_request=request,
            proof=proof_of(ours, request),
        ),
        "CERTIFICATE_INVALID": RenewRequest(signing_request=request),
    }
    for reason, asked in cases.items():
        with pytest.raises(grpc.RpcError) as error:
            ask_desk(cloud, asked)
        assert str(error.value.details()).startswith(f"{reason}: ")


def self_signed(agent_id: str, key: ec.EllipticCurvePrivateKey) -> bytes:
    """A certificate that names an agent and was issued by nobody."""
    return signed(agent_id, key, key, x509.Name([])).public_bytes(serialization.Encoding.PEM)


def signed(
    agent_id: str,
    key: ec.EllipticCurvePrivateKey,
    by: ec.EllipticCurvePrivateKey,
    issuer: x509.Name,
    *names: x509.GeneralName,
    purpose: x509.ObjectIdentifier = ExtendedKeyUsageOID.CLIENT_AUTH,
) -> x509.Certificate:
    """A certificate for an hour."""
    now = datetime.now(UTC)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, agent_id)])
    builder = x509.CertificateBuilder(issuer, subject, key.public_key(), 77)
    builder = builder.not_valid_before(now - timedelta(hours=1))
    builder = builder.not_valid_after(now + timedelta(hours=1))
    said = names or (x509.UniformResourceIdentifier(SPIFFE_PREFIX + agent_id),)
    builder = builder.add_extension(x509.SubjectAlternativeName(said), critical=False)
    builder = builder.add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
    return builder.sign(by, hashes.SHA256())


def test_the_issuing_key_can_not_pose_as_the_cloud(cloud: Cloud) -> None:
    """The key that is online would be worth as much as the authority's."""
    folder = cloud.folder / "issuing"
    issuer = x509.load_pem_x509_certificate((folder / "issuing.pem").read_bytes())
    by = serialization.load_pem_private_key((folder / "issuing.key").read_bytes(), None)
    assert isinstance(by, ec.EllipticCurvePrivateKey)
    assert (operator_folder(cloud.folder) / "authority.key").exists()
    key = ec.generate_private_key(ec.SECP256R1())
    names = (x509.DNSName("localhost"),)
    leaf = signed(
        "x", key, by, issuer.subject, *names, purpose=ExtendedKeyUsageOID.SERVER_AUTH
    ).public_bytes(serialization.Encoding.PEM)
    key_pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    tls = cloud.agent_folder("careful")
    chain = leaf + (folder / "issuing.pem").read_bytes()
    with impostor(chain, key_pem) as address, ScriptedAgent(address, tls) as agent:
        agent.ended()
    assert agent.status is grpc.StatusCode.UNAVAILABLE
    assert "CERTIFICATE_VERIFY_FAILED" in agent.details


@contextmanager
def impostor(chain: bytes, key: bytes) -> Iterator[str]:
    """A server with a certificate of a test's choice; its address."""
    server = grpc.server(ThreadPoolExecutor(1))
    port = server.add_secure_port("localhost:0", grpc.ssl_server_credentials([(key, chain)]))
    server.start()
    try:
        yield f"localhost:{port}"
    finally:
        server.stop(None).wait()


@pytest.mark.usefixtures("desk")
def test_an_expelled_agent_is_cut_off_within_a_second(cloud: Cloud, tmp_path: Path) -> None:
    """A stolen host would go on reading content and reporting lies until its certificate ends."""
    tls = cloud.agent_folder("stolen")
    with (
        ScriptedAgent(cloud.address, tls) as agent,
        ScriptedAgent(cloud.address, cloud.agent_folder("bystander")) as bystander,
    ):
        agent.greet(hello("stolen"))
        bystander.greet(hello("bystander"))
        told = cloud.json("expel", "stolen", "--reason", "lost laptop", "--by", "ann")
        began = time.monotonic()
        assert agent.ended().startswith("CERTIFICATE_REVOKED: ")
        assert time.monotonic() - began < SECONDS_TO_END
        assert agent.status is grpc.StatusCode.PERMISSION_DENIED
        assert told["revoked"] == [f"{certificate_in(tls).serial_number:x}"]
        assert bystander.status is None
    denied = (grpc.StatusCode.PERMISSION_DENIED, "CERTIFICATE_REVOKED")
    assert refused(cloud, tls, "stolen") == denied
    with channel_to(cloud.address, tls) as channel:
        request = FetchMetadataRequest(role=MetadataRole.METADATA_ROLE_TIMESTAMP)
        with pytest.raises(grpc.RpcError, match="CERTIFICATE_REVOKED"):
            list(SensorServiceStub(channel).FetchMetadata(request, timeout=10))
    (host,) = [one for one in cloud.json("fleet")["hosts"] if one["agent_id"] == "stolen"]
    assert host["expelled"]
    assert "expelled" in cloud.run("fleet")
    entry = cloud.json("audit list")["entries"][-1]
    assert (entry["actor"], entry["action"], entry["subject"]) == ("ann", "expel", "stolen")
    file = token(cloud, tmp_path / "join.json", "--agent-id", "stolen")
    assert "CERTIFICATE_REVOKED" in join(file, tmp_path / "tls", status=ExitCode.REFUSED)
    new = ("--agent-id", "stolen", "--output", tmp_path / "enrolled")
    assert "CERTIFICATE_REVOKED" in cloud.run("enroll", *new, status=ExitCode.REFUSED)


def session_status(cloud: Cloud, tls: Path, agent_id: str) -> str:
    """How a session with the pair in a folder begins: welcome, or the reason of its end."""
    with ScriptedAgent(cloud.address, tls) as agent:
        try:
            agent.greet(hello(agent_id))
        except AssertionError:
            return agent.details.partition(":")[0]
        return "welcome"


@pytest.mark.usefixtures("desk")
def test_who_is_let_in_again_has_to_join_again(cloud: Cloud, tmp_path: Path) -> None:
    """A thief could go on with what he has, or a host never come back."""
    tls = cloud.agent_folder("returns")
    assert session_status(cloud, tls, "returns") == "welcome"
    cloud.run("expel", "returns")
    cloud.run("expel", "returns", "--lift")
    until(lambda: session_status(cloud, tls, "returns") == "CERTIFICATE_REVOKED")
    join(token(cloud, tmp_path / "join.json", "--agent-id", "returns"), tmp_path / "tls")
    until(lambda: session_status(cloud, tmp_path / "tls", "returns") == "welcome")
    assert session_status(cloud, tls, "returns") == "CERTIFICATE_REVOKED"
    cloud.run("expel", "returns", "--lift", "--with-certificates")
    until(lambda: session_status(cloud, tls, "returns") == "welcome")
    nothing = cloud.run("expel", "returns", "--lift", status=ExitCode.REFUSED)
    assert "CERTIFICATE_UNKNOWN" in nothing


@pytest.mark.usefixtures("desk")
def test_one_certificate_is_revoked_with_what_was_renewed_from_it(
    cloud: Cloud, tmp_path: Path
) -> None:
    """A thief would only have to renew before he is noticed."""
    tls = cloud.agent_folder("copied")
    with ScriptedAgent(cloud.address, tls) as agent:
        agent.greet(hello("copied"))
        newer = write_pair(tmp_path / "newer", tls, *renew(cloud, tls))
    join(token(cloud, tmp_path / "join.json", "--agent-id", "copied"), tmp_path / "tls")
    serials = [f"{certificate_in(one).serial_number:x}" for one in (tls, newer)]
    told = cloud.json("expel", "copied", "--serial", serials[0].upper())
    assert told["revoked"] == serials
    until(lambda: session_status(cloud, newer, "copied") == "CERTIFICATE_REVOKED")
    assert session_status(cloud, tls, "copied") == "CERTIFICATE_REVOKED"
    assert session_status(cloud, tmp_path / "tls", "copied") == "welcome"
    for serial in ("beef", "no hex"):
        wrong = cloud.run("expel", "copied", "--serial", serial, status=ExitCode.REFUSED)
        assert "CERTIFICATE_UNKNOWN" in wrong
    other = cloud.run("expel", "renews", "--serial", serials[0], status=ExitCode.REFUSED)
    assert "CERTIFICATE_UNKNOWN" in other


def test_without_enrolment_sessions_go_on(tmp_path: Path) -> None:
    """The desk's absence would take the fleet down, or renewals hang."""
    with new_cloud(tmp_path) as cloud:
        cloud.start(renewal_pause_seconds=0.0)
        tls = cloud.agent_folder("patient")
        with ScriptedAgent(cloud.address, tls) as agent:
            agent.greet(hello("patient"))
            unavailable = (grpc.StatusCode.UNAVAILABLE, "ENROLMENT_UNAVAILABLE")
            assert refused(cloud, tls) == unavailable
            with enrolment(cloud):
                until(lambda: renews(cloud, tls))
            assert refused(cloud, tls) == unavailable
            assert agent.status is None


def renews(cloud: Cloud, tls: Path) -> bool:
    """Whether a renewal is answered now."""
    try:
        renew(cloud, tls)
    except grpc.RpcError:
        return False
    return True
