"""Join tokens: who may have a first certificate, until when and how often. Pure.

The store keeps a digest of each secret, so that whoever reads it can't join. A token says its id
first, by which it is found; the rest is the secret.
"""

import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass
from enum import StrEnum

SECRET_BYTES = 32
ID_BYTES = 6
TOKEN = re.compile(r"(?P<id>[0-9a-f]{12})\.(?P<secret>[A-Za-z0-9_-]{43})", re.ASCII)
ANY_AGENT = ""
"""In place of an agent's id: whoever takes a name that no host has had."""


class TokenRefusal(StrEnum):
    """Why a token is not taken: for the journal. Who has sent it is never told which it was."""

    MALFORMED = "MALFORMED"
    UNKNOWN = "UNKNOWN"
    WITHDRAWN = "WITHDRAWN"
    EXPIRED = "EXPIRED"
    USED_UP = "USED_UP"
    OTHER_AGENT = "OTHER_AGENT"
    AGENT_ID_TAKEN = "AGENT_ID_TAKEN"


@dataclass(frozen=True, slots=True)
class Token:
    """A join token as stored. agent_id: whom it is for; group: the host's from then on, or ""."""

    token_id: str
    digest: bytes
    agent_id: str
    group: str
    expires_unix: int
    uses_left: int
    withdrawn: bool = False


def new_secret() -> tuple[str, str]:
    """The id of a new token, and its whole text."""
    token_id = secrets.token_hex(ID_BYTES)
    return token_id, f"{token_id}.{secrets.token_urlsafe(SECRET_BYTES)}"


def parse(text: str) -> tuple[str, bytes] | None:
    """Id and digest of a token's text, or None for what is none."""
    match = TOKEN.fullmatch(text)
    return (match["id"], digest_of(text)) if match else None


def digest_of(text: str) -> bytes:
    """What is stored of a token."""
    return hashlib.sha256(text.encode("ascii")).digest()


def judge(
    token: Token | None, digest: bytes, agent_id: str, now_unix: float, *, taken: bool
) -> TokenRefusal | None:
    """Why this agent may not join with it, or None if it may.

    taken: a host of this name was here before. Whoever holds a token for any agent could else pose
    as that one; a token for that very agent is an operator's word.
    """
    stored = token.digest if token else bytes(len(digest))
    if not hmac.compare_digest(stored, digest) or token is None:
        return TokenRefusal.UNKNOWN
    if token.withdrawn:
        return TokenRefusal.WITHDRAWN
    if now_unix >= token.expires_unix:
        return TokenRefusal.EXPIRED
    if token.uses_left <= 0:
        return TokenRefusal.USED_UP
    if token.agent_id not in (ANY_AGENT, agent_id):
        return TokenRefusal.OTHER_AGENT
    if token.agent_id == ANY_AGENT and taken:
        return TokenRefusal.AGENT_ID_TAKEN
    return None
