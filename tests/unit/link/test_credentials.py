"""Of two certificates the younger one of this agent counts, and nothing that doesn't fit."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from agent.link.credentials import RENEWED, Credentials, Pair, read_pair
from agent.link.errors import CredentialsError
from agent.link.renewal import due

NOW = datetime(2026, 7, 19, 4, 9, tzinfo=UTC)
HOUR = timedelta(hours=1)


def common_name(text: str) -> x509.Name:
    """A subject."""
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


@dataclass
class Authority:
    """Issues certificates through one in between."""

    def __post_init__(self) -> None:
        self.key, self.between = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
        root = self._made("root", self.key, "root", self.key, NOW, is_authority=True)
        middle = self._made("between", self.between, "root", self.key, NOW, is_authority=True)
        self.pem, self.middle = pem(root), pem(middle)

    def issue(self, name: str, begins: datetime) -> tuple[bytes, bytes]:
        """Chain and key for an hour from then on."""
        key = ec.generate_private_key(ec.SECP256R1())
        leaf = self._made(name, key, "between", self.between, begins, is_authority=False)
        return pem(leaf) + self.middle, key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )

    def _made(
        self,
        name: str,
        key: ec.EllipticCurvePrivateKey,
        issuer: str,
        by: ec.EllipticCurvePrivateKey,
        begins: datetime,
        *,
        is_authority: bool,
    ) -> x509.Certificate:
        builder = x509.CertificateBuilder(common_name(issuer), common_name(name), key.public_key())
        builder = builder.serial_number(x509.random_serial_number()).not_valid_before(begins)
        builder = builder.not_valid_after(begins + HOUR)
        builder = builder.add_extension(x509.BasicConstraints(is_authority, None), critical=True)
        uri = x509.UniformResourceIdentifier(f"spiffe://bulkhead/agent/{name}")
        return builder.add_extension(x509.SubjectAlternativeName([uri]), critical=False).sign(
            by, hashes.SHA256()
        )


def pem(certificate: x509.Certificate) -> bytes:
    """As files have it."""
    return certificate.public_bytes(serialization.Encoding.PEM)


AUTHORITY, OTHER = Authority(), Authority()
FIRST = AUTHORITY.issue("web-1", NOW)
NEXT = AUTHORITY.issue("web-1", NOW + HOUR / 2)


def installed(pair: tuple[bytes, bytes] = FIRST) -> Pair:
    """What an operator has put there."""
    return read_pair(*pair, AUTHORITY.pem)


UNFIT = {
    "empty": (b"", b""),
    "no PEM": (b"x", FIRST[1]),
    "another key": (FIRST[0], NEXT[1]),
    "another authority": OTHER.issue("web-1", NOW),
    "nobody between": (FIRST[0].partition(AUTHORITY.middle)[0], FIRST[1]),
    "half a certificate": (FIRST[0][:300], FIRST[1]),
    "half a key": (FIRST[0], FIRST[1][:60]),
}


@pytest.mark.parametrize("name", UNFIT)
def test_a_pair_that_does_not_fit_is_refused(name: str) -> None:
    """A link would lock itself out with a certificate that nobody accepts."""
    with pytest.raises(CredentialsError):
        read_pair(*UNFIT[name], AUTHORITY.pem)


def test_a_renewed_pair_outlives_the_link_and_stays_its_own(tmp_path: Path) -> None:
    """After a restart the host would come with a certificate that has expired."""
    Credentials(tmp_path, AUTHORITY.pem, installed()).replace(*NEXT, NOW + HOUR)
    assert (tmp_path / RENEWED).stat().st_mode & 0o077 == 0
    again = Credentials(tmp_path, AUTHORITY.pem, installed())
    assert again.pair == installed(NEXT)
    later = AUTHORITY.issue("web-1", NOW + HOUR)
    again.replace(*later, NOW + HOUR)
    assert Credentials(tmp_path, AUTHORITY.pem, installed()).pair == installed(later)


WORSE = {
    "another agent": AUTHORITY.issue("web-2", NOW),
    "not yet": AUTHORITY.issue("web-1", NOW + HOUR),
    "over": AUTHORITY.issue("web-1", NOW - HOUR),
    "another authority": OTHER.issue("web-1", NOW),
}


@pytest.mark.parametrize("name", WORSE)
def test_a_renewal_for_the_worse_changes_nothing(name: str, tmp_path: Path) -> None:
    """A cloud that was taken over could make hosts lose the certificate that they have."""
    credentials = Credentials(tmp_path, AUTHORITY.pem, installed())
    with pytest.raises(CredentialsError):
        credentials.replace(*WORSE[name], NOW + HOUR / 2)
    assert credentials.pair == installed()
    assert list(tmp_path.iterdir()) == []


def test_what_was_renewed_gives_way_to_a_new_installation(tmp_path: Path) -> None:
    """A host that has joined again would go on with the certificate that was revoked."""
    Credentials(tmp_path, AUTHORITY.pem, installed()).replace(*NEXT, NOW + HOUR)
    another = installed(AUTHORITY.issue("web-1", NOW))
    assert Credentials(tmp_path, AUTHORITY.pem, another).pair == another
    assert not (tmp_path / RENEWED).exists()


@pytest.mark.parametrize("left", [0, 5, 100, 500, 1200], ids=lambda left: f"{left} bytes")
def test_a_file_that_was_damaged_is_given_up(left: int, tmp_path: Path) -> None:
    """A link would not start any more."""
    Credentials(tmp_path, AUTHORITY.pem, installed()).replace(*NEXT, NOW + HOUR)
    file = tmp_path / RENEWED
    assert file.stat().st_size > left
    file.write_bytes(file.read_bytes()[:left])
    assert Credentials(tmp_path, AUTHORITY.pem, installed()).pair == installed()
    assert not file.exists()


def test_a_renewal_that_can_not_be_written_changes_nothing(tmp_path: Path) -> None:
    """A full disk would leave a link with a certificate that it forgets."""
    credentials = Credentials(tmp_path / "absent", AUTHORITY.pem, installed())
    with pytest.raises(OSError, match="No such file"):
        credentials.replace(*NEXT, NOW + HOUR)
    assert credentials.pair == installed()


def test_renewals_come_after_half_of_a_life_and_apart() -> None:
    """Hosts that joined together would all ask at once, or too late to try again."""
    assert due(installed(), 0.0) == NOW + HOUR / 2
    assert NOW + HOUR * 0.59 < due(installed(), 0.99) < NOW + HOUR * 0.6


def test_a_key_does_not_show_in_representations() -> None:
    """A key would end up in a log."""
    assert "PRIVATE" not in repr(installed())
