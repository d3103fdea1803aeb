"""`agent run --respawn`: what died or hangs is started again; what should end, ends."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from agent.supervisor.high_descriptors import END
from cli.respawn import _status_of_dying
from lab.demo.processes import alive

DEADLINE = 20.0

PARENT = """
import sys
from cli.respawn import Respawner
sys.exit(Respawner(sys.argv[2:], silence_seconds=float(sys.argv[1])).run())
"""

# Leaves a file named after its process; gives signs of life until it is told to stop.
CHILD = """
import os, pathlib, signal, socket, sys, time
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
signal.signal(signal.SIGINT, signal.SIG_IGN)
pathlib.Path(sys.argv[1], str(os.getpid())).touch()
speaker = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
while True:
    speaker.sendto(b"WATCHDOG=1", chr(0) + os.environ["NOTIFY_SOCKET"][1:])
    time.sleep(0.1)
"""


class Pair:
    """A respawning parent and the children that it has had so far."""

    def __init__(self, folder: Path, child: str = CHILD, silence: float = 10.0) -> None:
        self.folder = folder
        self.parent = subprocess.Popen(
            [sys.executable, "-c", PARENT, str(silence), sys.executable, "-c", child, str(folder)],
            stderr=subprocess.PIPE,
        )

    def children(self) -> list[int]:
        """Process ids of all that were started."""
        return [int(path.name) for path in self.folder.iterdir()]

    def wait_for(self, what: Callable[[], bool]) -> None:
        """Wait until it is true; fails after a while."""
        until = time.monotonic() + DEADLINE
        while not what():
            assert time.monotonic() < until, "too late"
            time.sleep(0.02)

    def first(self) -> int:
        """The first child, once it runs."""
        self.wait_for(lambda: bool(self.children()))
        return self.children()[0]

    def another_than(self, pid: int) -> int:
        """A living child that is not that one, once there is one."""
        self.wait_for(lambda: any(one != pid and alive(one) for one in self.children()))
        return next(one for one in self.children() if one != pid and alive(one))

    def end(self) -> tuple[int, str]:
        """Tell the parent to stop; its exit status and what it said."""
        self.parent.terminate()
        _, said = self.parent.communicate(timeout=DEADLINE)
        return self.parent.returncode, said.decode()


def test_a_killed_supervisor_is_started_again(tmp_path: Path) -> None:
    """A host would stay unprotected after one SIGKILL."""
    pair = Pair(tmp_path)
    first = pair.first()
    os.kill(first, signal.SIGKILL)
    second = pair.another_than(first)
    status, said = pair.end()
    assert status == 0
    assert "supervisor ended with signal 9" in said
    assert not alive(second)


def test_a_stopped_supervisor_is_killed_and_started_again(tmp_path: Path) -> None:
    """A hung supervisor would leave the host unprotected for ever."""
    pair = Pair(tmp_path, silence=1.0)
    first = pair.first()
    os.kill(first, signal.SIGSTOP)
    pair.another_than(first)
    status, said = pair.end()
    assert status == 0
    assert "silent for 1 s" in said


def test_what_is_dying_slowly_is_seen_to_be_dying() -> None:
    """The host would stay unprotected while the kernel closes attachments, which takes seconds."""
    with subprocess.Popen(["/bin/sleep", "100"]) as child:
        assert _status_of_dying(child.pid) == 0
        child.kill()
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        assert _status_of_dying(child.pid) == -signal.SIGKILL
    assert _status_of_dying(child.pid) is None


def test_a_supervisor_that_only_closes_descriptors_is_not_replaced(tmp_path: Path) -> None:
    """There would be two of them."""
    closing = CHILD.replace("while True:", f"os.close({END})\nwhile True:")
    pair = Pair(tmp_path, child=closing)
    first = pair.first()
    time.sleep(1.0)
    assert pair.children() == [first]
    assert pair.end() == (0, "")


def test_signs_of_life_of_somebody_else_do_not_count(tmp_path: Path) -> None:
    """Anybody could keep a hung supervisor from being noticed."""
    other = CHILD.replace("speaker.sendto(", "os.fork() or (speaker.sendto(").replace(
        '["NOTIFY_SOCKET"][1:])', '["NOTIFY_SOCKET"][1:]), os._exit(0))'
    )
    pair = Pair(tmp_path, child=other, silence=1.0)
    first = pair.first()
    pair.another_than(first)
    assert "silent" in pair.end()[1]


@pytest.mark.parametrize("status", [0, 2, 3])
def test_a_supervisor_that_means_to_end_is_not_started_again(tmp_path: Path, status: int) -> None:
    """A mistake in the options would be repeated for ever."""
    pair = Pair(tmp_path, child=f"import sys; sys.exit({status})")
    pair.parent.communicate(timeout=DEADLINE)
    assert pair.parent.returncode == status


def test_the_end_of_the_parent_is_the_end_of_the_supervisor(tmp_path: Path) -> None:
    """A supervisor would stay behind that nobody watches."""
    pair = Pair(tmp_path)
    child = pair.first()
    pair.parent.kill()
    pair.parent.communicate(timeout=DEADLINE)
    pair.wait_for(lambda: not alive(child))
