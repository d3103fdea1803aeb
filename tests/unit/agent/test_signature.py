"""Signatures: only what the trusted key signed, for that purpose, is good."""

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa, x448, x25519
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from hypothesis import given
from hypothesis import strategies as st

from agent.supervisor.signature import TrustedKey, TrustError
from content.signing_domains import CHANNEL_FILE_DOMAIN, ROLLBACK_DOMAIN

PRIVATE = ed25519.Ed25519PrivateKey.generate()
PEM = PRIVATE.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
PAYLOAD = b"a Channel File's payload"
HASH = bytes(range(32))


@pytest.fixture
def key(tmp_path: Path) -> TrustedKey:
    """The public key of PRIVATE, as a sensor reads it."""
    (tmp_path / "key.pem").write_bytes(PEM)
    return TrustedKey.from_file(tmp_path / "key.pem")


def test_good_signatures(key: TrustedKey) -> None:
    """No content would ever reach a host, and nothing could be revoked."""
    assert key.signed_channel_file(PAYLOAD, PRIVATE.sign(CHANNEL_FILE_DOMAIN + PAYLOAD))
    assert key.signed_channel_file(b"", PRIVATE.sign(CHANNEL_FILE_DOMAIN))
    assert key.signed(ROLLBACK_DOMAIN + HASH, PRIVATE.sign(ROLLBACK_DOMAIN + HASH))


def test_signature_for_another_purpose_is_bad(key: TrustedKey) -> None:
    """A signed Channel File could be shown as the order to give one up, or the other way round."""
    assert not key.signed(ROLLBACK_DOMAIN + HASH, PRIVATE.sign(CHANNEL_FILE_DOMAIN + HASH))
    assert not key.signed_channel_file(HASH, PRIVATE.sign(ROLLBACK_DOMAIN + HASH))
    assert not key.signed_channel_file(PAYLOAD, PRIVATE.sign(PAYLOAD))


def test_signature_of_another_key_is_bad(key: TrustedKey) -> None:
    """Anybody could sign content."""
    stranger = ed25519.Ed25519PrivateKey.generate()
    assert not key.signed_channel_file(PAYLOAD, stranger.sign(CHANNEL_FILE_DOMAIN + PAYLOAD))


@pytest.mark.parametrize("length", [0, 1, 63, 65, 128])
def test_signature_of_another_length_is_bad(key: TrustedKey, length: int) -> None:
    """A truncated signature would be accepted, or read beyond its end."""
    good = PRIVATE.sign(CHANNEL_FILE_DOMAIN + PAYLOAD)
    assert not key.signed_channel_file(PAYLOAD, (good * 2)[:length])


@given(bit=st.integers(0, 64 * 8 - 1))
def test_every_bit_of_a_signature_counts(bit: int) -> None:
    """A damaged signature would be accepted."""
    good = bytearray(PRIVATE.sign(CHANNEL_FILE_DOMAIN + PAYLOAD))
    good[bit // 8] ^= 1 << bit % 8
    raw = PRIVATE.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    assert not TrustedKey(raw).signed_channel_file(PAYLOAD, bytes(good))


@given(bit=st.integers(0, len(PAYLOAD) * 8 - 1))
def test_every_bit_of_a_payload_counts(bit: int) -> None:
    """Content could be changed after it was signed."""
    changed = bytearray(PAYLOAD)
    changed[bit // 8] ^= 1 << bit % 8
    raw = PRIVATE.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    good = PRIVATE.sign(CHANNEL_FILE_DOMAIN + PAYLOAD)
    assert not TrustedKey(raw).signed_channel_file(bytes(changed), good)


def foreign_keys() -> dict[str, bytes]:
    """Public keys in PEM form of which none is Ed25519, and one that is private."""
    public = (
        rsa.generate_private_key(65537, 2048).public_key(),
        ec.generate_private_key(ec.SECP256R1()).public_key(),
        x25519.X25519PrivateKey.generate().public_key(),
        x448.X448PrivateKey.generate().public_key(),
        ed448.Ed448PrivateKey.generate().public_key(),
    )
    shape = (Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    keys = {type(one).__name__: one.public_bytes(*shape) for one in public}
    secret = PRIVATE.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return {**keys, "private key": secret}


FOREIGN = foreign_keys()
RUBBISH = {
    "empty": b"",
    "zeros": bytes(100),
    "text": b"-----BEGIN PUBLIC KEY-----\nnot base64!\n-----END PUBLIC KEY-----\n",
    "cut": PEM[: len(PEM) // 2],
    "too large": PEM + b"\n" * 5000,
    "certificate": PEM.replace(b"PUBLIC KEY", b"CERTIFICATE"),
}


@pytest.mark.parametrize("name", sorted({**FOREIGN, **RUBBISH}))
def test_file_that_holds_no_such_key_is_named(tmp_path: Path, name: str) -> None:
    """A sensor would start with a key that verifies nothing, or everything."""
    path = tmp_path / "key.pem"
    path.write_bytes({**FOREIGN, **RUBBISH}[name])
    with pytest.raises(TrustError, match=f"{path}: .*Ed25519"):
        TrustedKey.from_file(path)


def test_missing_or_unreadable_file_is_named(tmp_path: Path) -> None:
    """Whoever starts the sensor would see a traceback."""
    for path in (tmp_path / "absent.pem", tmp_path):
        with pytest.raises(TrustError, match=str(path)):
            TrustedKey.from_file(path)


def test_raw_key_of_another_length_is_refused() -> None:
    """A caller's mistake would become a key that nobody has."""
    with pytest.raises(TrustError, match="31"):
        TrustedKey(bytes(31))
