"""A signing request gets a certificate for its key and own name, or is refused with a reason."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import NameOID

from cloud.authority import SPIFFE_PREFIX
from cloud.errors import CloudReason, SessionError
from cloud.limits import LIMITS
from cloud.signing_requests import PROOF_CONTEXT, require_proof, require_signing_request

Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey
KEY = ec.generate_private_key(ec.SECP256R1())
NOBODY = x509.Name([])
NOW = datetime(2026, 7, 19, 4, 9, tzinfo=UTC)


def der(
    key: Key = KEY,
    subject: x509.Name = NOBODY,
    *extensions: x509.ExtensionType,
) -> bytes:
    """A signing request."""
    builder = x509.CertificateSigningRequestBuilder(subject)
    for one in extensions:
        builder = builder.add_extension(one, critical=False)
    algorithm = None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    return builder.sign(key, algorithm).public_bytes(serialization.Encoding.DER)


def common_name(name: str) -> x509.Name:
    """A subject."""
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def agent(name: str) -> x509.SubjectAlternativeName:
    """The name of an agent, as an extension."""
    return x509.SubjectAlternativeName([x509.UniformResourceIdentifier(SPIFFE_PREFIX + name)])


def other_signature() -> bytes:
    """A request whose last byte, of the signature, is another one."""
    data = bytearray(der())
    data[-1] ^= 1
    return bytes(data)


GOOD = {
    "no name": der(),
    "its name as subject": der(KEY, common_name("web-1")),
    "its name as alternative": der(KEY, NOBODY, agent("web-1")),
    "P-384": der(ec.generate_private_key(ec.SECP384R1())),
}


@pytest.mark.parametrize("name", GOOD)
def test_a_sound_request_is_taken_for_its_key(name: str) -> None:
    """No host could join."""
    request = x509.load_der_x509_csr(GOOD[name])
    assert require_signing_request(GOOD[name], "web-1") == request.public_key()


@dataclass(frozen=True)
class _Bad:
    name: str
    make: Callable[[], bytes]
    reason: CloudReason


AUTHORITY = x509.BasicConstraints(ca=True, path_length=None)
TWO_NAMES = x509.SubjectAlternativeName([*agent("web-1"), *agent("web-2")])
BAD = [
    _Bad("empty", lambda: b"", CloudReason.CSR_INVALID),
    _Bad("garbage", lambda: b"\xff" * 100, CloudReason.CSR_INVALID),
    _Bad("PEM", lambda: b"-----BEGIN CERTIFICATE REQUEST-----\n", CloudReason.CSR_INVALID),
    _Bad("too large", lambda: b"0" * (LIMITS.signing_request_bytes + 1), CloudReason.CSR_INVALID),
    _Bad("truncated", lambda: der()[:-9], CloudReason.CSR_INVALID),
    _Bad("bad signature", other_signature, CloudReason.CSR_INVALID),
    _Bad("RSA", lambda: der(rsa.generate_private_key(65537, 2048)), CloudReason.CSR_KEY),
    _Bad("Ed25519", lambda: der(ed25519.Ed25519PrivateKey.generate()), CloudReason.CSR_KEY),
    _Bad("P-521", lambda: der(ec.generate_private_key(ec.SECP521R1())), CloudReason.CSR_KEY),
    _Bad("P-224", lambda: der(ec.generate_private_key(ec.SECP224R1())), CloudReason.CSR_KEY),
    _Bad("other subject", lambda: der(KEY, common_name("web-2")), CloudReason.CSR_NAME),
    _Bad("other name", lambda: der(KEY, NOBODY, agent("web-2")), CloudReason.CSR_NAME),
    _Bad("a second name", lambda: der(KEY, NOBODY, TWO_NAMES), CloudReason.CSR_NAME),
    _Bad("an authority", lambda: der(KEY, NOBODY, AUTHORITY), CloudReason.CSR_EXTENSION),
]


@pytest.mark.parametrize("bad", BAD, ids=lambda one: one.name)
def test_anything_else_is_refused_with_its_reason(bad: _Bad) -> None:
    """An agent could get another's name, an authority, or a key that anybody breaks."""
    with pytest.raises(SessionError) as refused:
        require_signing_request(bad.make(), "web-1")
    assert refused.value.reason is bad.reason


def test_only_the_old_key_proves_a_renewal() -> None:
    """Whoever passes renewals on could ask for certificates by itself."""
    request = x509.load_der_x509_csr(der(KEY, common_name("old")))
    builder = x509.CertificateBuilder(request.subject, request.subject, KEY.public_key(), 1)
    certificate = builder.not_valid_before(NOW).not_valid_after(NOW).sign(KEY, hashes.SHA256())
    asked, good = der(), ec.ECDSA(hashes.SHA256())
    require_proof(certificate, KEY.sign(PROOF_CONTEXT + asked, good), asked)
    other = ec.generate_private_key(ec.SECP256R1())
    wrong = [
        b"",
        KEY.sign(asked, good),
        KEY.sign(PROOF_CONTEXT + asked + b"x", good),
        other.sign(PROOF_CONTEXT + asked, good),
    ]
    for proof in wrong:
        with pytest.raises(SessionError) as refused:
            require_proof(certificate, proof, asked)
        assert refused.value.reason is CloudReason.PROOF_INVALID
