"""The issuing authority: certificates for agents, for as long as they are asked to be good.

A certificate is for a public key that somebody else holds, names one agent and nobody else, and is
told apart by its serial number. Time is the caller's.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from cloud.authority import (
    CLOCK_SKEW,
    SPIFFE_PREFIX,
    Identity,
    agent_id_of,
    key_usage,
    load_identity,
    require_agent_id,
)
from cloud.errors import CloudReason, KeyFileError


@dataclass(frozen=True, slots=True)
class AgentCertificate:
    """What an agent's certificate says; times in seconds since the epoch.

    issued_unix: of one that is only read, since when it counts. serial: hexadecimal, lower case,
    without leading zeros.
    """

    agent_id: str
    serial: str
    issued_unix: int
    expires_unix: int


@dataclass(frozen=True, slots=True)
class Issued:
    """A new certificate, with the chain in PEM form that an agent shows: its own, then ours."""

    certificate: AgentCertificate
    chain_pem: bytes


class Issuer:
    """The issuing authority's certificate and key; never shown in a representation."""

    def __init__(self, identity: Identity) -> None:
        self._certificate, self._key = load_identity(identity)
        self._pem = identity.certificate_pem

    def issue(
        self, key: ec.EllipticCurvePublicKey, agent_id: str, now: datetime, lifetime: timedelta
    ) -> Issued:
        """A certificate with which the holder of that key speaks for one agent.

        now: aware. It counts from a little earlier, because hosts' clocks differ.
        """
        names = [x509.UniformResourceIdentifier(SPIFFE_PREFIX + require_agent_id(agent_id))]
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, agent_id)])
        builder = x509.CertificateBuilder(
            subject_name=subject, issuer_name=self._certificate.subject, public_key=key
        )
        builder = builder.serial_number(x509.random_serial_number())
        builder = builder.not_valid_before(now - min(CLOCK_SKEW, lifetime / 4))
        builder = builder.not_valid_after(now + lifetime)
        builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), True)
        builder = builder.add_extension(key_usage(certificates=False), critical=True)
        purposes = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH])
        builder = builder.add_extension(purposes, critical=False)
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        made = builder.sign(self._key, hashes.SHA256())
        certificate = AgentCertificate(
            agent_id, serial_of(made), int(now.timestamp()), _expires_unix(made)
        )
        return Issued(certificate, made.public_bytes(serialization.Encoding.PEM) + self._pem)

    def made(self, certificate: x509.Certificate) -> bool:
        """Whether a certificate was issued with this key, whatever it says."""
        try:
            certificate.verify_directly_issued_by(self._certificate)
        except (InvalidSignature, TypeError, ValueError):
            return False
        return True


def issue_with_new_key(
    issuer: Issuer, agent_id: str, now: datetime, lifetime: timedelta
) -> tuple[Issued, bytes]:
    """A certificate with a key that is made here, for hosts that can't make their own: key in PEM.

    KeyFileError for a malformed id.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    issued = issuer.issue(key.public_key(), agent_id, now, lifetime)
    return issued, key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def serial_of(certificate: x509.Certificate) -> str:
    """A certificate's serial number, as it is shown and stored."""
    return f"{certificate.serial_number:x}"


def read_certificate(pem: bytes) -> x509.Certificate:
    """The first certificate in PEM form; KeyFileError where there is none."""
    try:
        return x509.load_pem_x509_certificate(pem)
    except ValueError as error:
        raise KeyFileError(
            CloudReason.CERTIFICATE_INVALID, "not a certificate in PEM form"
        ) from error


def named_agent(certificate: x509.Certificate) -> str | None:
    """The agent that a certificate names, if it names exactly that."""
    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except (x509.ExtensionNotFound, ValueError):
        return None
    names = list(found.value)
    if len(names) != 1 or not isinstance(names[0], x509.UniformResourceIdentifier):
        return None
    return agent_id_of(names[0].value)


def read_agent_certificate(pem: bytes) -> AgentCertificate | None:
    """What a certificate, whose chain somebody has verified, says; None if it names no agent."""
    try:
        certificate = x509.load_pem_x509_certificate(pem)
    except ValueError:
        return None
    agent_id = named_agent(certificate)
    if agent_id is None:
        return None
    begins = int(certificate.not_valid_before_utc.timestamp())
    return AgentCertificate(agent_id, serial_of(certificate), begins, _expires_unix(certificate))


def _expires_unix(certificate: x509.Certificate) -> int:
    return int(certificate.not_valid_after_utc.timestamp())
