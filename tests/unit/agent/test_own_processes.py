"""Which processes are ours is known by pid and start time, also after they have ended."""

import os
import subprocess
from pathlib import Path

from agent.supervisor.limits import LIMITS
from agent.supervisor.own_processes import OwnProcesses


def test_a_process_is_known_as_events_carry_it() -> None:
    """Nothing would ever be recognised as our own."""
    own = OwnProcesses()
    own.add(os.getpid())
    fields = Path("/proc/self/stat").read_bytes().rpartition(b") ")[2].split()
    assert list(own.known) == [(os.getpid(), int(fields[19]) * 10_000_000)]


def test_a_child_that_has_ended_is_known_until_it_is_reaped_and_afterwards() -> None:
    """What a collector did, which ends at once, would look like somebody else's doing."""
    own = OwnProcesses()
    child = subprocess.Popen(["/bin/true"])
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    own.add(child.pid)
    child.wait()
    assert [pid for pid, _ in own.known] == [child.pid]
    own.add(child.pid)
    assert own.count == 1


def test_those_that_are_new_are_told_once_and_the_oldest_forgotten() -> None:
    """A link would not learn of a new process, or the list grow for ever."""
    own = OwnProcesses()
    for _ in range(3):
        own.add(os.getpid())
    assert [len(list(own.since(told))) for told in range(4)] == [3, 2, 1, 0]
    for _ in range(LIMITS.own_processes):
        own.add(os.getpid())
    assert own.count == LIMITS.own_processes + 3
    assert len(list(own.since(0))) == LIMITS.own_processes
    assert len(list(own.since(own.count - 1))) == 1
