"""gRPC over mutual TLS under the link's profile, against a server in a process of its own."""

import datetime as dt
import ipaddress
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tests.process import locked

SERVER = """
import sys
from concurrent.futures import ThreadPoolExecutor
import grpc
class Doubles(grpc.GenericRpcHandler):
    def service(self, details):
        return grpc.stream_stream_rpc_method_handler(
            lambda messages, context: (2 * message for message in messages))
key, certificate = (open(name, "rb").read() for name in sys.argv[1:3])
server = grpc.server(ThreadPoolExecutor(2))
server.add_generic_rpc_handlers((Doubles(),))
port = server.add_secure_port("127.0.0.1:0", grpc.ssl_server_credentials(
    [(key, certificate)], root_certificates=certificate, require_client_auth=True))
server.start()
print(port, flush=True)
sys.stdin.read()
"""

CLIENT = """
credentials = grpc.ssl_channel_credentials(certificate, key, certificate)
for round in range(2):
    with grpc.secure_channel(f"localhost:{port}", credentials) as channel:
        double = channel.stream_stream("/bulkhead.test/Double")
        print([len(answer) for answer in double(iter([b"a", b"b" * 200_000]), timeout=20)])
"""


def _certificate(folder: Path) -> tuple[Path, Path]:
    """A self-signed certificate for localhost; paths of key and certificate."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = dt.datetime.now(dt.UTC)
    addresses = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName(addresses), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    private = key.private_bytes(
        pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (folder / "key.pem").write_bytes(private)
    (folder / "certificate.pem").write_bytes(certificate.public_bytes(pem))
    return folder / "key.pem", folder / "certificate.pem"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[tuple[int, Path, Path]]:
    """A gRPC server with mutual TLS: port, key, certificate."""
    key, certificate = _certificate(tmp_path)
    process = subprocess.Popen(
        [sys.executable, "-I", "-c", SERVER, key, certificate],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    try:
        assert process.stdout is not None
        yield int(process.stdout.readline()), key, certificate
    finally:
        process.kill()
        process.communicate()


def test_a_session_over_tls_works(server: tuple[int, Path, Path], tmp_path: Path) -> None:
    """The link could not talk to the cloud once it is locked down."""
    port, key, certificate = server
    state = tmp_path / "state"
    state.mkdir()
    ended = locked.run(
        f"LINK.with_state(Path({str(state)!r}), [{port}])",
        CLIENT,
        before=(
            f"import grpc; port = {port}\n"
            f"key = Path({str(key)!r}).read_bytes()\n"
            f"certificate = Path({str(certificate)!r}).read_bytes()"
        ),
    )
    assert (ended.how, ended.output) == ("exit 0", "[2, 400000]\n[2, 400000]\n"), ended.errors
