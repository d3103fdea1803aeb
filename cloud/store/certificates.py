"""Certificates that agents were given, who was expelled, and join tokens.

What operators order is written to the audit log in the same transaction. A certificate is known
until it has expired for good; what was renewed with it names it as its parent, so that whoever
revokes it takes back all that came of it.
"""

from collections.abc import Iterable
from dataclasses import asdict, dataclass

from sqlalchemy import Connection, RowMapping, delete, insert, select, update

from cloud.issuing import AgentCertificate
from cloud.join_tokens import Token
from cloud.store import audit
from cloud.store.database import put
from cloud.store.tables import CERTIFICATES, EXPULSIONS, HOST_CERTIFICATES, JOIN_TOKENS

NOT, WITH_ITS_AGENT, BY_ITSELF = "", "agent", "itself"
"""How a certificate is revoked."""


@dataclass(frozen=True, slots=True)
class Expelled:
    """Agents and certificates that are good for nothing, as of one moment."""

    agents: frozenset[str] = frozenset()
    serials: frozenset[str] = frozenset()

    def includes(self, agent_id: str, serial: str) -> bool:
        """Whether whoever shows this certificate is to be refused."""
        return agent_id in self.agents or serial in self.serials


@dataclass(frozen=True, slots=True)
class Known:
    """A certificate as stored. source: token and its id, renewal, or enroll; parent: a serial."""

    certificate: AgentCertificate
    source: str
    parent: str
    revoked: str


def add(
    connection: Connection, certificate: AgentCertificate, source: str, parent: str, keep_from: int
) -> None:
    """Write down a new certificate; forget those that have expired before `keep_from` (Unix)."""
    connection.execute(delete(CERTIFICATES).where(CERTIFICATES.c.expires_unix < keep_from))
    row = asdict(certificate) | {"source": source, "parent": parent, "revoked": NOT}
    connection.execute(insert(CERTIFICATES).values(row))


def known(connection: Connection, agent_id: str | None = None) -> list[Known]:
    """Certificates, of one agent or of all, oldest first."""
    query = select(CERTIFICATES).order_by(CERTIFICATES.c.issued_unix, CERTIFICATES.c.expires_unix)
    if agent_id is not None:
        query = query.where(CERTIFICATES.c.agent_id == agent_id)
    return [_known(row) for row in connection.execute(query).mappings()]


def find(connection: Connection, serial: str) -> Known | None:
    """The certificate with this serial number."""
    query = select(CERTIFICATES).where(CERTIFICATES.c.serial == serial)
    row = connection.execute(query).mappings().first()
    return None if row is None else _known(row)


def is_taken(connection: Connection, agent_id: str) -> bool:
    """Whether a host of this name was given a certificate or has shown one."""
    queries = (
        select(table.c.agent_id).where(table.c.agent_id == agent_id).limit(1)
        for table in (CERTIFICATES, HOST_CERTIFICATES, EXPULSIONS)
    )
    return any(connection.execute(query).first() for query in queries)


def shown_by(connection: Connection, certificate: AgentCertificate) -> None:
    """A host has begun a session with it."""
    row = {"agent_id": certificate.agent_id, "serial": certificate.serial}
    put(connection, HOST_CERTIFICATES, [row | {"expires_unix": certificate.expires_unix}])


def shown(connection: Connection) -> dict[str, tuple[str, int]]:
    """By agent id: serial and end (Unix) of the certificate that it has shown last."""
    columns = HOST_CERTIFICATES.c
    query = select(columns.agent_id, columns.serial, columns.expires_unix)
    return {row[0]: (row[1], row[2]) for row in connection.execute(query)}


def expelled(connection: Connection) -> Expelled:
    """Everything that is refused."""
    agents = connection.execute(select(EXPULSIONS.c.agent_id)).scalars()
    serials = connection.execute(select(CERTIFICATES.c.serial).where(CERTIFICATES.c.revoked != NOT))
    return Expelled(frozenset(agents), frozenset(serials.scalars()))


def expel_agent(connection: Connection, agent_id: str, by: str, reason: str, now_ns: int) -> None:
    """Nothing for this agent until that is lifted, and nothing for its certificates afterwards."""
    row = {"agent_id": agent_id, "time_unix_ns": now_ns, "reason": reason}
    put(connection, EXPULSIONS, [row])
    ours = [one for one in known(connection, agent_id) if one.revoked == NOT]
    _mark(connection, (one.certificate.serial for one in ours), WITH_ITS_AGENT)
    audit.append(connection, by, "expel", agent_id, {"reason": reason}, now_ns)


