"""A first certificate for a token, another one for the one in use; each in one transaction.

Join:   1. the token is good for this agent
        2. the agent was not expelled
        3. the signing request asks for this name and a fit key
        4. write the certificate down, use the token up by one, put the host into its group
Renew:  1. the certificate is one of ours, and not long expired
        2. neither it nor its agent was expelled
        3. the signing request asks for the name in it
        4. its key has signed the request: nobody asks in an agent's place, the server included
        5. write the new certificate down, as the child of this one

What is refused changes nothing, and nothing leaves before it is on the disk.
"""

from datetime import UTC, datetime, timedelta

from sqlalchemy import Connection

from bulkhead.v1.enrolment_service_pb2 import JoinRequest, RenewRequest
from cloud.authority import require_agent_id
from cloud.errors import CloudReason, SessionError
from cloud.issuing import Issued, Issuer, named_agent, read_certificate, serial_of
from cloud.join_tokens import Token, TokenRefusal, judge, parse
from cloud.limits import CloudLimits
from cloud.signing_requests import require_proof, require_signing_request
from cloud.store import certificates, policies
from cloud.store.database import Database

NANOSECONDS = 1_000_000_000
RENEWAL = "renewal"


class TokenRefusedError(SessionError):
    """No certificate for this token; who has sent it gets the same words whatever `because` is."""

    def __init__(self, because: TokenRefusal) -> None:
        self.because = because
        super().__init__(
            CloudReason.TOKEN_REFUSED,
            "unknown, expired, used up, withdrawn, or not for this agent; ask for a new one",
        )


class Issuance:
    """Store and key; `lifetime` is that of every certificate. Both methods wait for the disk."""

    def __init__(
        self, database: Database, issuer: Issuer, lifetime: timedelta, limits: CloudLimits
    ) -> None:
        self._database = database
        self._issuer = issuer
        self._lifetime = lifetime
        self._grace = timedelta(hours=limits.renewal_grace_hours)

    def join(self, request: JoinRequest, now: datetime) -> Issued:
        """The first certificate; SessionError, KeyFileError or StoreError where there is none."""
        agent_id = require_agent_id(request.agent_id)
        with self._database.writing() as connection:
            token = _good_token(connection, request.token, agent_id, now)
            _require_not_expelled(connection, agent_id, "")
            key = require_signing_request(request.signing_request, agent_id)
            issued = self._issuer.issue(key, agent_id, now, self._lifetime)
            self._add(connection, issued, f"token {token.token_id}", "", now)
            now_ns = _nanoseconds(now)
            certificates.use_token(connection, token)
            if token.group:
                by = f"token {token.token_id}"
                policies.set_group(connection, agent_id, token.group, by, now_ns)
        return issued

    def renew(self, request: RenewRequest, now: datetime) -> Issued:
        """The next certificate; errors as of `join`."""
        old = read_certificate(request.certificate)
        agent_id = named_agent(old)
        if agent_id is None or not self._issuer.made(old):
            raise SessionError(CloudReason.CERTIFICATE_FOREIGN, "not issued to an agent by us")
        if now > old.not_valid_after_utc + self._grace:
            raise SessionError(
                CloudReason.CERTIFICATE_EXPIRED,
                f"since {old.not_valid_after_utc.isoformat()}; the host has to join anew",
            )
        with self._database.writing() as connection:
            _require_not_expelled(connection, agent_id, serial_of(old))
            key = require_signing_request(request.signing_request, agent_id)
            require_proof(old, request.proof, request.signing_request)
            issued = self._issuer.issue(key, agent_id, now, self._lifetime)
            self._add(connection, issued, RENEWAL, serial_of(old), now)
        return issued

    def _add(
        self, connection: Connection, issued: Issued, source: str, parent: str, now: datetime
    ) -> None:
        keep_from = int((now - self._grace).timestamp())
        certificates.add(connection, issued.certificate, source, parent, keep_from)


def _good_token(connection: Connection, text: str, agent_id: str, now: datetime) -> Token:
    parsed = parse(text)
    if parsed is None:
        raise TokenRefusedError(TokenRefusal.MALFORMED)
    token_id, digest = parsed
    token = certificates.token(connection, token_id)
    taken = certificates.is_taken(connection, agent_id)
    because = judge(token, digest, agent_id, now.timestamp(), taken=taken)
    if because is not None or token is None:
        raise TokenRefusedError(because or TokenRefusal.UNKNOWN)
    return token


def _require_not_expelled(connection: Connection, agent_id: str, serial: str) -> None:
    if certificates.expelled(connection).includes(agent_id, serial):
        raise SessionError(CloudReason.CERTIFICATE_REVOKED, f"{agent_id} was expelled")


def _nanoseconds(moment: datetime) -> int:
    return int(moment.astimezone(UTC).timestamp() * NANOSECONDS)
