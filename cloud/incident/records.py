"""All that the store holds of one incident, read in one transaction.

An incident is a crash report and, where it names a Channel File, all others that name the same one:
deaths of one cause. What hosts did not report is not in it.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, func, select

from bulkhead.v1.report_pb2 import CrashReport, LossReport
from bulkhead.v1.sensor_service_pb2 import Revocation
from cloud.errors import CloudReason, RecordsError
from cloud.offers import Release
from cloud.rollout.audit import Entry
from cloud.store import audit, hosts, releases, rollouts
from cloud.store.hosts import ContentRow
from cloud.store.reports import Stored
from cloud.store.tables import CRASHES, DETECTIONS, HOSTS, LOSSES, REVOCATIONS

AGENTS_NAMED = 5
"""In an error; there may be thousands."""


@dataclass(frozen=True, slots=True)
class Records:
    """One incident. Times: nanoseconds since the epoch.

    named: the crash report that was asked for. crashes: it and those like it, in the order of
    storing. losses, detected: of the hosts that sent them; the latter are times of detections by
    agent. standings: of the suspect Channel File. revoked: when, and why. platforms: by agent.
    """

    named: Stored[CrashReport]
    crashes: Sequence[Stored[CrashReport]]
    losses: Sequence[Stored[LossReport]]
    detected: Mapping[str, Sequence[int]]
    release: Release | None
    rollout: rollouts.Stored | None
    entries: Sequence[Entry]
    revoked: tuple[int, str] | None
    standings: Sequence[ContentRow]
    platforms: Mapping[str, str]
    fleet: int


def read(connection: Connection, report_id: str, agent_id: str | None = None) -> Records:
    """The incident that a crash report belongs to; RecordsError where none or several are meant."""
    named = _named(connection, report_id, agent_id)
    suspect = named.report.suspect_content_hash
    crashes = [one for one in _crashes(connection) if one.report.suspect_content_hash == suspect]
    if not suspect:
        crashes = [named]
    agents = {one.agent_id for one in crashes}
    known = releases.all_releases(connection)
    return Records(
        named=named,
        crashes=crashes,
        losses=_losses(connection, agents),
        detected=_detected(connection, agents),
        release=next((one for one in known if one.content_hash == suspect), None),
        rollout=rollouts.find(connection, suspect),
        entries=_entries(connection, suspect),
        revoked=_revoked(connection, suspect),
        standings=[one for one in hosts.content_rows(connection) if one.content_hash == suspect],
        platforms=_platforms(connection, agents),
        fleet=int(connection.execute(select(func.count()).select_from(HOSTS)).scalar() or 0),
    )


def _named(connection: Connection, report_id: str, agent_id: str | None) -> Stored[CrashReport]:
    found = [
        one
        for one in _crashes(connection)
        if one.report.id == report_id and agent_id in (None, one.agent_id)
    ]
    if not found:
        where = f" by agent {agent_id!a:.80}" if agent_id is not None else ""
        raise RecordsError(
            CloudReason.REPORT_UNKNOWN,
            f"{report_id!a:.80}{where}: no such crash report; expected an id of"
            " `bulkhead cloud crashes --json`",
        )
    if len(found) > 1:
        agents = [one.agent_id for one in found]
        more = ", …" if len(agents) > AGENTS_NAMED else ""
        raise RecordsError(
            CloudReason.REPORT_AMBIGUOUS,
            f"{report_id!a:.80}: found with agents {', '.join(agents[:AGENTS_NAMED])}{more};"
            " expected --agent-id with one of them",
        )
    return found[0]


def _crashes(connection: Connection) -> Iterable[Stored[CrashReport]]:
    columns = (CRASHES.c.number, CRASHES.c.agent_id, CRASHES.c.received_unix_ns, CRASHES.c.report)
    for row in connection.execute(select(*columns).order_by(CRASHES.c.number)):
        yield Stored(row[0], row[1], row[2], CrashReport.FromString(row[3]))


def _losses(connection: Connection, agents: set[str]) -> list[Stored[LossReport]]:
    columns = (LOSSES.c.number, LOSSES.c.agent_id, LOSSES.c.received_unix_ns, LOSSES.c.report)
    return [
        Stored(row[0], row[1], row[2], LossReport.FromString(row[3]))
        for row in connection.execute(select(*columns).order_by(LOSSES.c.number))
        if row[1] in agents
    ]


def _detected(connection: Connection, agents: set[str]) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    for agent_id, time in connection.execute(
        select(DETECTIONS.c.agent_id, DETECTIONS.c.time_unix_ns)
    ):
        if agent_id in agents:
            found.setdefault(agent_id, []).append(int(time))
    return found


def _entries(connection: Connection, content_hash: bytes) -> list[Entry]:
    """Of the audit log, which names a Channel File by its hash, last."""
    end = f" {content_hash.hex()}"
    return [one for one in audit.entries(connection) if content_hash and one.subject.endswith(end)]


def _revoked(connection: Connection, content_hash: bytes) -> tuple[int, str] | None:
    columns = (REVOCATIONS.c.revoked_unix_ns, REVOCATIONS.c.revocation)
    query = select(*columns).where(REVOCATIONS.c.content_hash == content_hash)
    row = connection.execute(query).first()
    return None if row is None else (int(row[0]), Revocation.FromString(row[1]).reason)


def _platforms(connection: Connection, agents: set[str]) -> dict[str, str]:
    known = {one.hello.agent_id: one.hello.platform for one in hosts.all_hosts(connection)}
    return {agent: known.get(agent, "") for agent in agents}
