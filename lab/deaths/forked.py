"""Evaluators by fork: the shipped role with its sandbox and channel, without a new Python each.

What follows is the product's own: the pool, the judging, the rules and the ledger of the
supervisor. Only for a process of its own that has one thread (Python is not made for forks beside
threads), and that nobody else's roles are children of.
"""

import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, cast

from agent import channel
from agent.evaluator import role
from agent.supervisor.child import Child
from agent.supervisor.roles import Role
from agent.supervisor.sealed import sealed
from content.definitions import load_definitions


@dataclass(slots=True)
class _Process:
    """As much of a Popen as a Child asks for."""

    pid: int
    returncode: int | None = None

    def wait(self) -> int:
        if self.returncode is None:
            _, status = os.waitpid(self.pid, 0)
            self.returncode = os.waitstatus_to_exitcode(status)
        return self.returncode


@dataclass(slots=True)
class Forks:
    """A launcher for the supervisor's pool. fates: for each evaluator in turn, what befalls it."""

    payloads: dict[str, bytes]
    fates: list[Callable[[], None]] = field(default_factory=list)
    started: list[Child] = field(default_factory=list)

    def start_evaluator(self) -> Child:
        """Another evaluator; the next fate is its own."""
        ours, theirs = channel.pair()
        reading, writing = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        fate = self.fates.pop(0) if self.fates else lambda: None
        pid = os.fork()
        if not pid:
            _be_evaluator(theirs.detach(), writing, fate)
        theirs.close()
        os.close(writing)
        process = cast("Any", _Process(pid))
        child = Child(Role.EVALUATOR, process, os.pidfd_open(pid), ours, reading, time.monotonic())
        self.started.append(child)
        return child

    def payload_descriptor(self, content_hash: str) -> int:
        """A sealed memfd with a payload, owned by the caller."""
        return sealed(self.payloads[content_hash])


def _be_evaluator(descriptor: int, writing: int, fate: Callable[[], None]) -> None:
    """Never returns."""
    status, types = 70, load_definitions()
    try:
        os.dup2(writing, 1)
        os.dup2(writing, 2)
        # A copy of another evaluator's channel would keep it open when we have closed it.
        os.closerange(3, descriptor)
        os.closerange(descriptor + 1, 4096)
        # Read once, not in each evaluator: that is most of the time that one takes to start.
        vars(role)["load_definitions"] = lambda: types
        fate()
        status = role.run(["--channel-fd", str(descriptor)])
    finally:
        sys.stderr.flush()
        os._exit(status)
