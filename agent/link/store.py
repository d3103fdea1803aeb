"""What the link stores, and how: a batch of reports becomes durable at once, or not at all.

    1. reports that this run of the supervisor has sent before are left out
    2. the lines of new detections go to the local detection log, on the disk, not counting yet
    3. one transaction: rows that a receipt covers go; new rows come; what finds no room is
       counted as lost; the last report's number and the log's length are set
    4. the lines count; the caller may tell the supervisor that the reports are stored

Killed before the end of 3, nothing has happened. Killed after it, all has; the supervisor sends the
reports again and step 1 leaves them out.
"""

import secrets
import sqlite3
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from agent.link.detection_log import DetectionLog
from agent.link.errors import StoreError
from agent.link.limits import LIMITS, LinkLimits
from agent.link.outbox import Kind, Loss, Outbox
from bulkhead.v1 import report_pb2
from content.loss_causes import LossCause

MAX_COUNT = 2**62
"""SQLite's integers are 64 bits and signed; sums of two counts must fit."""


@dataclass(frozen=True, slots=True)
class Report:
    """A numbered report of the supervisor.

    message: None where it could not be read; then `unreadable` is how much is lost with it.
    """

    number: int
    message: report_pb2.DetectionBatch | report_pb2.CrashReport | report_pb2.LossReport | None
    unreadable: int = 0


@dataclass(slots=True)
class Batch:
    """What one transaction stores.

    receipt: the cloud has everything up to that delivery. refused: deliveries that the cloud has
    called invalid, and would again.
    """

    reports: list[Report] = field(default_factory=list)
    acknowledgements: list[report_pb2.ContentAcknowledgement] = field(default_factory=list)
    receipt: int = 0
    refused: list[int] = field(default_factory=list)

    def __bool__(self) -> bool:
        return self.urgent or bool(self.receipt)

    @property
    def urgent(self) -> bool:
        """Whether there is more in it than a receipt."""
        return bool(self.reports or self.acknowledgements or self.refused)


