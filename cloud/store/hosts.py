"""Hosts: what their agents said last, what is active on them, where each release stands.

A host has one row per Template Type and one per release, however long it talks.
"""

import hashlib
from abc import abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

from sqlalchemy import Connection, bindparam, delete, insert, select, update

from bulkhead.v1.report_pb2 import ActiveChannelFile, Heartbeat
from bulkhead.v1.sensor_service_pb2 import Hello
from cloud.errors import CloudReason, SessionError
from cloud.offers import Active, Host, HostContent, Standing
from cloud.refusals import Refusal, from_text, to_text
from cloud.store.database import put
from cloud.store.tables import HOST_ACTIVE, HOST_CONTENT, HOSTS
from cloud.store.writer import Together

# To build a statement costs more than to execute it.
SESSIONS = select(HOSTS.c.agent_id, HOSTS.c.session).where(
    HOSTS.c.agent_id.in_(bindparam("agents", expanding=True))
)
BEAT = (
    update(HOSTS)
    .where(HOSTS.c.agent_id == bindparam("agent"))
    .values(heartbeat=bindparam("beat"), last_seen_unix_ns=bindparam("now_ns"))
)


@dataclass(frozen=True, slots=True)
class ContentRow:
    """Where a release stands on a host."""

    agent_id: str
    content_hash: bytes
    standing: Standing
    push: int
    refusals: tuple[Refusal, ...]
    changed_unix_ns: int


@dataclass(frozen=True, slots=True)
class HostRow:
    """A host as it introduced itself last; `session` is empty unless it is connected."""

    hello: Hello
    heartbeat: Heartbeat
    first_seen_unix_ns: int
    last_seen_unix_ns: int
    session: str


def say_hello(connection: Connection, hello: Hello, session: str, now_ns: int) -> Host:
    """Store a hello and return what is known of the host.

    A sensor that changed (version, rung or supply) gets another chance at what it had rejected.
    """
    ours = HOSTS.c.agent_id == hello.agent_id
    sensor = _sensor_digest(hello)
    before = connection.execute(select(HOSTS.c.sensor).where(ours)).scalar()
    row = {
        "hello": hello.SerializeToString(),
        "sensor": sensor,
        "last_seen_unix_ns": now_ns,
        "session": session,
    }
    if before is None:
        fresh = {"agent_id": hello.agent_id, "heartbeat": b"", "first_seen_unix_ns": now_ns}
        connection.execute(insert(HOSTS).values(row | fresh))
    else:
        connection.execute(update(HOSTS).where(ours).values(row))
        if before != sensor:
            _forget_rejections(connection, hello.agent_id)
    set_active(connection, hello.agent_id, hello.active)
    return host(connection, hello.agent_id)


@dataclass(frozen=True, slots=True)
class OfSession(Together):
    """What is said in a session of a host; nothing of it counts unless that is the newest one.

    What an older one still has to say, on whatever replica, is no longer so: SessionError.
    """

    agent_id: str
    session: str

    @classmethod
    def store(cls, connection: Connection, jobs: Sequence[Self]) -> Sequence[Exception | None]:
        """Store those that count."""
        agents = sorted({job.agent_id for job in jobs})
        newest = {row[0]: row[1] for row in connection.execute(SESSIONS, {"agents": agents})}
        good = [job for job in jobs if newest.get(job.agent_id) == job.session]
        if good:
            cls._store(connection, good)
        return [None if newest.get(job.agent_id) == job.session else _replaced() for job in jobs]

    @classmethod
    @abstractmethod
    def _store(cls, connection: Connection, jobs: Sequence[Self]) -> None:
        """Store these, all of which count."""


@dataclass(frozen=True, slots=True)
class Beats(OfSession):
    """A heartbeat, of which the last one is kept; news: what is active has changed."""

    beat: Heartbeat
    now_ns: int
    news: bool = False

    @classmethod
    def _store(cls, connection: Connection, jobs: Sequence[Self]) -> None:
        rows = [
            {"agent": job.agent_id, "beat": job.beat.SerializeToString(), "now_ns": job.now_ns}
            for job in jobs
        ]
        connection.execute(BEAT, rows)
        for job in jobs:
            if job.news:
                set_active(connection, job.agent_id, job.beat.active)


@dataclass(frozen=True, slots=True)
class Stands(OfSession):
    """Where releases stand on a host now, and what is active there for their Template Types."""

    rows: Sequence[ContentRow]
    active: Sequence[ActiveChannelFile] = ()

    @classmethod
    def _store(cls, connection: Connection, jobs: Sequence[Self]) -> None:
        set_content(connection, [row for job in jobs for row in job.rows])
        files = [_active_row(job.agent_id, file) for job in jobs for file in job.active]
        put(connection, HOST_ACTIVE, files)


