"""The outbox: numbers, bounds, losses, transactions, and a file that may be damaged."""

import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from agent.link.errors import ConfigurationError
from agent.link.limits import LIMITS
from agent.link.outbox import Kind, LogPosition, Loss
from agent.link.outbox_file import DAMAGED_FILE, FILE, OutboxFolder, open_folder

NOW_NS = 1_753_000_000_000_000_000
SMALL = replace(
    LIMITS, outbox_rows=10, reserve_rows=4, outbox_bytes=10_000, reserve_bytes=1_000, row_bytes=0
)


def opened(folder: Path) -> OutboxFolder:
    """The folder's outbox with small bounds."""
    return open_folder(folder, lambda: NOW_NS, SMALL)


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[OutboxFolder]:
    """A new outbox."""
    new = opened(tmp_path)
    yield new
    new.close()


def put(folder: OutboxFolder, *messages: bytes, kind: Kind = Kind.DETECTIONS) -> list[bool]:
    """Put messages in one transaction."""
    with folder.outbox.transaction():
        return [folder.outbox.put(kind, message) for message in messages]


def waiting(folder: OutboxFolder) -> list[bytes]:
    """All messages in the order of delivery."""
    return [one.message for one in folder.reader.after(0, 1000)]


def test_deliveries_rise_and_are_never_reused(folder: OutboxFolder) -> None:
    """The cloud takes a new report for one that it has had."""
    put(folder, b"a", b"b")
    numbers = [one.number for one in folder.reader.after(0, 10)]
    assert numbers == [NOW_NS // 1000 + 1, NOW_NS // 1000 + 2]
    with folder.outbox.transaction():
        folder.outbox.delete_up_to(numbers[1])
    put(folder, b"c")
    assert folder.reader.after(0, 10)[0].number == numbers[1] + 1


def test_what_was_committed_survives_reopening(tmp_path: Path) -> None:
    """A restart of the link loses what it had confirmed."""
    first = opened(tmp_path)
    put(first, b"a")
    with first.outbox.transaction():
        first.outbox.set_last_report("run", 7)
        first.outbox.set_log_position(LogPosition(5, 6))
        first.outbox.add_loss(Loss("C", 1, 2, 3, 4))
    first.close()
    second = opened(tmp_path)
    assert waiting(second) == [b"a"]
    assert second.outbox.rows == 1
    assert second.outbox.last_report("run") == 7
    assert second.outbox.last_report("another run") == 0
    assert second.outbox.log_position() == LogPosition(5, 6)
    assert second.outbox.has_losses()
    second.close()


def test_a_failed_transaction_changes_nothing(folder: OutboxFolder) -> None:
    """Half a batch is stored, or the bounds drift away from what is there."""
    put(folder, b"a")

    def half_a_batch() -> None:
        with folder.outbox.transaction():
            folder.outbox.put(Kind.DETECTIONS, b"b")
            folder.outbox.count_dropped(3)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        half_a_batch()
    assert waiting(folder) == [b"a"]
    assert (folder.outbox.rows, folder.outbox.dropped) == (1, 0)


def test_detections_leave_the_reserve_to_other_reports(folder: OutboxFolder) -> None:
    """Detections that find no room push out the news that the sensor crashed."""
    assert put(folder, *[b"d"] * 8) == [True] * 6 + [False] * 2
    assert put(folder, *[b"c"] * 6, kind=Kind.CRASH_REPORT) == [True] * 4 + [False] * 2
    assert folder.outbox.rows == 10


def test_bytes_are_bounded(folder: OutboxFolder) -> None:
    """A few large reports fill the disk."""
    assert put(folder, b"x" * 5000, b"x" * 4001) == [True, False]
    assert put(folder, b"x" * 4000) == [True]
    assert put(folder, b"x" * 1001, kind=Kind.LOSS_REPORT) == [False]
    assert not folder.outbox.has_room


def test_room_comes_back_with_receipts(folder: OutboxFolder) -> None:
    """An outbox that was full once stays full."""
    put(folder, *[b"x" * 1000] * 6)
    last = folder.reader.after(0, 10)[-1].number
    with folder.outbox.transaction():
        folder.outbox.delete_up_to(last - 1)
    assert folder.outbox.rows == 1
    assert put(folder, b"x" * 8000) == [True]


def test_an_older_state_of_the_same_content_is_replaced(folder: OutboxFolder) -> None:
    """The cloud gets stale states after an absence."""
    with folder.outbox.transaction():
        for message, subject in ((b"1", b"A"), (b"2", b"B"), (b"3", b"A")):
            folder.outbox.put(Kind.ACKNOWLEDGEMENT, message, subject)
    assert waiting(folder) == [b"2", b"3"]
    assert folder.outbox.rows == 2


def test_losses_are_merged_by_cause_and_type(folder: OutboxFolder) -> None:
    """A loss is counted twice or forgotten when more are lost."""
    with folder.outbox.transaction():
        for loss in (Loss("A", 1, 50, 60, 2), Loss("A", 1, 10, 20, 3), Loss("A", 2, 1, 1, 1)):
            folder.outbox.add_loss(loss)
    with folder.outbox.transaction():
        assert sorted(folder.outbox.take_losses(), key=lambda loss: loss.template_type) == [
            Loss("A", 1, 10, 60, 5),
            Loss("A", 2, 1, 1, 1),
        ]
    assert not folder.outbox.has_losses()


def test_the_reader_knows_what_is_settled(folder: OutboxFolder) -> None:
    """A sign of life asks for the receipt of something that is still waiting."""
    base = NOW_NS // 1000
    assert (folder.reader.last_settled(), folder.reader.last_number()) == (base, base)
    put(folder, b"a", b"b")
    assert (folder.reader.last_settled(), folder.reader.last_number()) == (base, base + 2)
    with folder.outbox.transaction():
        folder.outbox.delete_up_to(base + 1)
    assert folder.reader.last_settled() == base + 1
    with folder.outbox.transaction():
        taken = folder.outbox.take(base + 2)
        assert taken is not None
        assert taken.message == b"b"
        assert folder.outbox.take(base + 2) is None
    assert folder.reader.last_settled() == base + 2


def test_the_reader_does_not_wait_for_a_transaction(folder: OutboxFolder) -> None:
    """A slow disk holds up what is being sent to the cloud."""
    put(folder, b"a")
    with folder.outbox.transaction():
        folder.outbox.put(Kind.DETECTIONS, b"b")
        assert waiting(folder) == [b"a"]
    assert waiting(folder) == [b"a", b"b"]


def test_one_link_per_folder(tmp_path: Path, folder: OutboxFolder) -> None:
    """Two links write one outbox."""
    assert folder.outbox.rows == 0
    with pytest.raises(ConfigurationError, match="STATE_FOLDER_IN_USE"):
        opened(tmp_path)


def test_an_absent_folder_is_a_setting_that_is_wrong(tmp_path: Path) -> None:
    """A wrong path ends in a traceback."""
    with pytest.raises(ConfigurationError, match=r"STATE_FOLDER: .*absent"):
        opened(tmp_path / "absent")


@pytest.mark.parametrize(
    "spoilt", [b"no database at all" * 500, b"SQLite format 3\0" + b"x" * 5000]
)
def test_a_damaged_outbox_is_set_aside(tmp_path: Path, spoilt: bytes) -> None:
    """A damaged file keeps the link from ever starting again, or its loss is not told."""
    (tmp_path / FILE).write_bytes(spoilt)
    folder = opened(tmp_path)
    put(folder, b"a")
    assert waiting(folder) == [b"a"]
    with folder.outbox.transaction():
        assert folder.outbox.take_losses() == [Loss("OUTBOX_DAMAGED", 0, 0, NOW_NS, 0)]
    assert (tmp_path / DAMAGED_FILE).read_bytes() == spoilt
    folder.close()


def test_an_outbox_of_another_format_is_set_aside(tmp_path: Path) -> None:
    """A newer sensor's outbox is misread after going back to an older one."""
    with sqlite3.connect(tmp_path / FILE) as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()
    folder = opened(tmp_path)
    assert folder.outbox.has_losses()
    folder.close()


def test_an_unreadable_outbox_is_said_and_kept(tmp_path: Path) -> None:
    """Trouble with the disk is taken for damage, and everything that waits is thrown away."""
    (tmp_path / FILE).mkdir()
    with pytest.raises(ConfigurationError, match="OUTBOX_UNUSABLE"):
        opened(tmp_path)
    assert (tmp_path / FILE).is_dir()
