"""A throw-away authority for tests: one certificate for a cloud on loopback, one for an agent."""

import datetime
import ipaddress
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

_DAY = datetime.timedelta(days=1)
_HOUR = datetime.timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Pem:
    """A certificate and its key."""

    certificate: bytes
    key: bytes


@dataclass(frozen=True, slots=True)
class Authority:
    """What both sides of a test trust, and what each of them shows."""

    certificate: bytes
    cloud: Pem
    agent: Pem

    def write_for_agent(self, folder: Path) -> None:
        """The files that a link is started with, but for the root metadata of its repository."""
        (folder / "ca.pem").write_bytes(self.certificate)
        (folder / "agent.pem").write_bytes(self.agent.certificate)
        (folder / "agent.key").write_bytes(self.agent.key)


@cache
def authority() -> Authority:
    """The same for a whole test run."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = _name("test authority")
    own = _builder(name, name, key).add_extension(
        x509.BasicConstraints(ca=True, path_length=0), critical=True
    )
    loopback = x509.SubjectAlternativeName(
        [x509.IPAddress(ipaddress.ip_address("127.0.0.1")), x509.DNSName("localhost")]
    )
    return Authority(
        certificate=_pem(own.sign(key, hashes.SHA256())),
        cloud=_issued("cloud", loopback, name, key),
        agent=_issued(
            "agent",
            x509.SubjectAlternativeName([x509.UniformResourceIdentifier("spiffe://test/agent")]),
            name,
            key,
        ),
    )


def _issued(
    common_name: str,
    alternatives: x509.SubjectAlternativeName,
    issuer: x509.Name,
    issuer_key: ec.EllipticCurvePrivateKey,
) -> Pem:
    key = ec.generate_private_key(ec.SECP256R1())
    builder = _builder(_name(common_name), issuer, key).add_extension(alternatives, critical=False)
    return Pem(
        _pem(builder.sign(issuer_key, hashes.SHA256())),
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        ),
    )


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey
) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _HOUR)  # less than half of its life: no link renews it
        .not_valid_after(now + _DAY)
    )


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)
