"""Certificate and key by which the cloud knows this host: as installed, or as renewed since.

A renewed pair is one file in the link's folder, replaced whole: a crash leaves the old pair or the
new one, and never a key beside a certificate that it doesn't fit. The file says from which
installation it comes, by a digest of the installed chain. As long as that is what is installed, the
renewed pair counts, whatever the dates say; if something else was installed since, it is removed.
Nothing here decides when to renew.
"""

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes

from agent.link.errors import ConfigurationError, CredentialsError
from agent.link.limits import LIMITS
from agent.link.log import say

RENEWED = "certificate.pem"
KEY_END = b"-----END PRIVATE KEY-----\n"
HEADER = b"renewed from "


@dataclass(frozen=True, slots=True)
class Pair:
    """A certificate chain and its key in PEM form; never shown in a representation.

    names: alternative names of the first certificate, which say who this is.
    """

    chain: bytes
    key: bytes
    names: tuple[x509.GeneralName, ...]
    begins: datetime
    ends: datetime

    def __repr__(self) -> str:
        return f"Pair(until {self.ends.isoformat()})"

    def signing_key(self) -> ec.EllipticCurvePrivateKey | None:
        """Its key, if it is one that can prove a renewal."""
        key = _key(self.key)
        return key if isinstance(key, ec.EllipticCurvePrivateKey) else None


def read_pair(chain: bytes, key: bytes, authority: bytes) -> Pair:
    """A pair that fits together, below an authority (PEM); CredentialsError for anything else.

    1. certificates, and a key in PEM form
    2. the key is that of the first certificate
    3. each certificate was issued by the next, the last by the authority
    """
    # 1
    try:
        certificates = x509.load_pem_x509_certificates(chain)
        roots = x509.load_pem_x509_certificates(authority)
        private = _key(key)
        names = _names(certificates[0])
        # 2
        fits = private.public_key() == certificates[0].public_key()
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise CredentialsError("TLS_FILE", "expected certificates and a key in PEM form") from error
    if not fits:
        raise CredentialsError("TLS_FILE", "expected the key of the certificate, found another")
    # 3
    if not any(_chained([*certificates, root]) for root in roots):
        raise CredentialsError("TLS_FILE", "expected a chain that ends at the authority in ca.pem")
    first = certificates[0]
    return Pair(chain, key, names, first.not_valid_before_utc, first.not_valid_after_utc)


class Credentials:
    """The pair in use, `pair`; replaced by the session's thread only."""

    def __init__(self, folder: Path, authority: bytes, installed: Pair) -> None:
        self._file = folder / RENEWED
        self._authority = authority
        self._header = HEADER + hashlib.sha256(installed.chain).hexdigest().encode() + b"\n"
        self.pair = self._in_use(installed)

    def replace(self, chain: bytes, key: bytes, now: datetime) -> None:
        """Use this pair from the next connection on; it is on the disk when this returns.

        CredentialsError for a pair that is of no use now; OSError where it can't be written. Either
        way nothing has changed.
        """
        pair = read_pair(chain, key, self._authority)
        if pair.names != self.pair.names:
            raise CredentialsError("RENEWED_NAME", "the new certificate names somebody else")
        if not pair.begins <= now < pair.ends:
            raise CredentialsError("RENEWED_TIME", "the new certificate is not good now")
        _write_whole(self._file, self._header + key + chain)
        self.pair = pair

    def _in_use(self, installed: Pair) -> Pair:
        try:
            return self._read()
        except FileNotFoundError:
            return installed
        except (OSError, CredentialsError) as error:
            say(f"{self._file}: given up for the certificate that is installed: {error}")
        self._file.unlink(missing_ok=True)
        return installed

    def _read(self) -> Pair:
        with self._file.open("rb") as file:
            data = file.read(LIMITS.certificate_bytes + 1)
        if not data.startswith(self._header):
            raise CredentialsError("TLS_FILE", "it was not renewed from what is installed")
        key, end, chain = data.removeprefix(self._header).partition(KEY_END)
        return read_pair(chain, key + end, self._authority)


def installed_pair(folder: Path, chain: bytes, key: bytes, authority: bytes) -> Pair:
    """The pair that an operator has installed in a folder; ConfigurationError where it is unfit."""
    try:
        return read_pair(chain, key, authority)
    except CredentialsError as error:
        raise ConfigurationError(error.reason, f"{folder}: {error}") from error


def _key(pem: bytes) -> PrivateKeyTypes:
    return serialization.load_pem_private_key(pem, password=None)


def _names(certificate: x509.Certificate) -> tuple[x509.GeneralName, ...]:
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except x509.ExtensionNotFound:
        return ()
    return tuple(names.value)


def _chained(certificates: Sequence[x509.Certificate]) -> bool:
    try:
        for one, issuer in pairwise(certificates):
            one.verify_directly_issued_by(issuer)
    except (InvalidSignature, ValueError, TypeError):
        return False
    return True


def _write_whole(path: Path, data: bytes) -> None:
    new = path.with_name(f"{path.name}.new")
    new.unlink(missing_ok=True)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    with os.fdopen(os.open(new, flags, 0o600), "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
