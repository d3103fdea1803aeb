"""What a signature is over: a domain separator and exact bytes, so that none can be reused.

Channel Files: ``CHANNEL_FILE_DOMAIN + payload``. Rollback orders and trust records are values whose
fields are *written* into bytes here, on both sides: whoever verifies one never reads foreign bytes,
but writes down what it was told and asks whether that was signed. The standard library only.
"""

import hashlib
import struct
from dataclasses import dataclass

CHANNEL_FILE_DOMAIN = b"bulkhead channel file v1\0"
ROLLBACK_DOMAIN = b"bulkhead rollback order v1\0"
TRUST_DOMAIN = b"bulkhead trust record v1\0"

HASH_BYTES = 32
KEY_BYTES = 32
MAX_NUMBER = 2**64 - 1
MAX_TEXT_BYTES = 8192
MAX_KEYS = 64

_ORDER = struct.Struct(f"!{HASH_BYTES}sQQQQQ")
_LENGTH = struct.Struct("!I")
_VERSION = struct.Struct("!Q")
_KEYS = struct.Struct("!II")


@dataclass(frozen=True, slots=True)
class RollbackOrder:
    """Give up a Channel File for good and go back; wrong values raise ValueError when written.

    content_hash: of the payload that is given up, whose version is `from_version`. to_version: the
    newest that may be in force afterwards, 0 for whatever was before. group: empty for every host.
    issued_unix, expires_unix: seconds. reason: for people.
    """

    content_hash: bytes
    template_type: int
    from_version: int
    to_version: int
    group: str
    issued_unix: int
    expires_unix: int
    reason: str

    def signed_bytes(self) -> bytes:
        """What the signature is over."""
        if len(self.content_hash) != HASH_BYTES:
            raise ValueError(f"a hash of {len(self.content_hash)} bytes")
        numbers = (
            _number(self.template_type),
            _number(self.from_version),
            _number(self.to_version),
            _number(self.issued_unix),
            _number(self.expires_unix),
        )
        fixed = _ORDER.pack(self.content_hash, *numbers)
        return ROLLBACK_DOMAIN + fixed + _text(self.group) + _text(self.reason)

    @property
    def order_id(self) -> str:
        """The order's name: SHA-256 of what is signed, in hexadecimal."""
        return hashlib.sha256(self.signed_bytes()).hexdigest()


@dataclass(frozen=True, slots=True)
class KeySet:
    """Raw Ed25519 public keys, and how many of them have to sign."""

    keys: tuple[bytes, ...]
    threshold: int

    def written(self) -> bytes:
        """In one form only: ascending, each once; ValueError for a set that can't sign."""
        if list(self.keys) != sorted(set(self.keys)) or len(self.keys) > MAX_KEYS:
            raise ValueError(f"expected at most {MAX_KEYS} keys, ascending, each once")
        if any(len(key) != KEY_BYTES for key in self.keys):
            raise ValueError(f"expected keys of {KEY_BYTES} bytes")
        if not 1 <= self.threshold <= len(self.keys):
            raise ValueError(f"threshold {self.threshold} of {len(self.keys)} keys")
        return _KEYS.pack(self.threshold, len(self.keys)) + b"".join(self.keys)


@dataclass(frozen=True, slots=True)
class TrustRecord:
    """Whose signatures count: what a version of the root metadata says, for who reads no JSON."""

    version: int
    root: KeySet
    targets: KeySet

    def signed_bytes(self) -> bytes:
        """What root keys sign beside the metadata; ValueError for a record that can't be."""
        version = _VERSION.pack(_number(self.version))
        return TRUST_DOMAIN + version + self.root.written() + self.targets.written()


def key_id(raw: bytes) -> str:
    """The name of a key: SHA-256 of its raw public half, in hexadecimal."""
    return hashlib.sha256(raw).hexdigest()


def _number(value: int) -> int:
    if type(value) is not int or not 0 <= value <= MAX_NUMBER:
        raise ValueError(f"{value!r:.40} is no number of 64 bits")
    return value


def _text(value: str) -> bytes:
    try:
        data = value.encode()
    except UnicodeEncodeError as error:
        raise ValueError("a text that is no Unicode") from error
    if len(data) > MAX_TEXT_BYTES:
        raise ValueError(f"a text of {len(data)} bytes, expected at most {MAX_TEXT_BYTES}")
    return _LENGTH.pack(len(data)) + data
