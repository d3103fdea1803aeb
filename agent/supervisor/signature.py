"""Ed25519 signatures over payloads that nobody has parsed yet.

Python's standard library has no signatures, but its hashlib is linked against OpenSSL's libcrypto,
which is therefore always present; three of its functions are called through ctypes. No code of
ours does cryptography, and the supervisor gains no dependency.
"""

import ctypes
import ctypes.util
from pathlib import Path

from agent import own_files
from content.signing_domains import CHANNEL_FILE_DOMAIN, key_id

SIGNATURE_BYTES = 64
PUBLIC_KEY_BYTES = 32
MAX_KEY_FILE_BYTES = 4096

_crypto = ctypes.CDLL("libcrypto.so.3", use_errno=False)


class TrustError(Exception):
    """The trusted key can't be read; names the file and what was expected."""


def _declare(name: str, result: type | None, *arguments: type) -> None:
    function = getattr(_crypto, name)
    function.restype = result
    function.argtypes = arguments


_P, _SIZE, _INT = ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int
_declare("BIO_new_mem_buf", _P, ctypes.c_char_p, _INT)
_declare("BIO_free", _INT, _P)
_declare("PEM_read_bio_PUBKEY", _P, _P, _P, _P, _P)
_declare("EVP_PKEY_free", None, _P)
_declare("EVP_PKEY_get_id", _INT, _P)
_declare("EVP_PKEY_get_raw_public_key", _INT, _P, ctypes.c_char_p, ctypes.POINTER(_SIZE))
_declare("EVP_PKEY_new_raw_public_key", _P, _INT, _P, ctypes.c_char_p, _SIZE)
_declare("EVP_MD_CTX_new", _P)
_declare("EVP_MD_CTX_free", None, _P)
_declare("EVP_DigestVerifyInit", _INT, _P, _P, _P, _P, _P)
_declare("EVP_DigestVerify", _INT, _P, ctypes.c_char_p, _SIZE, ctypes.c_char_p, _SIZE)

_ED25519 = 1087  # EVP_PKEY_ED25519 in openssl/evp.h


class TrustedKey:
    """The public key whose signatures this sensor accepts."""

    def __init__(self, raw: bytes) -> None:
        if len(raw) != PUBLIC_KEY_BYTES:
            raise TrustError(f"a public key has {PUBLIC_KEY_BYTES} bytes, not {len(raw)}")
        self.raw = raw
        self.key_id = key_id(raw)

    @classmethod
    def from_file(cls, path: Path) -> "TrustedKey":
        """Read an Ed25519 public key in PEM form; TrustError if it isn't one."""
        try:
            pem = own_files.read(path, MAX_KEY_FILE_BYTES + 1)
        except OSError as error:
            raise TrustError(
                f"{path}: {error.strerror}; expected a public key in PEM form"
            ) from error
        raw = _raw_public_key(pem) if len(pem) <= MAX_KEY_FILE_BYTES else None
        if raw is None:
            raise TrustError(f"{path}: found no Ed25519 public key in PEM form")
        return cls(raw)

    def signed_channel_file(self, payload: bytes, signature: bytes) -> bool:
        """Whether the signature over a Channel File's payload is good."""
        return self.signed(CHANNEL_FILE_DOMAIN + payload, signature)

    def signed(self, message: bytes, signature: bytes) -> bool:
        """Whether the signature over a message, with its domain before it, is good."""
        if len(signature) != SIGNATURE_BYTES:
            return False
        key = _crypto.EVP_PKEY_new_raw_public_key(_ED25519, None, self.raw, len(self.raw))
        context = _crypto.EVP_MD_CTX_new()
        try:
            if not key or _crypto.EVP_DigestVerifyInit(context, None, None, None, key) != 1:
                return False
            size = len(signature)
            return bool(
                _crypto.EVP_DigestVerify(context, signature, size, message, len(message)) == 1
            )
        finally:
            _crypto.EVP_MD_CTX_free(context)
            _crypto.EVP_PKEY_free(key)


def _raw_public_key(pem: bytes) -> bytes | None:
    source = _crypto.BIO_new_mem_buf(pem, len(pem))
    # The last argument is the passphrase: without one, an encrypted file would make us ask for it.
    key = _crypto.PEM_read_bio_PUBKEY(source, None, None, ctypes.c_char_p(b""))
    _crypto.BIO_free(source)
    if not key:
        return None
    raw = ctypes.create_string_buffer(PUBLIC_KEY_BYTES)
    size = ctypes.c_size_t(PUBLIC_KEY_BYTES)
    good = _crypto.EVP_PKEY_get_id(key) == _ED25519
    good = good and _crypto.EVP_PKEY_get_raw_public_key(key, raw, ctypes.byref(size)) == 1
    _crypto.EVP_PKEY_free(key)
    return raw.raw if good and size.value == PUBLIC_KEY_BYTES else None
