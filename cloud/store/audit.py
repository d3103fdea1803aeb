"""The audit log: entries are added, in the transaction of what they tell of, and never changed.

The table refuses to be updated or deleted from; who gets around that is found by the hash chain.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace

from sqlalchemy import Connection, RowMapping, func, insert, select

from cloud.rollout.audit import FIRST, Entry, digest_of
from cloud.store.tables import AUDIT

ENGINE = "rollout engine"
"""Who acts where no operator does."""

UNNAMED = "operator"
"""Who acts, where nobody says."""


def append(
    connection: Connection,
    actor: str,
    action: str,
    subject: str,
    detail: Mapping[str, object],
    now_ns: int,
) -> None:
    """Add an entry, bound to the one before it."""
    newest = select(AUDIT.c.number, AUDIT.c.digest).order_by(AUDIT.c.number.desc()).limit(1)
    last = connection.execute(newest).first()
    number, before = (int(last[0]), bytes(last[1])) if last else (0, FIRST)
    text = json.dumps(detail, sort_keys=True)
    entry = Entry(number + 1, now_ns, actor, action, subject, text, b"")
    entry = replace(entry, digest=digest_of(entry, before))
    connection.execute(
        insert(AUDIT).values(
            number=entry.number,
            time_unix_ns=entry.time_unix_ns,
            actor=actor,
            action=action,
            subject=subject,
            detail=text,
            digest=entry.digest,
        )
    )


def entries(connection: Connection, after: int = 0) -> Iterator[Entry]:
    """All entries above a number, in their order."""
    rows = connection.execute(select(AUDIT).where(AUDIT.c.number > after).order_by(AUDIT.c.number))
    yield from map(_entry, rows.mappings())


def latest(connection: Connection, limit: int, before: int) -> list[Entry]:
    """At most `limit` entries below a number, newest first."""
    query = select(AUDIT).where(AUDIT.c.number < before).order_by(AUDIT.c.number.desc())
    return [_entry(row) for row in connection.execute(query.limit(limit)).mappings()]


def about(connection: Connection, subject: str) -> list[Entry]:
    """All entries on one subject, in their order."""
    query = select(AUDIT).where(AUDIT.c.subject == subject).order_by(AUDIT.c.number)
    return [_entry(row) for row in connection.execute(query).mappings()]


def newest_number(connection: Connection) -> int:
    """The number of the latest entry; 0 without any."""
    return int(connection.execute(select(func.max(AUDIT.c.number))).scalar() or 0)


def _entry(row: RowMapping) -> Entry:
    return Entry(
        row["number"],
        row["time_unix_ns"],
        row["actor"],
        row["action"],
        row["subject"],
        row["detail"],
        bytes(row["digest"]),
    )