def lift_agent(
    connection: Connection, agent_id: str, by: str, now_ns: int, *, with_certificates: bool
) -> bool:
    """The agent may join again, or go on with what it has; False if it was not expelled.

    What was revoked by itself stays so.
    """
    gone = connection.execute(delete(EXPULSIONS).where(EXPULSIONS.c.agent_id == agent_id)).rowcount
    ours = known(connection, agent_id) if with_certificates else []
    again = [one.certificate.serial for one in ours if one.revoked == WITH_ITS_AGENT]
    if not gone and not again:
        return False
    _mark(connection, again, NOT)
    detail = {"with_certificates": with_certificates}
    audit.append(connection, by, "lift expulsion", agent_id, detail, now_ns)
    return True


def revoke(
    connection: Connection, agent_id: str, serial: str, by: str, reason: str, now_ns: int
) -> list[str]:
    """Revoke one certificate and all that were renewed from it; their serials."""
    children: dict[str, list[str]] = {}
    for one in known(connection, agent_id):
        children.setdefault(one.parent, []).append(one.certificate.serial)
    found = [serial]
    for one_serial in found:
        found.extend(children.get(one_serial, ()))
    _mark(connection, found, BY_ITSELF)
    detail = {"serials": found, "reason": reason}
    audit.append(connection, by, "revoke certificate", agent_id, detail, now_ns)
    return found


def lift_certificate(
    connection: Connection, agent_id: str, serial: str, by: str, now_ns: int
) -> None:
    """This one certificate is good again."""
    _mark(connection, [serial], NOT)
    audit.append(connection, by, "lift revocation", agent_id, {"serial": serial}, now_ns)


def add_token(connection: Connection, token: Token, by: str, now_ns: int) -> None:
    """Store a new token's digest and terms."""
    connection.execute(insert(JOIN_TOKENS).values(asdict(token) | {"created_unix_ns": now_ns}))
    detail = {
        "agent_id": token.agent_id,
        "group": token.group,
        "expires_unix": token.expires_unix,
        "uses": token.uses_left,
    }
    audit.append(connection, by, "token", token.token_id, detail, now_ns)


def token(connection: Connection, token_id: str) -> Token | None:
    """The token with this id."""
    query = select(JOIN_TOKENS).where(JOIN_TOKENS.c.token_id == token_id)
    row = connection.execute(query).mappings().first()
    return None if row is None else _token(row)


def tokens(connection: Connection) -> list[Token]:
    """All tokens, oldest first."""
    query = select(JOIN_TOKENS).order_by(JOIN_TOKENS.c.created_unix_ns)
    return [_token(row) for row in connection.execute(query).mappings()]


def use_token(connection: Connection, used: Token) -> None:
    """One host has joined with it. Not in the audit log, in which operators' orders stand."""
    ours = JOIN_TOKENS.c.token_id == used.token_id
    less = JOIN_TOKENS.c.uses_left - 1
    connection.execute(update(JOIN_TOKENS).where(ours).values(uses_left=less))


def withdraw_token(connection: Connection, token_id: str, by: str, now_ns: int) -> None:
    """Nobody joins with it any more."""
    ours = JOIN_TOKENS.c.token_id == token_id
    connection.execute(update(JOIN_TOKENS).where(ours).values(withdrawn=True))
    audit.append(connection, by, "withdraw token", token_id, {}, now_ns)


def _mark(connection: Connection, serials: Iterable[str], revoked: str) -> None:
    for serial in serials:
        ours = CERTIFICATES.c.serial == serial
        connection.execute(update(CERTIFICATES).where(ours).values(revoked=revoked))


def _known(row: RowMapping) -> Known:
    certificate = AgentCertificate(
        row["agent_id"], row["serial"], row["issued_unix"], row["expires_unix"]
    )
    return Known(certificate, row["source"], row["parent"], row["revoked"])


def _token(row: RowMapping) -> Token:
    return Token(
        token_id=row["token_id"],
        digest=bytes(row["digest"]),
        agent_id=row["agent_id"],
        group=row["group"],
        expires_unix=row["expires_unix"],
        uses_left=row["uses_left"],
        withdrawn=row["withdrawn"],
    )
