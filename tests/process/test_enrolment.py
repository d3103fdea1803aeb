"""A host joins with a token and a key of its own, and nobody joins with what is not good."""

import json
import os
import signal
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import grpc
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from agent.link.signing_request import new_request
from bulkhead.v1.enrolment_service_pb2 import JoinRequest
from bulkhead.v1.enrolment_service_pb2_grpc import EnrolmentServiceStub
from cli.output import ExitCode
from cloud.authority import SPIFFE_PREFIX
from tests.process.cloud_agent import ScriptedAgent, hello
from tests.process.cloud_process import Cloud, new_cloud
from tests.process.enrolment_process import (
    Enrolment,
    asked,
    certificate_in,
    enrolment,
    join,
    text_of,
    token,
)

ANY_MANY = ("--any", "--uses", "100")


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    """A cloud that is served."""
    with new_cloud(tmp_path_factory.mktemp("enrolment")) as made:
        made.start()
        yield made


@pytest.fixture(scope="module")
def desk(cloud: Cloud) -> Iterator[Enrolment]:
    """Where hosts join it."""
    with enrolment(cloud) as running:
        yield running


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[tuple[Cloud, Enrolment]]:
    """Another cloud, at whose desk nobody has failed yet."""
    with new_cloud(tmp_path / "fresh") as made, enrolment(made) as running:
        yield made, running


def name_of(agent_id: str) -> x509.UniformResourceIdentifier:
    """What a certificate calls an agent."""
    return x509.UniformResourceIdentifier(SPIFFE_PREFIX + agent_id)


def ask(cloud: Cloud, desk: Enrolment, request: JoinRequest) -> bytes:
    """Join by hand; the chain."""
    authority = (cloud.folder / "authority" / "ca.pem").read_bytes()
    credentials = grpc.ssl_channel_credentials(authority)
    with grpc.secure_channel(desk.address, credentials) as channel:
        answer = EnrolmentServiceStub(channel).Join(request, timeout=10)
    return bytes(answer.certificate_chain)


def test_a_host_joins_and_has_a_session(cloud: Cloud, desk: Enrolment, tmp_path: Path) -> None:
    """A token would be good for nothing, or the key be readable or made elsewhere."""
    file = token(cloud, tmp_path / "join.json", "--agent-id", "web-1", "--group", "canaries")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    tls = tmp_path / "tls"
    told = json.loads(join(file, tls, "--json"))
    assert told["agent_id"] == "web-1"
    assert {one.name for one in tls.iterdir()} == {"agent.pem", "agent.key", "ca.pem", "root.json"}
    assert stat.S_IMODE((tls / "agent.key").stat().st_mode) == 0o600
    certificate = certificate_in(tls)
    life = certificate.not_valid_after_utc - certificate.not_valid_before_utc
    assert life == timedelta(hours=25)
    with ScriptedAgent(cloud.address, tls) as agent:
        agent.greet(hello("web-1"))
    assert cloud.json("group list")["groups"]["web-1"] == "canaries"
    assert desk.events("joined")[-1]["agent_id"] == "web-1"
    (known,) = cloud.json("certificates", "web-1")["certificates"]
    assert known["serial"] == f"{certificate.serial_number:x}"
    (listed,) = [one for one in cloud.json("token list")["tokens"] if one["agent_id"] == "web-1"]
    assert listed["uses_left"] == 0
    secret = text_of(file).partition(".")[2].encode()
    for stored in cloud.folder.glob("cloud.sqlite*"):
        assert secret not in stored.read_bytes()
    assert secret.decode() not in desk.log()


def test_only_enrolment_has_the_issuing_key(cloud: Cloud, desk: Enrolment) -> None:
    """Whoever takes the serving process over could make agents."""
    key = cloud.folder / "issuing" / "issuing.key"
    kept = key.rename(key.with_suffix(".away"))
    try:
        cloud.stop()
        cloud.start()
    finally:
        kept.rename(key)
    assert not list(cloud.folder.rglob("ca.key")), "the authority's key is with the operator"
    assert desk.process.poll() is None


@dataclass(frozen=True)
class _Refused:
    """A token that is not good: how it is made and who comes with it, and what the journal says."""

    name: str
    terms: tuple[str, ...]
    agent_id: str
    because: str