def _replaced() -> SessionError:
    return SessionError(
        CloudReason.SESSION_REPLACED,
        "a newer session of this agent has begun, or this one was taken for dead",
    )


def disconnect(connection: Connection, agent_id: str, session: str) -> None:
    """The session has ended; nothing happens if a newer one has begun."""
    connection.execute(
        update(HOSTS)
        .where(HOSTS.c.agent_id == agent_id, HOSTS.c.session == session)
        .values(session=None)
    )


def disconnect_all(connection: Connection) -> None:
    """No host is connected: a serving process begins or ends."""
    connection.execute(update(HOSTS).values(session=None))


def set_active(connection: Connection, agent_id: str, files: Iterable[ActiveChannelFile]) -> None:
    """Replace all that is active on a host; at most one file per Template Type."""
    connection.execute(delete(HOST_ACTIVE).where(HOST_ACTIVE.c.agent_id == agent_id))
    put_active(connection, agent_id, files)


def put_active(connection: Connection, agent_id: str, files: Iterable[ActiveChannelFile]) -> None:
    """Replace what is active for the Template Types of these files."""
    put(connection, HOST_ACTIVE, [_active_row(agent_id, file) for file in files])


def set_content(connection: Connection, rows: Sequence[ContentRow]) -> None:
    """Replace where releases stand on hosts."""
    put(
        connection,
        HOST_CONTENT,
        [
            {
                "agent_id": row.agent_id,
                "content_hash": row.content_hash,
                "standing": row.standing.value,
                "push": row.push,
                "refusals": to_text(row.refusals),
                "changed_unix_ns": row.changed_unix_ns,
            }
            for row in rows
        ],
    )


def host(connection: Connection, agent_id: str) -> Host:
    """What decisions need to know of one host."""
    active = active_files(connection, agent_id).get(agent_id, [])
    rows = content_rows(connection, agent_id)
    return Host(
        {file.template_type: Active(file.version, file.content_hash) for file in active},
        {row.content_hash: HostContent(row.standing, row.push) for row in rows},
    )


def all_hosts(connection: Connection) -> tuple[HostRow, ...]:
    """Every host, by agent id."""
    rows = connection.execute(select(HOSTS).order_by(HOSTS.c.agent_id)).mappings()
    return tuple(
        HostRow(
            hello=Hello.FromString(row["hello"]),
            heartbeat=Heartbeat.FromString(row["heartbeat"]),
            first_seen_unix_ns=row["first_seen_unix_ns"],
            last_seen_unix_ns=row["last_seen_unix_ns"],
            session=row["session"] or "",
        )
        for row in rows
    )


def active_files(
    connection: Connection, agent_id: str | None = None
) -> Mapping[str, list[ActiveChannelFile]]:
    """What is active, by agent id; of one agent where one is given."""
    query = select(HOST_ACTIVE).order_by(HOST_ACTIVE.c.agent_id, HOST_ACTIVE.c.template_type)
    if agent_id is not None:
        query = query.where(HOST_ACTIVE.c.agent_id == agent_id)
    found: dict[str, list[ActiveChannelFile]] = {}
    for row in connection.execute(query).mappings():
        file = ActiveChannelFile(
            template_type=row["template_type"],
            version=row["version"],
            content_hash=row["content_hash"],
            state=row["state"],
        )
        found.setdefault(row["agent_id"], []).append(file)
    return found


def content_rows(connection: Connection, agent_id: str | None = None) -> tuple[ContentRow, ...]:
    """Where releases stand, on one host or on all, oldest change first."""
    query = select(HOST_CONTENT).order_by(HOST_CONTENT.c.changed_unix_ns)
    if agent_id is not None:
        query = query.where(HOST_CONTENT.c.agent_id == agent_id)
    return tuple(
        ContentRow(
            agent_id=row["agent_id"],
            content_hash=row["content_hash"],
            standing=Standing(row["standing"]),
            push=row["push"],
            refusals=from_text(row["refusals"]),
            changed_unix_ns=row["changed_unix_ns"],
        )
        for row in connection.execute(query).mappings()
    )


def _active_row(agent_id: str, file: ActiveChannelFile) -> dict[str, Any]:
    return {
        "agent_id": agent_id,
        "template_type": file.template_type,
        "version": file.version,
        "content_hash": file.content_hash,
        "state": int(file.state),
    }


def _sensor_digest(hello: Hello) -> bytes:
    told = Hello(
        sensor_version=hello.sensor_version, rung=hello.rung, supplied=hello.supplied
    ).SerializeToString(deterministic=True)
    return hashlib.sha256(told).digest()


def _forget_rejections(connection: Connection, agent_id: str) -> None:
    connection.execute(
        delete(HOST_CONTENT).where(
            HOST_CONTENT.c.agent_id == agent_id,
            HOST_CONTENT.c.standing == Standing.REJECTED.value,
        )
    )
