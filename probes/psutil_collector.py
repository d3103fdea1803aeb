"""The rung without any kernel support: look at /proc through psutil, and report what is new.

`PsutilCollector.poll` compares what runs and which sockets there are with what it saw before. It
works for root and for an ordinary user, who sees less of other users' processes. What it misses by
nature is listed in docs/probes.md: above all, whatever lives shorter than the interval.

A program was executed where a process shows another image or command line than it had, or than
its parent has if it is new: a fork alone is no event. New processes are looked at in every poll
until they settle, old ones in every tenth.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import psutil

from content.definitions import Rung, TemplateType
from probes.actor import (
    ACTOR_FIELDS,
    PROGRAM_FIELDS,
    actor_fields,
    exec_value,
    program_fields,
)
from probes.processes import Process, read_process
from probes.record_writer import Value
from probes.socket_polling import NETWORK, SOCKET_FIELDS, Append, SocketPolling
from probes.supply import check_supplied
from probes.surroundings import read_surroundings

SETTLING_POLLS = 10
"""Polls during which a new process may still turn into another program."""
SWEEP_POLLS = 10
"""Every so many polls all processes are looked at."""
SOCKET_POLLS = 2
"""Every so many polls sockets are listed, which costs more than processes do."""

PROCESS = "process"

SUPPLIED = {
    PROCESS: ACTOR_FIELDS | PROGRAM_FIELDS,
    NETWORK: ACTOR_FIELDS | SOCKET_FIELDS,
}
"""What this code fills in, compared with the Definitions at start."""


@dataclass(slots=True)
class _Seen:
    process: Process
    settles: int


class PsutilCollector:
    """What was seen last; `poll` reports through `append(type name, fields)`.

    Raises ProbeError (SUPPLY_MISMATCH) where the Definitions promise something else than this
    code supplies.
    """

    def __init__(self, types: Mapping[int, TemplateType], append: Append) -> None:
        self._append = append
        self._polls = 0
        self._seen: dict[int, _Seen] = {}
        self._exec = exec_value(types)
        for kind in types.values():
            check_supplied(kind, SUPPLIED.get(kind.name, frozenset()), Rung.PSUTIL)
        self._look_at_processes(report=False)
        self._sockets = SocketPolling(types, append, self._actor)

    @property
    def processes(self) -> int:
        """How many processes were there at the last look."""
        return len(self._seen)

    def poll(self) -> None:
        """Look once, and report what is new."""
        self._polls += 1
        self._look_at_processes(report=True)
        if self._polls % SOCKET_POLLS == 0:
            self._sockets.look()

    def _look_at_processes(self, *, report: bool) -> None:
        running = set(psutil.pids())
        for pid in self._seen.keys() - running:
            del self._seen[pid]
        sweep = self._polls % SWEEP_POLLS == 0
        for pid in running:
            seen = self._seen.get(pid)
            if seen is not None and self._polls > seen.settles and not sweep:
                continue
            process = read_process(pid)
            if process is None:
                continue
            settles = self._polls + SETTLING_POLLS if report else 0
            if seen is None or seen.process.start_time != process.start_time:
                before = self._seen_as(process.parent_pid)
            else:
                before, settles = seen.process, seen.settles
            self._seen[pid] = _Seen(process, settles)
            if report and not process.runs_nothing and not process.runs_the_same(before):
                self._append(PROCESS, self._process_fields(process))

    def _seen_as(self, pid: int) -> Process | None:
        seen = self._seen.get(pid)
        return seen.process if seen else None

    def _process_fields(self, process: Process) -> dict[str, Value]:
        surroundings = read_surroundings(process.pid)
        return self._actor(process) | program_fields(process, surroundings, self._exec)

    def _actor(self, process: Process) -> dict[str, Value]:
        parent = self._seen_as(process.parent_pid) or read_process(process.parent_pid)
        return actor_fields(process, parent)