REFUSED = [
    _Refused("unknown", (), "web-2", "UNKNOWN"),
    _Refused("malformed", (), "web-2", "MALFORMED"),
    _Refused("other secret", ("--agent-id", "web-2"), "web-2", "UNKNOWN"),
    _Refused("expired", ("--agent-id", "web-2", "--expires-hours", "1e-9"), "web-2", "EXPIRED"),
    _Refused("other agent", ("--agent-id", "web-2"), "web-3", "OTHER_AGENT"),
    _Refused("used up", ("--agent-id", "web-4"), "web-4", "USED_UP"),
    _Refused("withdrawn", ("--agent-id", "web-5"), "web-5", "WITHDRAWN"),
    _Refused("taken", ("--any",), "taken-1", "AGENT_ID_TAKEN"),
]
WORDS = (
    "TOKEN_REFUSED: unknown, expired, used up, withdrawn, or not for this agent; ask for a new one"
)


@pytest.mark.parametrize("refused", REFUSED, ids=lambda one: one.name)
def test_a_token_that_is_not_good_is_refused_in_the_same_words(
    cloud: Cloud, desk: Enrolment, tmp_path: Path, refused: _Refused
) -> None:
    """Whoever tries tokens would learn which of them exist, or join."""
    text = {"unknown": f"{'0' * 12}.{'A' * 43}", "malformed": "x\n{}"}.get(refused.name, "")
    if refused.terms:
        file = token(cloud, tmp_path / "join.json", *refused.terms)
        text = text_of(file)
        if refused.name == "used up":
            join(file, tmp_path / "first")
        if refused.name == "withdrawn":
            cloud.run("token withdraw", text.partition(".")[0])
        if refused.name == "other secret":
            text = text.partition(".")[0] + "." + "A" * 43
        if refused.name == "taken":
            cloud.agent_folder(refused.agent_id)
    _, request = new_request()
    with pytest.raises(grpc.RpcError) as error:
        ask(cloud, desk, asked(text, refused.agent_id, request))
    assert error.value.code() is grpc.StatusCode.UNAUTHENTICATED
    assert error.value.details() == WORDS
    assert desk.events("join_refused")[-1]["because"] == refused.because


def _authority_request() -> bytes:
    key = ec.generate_private_key(ec.SECP256R1())
    builder = x509.CertificateSigningRequestBuilder(x509.Name([]))
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.DER)


def test_a_bad_request_is_refused_and_uses_no_token_up(
    fresh: tuple[Cloud, Enrolment], tmp_path: Path
) -> None:
    """A host could have another's name or an authority, or a mistake would cost the token."""
    made, desk = fresh
    text = text_of(token(made, tmp_path / "join.json", "--agent-id", "web-1"))
    _, other = new_request(name_of("web-2"))
    cases = {
        "CSR_NAME": asked(text, "web-1", other),
        "CSR_EXTENSION": asked(text, "web-1", _authority_request()),
        "CSR_INVALID": asked(text, "web-1", b"x" * 5000),
        "AGENT_ID_INVALID": asked(text, "Web/1", other),
    }
    for reason, request in cases.items():
        with pytest.raises(grpc.RpcError) as error:
            ask(made, desk, request)
        assert str(error.value.details()).startswith(f"{reason}: ")
        assert error.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    with pytest.raises(grpc.RpcError) as error:
        ask(made, desk, asked(text, "web-1", b"x" * 50_000))
    assert error.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    _, good = new_request(name_of("web-1"))
    assert ask(made, desk, asked(text, "web-1", good)).count(b"BEGIN CERTIFICATE") == 2
    assert "Traceback" not in desk.log()


def test_an_address_that_fails_too_often_is_not_listened_to(
    fresh: tuple[Cloud, Enrolment],
) -> None:
    """Anybody could keep the cloud busy with signing requests."""
    made, desk = fresh
    reasons = []
    for _ in range(12):
        with pytest.raises(grpc.RpcError) as error:
            ask(made, desk, asked("x", "web-1", b""))
        reasons.append(str(error.value.details()).partition(":")[0])
    assert reasons == ["TOKEN_REFUSED"] * 10 + ["ENROLMENT_BUSY"] * 2
    assert desk.events("join_refused")[9]["times"] == 10


@pytest.mark.usefixtures("desk")
def test_a_folder_is_replaced_for_the_same_agent_only_and_only_if_asked(
    cloud: Cloud, tmp_path: Path
) -> None:
    """A slip would cost a host its identity, or leave half of two."""
    file = token(cloud, tmp_path / "join.json", *ANY_MANY)
    tls = tmp_path / "tls"
    join(file, tls, "--agent-id", "host-a")
    before = certificate_in(tls)
    assert "FOLDER_EXISTS" in join(file, tls, "--agent-id", "host-a", status=ExitCode.REFUSED)
    again = ("--again", "--agent-id")
    assert "FOLDER_EXISTS" in join(file, tls, *again, "host-b", status=ExitCode.REFUSED)
    assert certificate_in(tls) == before
    named = token(cloud, tmp_path / "named.json", "--agent-id", "host-a")
    (tls / "notes").touch()
    assert "FOLDER_EXISTS" in join(named, tls, *again, "host-a", status=ExitCode.REFUSED)
    (tls / "notes").unlink()
    join(named, tls, *again, "host-a")
    assert certificate_in(tls) != before
    assert [one.name for one in tmp_path.iterdir() if one.name.startswith(".")] == []
    with ScriptedAgent(cloud.address, tls) as agent:
        agent.greet(hello("host-a"))


