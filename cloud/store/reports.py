"""Detections, crash reports and loss reports: each stored once, however often it is sent.

A report is named by its agent and the id that the agent gave it. It is kept as it was sent.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Self, TypeVar

from sqlalchemy import Connection, Float, Table, cast, func, select

from bulkhead.v1.report_pb2 import CrashReport, Detection, LossReport
from cloud.store.database import insert_once
from cloud.store.tables import CRASHES, DETECTIONS, LOSSES
from cloud.store.writer import Together
from content.loss_causes import counts_as_lost

LARGEST_COUNT = 2**63 - 1
"""A loss count beyond what the column holds is an agent's nonsense; the report keeps it as sent."""

Report = TypeVar("Report", CrashReport, Detection, LossReport)


@dataclass(frozen=True, slots=True)
class Stored(Generic[Report]):
    """A report and where it came from; `number` rises in the order of storing."""

    number: int
    agent_id: str
    received_unix_ns: int
    report: Report


@dataclass(frozen=True, slots=True)
class Reported(Together):
    """Rows that an agent's report has become."""

    table: Table
    rows: Sequence[Mapping[str, Any]]

    @classmethod
    def store(cls, connection: Connection, jobs: Sequence[Self]) -> Sequence[None]:
        """All of them, each once."""
        for table in {job.table.name: job.table for job in jobs}.values():
            rows = [row for job in jobs if job.table is table for row in job.rows]
            add(connection, table, rows)
        return [None] * len(jobs)


def detection_rows(
    agent_id: str, detections: Iterable[Detection], now_ns: int
) -> list[dict[str, Any]]:
    """Detections as rows."""
    return [_row(agent_id, one, one.time_unix_ns, 1, now_ns) for one in detections]


def crash_row(agent_id: str, crash: CrashReport, now_ns: int) -> dict[str, Any]:
    """A crash report as a row."""
    return _row(agent_id, crash, crash.time_unix_ns, 1, now_ns)


def loss_row(agent_id: str, loss: LossReport, now_ns: int) -> dict[str, Any]:
    """A loss report as a row; what is less than a lost event counts as 0 there."""
    count = min(loss.count, LARGEST_COUNT) if counts_as_lost(loss.cause) else 0
    return _row(agent_id, loss, loss.from_unix_ns, count, now_ns)


def add(connection: Connection, table: Table, rows: Sequence[Mapping[str, Any]]) -> int:
    """Store what is new of the rows; how many were."""
    return insert_once(connection, table, rows)


def latest_detections(
    connection: Connection, limit: int, after: int = 0
) -> list[Stored[Detection]]:
    """The newest `limit` detections with a number above `after`, oldest first."""
    return _latest(connection, DETECTIONS, Detection, limit, after)


def count_between(connection: Connection, table: Table, after: int, before: int) -> int:
    """How many reports have a number above `after` and below `before`: some have none."""
    if before <= after + 1:
        return 0
    between = (table.c.number > after) & (table.c.number < before)
    query = select(func.count()).select_from(table).where(between)
    return int(connection.execute(query).scalar() or 0)


def latest_crashes(connection: Connection, limit: int) -> list[Stored[CrashReport]]:
    """The newest crash reports, oldest first."""
    return _latest(connection, CRASHES, CrashReport, limit)


def latest_losses(connection: Connection, limit: int) -> list[Stored[LossReport]]:
    """The newest loss reports, oldest first."""
    return _latest(connection, LOSSES, LossReport, limit)


@dataclass(slots=True)
class LossTotal:
    """All loss reports of one host with one cause and Template Type (0: none, or any)."""

    agent_id: str
    cause: str
    template_type: int
    count: int
    from_unix_ns: int
    to_unix_ns: int


def loss_totals(connection: Connection) -> list[LossTotal]:
    """The sums of all loss reports, by host, cause and Template Type."""
    found: dict[tuple[str, str, int], LossTotal] = {}
    for agent_id, report in connection.execute(select(LOSSES.c.agent_id, LOSSES.c.report)):
        loss = LossReport.FromString(report)
        key = (agent_id, loss.cause, loss.template_type)
        total = found.setdefault(key, LossTotal(*key, 0, loss.from_unix_ns, loss.to_unix_ns))
        total.count += loss.count
        total.from_unix_ns = min(total.from_unix_ns, loss.from_unix_ns)
        total.to_unix_ns = max(total.to_unix_ns, loss.to_unix_ns)
    return [found[key] for key in sorted(found)]


def totals(connection: Connection, table: Table) -> dict[str, int]:
    """By agent id: the sum of `count`, exact up to 2**53."""
    total = func.sum(cast(table.c.count, Float))
    rows = connection.execute(select(table.c.agent_id, total).group_by(table.c.agent_id))
    return {agent_id: int(count) for agent_id, count in rows}


def _row(
    agent_id: str,
    report: CrashReport | Detection | LossReport,
    time_unix_ns: int,
    count: int,
    now_ns: int,
) -> dict[str, Any]:
    return {
        "agent_id": agent_id,
        "report_id": report.id,
        "time_unix_ns": time_unix_ns,
        "received_unix_ns": now_ns,
        "count": count,
        "report": report.SerializeToString(),
    }


def _latest(
    connection: Connection, table: Table, kind: type[Report], limit: int, after: int = 0
) -> list[Stored[Report]]:
    query = select(table.c.number, table.c.agent_id, table.c.received_unix_ns, table.c.report)
    query = query.where(table.c.number > after).order_by(table.c.number.desc()).limit(limit)
    rows = connection.execute(query).all()
    return [Stored(row[0], row[1], row[2], kind.FromString(row[3])) for row in reversed(rows)]
