"""The processes of the other roles: started, watched, read, and judged by their owner at the end.

One selector for all descriptors that the supervisor waits for, with who handles them.
"""

import os
import selectors
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping

from agent.channel import ProtocolViolationError
from agent.supervisor.child import Child, start
from agent.supervisor.log import Log
from agent.supervisor.own_processes import OwnProcesses
from agent.supervisor.owners import Owners
from agent.supervisor.roles import Role, RoleEntry

Handler = Callable[[], None]


class Children:
    """All of them; iterates over those that live, or have ended and were not judged yet.

    owners: whose they are, set before the first `step`. attempts: what ended ones tried that they
    may not, by its name.
    """

    owners: Owners

    def __init__(self, roles: Mapping[Role, RoleEntry], own: OwnProcesses, log: Log) -> None:
        self.attempts: Counter[str] = Counter()
        self._roles = roles
        self._own = own
        self._log = log
        self._selector = selectors.DefaultSelector()
        self._by_pidfd: dict[int, Child] = {}

    def __iter__(self) -> Iterator[Child]:
        return iter(list(self._by_pidfd.values()))

    def __len__(self) -> int:
        return len(self._by_pidfd)

    def start(self, role: Role, *arguments: str) -> Child:
        """Start a role and watch it; OSError where the system can't."""
        try:
            child = start(role, self._roles[role], arguments)
        except OSError as error:
            self._log.say("can't start", role=role, because=error)
            raise
        self._by_pidfd[child.pidfd] = child
        self._own.add(child.pid)
        self.watch(child.channel.fileno(), lambda: self._read(child))
        self.watch(child.stderr, lambda: self._read_output(child))
        self.watch(child.pidfd, lambda: self._ended(child))
        return child

    def watch(self, descriptor: int, handler: Handler) -> None:
        """Call the handler whenever there is something to read."""
        self._selector.register(descriptor, selectors.EVENT_READ, handler)

    def step(self, seconds: float) -> None:
        """Wait for so long at most, and hand what is readable to its owner."""
        ready = self._selector.select(seconds)
        # Ends come last, so that a child's messages are never read after its end was judged.
        for key, _ in sorted(ready, key=lambda pair: pair[0].fd in self._by_pidfd):
            handler: Handler = key.data
            if key.fileobj in self._selector.get_map():
                handler()

    def end_lingering(self, now: float) -> None:
        """A role that has closed its channel and lives on is of no use, and may do harm."""
        for child in self:
            if child.lingering(now):
                child.kill()

    def end_all(self) -> None:
        """Kill and judge whoever is left."""
        for child in self:
            child.kill()
            self._ended(child)

    def pids(self) -> frozenset[int]:
        """The supervisor's own, its parent's, and theirs: whom no verdict may end."""
        return frozenset({os.getpid(), os.getppid(), *(child.pid for child in self)})

    def _read(self, child: Child) -> None:
        try:
            for message in child.messages():
                self.owners.message(child, message)
        except ProtocolViolationError as error:
            child.attempts[error.violation] += 1
            self._log.say(
                "protocol violation",
                role=child.role,
                pid=child.pid,
                reason=error.violation,
                error=error,
            )
            self.owners.violation(child, error)
        watched = self._selector.get_map()
        if child.listener is not None and child.listener not in watched:
            self.watch(child.listener, lambda: self._look(child))
        if child.closed and child.channel.fileno() in watched:
            self._selector.unregister(child.channel.fileno())

    def _look(self, child: Child) -> None:
        """A locked-down role has made a system call that it may not make, and waits."""
        call = child.look()
        if not call:  # It has ended; nobody of ours has killed it.
            return
        self._log.say("forbidden system call", role=child.role, pid=child.pid, call=call)
        self.owners.forbidden_call(child)

    def _read_output(self, child: Child) -> None:
        for line in child.output(time.monotonic()).splitlines():
            self._log.say(f"{child.role} says", pid=child.pid, line=line)
        if child.silent and child.stderr in self._selector.get_map():
            self._selector.unregister(child.stderr)

    def _ended(self, child: Child) -> None:
        """Read what a child said last, then let its owner judge its end."""
        while child.pending():
            self._read(child)
        self._read_output(child)
        for descriptor in (child.channel.fileno(), child.stderr, child.pidfd, child.listener):
            if descriptor is not None and descriptor in self._selector.get_map():
                self._selector.unregister(descriptor)
        del self._by_pidfd[child.pidfd]
        child.reap()
        self.attempts.update(child.attempts)
        self.owners.ended(child)
        child.close()
