"""The rung of the process connector: the kernel says that a program was executed, /proc which one.

`ConnectorCollector.take` is given notifications in the order in which they came. Lineage is kept
from them: a fork remembers the child under its parent's image, an exec replaces that with what
/proc shows, a change of user or group is noted, an exit forgets. /proc is read at once; where that
is too late (the process has gone, or has executed the next program) the event has the fields that
are known without it, and counts as READ_FAULT. It is never filled in with a later program's.

When notifications were lost, all processes are compared with what is remembered, as in rung psutil,
so that only what came and went meanwhile stays unseen. Network events come from polling.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace

import psutil

from content.definitions import Rung, TemplateType
from content.loss_causes import LossCause
from probes.actor import (
    ACTOR_FIELDS,
    PROGRAM_FIELDS,
    actor_fields,
    exec_value,
    parent_fields,
    program_fields,
)
from probes.counters import ANY_TEMPLATE_TYPE
from probes.limits import LIMITS
from probes.notifications import Notification, What
from probes.processes import Process, read_process
from probes.record_writer import Value
from probes.socket_polling import NETWORK, SOCKET_FIELDS, Append, SocketPolling
from probes.supply import check_supplied
from probes.surroundings import Surroundings, read_surroundings

PROCESS = "process"

SUPPLIED = {
    PROCESS: ACTOR_FIELDS | PROGRAM_FIELDS | {"thread_id"},
    NETWORK: ACTOR_FIELDS | SOCKET_FIELDS,
}
"""What this code fills in, compared with the Definitions at start."""

Count = Callable[[LossCause, int, int], None]
"""Counts a loss: cause, Template Type, how many."""


class ConnectorCollector:
    """What is remembered of every process; reports through `append(type name, fields)`.

    Raises ProbeError (SUPPLY_MISMATCH) where the Definitions promise something else than this
    code supplies. read, surroundings, pids: how a process and what is around it are looked at, and
    which processes there are.
    """

    def __init__(
        self,
        types: Mapping[int, TemplateType],
        append: Append,
        count: Count,
        read: Callable[[int], Process | None] = read_process,
        surroundings: Callable[[int], Surroundings] = read_surroundings,
        pids: Callable[[], Iterable[int]] = psutil.pids,
    ) -> None:
        for kind in types.values():
            check_supplied(kind, SUPPLIED.get(kind.name, frozenset()), Rung.PROCESS_CONNECTOR)
        self._number = next(kind.number for kind in types.values() if kind.name == PROCESS)
        self._exec = exec_value(types)
        self._append = append
        self._count = count
        self._read = read
        self._surroundings = surroundings
        self._pids = pids
        self._known: dict[int, Process] = {}
        for pid in pids():
            self._look(pid)
        self._sockets = SocketPolling(types, append, self._actor)

    @property
    def processes(self) -> int:
        """How many processes are remembered."""
        return len(self._known)

    def take(self, notifications: Sequence[Notification]) -> None:
        """Follow what happened, and report the programs that were executed."""
        last = {
            one.numbers[1]: place
            for place, one in enumerate(notifications)
            if one.what in (What.EXEC, What.EXIT) and one.is_of_process
        }
        for place, one in enumerate(notifications):
            if one.what == What.FORK:
                self._forked(*one.numbers)
            elif one.what == What.EXEC:
                self._executed(one.numbers[1], superseded=last.get(one.numbers[1], place) > place)
            elif one.what == What.EXIT and one.is_of_process:
                self._known.pop(one.numbers[1], None)
            elif one.what in (What.USER, What.GROUP):
                self._changed(one)

    def look_again(self) -> None:
        """Notifications were lost: report who runs another program than is remembered."""
        running = set(self._pids())
        for pid in self._known.keys() - running:
            del self._known[pid]
        for pid in running:
            before = self._known.get(pid)
            process = self._look(pid)
            if process is None or process.runs_nothing:
                continue
            if before is None:
                before = self._known.get(process.parent_pid)
            if not process.runs_the_same(before):
                self._report(process)

    def look_at_sockets(self) -> None:
        """Report sockets that are new."""
        self._sockets.look()

    def _forked(self, _thread: int, parent: int, child_thread: int, child: int) -> None:
        if child_thread != child:
            return  # a thread
        self._known.pop(child, None)
        known = self._known.get(parent)
        if known is not None:  # start time 0: nobody has looked at the child itself yet
            self._remember(replace(known, pid=child, parent_pid=parent, start_time=0))

    def _executed(self, pid: int, *, superseded: bool) -> None:
        process = None if superseded else self._look(pid)
        if process is not None and not process.runs_nothing:
            self._report(process)
            return
        # The program is known to have run, and not which one it was.
        fields: dict[str, Value] = {"pid": pid, "thread_id": pid, "observed": self._exec}
        known = process or self._known.get(pid)
        if process is not None:  # it has ended and waits for its parent
            fields |= actor_fields(process, None)
            del fields["command_line"]
        elif known is not None:
            fields["parent_pid"] = known.parent_pid
        if known is not None:
            fields |= parent_fields(self._parent(known.parent_pid))
        self._append(PROCESS, fields)
        self._count(LossCause.READ_FAULT, self._number, 1)

    def _report(self, process: Process) -> None:
        fields = self._actor(process) | {"thread_id": process.pid}
        surroundings = self._surroundings(process.pid)
        self._append(PROCESS, fields | program_fields(process, surroundings, self._exec))

    def _actor(self, process: Process) -> dict[str, Value]:
        return actor_fields(process, self._parent(process.parent_pid))

    def _parent(self, pid: int) -> Process | None:
        known = self._known.get(pid)
        return known if known is not None and known.start_time else self._look(pid) or known

    def _changed(self, one: Notification) -> None:
        _, pid, real, _ = one.numbers
        known = self._known.get(pid)
        if known is not None:
            user = one.what == What.USER
            self._known[pid] = replace(
                known,
                user_id=real if user else known.user_id,
                group_id=known.group_id if user else real,
            )

    def _look(self, pid: int) -> Process | None:
        process = self._read(pid)
        if process is not None and not process.runs_nothing:
            self._remember(process)
        return process

    def _remember(self, process: Process) -> None:
        if process.pid not in self._known and len(self._known) >= LIMITS.lineage_entries:
            self._count(LossCause.LINEAGE_FULL, ANY_TEMPLATE_TYPE, 1)
            return
        self._known[process.pid] = process