class Store:
    """Outbox and local detection log, written together.

    delivering: False where there is no cloud to deliver to; then only the log is written.
    """

    def __init__(
        self,
        outbox: Outbox,
        log: DetectionLog,
        line: Callable[[report_pb2.Detection], bytes],
        now_unix_ns: Callable[[], int],
        *,
        delivering: bool = True,
        limits: LinkLimits = LIMITS,
    ) -> None:
        self._outbox = outbox
        self._log = log
        self._line = line
        self._now_unix_ns = now_unix_ns
        self._delivering = delivering
        self._limits = limits
        self._losses_reported_ns = 0

    @property
    def waiting(self) -> int:
        """Deliveries that the cloud has not confirmed."""
        return self._outbox.rows

    @property
    def dropped(self) -> int:
        """Detections and reports that found no room, ever."""
        return self._outbox.dropped

    def commit(self, run: str, batch: Batch) -> None:
        """Store a batch; StoreError where nothing could be stored now."""
        position = None
        try:
            last = self._outbox.last_report(run)
            new = [report for report in batch.reports if report.number > last]  # 1
            lines = self._lines(new)
            if lines:
                position = self._log.append(lines)  # 2
            with self._outbox.transaction():  # 3
                self._outbox.delete_up_to(batch.receipt)
                for number in batch.refused:
                    self._give_up(number)
                self._put(new, batch.acknowledgements)
                if new:
                    self._outbox.set_last_report(run, new[-1].number)
                if position is not None:
                    self._outbox.set_log_position(position)
        except sqlite3.OperationalError as error:
            raise StoreError("OUTBOX", str(error)) from error
        if position is not None:
            self._log.settle(position)  # 4

    def losses_due(self) -> bool:
        """Whether refusals are to be reported now: there is room, and it is not too soon."""
        waited = self._now_unix_ns() - self._losses_reported_ns
        soon = waited < self._limits.refusal_report_seconds * 1e9
        return not soon and self._outbox.has_room and self._outbox.has_losses()

    def report_losses(self) -> None:
        """Turn counted refusals into loss reports; StoreError where that can't be stored now."""
        self._losses_reported_ns = self._now_unix_ns()
        try:
            with self._outbox.transaction():
                for loss in self._outbox.take_losses():
                    self._put_loss(_loss_report(loss))
        except sqlite3.OperationalError as error:
            raise StoreError("OUTBOX", str(error)) from error

    def _lines(self, reports: Iterable[Report]) -> bytes:
        batches = (r.message for r in reports if isinstance(r.message, report_pb2.DetectionBatch))
        return b"".join(self._line(one) for batch in batches for one in batch.detections)

    def _put(
        self,
        reports: Sequence[Report],
        acknowledgements: Sequence[report_pb2.ContentAcknowledgement],
    ) -> None:
        if not self._delivering:
            return
        for report in reports:
            self._put_report(report)
        for one in acknowledgements:
            # The latest state of a Channel File replaces what is still waiting about it.
            fits = self._outbox.put(
                Kind.ACKNOWLEDGEMENT, one.SerializeToString(), subject=one.content_hash
            )
            if not fits:
                self._outbox.count_dropped(1)

    def _put_report(self, report: Report) -> None:
        now = self._now_unix_ns()
        message = report.message
        match message:
            case None:
                self._refuse([Loss(LossCause.MALFORMED_REPORT, 0, now, now, report.unreadable)])
            case report_pb2.DetectionBatch():
                if not self._outbox.put(Kind.DETECTIONS, message.SerializeToString()):
                    self._refuse(_losses(message, LossCause.OUTBOX_FULL))
            case report_pb2.CrashReport():
                if not self._outbox.put(Kind.CRASH_REPORT, message.SerializeToString()):
                    self._refuse([Loss(LossCause.OUTBOX_FULL, 0, now, now, 1)])
            case report_pb2.LossReport():
                self._put_loss(message)

    def _give_up(self, number: int) -> None:
        delivery = self._outbox.take(number)
        if delivery is None:
            return
        now = self._now_unix_ns()
        losses = [Loss(LossCause.REFUSED_BY_CLOUD, 0, now, now, 1)]
        if delivery.kind is Kind.DETECTIONS:
            batch = report_pb2.DetectionBatch.FromString(delivery.message)
            losses = _losses(batch, LossCause.REFUSED_BY_CLOUD)
        self._refuse(losses)

    def _put_loss(self, report: report_pb2.LossReport) -> None:
        # A loss is never lost: without room it is merged into what will be reported later.
        if not self._outbox.put(Kind.LOSS_REPORT, report.SerializeToString()):
            self._outbox.add_loss(_loss(report))

    def _refuse(self, losses: Sequence[Loss]) -> None:
        for loss in losses:
            self._outbox.add_loss(loss)
        self._outbox.count_dropped(sum(loss.count for loss in losses))


def _losses(batch: report_pb2.DetectionBatch, cause: str) -> list[Loss]:
    """What is lost with a batch, by Template Type."""
    times: dict[int, list[int]] = {}
    for one in batch.detections:
        times.setdefault(one.template_type, []).append(one.time_unix_ns)
    return [Loss(cause, number, min(when), max(when), len(when)) for number, when in times.items()]


def _loss(report: report_pb2.LossReport) -> Loss:
    return Loss(
        report.cause,
        report.template_type,
        report.from_unix_ns,
        report.to_unix_ns,
        min(report.count, MAX_COUNT),
    )


def _loss_report(loss: Loss) -> report_pb2.LossReport:
    return report_pb2.LossReport(
        id=secrets.token_hex(16),
        from_unix_ns=loss.from_unix_ns,
        to_unix_ns=loss.to_unix_ns,
        cause=loss.cause,
        template_type=loss.template_type,
        count=loss.count,
    )
