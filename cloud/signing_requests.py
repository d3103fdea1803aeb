"""What an agent may ask for: a certificate for its own key and its own name, and nothing else.

A signing request is read here and thrown away: the certificate is made from the key in it and the
name that token or old certificate allow. Names and extensions that ask for more are refused all the
same, because whoever asks for them means something that it won't get.
"""

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from cloud.authority import SPIFFE_PREFIX
from cloud.errors import CloudReason, SessionError
from cloud.limits import LIMITS

CURVES = (ec.SECP256R1, ec.SECP384R1)
"""Curves that TLS takes for a client's certificate on both sides."""

PROOF_CONTEXT = b"bulkhead certificate renewal\x00"
"""Stands before what is signed, so that no signature for something else is a proof."""


def require_signing_request(data: bytes, agent_id: str) -> ec.EllipticCurvePublicKey:
    """The key for which a certificate is asked; SessionError with the reason for everything else.

    1. not larger than any can be, and PKCS#10 in DER form
    2. a key on P-256 or P-384
    3. signed with that key
    4. a name, if there is one, that is this agent's
    5. no extension but that name
    """
    # 1
    if len(data) > LIMITS.signing_request_bytes:
        raise _refused(
            CloudReason.CSR_INVALID,
            f"{len(data)} bytes",
            f"at most {LIMITS.signing_request_bytes}",
        )
    try:
        request = x509.load_der_x509_csr(data)
        key, extensions = request.public_key(), list(request.extensions)
        signed = request.is_signature_valid
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise _refused(
            CloudReason.CSR_INVALID, "what can't be read", "PKCS#10 in DER form"
        ) from error
    # 2
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, CURVES):
        raise _refused(CloudReason.CSR_KEY, type(key).__name__, "a key on P-256 or P-384")
    # 3
    if not signed:
        raise _refused(CloudReason.CSR_INVALID, "a bad signature", "one by the key in it")
    # 4
    subject = [(one.oid, one.value) for one in request.subject]
    if subject not in ([], [(NameOID.COMMON_NAME, agent_id)]):
        raise _refused(CloudReason.CSR_NAME, request.subject.rfc4514_string(), f"CN={agent_id}")
    # 5
    for extension in extensions:
        _require_own_name(extension, agent_id)
    return key


def require_proof(certificate: x509.Certificate, proof: bytes, request: bytes) -> None:
    """SessionError unless the certificate's key has signed the signing request."""
    key = certificate.public_key()
    if not isinstance(key, ec.EllipticCurvePublicKey):
        raise _refused(CloudReason.PROOF_INVALID, type(key).__name__, "an elliptic-curve key")
    try:
        key.verify(proof, PROOF_CONTEXT + request, ec.ECDSA(hashes.SHA256()))
    except InvalidSignature as error:
        raise _refused(
            CloudReason.PROOF_INVALID,
            "no good signature over the request",
            "one by the key of the certificate in use",
        ) from error


def _require_own_name(extension: x509.Extension[x509.ExtensionType], agent_id: str) -> None:
    value = extension.value
    if not isinstance(value, x509.SubjectAlternativeName):
        name = extension.oid._name  # noqa: SLF001  its only readable name
        raise _refused(CloudReason.CSR_EXTENSION, f"extension {name}", "none but the agent's name")
    wanted = x509.UniformResourceIdentifier(SPIFFE_PREFIX + agent_id)
    if list(value) != [wanted]:
        found = ", ".join(str(one.value) for one in value)
        raise _refused(CloudReason.CSR_NAME, found, wanted.value)


def _refused(reason: CloudReason, found: str, expected: str) -> SessionError:
    return SessionError(
        reason, f"signing_request: found {found!a:.100}, expected {expected!a:.100}"
    )
