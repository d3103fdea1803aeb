"""The development authority: certificates for the cloud's server and for who issues to agents.

One EC P-256 key per certificate. The authority's own key is needed by `cloud init` only: what is
online is an issuing authority below it, whose certificates serve agents and name nobody else. The
server's certificate names localhost and what else the cloud is reached by; an agent's carries its
id as a URI (SPIFFE) name, and the cloud believes nothing else about who speaks.
"""

import ipaddress
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from cloud.errors import CloudReason, KeyFileError

TRUST_DOMAIN = "bulkhead"
SPIFFE_PREFIX = f"spiffe://{TRUST_DOMAIN}/agent/"
AGENT_ID = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}", re.ASCII)
LOCAL_NAMES = ("localhost", "127.0.0.1", "::1")
HOST_NAME = re.compile(
    r"(?=.{1,253}\Z)[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*",
    re.ASCII,
)
AUTHORITY_DAYS = 3650
CERTIFICATE_DAYS = 365
CLOCK_SKEW = timedelta(hours=1)
"""A certificate counts from an hour ago, because hosts' clocks differ."""


@dataclass(frozen=True, slots=True)
class Identity:
    """A certificate and its private key, both in PEM form; never shown in a representation."""

    certificate_pem: bytes
    key_pem: bytes

    def __repr__(self) -> str:
        return "Identity(…)"


def require_agent_id(agent_id: str) -> str:
    """The id itself; KeyFileError unless it is 1 to 63 of a-z, 0-9, dot, underscore, hyphen."""
    if not AGENT_ID.fullmatch(agent_id):
        raise KeyFileError(
            CloudReason.AGENT_ID_INVALID,
            f"agent id {agent_id!r:.100}; expected 1 to 63 of a-z 0-9 . _ -, a letter or digit "
            "first",
        )
    return agent_id


def agent_id_of(spiffe_id: str) -> str | None:
    """The agent's id in a SPIFFE id of ours, or None."""
    agent_id = spiffe_id.removeprefix(SPIFFE_PREFIX)
    if agent_id == spiffe_id or not AGENT_ID.fullmatch(agent_id):
        return None
    return agent_id


def create_authority(now: datetime) -> Identity:
    """A new certificate authority, valid from `now` (aware) for ten years."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = _name("Bulkhead development authority")
    builder = _builder(name, name, key, now, AUTHORITY_DAYS)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=1), critical=True)
    builder = builder.add_extension(key_usage(certificates=True), critical=True)
    return _identity(builder.sign(key, hashes.SHA256()), key)


def create_issuing(authority: Identity, now: datetime) -> Identity:
    """The authority that issues to agents, as long as the one above it: for clients, and for URIs.

    A certificate by its key that names a server, or somebody of another trust domain, is refused by
    whoever verifies it, here and on hosts.
    """
    issuer, issuer_key = load_identity(authority)
    key = ec.generate_private_key(ec.SECP256R1())
    subject = _name("Bulkhead development issuing authority")
    builder = _builder(subject, issuer.subject, key, now, AUTHORITY_DAYS)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    builder = builder.add_extension(key_usage(certificates=True), critical=True)
    purposes = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH])
    builder = builder.add_extension(purposes, critical=False)
    names = x509.NameConstraints(
        permitted_subtrees=[x509.UniformResourceIdentifier(TRUST_DOMAIN)],
        excluded_subtrees=[x509.DNSName("")],  # every one
    )
    builder = builder.add_extension(names, critical=True)
    return _identity(builder.sign(issuer_key, hashes.SHA256()), key)


def issue_server(authority: Identity, now: datetime, further: Sequence[str] = ()) -> Identity:
    """A certificate for localhost, 127.0.0.1, ::1 and further host names or addresses.

    KeyFileError for what is neither.
    """
    names = [_server_name(text) for text in (*LOCAL_NAMES, *further)]
    issuer, issuer_key = load_identity(authority)
    key = ec.generate_private_key(ec.SECP256R1())
    builder = _builder(_name("bulkhead-cloud"), issuer.subject, key, now, CERTIFICATE_DAYS)
    builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), True)
    builder = builder.add_extension(key_usage(certificates=False), critical=True)
    purposes = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])
    builder = builder.add_extension(purposes, critical=False)
    builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    return _identity(builder.sign(issuer_key, hashes.SHA256()), key)


def _server_name(text: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(text))
    except ValueError:
        pass
    if not HOST_NAME.fullmatch(text):
        raise KeyFileError(
            CloudReason.ADDRESS_INVALID,
            f"server name {text!r:.100}; expected an IP address or a host name",
        )
    return x509.DNSName(text)


def load_identity(
    authority: Identity,
) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    """An authority's certificate and key; KeyFileError where they are not in PEM form."""
    try:
        certificate = x509.load_pem_x509_certificate(authority.certificate_pem)
        key = serialization.load_pem_private_key(authority.key_pem, password=None)
    except (ValueError, TypeError) as error:
        raise KeyFileError(
            CloudReason.CERTIFICATE_INVALID,
            "the authority's certificate or key is not in PEM form",
        ) from error
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise KeyFileError(
            CloudReason.CERTIFICATE_INVALID, "the authority's key is not an elliptic-curve key"
        )
    return certificate, key


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePrivateKey,
    now: datetime,
    days: int,
) -> x509.CertificateBuilder:
    builder = x509.CertificateBuilder(subject_name=subject, issuer_name=issuer)
    builder = builder.public_key(key.public_key())
    builder = builder.serial_number(x509.random_serial_number())
    builder = builder.not_valid_before(now - CLOCK_SKEW)
    return builder.not_valid_after(now + timedelta(days=days))


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def key_usage(*, certificates: bool) -> x509.KeyUsage:
    """What a key is for: certificates, or connections."""
    return x509.KeyUsage(
        digital_signature=not certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=certificates,
        crl_sign=certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _identity(certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> Identity:
    key_pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return Identity(certificate.public_bytes(serialization.Encoding.PEM), key_pem)
