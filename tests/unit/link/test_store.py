"""Outbox and log together: a batch is stored at once or not at all, and never twice."""

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from agent.link.detection_log import FILE, DetectionLog
from agent.link.errors import StoreError
from agent.link.limits import LIMITS, LinkLimits
from agent.link.outbox import Kind
from agent.link.outbox_file import OutboxFolder, open_folder
from agent.link.store import Batch, Report, Store
from bulkhead.v1 import report_pb2

SMALL = replace(LIMITS, outbox_rows=8, reserve_rows=4, refusal_report_seconds=10.0)
RUN = "run-1"


def line(detection: report_pb2.Detection) -> bytes:
    """A short line instead of JSON."""
    return f"{detection.id}\n".encode()


def report(number: int, *, kind: int = 1, time: int = 100) -> Report:
    """A report of one detection."""
    one = report_pb2.Detection(id=f"d{number}", template_type=kind, time_unix_ns=time)
    return Report(number, report_pb2.DetectionBatch(detections=[one]))


@dataclass
class Bench:
    """A store in a folder, that can be thrown away as by a kill and opened again."""

    folder: Path
    limits: LinkLimits = LIMITS
    delivering: bool = True
    now_ns: int = 10**18
    _open: list[OutboxFolder] = field(default_factory=list)

    def open(self) -> Store:
        """A store as after a start of the link."""
        self.close()
        opened = open_folder(self.folder, lambda: self.now_ns, self.limits)
        self._open.append(opened)
        self._log = DetectionLog(self.folder, opened.outbox.log_position())
        return Store(
            opened.outbox,
            self._log,
            line,
            lambda: self.now_ns,
            delivering=self.delivering,
            limits=self.limits,
        )

    def close(self) -> None:
        """End the last one."""
        while self._open:
            self._open.pop().close()
            self._log.close()

    @property
    def opened(self) -> OutboxFolder:
        """The open folder."""
        return self._open[-1]

    def logged(self) -> list[str]:
        """Ids in the log."""
        return (self.folder / FILE).read_text().split()

    def delivered(self, kind: Kind) -> list[bytes]:
        """Messages of one kind that wait."""
        return [one.message for one in self.opened.reader.after(0, 1000) if one.kind is kind]

    def losses(self) -> list[tuple[str, int, int, int, int]]:
        """Loss reports that wait: cause, Template Type, from, to, count."""
        reports = map(report_pb2.LossReport.FromString, self.delivered(Kind.LOSS_REPORT))
        return [
            (one.cause, one.template_type, one.from_unix_ns, one.to_unix_ns, one.count)
            for one in reports
        ]


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    """A folder for a store."""
    new = Bench(tmp_path)
    yield new
    new.close()


def test_a_report_that_is_sent_again_is_stored_once(bench: Bench) -> None:
    """A restart between storing and confirming doubles detections."""
    bench.open().commit(RUN, Batch([report(1), report(2)]))
    bench.open().commit(RUN, Batch([report(1), report(2), report(3)]))
    assert bench.logged() == ["d1", "d2", "d3"]
    assert len(bench.delivered(Kind.DETECTIONS)) == 3


def test_another_run_of_the_supervisor_counts_from_one_again(bench: Bench) -> None:
    """After a restart of the supervisor, its first reports are taken for old ones."""
    store = bench.open()
    store.commit(RUN, Batch([report(1), report(2)]))
    store.commit("run-2", Batch([report(1)]))
    assert bench.logged() == ["d1", "d2", "d1"]


