"""Acting on a verdict: stop a process, if it still is the process that the verdict is about.

The evaluator is not trusted: pid 1, our own processes, kernel threads and the manager of services
are never touched, and a pid counts only together with the start time that the event carried.
"""

import errno
import os
import signal
from collections.abc import Collection
from enum import StrEnum

from agent.supervisor.process_stat import (
    PARENT_FIELD,
    START_TIME_FIELD,
    STATE_FIELD,
    stat_fields,
)
from agent.supervisor.protected import runs_initial_program

NANOSECONDS_PER_TICK = 1_000_000_000 // os.sysconf("SC_CLK_TCK")
_DEAD = frozenset("ZX")
_GONE = frozenset({errno.ESRCH, errno.EINVAL, errno.ENOENT})
_KERNEL_THREADD = 2


class Outcome(StrEnum):
    """What became of a verdict."""

    STOPPED = "STOPPED"
    ALREADY_GONE = "ALREADY_GONE"
    ANOTHER_PROCESS = "ANOTHER_PROCESS"
    PROTECTED = "PROTECTED"
    # The rung does not supply the start time, so nobody can say whose pid it is now.
    NOT_IDENTIFIED = "NOT_IDENTIFIED"
    FAILED = "FAILED"
    # What it is about is not in the ring any more, so that nobody can say whether it is true.
    EVENT_GONE = "EVENT_GONE"
    # The policy of this host has switched prevention off since the evaluator was told last.
    POLICY_OFF = "POLICY_OFF"


def stop(pid: int, start_time_ns: int, protected: Collection[int]) -> Outcome:
    """Kill a process by pidfd after its identity was checked again.

    start_time_ns: since boot, in whole clock ticks, as events carry it; 0 if they don't.
    """
    if pid <= _KERNEL_THREADD or pid in protected:
        return Outcome.PROTECTED
    if not start_time_ns:
        return Outcome.NOT_IDENTIFIED
    try:
        descriptor = os.pidfd_open(pid)
    except (OSError, OverflowError) as error:
        return _without_effect(error)
    try:
        # The pidfd names whoever has the pid now; only then is its start time worth reading.
        fields = stat_fields(pid)
        if fields is None or fields[STATE_FIELD - 1] in _DEAD:
            return Outcome.ALREADY_GONE
        if int(fields[PARENT_FIELD - 1]) == _KERNEL_THREADD or runs_initial_program(pid):
            return Outcome.PROTECTED
        if int(fields[START_TIME_FIELD - 1]) * NANOSECONDS_PER_TICK != start_time_ns:
            return Outcome.ANOTHER_PROCESS
        signal.pidfd_send_signal(descriptor, signal.SIGKILL)
    except OSError as error:
        return _without_effect(error)
    else:
        return Outcome.STOPPED
    finally:
        os.close(descriptor)


def start_time_ns(pid: int) -> int | None:
    """When a process was started, as events carry it; None if it is gone."""
    fields = stat_fields(pid)
    return int(fields[START_TIME_FIELD - 1]) * NANOSECONDS_PER_TICK if fields else None


def _without_effect(error: OSError | OverflowError) -> Outcome:
    """Gone, or (without root, another user's process) out of our reach."""
    # Too large: no process ever had that id. EINVAL or ENOENT: a thread has it, and no process.
    gone = isinstance(error, OverflowError) or error.errno in _GONE
    return Outcome.ALREADY_GONE if gone else Outcome.FAILED
