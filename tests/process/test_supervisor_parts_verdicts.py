"""A verdict stops the process that it is about, and nothing else."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.supervisor import protected, verdicts
from agent.supervisor.process_stat import stat_fields
from agent.supervisor.verdicts import NANOSECONDS_PER_TICK, Outcome, stop
from tests.needs import require_command, require_root
from tests.process.waiting import until
from tests.unit.agent.descriptors import none_lost

# Sets a name that looks like the end of the name's field, and waits.
NAMED = """
import sys, time
with open("/proc/self/comm", "wb") as file:
    file.write(b") R 1 (")
print(flush=True)
time.sleep(60)
"""


def start_time(pid: int) -> int:
    """Nanoseconds since boot, in whole ticks, as an event carries it."""
    line = Path(f"/proc/{pid}/stat").read_bytes()
    return int(line[line.rindex(b")") + 2 :].split()[19]) * NANOSECONDS_PER_TICK


@pytest.fixture
def victim() -> Iterator[subprocess.Popen[bytes]]:
    """A process with a hostile name, which waits."""
    with subprocess.Popen([sys.executable, "-c", NAMED], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        yield process
        process.kill()


def test_the_right_process_is_stopped(victim: subprocess.Popen[bytes]) -> None:
    """Prevention would do nothing."""
    with none_lost():
        assert stop(victim.pid, start_time(victim.pid), ()) is Outcome.STOPPED
    assert victim.wait() == -signal.SIGKILL


def test_without_a_start_time_nobody_is_stopped(victim: subprocess.Popen[bytes]) -> None:
    """On a rung that can't say when a process began, whoever has its pid now would be killed."""
    assert stop(victim.pid, 0, ()) is Outcome.NOT_IDENTIFIED
    assert victim.poll() is None


@pytest.mark.parametrize("ticks", [-1, 1, 10**9])
def test_another_process_with_its_id_lives(victim: subprocess.Popen[bytes], ticks: int) -> None:
    """An innocent process that got the id of a stopped one would be killed."""
    other = start_time(victim.pid) + ticks * NANOSECONDS_PER_TICK
    with none_lost():
        assert stop(victim.pid, other, ()) is Outcome.ANOTHER_PROCESS
    assert victim.poll() is None


def test_part_of_a_tick_is_no_start_time(victim: subprocess.Popen[bytes]) -> None:
    """A start time that no event can carry would do."""
    assert stop(victim.pid, start_time(victim.pid) + 1, ()) is Outcome.ANOTHER_PROCESS


def test_protected_processes_live(victim: subprocess.Popen[bytes]) -> None:
    """Content could stop the sensor, or the host."""
    assert stop(victim.pid, start_time(victim.pid), {victim.pid}) is Outcome.PROTECTED
    assert stop(os.getpid(), start_time(os.getpid()), {os.getpid()}) is Outcome.PROTECTED
    assert stop(1, start_time(1), ()) is Outcome.PROTECTED
    assert victim.poll() is None


def test_the_manager_of_services_lives(
    victim: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Content could take the host down by what its manager of services does."""
    program = os.path.realpath(f"/proc/{victim.pid}/exe")
    assert not protected.runs_initial_program(victim.pid)
    monkeypatch.setattr(protected, "is_initial", lambda path: path == program)
    assert stop(victim.pid, start_time(victim.pid), ()) is Outcome.PROTECTED
    assert victim.poll() is None
    assert not protected.runs_initial_program(1 << 22)


def test_kernel_threads_live() -> None:
    """Root's signals to kernel threads are ignored at best."""
    require_root()
    threads = []
    for path in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            line = (path / "stat").read_bytes()
            if line[line.rindex(b")") + 2 :].split()[1] == b"2":
                threads.append(int(path.name))
    if not threads:
        pytest.skip("this machine can't have it: kernel threads are out of sight")
    for pid in threads[:5]:
        assert stop(pid, start_time(pid), ()) is Outcome.PROTECTED


def test_process_that_is_gone(victim: subprocess.Popen[bytes]) -> None:
    """A process that ended by itself would be counted as stopped, or raise."""
    began = start_time(victim.pid)
    victim.kill()
    until(lambda: _state(victim.pid) == "Z")
    assert stop(victim.pid, began, ()) is Outcome.ALREADY_GONE
    victim.wait()
    with none_lost():
        assert stop(victim.pid, began, ()) is Outcome.ALREADY_GONE


def test_thread_is_no_process() -> None:
    """The id of a thread would raise, or stop its whole process."""
    ended = threading.Event()
    thread = threading.Thread(target=ended.wait)
    thread.start()
    try:
        assert thread.native_id is not None
        assert stop(thread.native_id, start_time(thread.native_id), ()) is Outcome.ALREADY_GONE
    finally:
        ended.set()
        thread.join()


@given(pid=st.integers(-(2**70), 2) | st.integers(2**22 + 1, 2**70), began=st.integers())
def test_impossible_ids_never_raise(pid: int, began: int) -> None:
    """An evaluator that says rubbish would end the supervisor, or kill a process group."""
    expected = {Outcome.PROTECTED, Outcome.ALREADY_GONE if began else Outcome.NOT_IDENTIFIED}
    assert stop(pid, began, ()) in expected


def test_what_may_not_be_stopped_is_said(victim: subprocess.Popen[bytes]) -> None:
    """A sensor without root would end at the first verdict on somebody else's process."""
    require_root()
    setpriv = require_command("setpriv", "util-linux")
    code = (
        "import sys; from agent.supervisor.verdicts import stop;"
        "print(stop(int(sys.argv[1]), int(sys.argv[2]), ()))"
    )
    words = [setpriv, "--reuid=65534", "--regid=65534", "--clear-groups", sys.executable, "-c"]
    began = str(start_time(victim.pid))
    found = subprocess.run(
        [*words, code, str(victim.pid), began], capture_output=True, text=True, check=True
    )
    assert found.stdout == "FAILED\n"
    assert victim.poll() is None


def test_process_that_dies_while_it_is_looked_at(
    victim: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that ends between two looks would end the supervisor."""
    began, real = start_time(victim.pid), stat_fields

    def looked_at(pid: int) -> list[str] | None:
        found = real(pid)
        victim.kill()
        victim.wait()
        return found

    monkeypatch.setattr(verdicts, "stat_fields", looked_at)
    with none_lost():
        assert stop(victim.pid, began, ()) is Outcome.ALREADY_GONE


def _state(pid: int) -> str:
    line = Path(f"/proc/{pid}/stat").read_bytes()
    return line[line.rindex(b")") + 2 :][:1].decode()