BAD_FILES = {
    "empty": b"",
    "no JSON": b"{",
    "deep": b"[" * 100_000,
    "a list": b"[]",
    "another format": b'{"format": 2}',
    "number for text": b'{"format": 1, "address": 7}',
    "too large": b" " * 300_000,
    "no certificate": json.dumps(
        dict.fromkeys(("address", "token", "agent_id", "authority", "root"), "") | {"format": 1}
    ).encode(),
}


@pytest.mark.parametrize("name", BAD_FILES)
def test_a_join_file_that_is_none_is_refused(name: str, tmp_path: Path) -> None:
    """A truncated copy would end in a traceback."""
    file = tmp_path / "join.json"
    file.write_bytes(BAD_FILES[name])
    said = join(file, tmp_path / "tls", "--agent-id", "web-1", status=ExitCode.REFUSED)
    assert "JOIN_FILE" in said
    assert not (tmp_path / "tls").exists()


def test_nobody_there_or_somebody_else(cloud: Cloud, desk: Enrolment, tmp_path: Path) -> None:
    """A host would wait for ever, or take its certificate from whoever answers."""
    file = token(cloud, tmp_path / "join.json", *ANY_MANY)
    nowhere = ("--agent-id", "web-9", "--address", "127.0.0.1:1")
    join(file, tmp_path / "tls", *nowhere, status=ExitCode.UNREACHABLE)
    with new_cloud(tmp_path / "other") as other:
        foreign = token(other, tmp_path / "foreign.json", *ANY_MANY)
        here = ("--agent-id", "web-9", "--address", desk.address)
        join(foreign, tmp_path / "tls", *here, status=ExitCode.UNREACHABLE)
    bad = ("--agent-id", "Wéb")
    assert "AGENT_ID_INVALID" in join(file, tmp_path / "tls", *bad, status=ExitCode.REFUSED)
    assert not (tmp_path / "tls").exists()


@pytest.mark.usefixtures("desk")
def test_where_nothing_can_be_written_the_token_stays_good(cloud: Cloud, tmp_path: Path) -> None:
    """A slip in a path would cost the operator a new token."""
    file = token(cloud, tmp_path / "join.json", "--agent-id", "slip")
    beneath_a_file = file / "tls"
    assert "FOLDER_UNWRITABLE" in join(file, beneath_a_file, status=ExitCode.REFUSED)
    join(file, tmp_path / "tls")


BAD_TERMS = {
    "nobody": (),
    "both": ("--any", "--agent-id", "web-1"),
    "no use": ("--any", "--uses", "0"),
    "too long": ("--any", "--expires-hours", "1e9"),
    "no number": ("--any", "--expires-hours", "nan"),
    "name": ("--agent-id", "../x"),
    "group": ("--any", "--group", "A B"),
    "address": ("--any", "--address", "here"),
}


@pytest.mark.parametrize("name", BAD_TERMS)
def test_terms_that_can_not_be_meant_make_no_token(cloud: Cloud, tmp_path: Path, name: str) -> None:
    """A token could be good for ever, or its join file be no use."""
    output = ("--output", tmp_path / "join.json")
    cloud.run("token new", *output, *BAD_TERMS[name], status=ExitCode.USAGE)
    assert os.listdir(tmp_path) == []  # noqa: PTH208  hidden files count


def test_one_process_enrols_and_ends_cleanly(cloud: Cloud, desk: Enrolment, tmp_path: Path) -> None:
    """Two would not know of each other's ends, or a stale note would send hosts nowhere."""
    again = ("--listen", "127.0.0.1:0")
    assert "FOLDER_IN_USE" in cloud.run("enrolment", *again, status=ExitCode.REFUSED)
    assert desk.process.poll() is None
    with new_cloud(tmp_path) as third:
        with enrolment(third) as killed:
            killed.stop(signal.SIGKILL)
        with enrolment(third) as running:
            assert running.stop() == 0
            assert not (third.folder / "enrolment.json").exists()
