"""What /proc tells, from a folder that is made by hand, and the map that is seeded with it."""

import os
from pathlib import Path

import numpy as np
import pytest

from probes.layout import TRUNCATED, lineage_dtype
from probes.limits import LIMITS
from probes.processes import NANOSECONDS_PER_TICK, parse_stat, read_process
from probes.seed import Insertion, seed
from tests.unit.probes.small_types import SMALL

VALUE = lineage_dtype([SMALL])
REST = " ".join(str(number) for number in range(5, 22))


def add(proc: Path, pid: int, image: str = "/bin/x", arguments: bytes = b"x\0y\0") -> None:
    """A process in a folder that looks like /proc."""
    folder = proc / str(pid)
    folder.mkdir()
    stat = f"{pid} (a ) b\n) S 7 {REST} {pid * 10} 0".encode()
    (folder / "stat").write_bytes(stat)
    (folder / "cmdline").write_bytes(arguments)
    (folder / "status").write_bytes(b"Name:\ta\\nUid:\t9\nUid:\t1\t2\t3\t4\nGid:\t5\t6\t7\t8\n")
    if image:
        (folder / "exe").symlink_to(image)


def test_stat_line_with_a_hostile_name() -> None:
    """If it failed, a process could choose its own parent and start time by its name."""
    stat = parse_stat(f"1 (x) S 9 9 (y) R 42 {REST} 300 0".encode())
    assert (stat.name, stat.parent_pid) == (b"x) S 9 9 (y", 42)
    assert stat.start_time == 300 * NANOSECONDS_PER_TICK


def test_a_process(tmp_path: Path) -> None:
    """If it failed, a process would be described wrongly."""
    add(tmp_path, 12, "/opt/x (deleted)", b"x\0\0a b\0")
    process = read_process(12, tmp_path)
    assert process is not None
    assert (process.pid, process.parent_pid) == (12, 7)
    assert process.start_time == 120 * NANOSECONDS_PER_TICK
    assert process.name == b"a ) b\n"
    assert process.image == b"/opt/x"
    assert process.command_line == b"x\0\0a b"
    assert process.argument_count == 3
    assert (process.user_id, process.group_id) == (1, 5)


def test_arguments_that_are_too_long_to_count(tmp_path: Path) -> None:
    """If it failed, a count would be given that is only a part of the truth."""
    add(tmp_path, 3, arguments=b"a\0" * LIMITS.command_line_bytes)
    process = read_process(3, tmp_path)
    assert process is not None
    assert process.argument_count is None


def test_who_is_not_there(tmp_path: Path) -> None:
    """If it failed, a process that ends while it is read would end the collector."""
    assert read_process(4, tmp_path) is None


def test_own_process_is_what_python_knows() -> None:
    """If it failed, the form of /proc here would not be understood."""
    process = read_process(os.getpid())
    assert process is not None
    assert process.parent_pid == os.getppid()
    assert (process.user_id, process.group_id) == (os.getuid(), os.getgid())


class Map:
    """The lineage map as a dictionary."""

    def __init__(self, room: int) -> None:
        self.room = room
        self.entries: dict[int, np.void] = {}

    def insert(self, pid: int, value: bytes) -> Insertion:
        """As the kernel: never replaces, refuses when full."""
        if pid in self.entries:
            return Insertion.KNOWN
        if len(self.entries) >= self.room:
            return Insertion.FULL
        self.entries[pid] = np.frombuffer(value, VALUE)[0]
        return Insertion.ADDED


def test_seeding(tmp_path: Path) -> None:
    """If it failed, older processes would be unknown, or kernel threads have names."""
    add(tmp_path, 1, "/sbin/init", b"init\0")
    add(tmp_path, 2, "", b"")
    add(tmp_path, 5, "/bin/" + "x" * 20, b"a" * 24 + b"\0")
    (tmp_path / "self").mkdir()
    lineage = Map(10)
    outcome = seed(lineage.insert, VALUE, tmp_path)
    assert (outcome.added, outcome.full) == (2, 0)
    assert sorted(lineage.entries) == [1, 5]
    init, other = lineage.entries[1], lineage.entries[5]
    assert int(init["start_time"]) == 10 * NANOSECONDS_PER_TICK
    assert bytes(init["image"][: init["image_taken"]]) == b"/sbin/init"
    assert bytes(init["command_line"][: init["command_line_taken"]]) == b"init"
    assert int(other["image_taken"]) == 16 | TRUNCATED
    assert int(other["command_line_taken"]) == 24


def test_kernel_entries_stay(tmp_path: Path) -> None:
    """If it failed, a seeded entry would replace a fresher one."""
    add(tmp_path, 1)
    lineage = Map(10)
    fresher: np.void = np.zeros(1, VALUE)[0]
    lineage.entries[1] = fresher
    assert seed(lineage.insert, VALUE, tmp_path).added == 0
    assert lineage.entries[1] is fresher


def test_what_finds_no_room_is_counted_once(tmp_path: Path) -> None:
    """If it failed, the count of unknown processes would be too high, or missing."""
    for pid in range(1, 6):
        add(tmp_path, pid)
    outcome = seed(Map(3).insert, VALUE, tmp_path)
    assert (outcome.added, outcome.full) == (3, 2)


def test_child_of_a_process_that_was_not_seeded_yet(tmp_path: Path) -> None:
    """If it failed, who is forked while /proc is listed would stay unknown."""
    add(tmp_path, 1)
    lineage = Map(10)

    def insert(pid: int, value: bytes) -> Insertion:
        if not (tmp_path / "2").exists():
            add(tmp_path, 2)
        return lineage.insert(pid, value)

    assert seed(insert, VALUE, tmp_path).added == 2


@pytest.mark.parametrize("image", ["", "/bin/x"])
def test_secret_images_are_marked(tmp_path: Path, image: str) -> None:
    """If it failed, an image that could not be read would look like an empty one."""
    add(tmp_path, 1, image)
    lineage = Map(10)
    seed(lineage.insert, VALUE, tmp_path)
    assert int(lineage.entries[1]["image_taken"]) == (len(image) or -1)
