"""The durable, bounded outbox: what the cloud has not confirmed yet, in one SQLite database.

Everything happens in transactions (`with outbox.transaction():`); when one has ended well, what it
did survives SIGKILL and power cuts. One transaction holds what belongs together: the new rows, the
number of the supervisor's last report (so that a report that is sent again is recognised), the
rows that a receipt has made superfluous, and how long the local detection log is.

Rows carry rising delivery numbers that are never used twice, not even by a new outbox in the same
folder (see `outbox_file`). The outbox refuses what does not fit; refusals are counted in the same
transaction, by cause and Template Type, until they have become loss reports themselves.

Used by one thread. `OutboxReader` is the session's own connection.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import IntEnum

from agent import channel
from agent.link.limits import LIMITS, LinkLimits


class Kind(IntEnum):
    """What a row holds; the field number in SessionRequest."""

    ACKNOWLEDGEMENT = 4
    DETECTIONS = 5
    CRASH_REPORT = 6
    LOSS_REPORT = 7


@dataclass(frozen=True, slots=True)
class Delivery:
    """A row: its delivery number, and a serialised message of its kind."""

    number: int
    kind: Kind
    message: bytes


@dataclass(frozen=True, slots=True)
class Loss:
    """Events that will not reach the cloud: from and to in nanoseconds since the Unix epoch."""

    cause: str
    template_type: int
    from_unix_ns: int
    to_unix_ns: int
    count: int


@dataclass(frozen=True, slots=True)
class LogPosition:
    """Up to where the local detection log counts: its inode, and bytes; (0, 0) for none."""

    inode: int = 0
    length: int = 0


@dataclass(slots=True)
class _Used:
    rows: int
    size: int
    dropped: int


class Outbox:
    """Rows, progress and losses; every change inside a transaction."""

    def __init__(self, connection: sqlite3.Connection, limits: LinkLimits = LIMITS) -> None:
        self._connection = connection
        self._limits = limits
        self._used = self._measure()

    @property
    def rows(self) -> int:
        """How many deliveries wait."""
        return self._used.rows

    @property
    def dropped(self) -> int:
        """Detections and reports ever refused."""
        return self._used.dropped

    @property
    def has_room(self) -> bool:
        """Whether any report of detections would find room, even the largest."""
        return self._fits(channel.LIMITS.message_bytes, reserve=False)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing, durable at the end; sqlite3.Error where that can't be had now."""
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._connection.execute("COMMIT")
        except BaseException:
            # A failed COMMIT may or may not have ended the transaction.
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            self._used = self._measure()
            raise

    def last_report(self, run: str) -> int:
        """Number of the last report of that run of the supervisor; 0 for another run."""
        row = self._row("SELECT report FROM progress WHERE run = ?", run)
        return row[0] if row else 0

    def set_last_report(self, run: str, report: int) -> None:
        """Remember how far this run of the supervisor was stored; others are forgotten."""
        self._connection.execute("UPDATE progress SET run = ?, report = ?", (run, report))

    def log_position(self) -> LogPosition:
        """Up to where the detection log counts."""
        return LogPosition(*self._one("SELECT log_inode, log_length FROM progress"))

    def set_log_position(self, position: LogPosition) -> None:
        """The detection log counts up to here once the transaction has ended."""
        self._connection.execute(
            "UPDATE progress SET log_inode = ?, log_length = ?", (position.inode, position.length)
        )

    def put(self, kind: Kind, message: bytes, subject: bytes | None = None) -> bool:
        """Add a row; False where there is no room. An older row of the same subject is replaced."""
        if subject is not None:
            self._delete("subject = ?", subject)
        if not self._fits(len(message), reserve=kind is not Kind.DETECTIONS):
            return False
        self._connection.execute(
            "INSERT INTO outbox (kind, subject, message) VALUES (?, ?, ?)", (kind, subject, message)
        )
        self._used.rows += 1
        self._used.size += len(message)
        return True

    def delete_up_to(self, number: int) -> None:
        """The cloud has everything up to this delivery number."""
        self._delete("delivery <= ?", number)

    def take(self, number: int) -> Delivery | None:
        """Remove one delivery and return it; None if it is not there."""
        row = self._connection.execute(
            "SELECT kind, message FROM outbox WHERE delivery = ?", (number,)
        ).fetchone()
        if row is None:
            return None
        self._delete("delivery = ?", number)
        return Delivery(number, Kind(row[0]), row[1])

    def add_loss(self, loss: Loss) -> None:
        """Count a loss, merged into what is already counted for its cause and Template Type."""
        self._connection.execute(
            "INSERT INTO loss VALUES (?, ?, ?, ?, ?) ON CONFLICT (cause, template_type) DO UPDATE"
            " SET from_unix_ns = min(from_unix_ns, excluded.from_unix_ns),"
            " to_unix_ns = max(to_unix_ns, excluded.to_unix_ns),"
            " count = count + excluded.count",
            (loss.cause, loss.template_type, loss.from_unix_ns, loss.to_unix_ns, loss.count),
        )

    def count_dropped(self, count: int) -> None:
        """Remember that so many detections or reports were refused."""
        self._connection.execute("UPDATE progress SET dropped = dropped + ?", (count,))
        self._used.dropped += count

    def take_losses(self) -> list[Loss]:
        """All counted losses, which are then counted no longer: report them in the transaction."""
        rows = self._connection.execute("DELETE FROM loss RETURNING *").fetchall()
        return [Loss(*row) for row in rows]

    def has_losses(self) -> bool:
        """Whether a loss waits to be reported."""
        return self._row("SELECT 1 FROM loss LIMIT 1") is not None

    def close(self) -> None:
        """Give the database up."""
        self._connection.close()

    def _fits(self, size: int, *, reserve: bool) -> bool:
        limits = self._limits
        rows = limits.outbox_rows - (0 if reserve else limits.reserve_rows)
        room = limits.outbox_bytes - (0 if reserve else limits.reserve_bytes)
        weight = self._used.size + size + (self._used.rows + 1) * limits.row_bytes
        return self._used.rows < rows and weight <= room

    def _delete(self, condition: str, value: object) -> None:
        # The condition is one of ours; the value is bound.
        rows = self._connection.execute(
            f"DELETE FROM outbox WHERE {condition} RETURNING length(message)",  # noqa: S608
            (value,),
        ).fetchall()
        self._used.rows -= len(rows)
        self._used.size -= sum(size for (size,) in rows)

    def _measure(self) -> _Used:
        rows, size = self._one("SELECT count(*), coalesce(sum(length(message)), 0) FROM outbox")
        (dropped,) = self._one("SELECT dropped FROM progress")
        return _Used(rows, size, dropped)

    def _one(self, query: str) -> tuple[int, ...]:
        row: tuple[int, ...] = self._connection.execute(query).fetchone()
        return row

    def _row(self, query: str, *values: object) -> tuple[int, ...] | None:
        row: tuple[int, ...] | None = self._connection.execute(query, values).fetchone()
        return row


class OutboxReader:
    """The session's view of the outbox: a connection of its own that reads and never waits."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def after(self, number: int, rows: int) -> list[Delivery]:
        """Up to `rows` deliveries beyond that number, in order."""
        found = self._connection.execute(
            "SELECT delivery, kind, message FROM outbox WHERE delivery > ?"
            " ORDER BY delivery LIMIT ?",
            (number, rows),
        ).fetchall()
        return [Delivery(number, Kind(kind), message) for number, kind, message in found]

    def last_number(self) -> int:
        """The highest delivery number that was ever given."""
        return self._number("SELECT seq FROM sqlite_sequence WHERE name = 'outbox'")

    def last_settled(self) -> int:
        """A delivery number up to which nothing waits."""
        return self._number(
            "SELECT coalesce((SELECT min(delivery) - 1 FROM outbox),"
            " (SELECT seq FROM sqlite_sequence WHERE name = 'outbox'))"
        )

    def _number(self, query: str) -> int:
        (number,) = self._connection.execute(query).fetchone()
        return int(number)

    def close(self) -> None:
        """Give the connection up."""
        self._connection.close()
