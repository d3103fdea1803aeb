"""Where NATS is, and who we are there."""

import stat
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from cloud.errors import CloudReason, FolderError, KeyFileError
from cloud.files import read_capped
from cloud.limits import LIMITS

SCHEMES = frozenset({"nats", "tls"})


@dataclass(frozen=True, slots=True)
class NatsAddress:
    """A URL without a password; user and password are of a file, and never shown."""

    url: str
    credentials: Path | None = None

    @classmethod
    def parse(cls, url: str, credentials: Path | None) -> "NatsAddress":
        """KeyFileError for what is no such URL or names a password, or for an unfit file."""
        if not _is_plain(url):
            raise KeyFileError(
                CloudReason.NATS_ADDRESS_INVALID,
                "--nats: expected nats://HOST[:PORT] or tls://HOST[:PORT], without user and "
                "password; these belong into the file of --nats-credentials",
            )
        address = cls(url, credentials)
        address.secrets()
        return address

    def secrets(self) -> tuple[str, str] | tuple[None, None]:
        """User and password, if there is a file with them; errors as of `parse`."""
        if self.credentials is None:
            return None, None
        text = read_capped(self.credentials, LIMITS.key_file_bytes).decode("utf-8", "replace")
        if self.credentials.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
            raise FolderError(
                CloudReason.KEY_EXPOSED,
                f"{self.credentials}: others may read the password; expected mode 0600",
            )
        user, separator, password = text.strip().partition(":")
        if not separator or not user or "\n" in password:
            raise KeyFileError(
                CloudReason.KEY_INVALID,
                f"{self.credentials}: expected one line, USER:PASSWORD",
            )
        return user, password


def _is_plain(url: str) -> bool:
    try:
        found = urlsplit(url)
        in_range = found.port is None or found.port > 0
    except ValueError:
        return False
    plain = url.isascii() and url.isprintable() and "@" not in url
    return plain and in_range and found.scheme in SCHEMES and bool(found.hostname)
