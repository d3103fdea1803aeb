"""One child process: its pidfd, its channel, what it prints, and how it ended.

Started with a clean environment, under its own user, with no new privileges and with the order to
die if the supervisor does. It is known by its pidfd from start to end, so that no signal ever
reaches a stranger that got the same pid.
"""

import math
import os
import select
import signal
import socket
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from agent import channel
from agent.channel import Message, ProtocolViolationError, Sender, Violation
from agent.privileges import COLLECTOR, become
from agent.supervisor import listener
from agent.supervisor.high_descriptors import moved_up
from agent.supervisor.limits import LIMITS
from agent.supervisor.process_stat import STATE_FIELD, stat_fields
from agent.supervisor.roles import Role, RoleEntry, command, ids

ENVIRONMENT = {
    "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
    "LANG": "C.UTF-8",
    # A role locks itself down while it has one thread; numpy would start one per processor.
    "OPENBLAS_NUM_THREADS": "1",
}
_SENDERS = {
    Role.COLLECTOR: Sender.COLLECTOR,
    Role.EVALUATOR: Sender.EVALUATOR,
    Role.LINK: Sender.LINK,
}
_SEND_BUFFER_BYTES = 4 * 1024 * 1024
_SO_SNDBUFFORCE = 32
_WITH_DESCRIPTORS = frozenset({"attached", "attachments", "content", "locked"})
"""The kinds of message that bring descriptors; with any other they would be lost, one by one."""

# Beside system calls and violations of the protocol, what is counted as an attempt.
FOREIGN_CALL = "FOREIGN_ARCHITECTURE"
UNKNOWN_CALL = "SYSTEM_CALL"
OUTPUT_FLOOD = "OUTPUT_FLOOD"
MEMORY_LIMIT = "MEMORY_LIMIT"

_STOPPED = frozenset("Tt")
KIB = 1024
NANOSECONDS = 1_000_000_000


@dataclass(frozen=True, slots=True)
class End:
    """How a child ended: by a signal (0 if none) or with an exit status."""

    signal: int
    exit_code: int


@dataclass(slots=True, eq=False)
class Child:
    """A running role, and what we keep of it."""

    role: Role
    process: subprocess.Popen[bytes]
    pidfd: int
    channel: socket.socket
    stderr: int
    started: float
    killed_by_us: bool = False
    # Somebody's signal, or a debugger, had stopped it when we killed it; it can't do that itself.
    stopped_by_others: bool = False
    closed: bool = False
    # Nothing more will come of what it prints.
    silent: bool = False
    end: End | None = None
    # Tells of system calls that it may not make, once it is locked down.
    listener: int | None = None
    # What it tried that it may not: system calls by name, and names of channel.Violation.
    attempts: Counter[str] = field(default_factory=Counter)
    # It has made a system call that it may not make, and was ended for that.
    forbidden: bool = False
    _log_window: float = field(default=0.0)
    _log_bytes: int = field(default=0)
    log_dropped: int = 0
    _closed_at: float = 0.0

    @property
    def pid(self) -> int:
        """Process id; only for showing, never for signalling."""
        return self.process.pid

    def send(
        self, kind: str, *, payload: bytes = b"", descriptors: Sequence[int] = (), **fields: Any
    ) -> bool:
        """Send a message; False where its queue is full or it is gone (its end will be seen)."""
        try:
            channel.send(self.channel, kind, payload=payload, descriptors=descriptors, **fields)
        except (BlockingIOError, BrokenPipeError, ConnectionResetError):
            return False
        return True

    def messages(self) -> Iterator[Message]:
        """What it has sent, up to a turn's worth; ProtocolViolationError if it isn't a message.

        That it has locked itself down, which every role says once, is taken note of: `listener`.
        """
        for _ in range(LIMITS.messages_per_turn):
            try:
                message = channel.receive(self.channel, _SENDERS[self.role])
            except (BlockingIOError, ConnectionResetError):
                return
            if message is None:
                self.closed, self._closed_at = True, time.monotonic()
                return
            if message.descriptors and message.kind not in _WITH_DESCRIPTORS:
                for descriptor in message.descriptors:
                    os.close(descriptor)
                raise ProtocolViolationError(
                    f"{message.kind} with descriptors", Violation.STRAY_DESCRIPTORS
                )
            if message.kind == "locked":
                self._locked(message)
            else:
                yield message

    def due(self, _now: float) -> float:
        """When it has lingered for too long; never, while its channel is open."""
        return self._closed_at + LIMITS.stop_seconds if self.closed else math.inf

    def lingering(self, now: float) -> bool:
        """Whether it has closed its channel a while ago and has not ended."""
        return self.closed and now - self._closed_at > LIMITS.stop_seconds

    def pending(self) -> bool:
        """Whether it has sent something that was not read yet."""
        if self.closed:
            return False
        return bool(select.select([self.channel], [], [], 0)[0])

    def waited_seconds(self) -> float:
        """How long its first thread was ready and got no processor; 0 where nobody knows."""
        try:
            _, waited, _ = Path(f"/proc/{self.pid}/schedstat").read_text(encoding="ascii").split()
            return int(waited) / NANOSECONDS
        except (OSError, ValueError):
            return 0.0

    def kill(self) -> None:
        """End it now; its end is noticed through the pidfd."""
        self.killed_by_us = True
        if self.end is None:
            self.stopped_by_others = self._is_stopped()
            signal.pidfd_send_signal(self.pidfd, signal.SIGKILL)

    def _is_stopped(self) -> bool:
        fields = stat_fields(self.pid)
        return fields is not None and fields[STATE_FIELD - 1] in _STOPPED

    def reap(self) -> End:
        """Collect the exit status of a child that has ended, once."""
        if self.end is None:
            peak_bytes = 0
            if self.process.returncode is None:
                _, status, usage = os.wait4(self.process.pid, 0)
                self.process.returncode = os.waitstatus_to_exitcode(status)
                peak_bytes = usage.ru_maxrss * KIB
            code = self.process.returncode
            self.end = End(-code, 0) if code < 0 else End(0, code)
            self._count_at_end(peak_bytes)
        return self.end

    def _locked(self, message: Message) -> None:
        if self.listener is not None:
            for descriptor in message.descriptors:
                os.close(descriptor)
            raise ProtocolViolationError("locked twice", Violation.OUT_OF_TURN)
        self.listener = listener.of_message(message)

    def look(self) -> str:
        """A system call that it has just tried and may not make, counted; "" if there is none."""
        name = listener.next_call(self.listener) if self.listener is not None else None
        if name is not None:
            self.attempts[name] += 1
            self.forbidden = True
        return name or ""

    def output(self, now: float) -> str:
        """What it printed since the last call, within its budget; the rest is dropped, counted."""
        try:
            data = os.read(self.stderr, LIMITS.log_bytes_per_second)
        except BlockingIOError:
            return ""
        self.silent = not data
        if now - self._log_window >= 1.0:
            self._log_window, self._log_bytes = now, 0
        shown = data[: LIMITS.log_bytes_per_second - self._log_bytes]
        self._log_bytes += len(shown)
        self.log_dropped += len(data) - len(shown)
        return shown.decode("utf-8", "surrogateescape")

    def _count_at_end(self, peak_bytes: int) -> None:
        """What its end tells of attempts. peak_bytes: the most memory that it ever had."""
        if self.end is not None and self.end.signal == signal.SIGSYS:
            # With a listener, only a call of a foreign architecture is ended by the kernel.
            self.attempts[FOREIGN_CALL if self.listener is not None else UNKNOWN_CALL] += 1
        if self.log_dropped:
            self.attempts[OUTPUT_FLOOD] += 1
        if self.role is Role.EVALUATOR and peak_bytes >= LIMITS.evaluator_memory_bytes:
            self.attempts[MEMORY_LIMIT] += 1

    def close(self) -> None:
        """Release the descriptors of a child that has been reaped."""
        self.channel.close()
        os.close(self.pidfd)
        os.close(self.stderr)
        if self.listener is not None:
            os.close(self.listener)


