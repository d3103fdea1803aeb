"""Asking for a certificate: a new key, what is said of it, and the old key's word for that."""

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

PROOF_CONTEXT = b"bulkhead certificate renewal\x00"
"""Stands before what the old key signs, so that the signature is good for nothing else."""


def new_request(*names: x509.GeneralName) -> tuple[bytes, bytes]:
    """A new key (PEM), and the signing request for it (PKCS#10 in DER form) with these names."""
    key = ec.generate_private_key(ec.SECP256R1())
    builder = x509.CertificateSigningRequestBuilder(x509.Name([]))
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    request = builder.sign(key, hashes.SHA256())
    key_pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return key_pem, request.public_bytes(serialization.Encoding.DER)


def proof_of(old: ec.EllipticCurvePrivateKey, request: bytes) -> bytes:
    """The old key's signature over a signing request."""
    return old.sign(PROOF_CONTEXT + request, ec.ECDSA(hashes.SHA256()))
