"""Who is found running, from a /proc that is made by hand and a ring of memory."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from content.definitions import Rung, load_definitions
from probes import already_running
from probes.already_running import AlreadyRunning
from probes.memory_ring import MemoryRing
from probes.processes import NANOSECONDS_PER_TICK, Process, read_process
from probes.ring import Ring

PROCESS = load_definitions()[1]
EXEC, ALREADY_RUNNING = 1, 2
Seen = list[Mapping[str, Any]]


def add(proc: Path, pid: int, *, parent: int = 1, ticks: int = 0, image: str = "/bin/x") -> None:
    """A process; without an image it is a kernel thread."""
    folder = proc / str(pid)
    folder.mkdir()
    rest = " ".join(["S", str(parent), *["0"] * 17, str(ticks or pid)])
    (folder / "stat").write_text(f"{pid} (name) {rest} 0 0")
    (folder / "status").write_text("Name:\tname\nUid:\t5\t5\t5\t5\nGid:\t6\t6\t6\t6\n")
    (folder / "cmdline").write_bytes(b"x\0%d\0" % pid if image else b"")
    if image:
        (folder / "exe").symlink_to(image)


def remove(proc: Path, pid: int) -> None:
    """It ends."""
    for file in (proc / str(pid)).iterdir():
        file.unlink()
    (proc / str(pid)).rmdir()


class Host:
    """A /proc, the ring that execs are written to, and what is written of the others."""

    def __init__(self, proc: Path) -> None:
        self.proc = proc
        self.memory = MemoryRing(PROCESS, 1 << 20, Rung.BPF_BTF)
        told = self.memory.description
        self.ring = Ring(
            told.descriptor, told.stride, told.size, told.kind, PROCESS, read_only=True
        )
        self.seen: Seen = []
        self.room = 1_000
        self.before_put: Callable[[int], None] = lambda _pid: None

    def put(self, values: Mapping[str, Any]) -> bool:
        """As a ring with room for some."""
        if len(self.seen) >= self.room:
            return False
        self.before_put(values["pid"])
        self.seen.append(values)
        return True

    def executes(self, pid: int, ticks: int = 0, observed: int = EXEC) -> None:
        """The probes see an exec."""
        started = (ticks or pid) * NANOSECONDS_PER_TICK
        assert self.memory.append({"pid": pid, "start_time": started, "observed": observed})

    def look(self, position: int = 0) -> AlreadyRunning:
        """A look that has not begun."""
        return AlreadyRunning(self.ring, Rung.BPF_BTF, self.put, position, self.proc)

    @property
    def pids(self) -> list[int]:
        """Of whom an event was made."""
        return sorted(values["pid"] for values in self.seen)


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    """A shell, its child and a kernel thread."""
    for name in ("self", "sys"):
        (tmp_path / name).mkdir()
    add(tmp_path, 10)
    add(tmp_path, 11, parent=10)
    add(tmp_path, 12, image="")
    host = Host(tmp_path)
    yield host
    host.ring.close()
    host.memory.close()


def test_one_event_of_each(host: Host) -> None:
    """Processes would be missing, doubled, or come from nowhere."""
    look = host.look()
    assert look.step(100)
    assert host.pids == [10, 11]
    assert (look.counts.found, look.counts.written, look.counts.without_program) == (2, 2, 1)
    child = next(values for values in host.seen if values["pid"] == 11)
    assert (child["observed"], child["prevention"]) == (ALREADY_RUNNING, 1)
    assert (child["parent_pid"], child["parent_command_line"]) == (10, b"x\x0010")
    assert (child["image"], child["thread_id"]) == (b"/bin/x", 11)


def test_who_was_seen_executing_is_left_to_that(host: Host) -> None:
    """A program would be detected twice."""
    host.executes(10)
    host.executes(11, observed=ALREADY_RUNNING)
    host.executes(11, ticks=999)
    look = host.look()
    assert look.step(100)
    assert host.pids == [11]
    assert (look.counts.executed, look.counts.found) == (1, 2)


def test_execs_before_there_was_content_do_not_count(host: Host) -> None:
    """A program that was judged by nothing would never be judged."""
    host.executes(10)
    assert host.look(host.ring.producer_position).step(100)
    assert host.pids == [10, 11]


def test_an_exec_while_others_are_looked_at(host: Host) -> None:
    """It would be looked for in the ring only once."""
    host.before_put = lambda pid: host.executes(21 - pid)
    look = host.look()
    assert look.step(100)
    assert len(host.seen) == look.counts.executed == 1


def test_a_ring_without_room(host: Host) -> None:
    """A process would be dropped, or written twice."""
    host.room = 1
    look = host.look()
    assert not look.step(100)
    assert not look.step(100)
    host.room = 2
    assert look.step(100)
    assert host.pids == [10, 11]


def test_portions(host: Host) -> None:
    """A collector that stays would do nothing else meanwhile."""
    look = host.look()
    assert not look.step(1)
    assert len(host.seen) <= 1
    assert look.step(10)


def test_a_child_of_one_that_ends(host: Host) -> None:
    """Who forks and ends while /proc is read would slip through."""

    def fork_and_end(pid: int) -> None:
        if not (host.proc / "5").exists():
            add(host.proc, 5, parent=pid, ticks=700)

    host.before_put = fork_and_end
    assert host.look().step(100)
    assert host.pids == [5, 10, 11]


def test_a_pid_that_is_used_again(host: Host) -> None:
    """The second process of a pid would be taken for the first."""

    def replace(pid: int) -> None:
        if not host.seen:
            remove(host.proc, pid)
            add(host.proc, pid, ticks=800)

    host.before_put = replace
    assert host.look().step(100)
    assert len(host.pids) == 3
    assert len({(values["pid"], values["start_time"]) for values in host.seen}) == 3


def test_who_is_never_the_end_of_it(host: Host) -> None:
    """A storm of forks would keep the collector for ever."""
    numbers = iter(range(100, 100_000))
    host.before_put = lambda _pid: add(host.proc, next(numbers))
    look = host.look()
    assert look.step(10_000)
    assert len(host.seen) < 10_000


def test_giving_up_counts_who_is_left(host: Host) -> None:
    """Nobody would know how many were never judged."""
    never_begun = host.look()
    never_begun.give_up()
    assert (never_begun.counts.left, never_begun.counts.found) == (2, 2)
    host.room = 1
    look = host.look()
    assert not look.step(100)
    look.give_up()
    assert (look.counts.written, look.counts.left) == (1, 1)
    assert look.step(100)


def test_no_event_of_two_programs(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """One program would be reported with another one's arguments."""
    add(host.proc, 20)
    looks: list[Process] = []

    def changing(pid: int, proc: Path) -> Process | None:
        found = read_process(pid, proc)
        if found is not None and pid == 20 and not looks:
            looks.append(found)
            link = proc / "20" / "exe"
            link.unlink()
            link.symlink_to("/bin/other")
        return found

    monkeypatch.setattr(already_running, "read_process", changing)
    assert host.look().step(100)
    (event,) = [values for values in host.seen if values["pid"] == 20]
    assert event["image"] == b"/bin/other"


def test_a_ring_that_turns_too_fast(host: Host) -> None:
    """The collector would end, or call somebody judged whose exec was overwritten."""
    look = host.look()
    capacity = host.ring.size // host.ring.stride
    writing = Ring(
        host.memory.description.descriptor, host.ring.stride, host.ring.size, "memfd", PROCESS
    )
    for _ in range(3):
        for pid in range(1_000, 1_000 + capacity):
            host.executes(pid)
        writing.commit(writing.producer_position)
    host.executes(10)
    assert look.step(100)
    assert host.pids == [11]
    writing.close()
