"""`bulkhead agent run --respawn`: a supervisor that dies or hangs is started again.

For hosts without a service manager; with systemd, packaging/bulkhead-agent.service does the same.
The parent does nothing but wait, pass signals on, and start again what ended against its will, more
slowly if that keeps happening. It listens to the supervisor's signs of life as systemd would
(sd_notify(3)) and kills one that gives none. A supervisor that ended as it was told to, or that
says that it can't start (status 2 and 3: a mistake in its options, something missing), is the end
of the parent too. If the parent dies, the supervisor is told to stop.

A supervisor that is killed needs seconds to end, in which the kernel closes its attachments one by
one: the next one is started as soon as all else is closed.
"""

import contextlib
import fcntl
import os
import random
import secrets
import select
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from agent.backoff import Backoff
from agent.linux import PR_SET_PDEATHSIG, prctl
from agent.supervisor.high_descriptors import END
from cli.output import ExitCode, errors

FIRST_SECONDS = 0.1
CAP_SECONDS = 5.0
STABLE_SECONDS = 10.0
"""A supervisor that lived this long is in no crash loop."""

SILENCE_SECONDS = 10.0
"""A supervisor that gives no sign of life for so long is killed; it gives two in that time."""

FINAL = (ExitCode.OK, ExitCode.USAGE, ExitCode.PREREQUISITE_MISSING)
"""Exit statuses after which another start would change nothing."""

PASSED_ON = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
MESSAGE_BYTES = 4096
_CREDENTIALS = struct.Struct("3i")
_EXIT_CODE_AFTER_NAME = 49
"""The field is the 52nd, the name the second: it may hold anything, and ends with the last `)`."""


@dataclass(slots=True)
class Respawner:
    """Keeps one command running.

    silence_seconds: how long it may give no sign of life.
    """

    command: Sequence[str]
    silence_seconds: float = SILENCE_SECONDS
    clock: Callable[[], float] = time.monotonic
    backoff: Backoff = field(
        default_factory=lambda: Backoff(FIRST_SECONDS, CAP_SECONDS, random.SystemRandom().random)
    )
    _stopping: bool = False
    _woken: int = -1
    # Killed, replaced, and still closing attachments.
    _lingering: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def run(self) -> int:
        """Until the command ends of its own accord, or we are told to stop; its exit status."""
        self._woken, waking = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        signal.set_wakeup_fd(waking, warn_on_full_buffer=False)
        for number in PASSED_ON:
            signal.signal(number, self._on_signal)
        signal.signal(signal.SIGCHLD, lambda *_: None)  # wakes us; who waits looks who has ended
        while True:
            started = self.clock()
            status = self._once()
            if self._stopping or status in FINAL:
                return self._ended(status)
            if self.clock() - started >= STABLE_SECONDS:
                self.backoff.reset()
            delay = self.backoff.next_delay()
            how = f"signal {-status}" if status < 0 else f"exit status {status}"
            errors.print(f"supervisor ended with {how}; starting it again in {delay:.1f} s")
            if self._pause(delay):
                return self._ended(0)

    def _pause(self, seconds: float) -> bool:
        """Wait; whether we were told to stop meanwhile."""
        until = self.clock() + seconds
        while not self._stopping and self.clock() < until:
            self._wait(until - self.clock())
        return self._stopping

    def _ended(self, status: int) -> int:
        for one in self._lingering:
            one.wait()
        return max(status, 0)

    def _once(self) -> int:
        parent = os.getpid()
        with _listener() as (name, listener), _end_of_child() as (seen, given):
            watched = {
                "NOTIFY_SOCKET": name,
                "WATCHDOG_USEC": str(int(self.silence_seconds * 1_000_000)),
            }
            child = subprocess.Popen(
                self.command,
                env={**os.environ, **watched},
                pass_fds=(given,),
                preexec_fn=lambda: _end_with(parent),  # noqa: PLW1509 — there are no threads here
            )
            os.close(given)
            return self._watch(child, listener, seen)

    def _watch(self, child: subprocess.Popen[bytes], listener: socket.socket, seen: int) -> int:
        """Until the child has ended, or is dying; it is killed if it gives no sign of life.

        seen: readable once the child has closed all but its attachments. Its exit status.
        """
        ended = os.pidfd_open(child.pid)
        awaited: set[int | socket.socket] = {ended, listener, seen}
        heard, told = self.clock(), False
        try:
            while True:
                if self._stopping and not told:
                    told = True
                    child.terminate()
                readable = self._wait(heard + self.silence_seconds - self.clock(), *awaited)
                if ended in readable:
                    return child.wait()
                if seen in readable:
                    awaited.discard(seen)
                    status = _status_of_dying(child.pid)
                    if status is not None and status not in FINAL:
                        self._lingering.append(child)
                        return status
                if listener in readable and _is_from(listener, child.pid):
                    heard = self.clock()
                if self.clock() - heard > self.silence_seconds:
                    errors.print(f"supervisor silent for {self.silence_seconds:.0f} s; killing it")
                    child.kill()
                    heard = self.clock()
        finally:
            os.close(ended)

    def _wait(self, seconds: float, *others: int | socket.socket) -> list[int | socket.socket]:
        readable, _, _ = select.select([self._woken, *others], [], [], max(0.0, seconds))
        if self._woken in readable:
            os.read(self._woken, MESSAGE_BYTES)
        self._lingering = [one for one in self._lingering if one.poll() is None]
        return readable

    def _on_signal(self, _number: int, _frame: object) -> None:
        self._stopping = True


@contextlib.contextmanager
def _listener() -> Iterator[tuple[str, socket.socket]]:
    """A socket for signs of life, under a name that nobody can guess."""
    name = f"@bulkhead-{secrets.token_hex(16)}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        listener.bind("\0" + name[1:])
        yield name, listener


@contextlib.contextmanager
def _end_of_child() -> Iterator[tuple[int, int]]:
    """A pipe: what becomes readable once a child has closed the other, which the caller closes.

    The child is given it under the number below those that are closed first when it dies; nothing
    that it starts inherits it. Where the limit does not allow that, the caller sees it a bit later.
    """
    seen, low = os.pipe2(os.O_CLOEXEC)
    try:
        with contextlib.suppress(OSError):
            given = fcntl.fcntl(low, fcntl.F_DUPFD_CLOEXEC, END)
            os.close(low)
            low = given
        yield seen, low
    finally:
        os.close(seen)


def _status_of_dying(pid: int) -> int | None:
    """How a process that is not gone yet ends, as subprocess says it; None if it can't be read.

    The kernel notes it before anything is closed (proc(5), exit_code of /proc/PID/stat).
    """
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
        code = int(fields.rpartition(")")[2].split()[_EXIT_CODE_AFTER_NAME])
    except (OSError, ValueError, IndexError):
        return None
    return os.waitstatus_to_exitcode(code)


def _is_from(listener: socket.socket, pid: int) -> bool:
    """Whether the message that waits there is from that process, in the words of the kernel."""
    try:
        _, ancillary, _, _ = listener.recvmsg(
            MESSAGE_BYTES, socket.CMSG_SPACE(_CREDENTIALS.size), socket.MSG_DONTWAIT
        )
    except OSError:
        return False
    return any(
        kind == socket.SCM_CREDENTIALS and _CREDENTIALS.unpack(data)[0] == pid
        for level, kind, data in ancillary
        if level == socket.SOL_SOCKET and len(data) == _CREDENTIALS.size
    )


def _end_with(parent: int) -> None:
    prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:
        sys.exit(1)
