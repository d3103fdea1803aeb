"""Ed25519 signatures over Channel Files, rollback orders and metadata.

A signature covers a domain separator and the bytes as transmitted, so that neither can pass for
the other. A key is named by the SHA-256 of its raw public half, in lower-case hexadecimal.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import (
    Ed25519PrivateKey,
    Ed25519PublicKey,
)
from securesystemslib.signer import CryptoSigner, SSlibKey
from securesystemslib.signer import Signature as MetadataSignature

from bulkhead.v1.channel_file_pb2 import (
    SIGNATURE_ALGORITHM_ED25519,
    Signature,
    SignedChannelFile,
)
from cloud.errors import CloudReason, KeyFileError
from cloud.files import read_capped
from cloud.limits import LIMITS
from content.signing_domains import CHANNEL_FILE_DOMAIN, RollbackOrder, key_id

EXPOSED = 0o077
"""Permission bits that a private key must not have."""


class Signer(ABC):
    """Whoever brings the signatures of one key."""

    key_id: str

    @abstractmethod
    def sign(self, message: bytes) -> bytes:
        """A signature over bytes that begin with their domain, or over metadata."""

    def sign_channel_file(self, payload: bytes) -> Signature:
        """A signature over a payload."""
        return self._signature(CHANNEL_FILE_DOMAIN + payload)

    def sign_order(self, order: RollbackOrder) -> Signature:
        """A signature over a rollback order."""
        return self._signature(order.signed_bytes())

    def sign_metadata(self, signed_bytes: bytes) -> MetadataSignature:
        """A signature over metadata, as these carry it."""
        return MetadataSignature(self.key_id, self.sign(signed_bytes).hex())

    def _signature(self, message: bytes) -> Signature:
        return Signature(
            key_id=self.key_id,
            algorithm=SIGNATURE_ALGORITHM_ED25519,
            signature=self.sign(message),
        )


class SigningKey(Signer):
    """The private half; shows only its id."""

    def __init__(self, key: Ed25519PrivateKey) -> None:
        self._key = key
        self.key_id = TrustedKey(key.public_key()).key_id

    def __repr__(self) -> str:
        return f"SigningKey({self.key_id})"

    @classmethod
    def generate(cls) -> "SigningKey":
        """A new key."""
        return cls(Ed25519PrivateKey.generate())

    @classmethod
    def from_file(cls, path: Path) -> "SigningKey":
        """Read a private key in PEM form.

        Raises KeyFileError if it is missing, readable by others than its owner, or not Ed25519.
        """
        try:
            mode = path.stat().st_mode
        except OSError as error:
            raise KeyFileError(
                CloudReason.KEY_MISSING, f"{path}: {error.strerror}; expected a signing key"
            ) from error
        if mode & EXPOSED:
            raise KeyFileError(
                CloudReason.KEY_EXPOSED,
                f"{path}: permissions {mode & 0o777:04o}; expected 0600, for its owner only",
            )
        return cls(_private_key(path))

    def private_pem(self) -> bytes:
        """The private key, for the operator's folder only."""
        return self._key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )

    def trusted(self) -> "TrustedKey":
        """The public half."""
        return TrustedKey(self._key.public_key())

    def sign(self, message: bytes) -> bytes:
        """Such a signature."""
        return self._key.sign(message)

    def tuf_signer(self) -> CryptoSigner:
        """The same key for metadata."""
        return CryptoSigner(self._key, self.trusted().tuf_key())


def envelope(payload: bytes, keys: Sequence[Signer]) -> SignedChannelFile:
    """The envelope of a payload, with a signature by each key."""
    return SignedChannelFile(
        payload=payload, signatures=[key.sign_channel_file(payload) for key in keys]
    )


class TrustedKey:
    """A public key whose signatures count."""

    def __init__(self, key: Ed25519PublicKey) -> None:
        self._key = key
        self.raw = key.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
        self.key_id = key_id(self.raw)

    @classmethod
    def from_raw(cls, raw: bytes) -> "TrustedKey":
        """From 32 bytes; KeyFileError if they are no key."""
        try:
            return cls(Ed25519PublicKey.from_public_bytes(raw))
        except ValueError as error:
            raise KeyFileError(CloudReason.KEY_INVALID, "found no Ed25519 public key") from error

    @classmethod
    def from_file(cls, path: Path) -> "TrustedKey":
        """Read a public key in PEM form; KeyFileError if it isn't one."""
        data = read_capped(path, LIMITS.key_file_bytes)
        try:
            key = serialization.load_pem_public_key(data)
        except ValueError as error:
            raise _not_a_key(path, "a public") from error
        if not isinstance(key, Ed25519PublicKey):
            raise _not_a_key(path, "a public")
        return cls(key)

    def public_pem(self) -> bytes:
        """The public key, for agents."""
        return self._key.public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )

    def tuf_key(self) -> SSlibKey:
        """As metadata name it: by the same id as everything else."""
        return SSlibKey(self.key_id, "ed25519", "ed25519", {"public": self.raw.hex()})

    def signed_channel_file(self, envelope: SignedChannelFile) -> bool:
        """Whether one of the envelope's signatures is ours and good."""
        message = CHANNEL_FILE_DOMAIN + envelope.payload
        return any(self._good(signature, message) for signature in envelope.signatures)

    def signed_order(self, order: RollbackOrder, signature: Signature) -> bool:
        """Whether this signature over an order is ours and good."""
        return self._good(signature, order.signed_bytes())

    def signed(self, message: bytes, signature: bytes) -> bool:
        """Whether a signature over bytes that begin with their domain is good."""
        try:
            self._key.verify(signature, message)
        except InvalidSignature:
            return False
        return True

    def _good(self, signature: Signature, message: bytes) -> bool:
        if signature.key_id != self.key_id or signature.algorithm != SIGNATURE_ALGORITHM_ED25519:
            return False
        return self.signed(message, signature.signature)


def _private_key(path: Path) -> Ed25519PrivateKey:
    data = read_capped(path, LIMITS.key_file_bytes)
    try:
        key = serialization.load_pem_private_key(data, password=None)
    except (ValueError, TypeError):  # the cause might quote the key
        raise _not_a_key(path, "a private") from None
    if not isinstance(key, Ed25519PrivateKey):
        raise _not_a_key(path, "a private")
    return key


def _not_a_key(path: Path, kind: str) -> KeyFileError:
    return KeyFileError(
        CloudReason.KEY_INVALID,
        f"{path}: found no {kind[2:]} key; expected {kind} Ed25519 key in PEM form",
    )