def start(role: Role, entry: RoleEntry, arguments: Sequence[str] = ()) -> Child:
    """Start a role; OSError where the system can't (no memory, too many processes or files)."""
    become_role = _become(entry)
    with ExitStack() as ours, ExitStack() as theirs:
        channel_ours, channel_theirs = channel.pair()
        channel_ours = socket.socket(fileno=moved_up(channel_ours.detach()))
        ours.enter_context(channel_ours)
        theirs.enter_context(channel_theirs)
        _enlarge(channel_theirs)
        _enlarge(channel_ours)
        reading, writing = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        ours.callback(os.close, reading)
        theirs.callback(os.close, writing)
        os.set_blocking(writing, True)
        try:
            process = subprocess.Popen(
                command(entry, "--channel-fd", str(channel_theirs.fileno()), *arguments),
                stdin=subprocess.DEVNULL,
                stdout=writing,
                stderr=writing,
                pass_fds=(channel_theirs.fileno(),),
                env=ENVIRONMENT,
                cwd="/",
                preexec_fn=become_role,  # noqa: PLW1509 — the supervisor has no threads
            )
        except subprocess.SubprocessError as error:
            raise PermissionError(f"{role} can't become {entry.user or 'what it is'}") from error
        pidfd = _pidfd(process)
        ours.pop_all()
    return Child(role, process, pidfd, channel_ours, reading, time.monotonic())


def _pidfd(process: subprocess.Popen[bytes]) -> int:
    try:
        return os.pidfd_open(process.pid)
    except OSError:
        # Not reaped yet, so that the pid can't be anybody else's.
        process.kill()
        process.wait()
        raise


def violation(child: Child, error: ProtocolViolationError) -> str:
    """What a peer did that ends it, in words for the log."""
    return f"{child.role} {child.pid} broke the protocol: {error}"


def _become(entry: RoleEntry) -> Callable[[], None]:
    user, group = ids(entry) or (os.getuid(), os.getgid())
    keep = COLLECTOR if user == 0 else frozenset()
    supervisor = os.getpid()

    def before_exec() -> None:
        become(user, group, keep=keep, supervisor=supervisor)
        # Ctrl-C reaches the whole group; it is the supervisor's to handle, from the first moment.
        signal.signal(signal.SIGINT, signal.SIG_IGN)

    return before_exec


def _enlarge(sock: socket.socket) -> None:
    try:
        sock.setsockopt(socket.SOL_SOCKET, _SO_SNDBUFFORCE, _SEND_BUFFER_BYTES)
    except PermissionError:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER_BYTES)
