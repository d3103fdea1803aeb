"""The local detection log: exactly once, whatever moment a kill comes at."""

import os
import stat
from pathlib import Path

import pytest

from agent.link.detection_log import FILE, PREDECESSOR, DetectionLog
from agent.link.errors import StoreError
from agent.link.outbox import LogPosition

LIMIT = 10


def lines(folder: Path) -> bytes:
    """What is in the current file."""
    return (folder / FILE).read_bytes()


def append(log: DetectionLog, data: bytes) -> LogPosition:
    """Append and settle, as a commit that went well."""
    position = log.append(data)
    log.settle(position)
    return position


def test_lines_follow_each_other_over_restarts(tmp_path: Path) -> None:
    """A restart of the link overwrites or repeats lines."""
    log = DetectionLog(tmp_path, LogPosition())
    position = append(log, b"1\n")
    position = append(log, b"2\n")
    log.close()
    log = DetectionLog(tmp_path, position)
    append(log, b"3\n")
    log.close()
    assert lines(tmp_path) == b"1\n2\n3\n"
    assert stat.S_IMODE((tmp_path / FILE).stat().st_mode) == 0o640


def test_lines_of_a_commit_that_never_came_are_cut_off(tmp_path: Path) -> None:
    """A kill between log and outbox leaves lines that will be written again."""
    log = DetectionLog(tmp_path, LogPosition())
    position = append(log, b"1\n")
    log.append(b"2\n")  # killed here
    log.close()
    log = DetectionLog(tmp_path, position)
    assert lines(tmp_path) == b"1\n"
    append(log, b"2\n")
    log.close()
    assert lines(tmp_path) == b"1\n2\n"


def test_a_batch_that_is_tried_again_is_written_once(tmp_path: Path) -> None:
    """A commit that failed for want of room doubles its lines when it is repeated."""
    log = DetectionLog(tmp_path, LogPosition())
    append(log, b"1\n")
    log.append(b"22\n")
    append(log, b"2\n")
    log.close()
    assert lines(tmp_path) == b"1\n2\n"


def test_a_full_file_becomes_the_predecessor(tmp_path: Path) -> None:
    """The log grows without bounds, or loses a line when it begins anew."""
    log = DetectionLog(tmp_path, LogPosition(), LIMIT)
    for line in (b"aaaa\n", b"bbbb\n", b"cccc\n", b"dddd\n", b"eeee\n"):
        append(log, line)
    log.close()
    assert (tmp_path / PREDECESSOR).read_bytes() == b"cccc\ndddd\n"
    assert lines(tmp_path) == b"eeee\n"


def test_a_kill_after_the_rotation_and_before_the_commit(tmp_path: Path) -> None:
    """Lines of the new file count twice because the old position is taken for its own."""
    log = DetectionLog(tmp_path, LogPosition(), LIMIT)
    position = append(log, b"aaaaaaaa\n")
    log.append(b"bbbb\n")  # begins a new file; killed here
    log.close()
    log = DetectionLog(tmp_path, position, LIMIT)
    assert lines(tmp_path) == b""
    append(log, b"bbbb\n")
    log.close()
    assert lines(tmp_path) == b"bbbb\n"
    assert (tmp_path / PREDECESSOR).read_bytes() == b"aaaaaaaa\n"


def test_a_kill_between_rename_and_new_file(tmp_path: Path) -> None:
    """The link can't start again after a kill in the middle of a rotation."""
    log = DetectionLog(tmp_path, LogPosition(), LIMIT)
    position = append(log, b"aaaaaaaa\n")
    log.close()
    (tmp_path / FILE).rename(tmp_path / PREDECESSOR)
    log = DetectionLog(tmp_path, position, LIMIT)
    append(log, b"bbbb\n")
    log.close()
    assert lines(tmp_path) == b"bbbb\n"


def test_a_commit_that_fails_after_a_rotation_is_tried_again(tmp_path: Path) -> None:
    """A second try after a rotation rotates again, and the predecessor is lost."""
    log = DetectionLog(tmp_path, LogPosition(), LIMIT)
    append(log, b"aaaaaaaa\n")
    log.append(b"bbbb\n")
    append(log, b"bbbb\n")
    append(log, b"cccc\n")
    log.close()
    assert lines(tmp_path) == b"bbbb\ncccc\n"
    assert (tmp_path / PREDECESSOR).read_bytes() == b"aaaaaaaa\n"


def test_a_file_of_somebody_else_is_appended_to(tmp_path: Path) -> None:
    """A log that was kept while the outbox was lost is destroyed."""
    (tmp_path / FILE).write_bytes(b"old\n")
    log = DetectionLog(tmp_path, LogPosition())
    append(log, b"new\n")
    log.close()
    assert lines(tmp_path) == b"old\nnew\n"


def test_a_log_that_is_taken_away_begins_anew(tmp_path: Path) -> None:
    """After a clean-up by hand, detections go into a file that nobody can see."""
    log = DetectionLog(tmp_path, LogPosition())
    append(log, b"1\n")
    (tmp_path / FILE).unlink()
    append(log, b"2\n")
    append(log, b"3\n")
    log.close()
    assert lines(tmp_path) == b"2\n3\n"


def test_a_log_that_is_emptied_has_no_hole(tmp_path: Path) -> None:
    """After `> detections.jsonl`, the next line comes behind thousands of NULs."""
    log = DetectionLog(tmp_path, LogPosition())
    append(log, b"1\n")
    os.truncate(tmp_path / FILE, 0)
    position = append(log, b"2\n")
    log.close()
    assert lines(tmp_path) == b"2\n"
    os.truncate(tmp_path / FILE, 0)
    log = DetectionLog(tmp_path, position)
    append(log, b"3\n")
    log.close()
    assert lines(tmp_path) == b"3\n"


def test_a_link_in_place_of_the_log_is_not_followed(tmp_path: Path) -> None:
    """Whoever can write to the folder makes the link write anywhere."""
    (tmp_path / "elsewhere").write_bytes(b"")
    (tmp_path / FILE).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StoreError, match="DETECTION_LOG"):
        DetectionLog(tmp_path, LogPosition())


def test_an_absent_folder_is_a_domain_error(tmp_path: Path) -> None:
    """A disk that is gone ends in a traceback."""
    with pytest.raises(StoreError, match="DETECTION_LOG"):
        DetectionLog(tmp_path / "absent", LogPosition())