def test_a_kill_between_log_and_outbox_changes_nothing(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A kill at the worst moment doubles or loses a detection."""
    store = bench.open()
    store.commit(RUN, Batch([report(1)]))

    def killed(_report: int) -> bool:
        raise KeyboardInterrupt

    monkeypatch.setattr(bench.opened.outbox, "put", lambda *_arguments: killed(0))
    with pytest.raises(KeyboardInterrupt):
        store.commit(RUN, Batch([report(2)]))
    assert bench.logged() == ["d1", "d2"]  # written, but not counting
    store = bench.open()
    assert bench.logged() == ["d1"]
    store.commit(RUN, Batch([report(2)]))
    assert bench.logged() == ["d1", "d2"]
    assert len(bench.delivered(Kind.DETECTIONS)) == 2


def test_a_disk_without_room_stores_nothing_and_can_be_tried_again(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full disk ends the link, or the batch is half stored or doubled afterwards."""
    store = bench.open()
    store.commit(RUN, Batch([report(1)]))

    def full(_position: object) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(bench.opened.outbox, "set_log_position", full)
        with pytest.raises(StoreError, match="disk is full"):
            store.commit(RUN, Batch([report(2)]))
    assert store.waiting == 1
    store.commit(RUN, Batch([report(2)]))
    assert bench.logged() == ["d1", "d2"]
    assert store.waiting == 2


def test_without_a_cloud_only_the_log_is_written(bench: Bench) -> None:
    """An outbox that nobody empties fills up and counts losses that are none."""
    bench.delivering = False
    store = bench.open()
    acknowledgement = report_pb2.ContentAcknowledgement(content_hash=b"a" * 32)
    store.commit(RUN, Batch([report(1), Report(2, None, 1)], [acknowledgement]))
    assert bench.logged() == ["d1"]
    assert (store.waiting, store.dropped) == (0, 0)


def test_what_finds_no_room_is_logged_counted_and_reported_once(bench: Bench) -> None:
    """A detection without room is lost to the log too, or its loss is told never or twice."""
    bench.limits = SMALL
    store = bench.open()
    batch = [report(n, kind=n % 2, time=n) for n in range(1, 9)]
    store.commit(RUN, Batch(batch))
    assert bench.logged() == [f"d{n}" for n in range(1, 9)]
    assert (store.waiting, store.dropped) == (4, 4)
    assert not store.losses_due()  # there is no room
    last = bench.opened.reader.after(0, 10)[-1].number
    store.commit(RUN, Batch(receipt=last))
    assert store.losses_due()
    store.report_losses()
    assert sorted(bench.losses()) == [("OUTBOX_FULL", 0, 6, 8, 2), ("OUTBOX_FULL", 1, 5, 7, 2)]
    assert not store.losses_due()


def test_losses_are_reported_at_most_every_ten_seconds(bench: Bench) -> None:
    """A cloud that is too slow is made slower by a loss report for each detection."""
    store = bench.open()
    store.commit(RUN, Batch([Report(1, None, 1)]))
    store.report_losses()
    store.commit(RUN, Batch([Report(2, None, 2)]))
    bench.now_ns += 9 * 10**9
    assert not store.losses_due()
    bench.now_ns += 2 * 10**9
    assert store.losses_due()


def test_a_loss_report_without_room_is_merged_not_lost(bench: Bench) -> None:
    """The count of lost events is itself lost when the outbox is full."""
    bench.limits = replace(SMALL, outbox_rows=1, reserve_rows=1)
    store = bench.open()
    losses = [
        report_pb2.LossReport(
            cause="RING_FULL", template_type=1, from_unix_ns=n, to_unix_ns=n + 1, count=10
        )
        for n in range(3)
    ]
    store.commit(RUN, Batch([Report(n + 1, loss) for n, loss in enumerate(losses)]))
    assert bench.losses() == [("RING_FULL", 1, 0, 1, 10)]
    assert store.dropped == 0
    store.commit(RUN, Batch(receipt=2**62))
    store.report_losses()
    assert bench.losses() == [("RING_FULL", 1, 1, 3, 20)]


def test_a_crash_report_without_room_is_counted(bench: Bench) -> None:
    """A crash that can't be reported leaves no trace."""
    bench.limits = replace(SMALL, outbox_rows=0, reserve_rows=0)
    store = bench.open()
    store.commit(RUN, Batch([Report(1, report_pb2.CrashReport(id="c"))]))
    assert store.dropped == 1
    assert bench.opened.outbox.has_losses()


def test_a_delivery_that_the_cloud_refuses_is_given_up_and_counted(bench: Bench) -> None:
    """What the cloud will never take stays first in the outbox, or vanishes uncounted."""
    store = bench.open()
    store.commit(RUN, Batch([report(1), report(2, kind=3, time=9), report(3)]))
    number = bench.opened.reader.after(0, 10)[1].number
    store.commit(RUN, Batch(refused=[number, number + 1000]))
    assert (store.waiting, store.dropped) == (2, 1)
    store.report_losses()
    assert bench.losses() == [("REFUSED_BY_CLOUD", 3, 9, 9, 1)]
