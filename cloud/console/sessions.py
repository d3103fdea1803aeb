"""Sessions of operators, in the console's memory: it ends, and they end.

A session is named by a random value that only the browser has; kept is its digest. It ends when it
was not used for a while, when its day is over, or when the operator's password is another one.
"""

import hashlib
import hmac
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field

from cloud.console.limits import LIMITS, ConsoleLimits
from cloud.console.operators import Operator

TOKEN_BYTES = 32


@dataclass(slots=True)
class Session:
    """Of whom, since when (monotonic seconds), the token of its forms, and a note for once."""

    operator: Operator
    began: float
    used: float
    form_token: str = field(default_factory=lambda: secrets.token_urlsafe(TOKEN_BYTES))
    note: str = ""
    streams: int = 0

    def take_note(self) -> str:
        """What is to be told on the next page."""
        note, self.note = self.note, ""
        return note


class Sessions:
    """All of them. Time is the caller's."""

    def __init__(self, limits: ConsoleLimits = LIMITS) -> None:
        self._limits = limits
        self._open: dict[bytes, Session] = {}

    def __len__(self) -> int:
        return len(self._open)

    def begin(self, operator: Operator, now: float) -> str:
        """A new session; the value for the cookie. The one used longest ago makes room."""
        while len(self._open) >= self._limits.sessions:
            del self._open[min(self._open, key=lambda name: self._open[name].used)]
        value = secrets.token_urlsafe(TOKEN_BYTES)
        self._open[_digest(value)] = Session(operator, now, now)
        return value

    def find(
        self, value: str, operators: Mapping[str, Operator], now: float, *, used: bool = True
    ) -> Session | None:
        """The session of a cookie, while it lasts; used: by its operator, and not by a stream."""
        name = _digest(value)
        session = self._open.get(name)
        if session is None:
            return None
        if self._over(session, now) or operators.get(session.operator.name) != session.operator:
            del self._open[name]
            return None
        if used:
            session.used = now
        return session

    def end(self, value: str) -> None:
        """No session of that cookie any more."""
        self._open.pop(_digest(value), None)

    def _over(self, session: Session, now: float) -> bool:
        idle = now - session.used > self._limits.session_idle_seconds
        return idle or now - session.began > self._limits.session_seconds


class Visitors:
    """Tokens of the login form, for who has no session yet: bound to a cookie by a secret."""

    def __init__(self) -> None:
        self._secret = secrets.token_bytes(TOKEN_BYTES)

    def token(self, cookie: str) -> str:
        """The token that belongs to a cookie."""
        return hmac.digest(self._secret, cookie.encode("utf-8", "replace"), "sha256").hex()


def equal(found: str, expected: str) -> bool:
    """Compare in a time that tells nothing."""
    return hmac.compare_digest(found.encode("utf-8", "replace"), expected.encode("utf-8"))


def _digest(value: str) -> bytes:
    return hashlib.sha256(value.encode("utf-8", "replace")).digest()
