"""The control socket: how `bulkhead agent` learns how the sensor is, and tells it what to do.

A peer of the same user (or root) sends one line, a JSON object `{"command": NAME, ...}`, and gets
the descriptor of one JSON document in memory; then the connection is closed. However long the
document is, it takes no buffer and none of our time: a peer that stalls holds up nobody. Who says
nothing within a moment, or only hangs up its sending side, gets the status; where too many wait,
the one that has waited longest is told to come again. Who was not served is counted, by reason.

    status                      how the sensor is (agent.supervisor.status)
    quarantine                  files and instances in quarantine
    lift        digest          lifts one (agent.supervisor.quarantine)
    prevention  policy          switches prevention `on` or `off` (agent.supervisor.prevention);
                                without a policy, how it is

What can't be done is answered by `{"error": REASON, "found": TEXT}`.
"""

import contextlib
import errno
import json
import math
import os
import select
import socket
import stat
import struct
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from agent.own_files import require_folder
from agent.supervisor.high_descriptors import moved_up
from agent.supervisor.limits import LIMITS

_CREDENTIALS = struct.Struct("3i")
_CROWDED = b"!"
"""What somebody gets who has to make room; else a newline comes, with the document."""


class ControlError(Exception):
    """The control socket can't be made; names the path."""


Command = Callable[[Mapping[str, Any]], dict[str, Any]]


@dataclass(slots=True)
class _Peer:
    """A connection, until when it may speak, and what it has said so far."""

    connection: socket.socket
    until: float
    said: bytearray = field(default_factory=bytearray)


class ControlSocket:
    """A listening UNIX socket in a folder of ours.

    commands: by name, besides `status`; each gets the request and returns the answer.
    """

    def __init__(
        self,
        path: Path,
        status: Callable[[], dict[str, Any]],
        commands: Mapping[str, Command] | None = None,
    ) -> None:
        self.path = path
        self._commands: dict[str, Command] = {"status": lambda _: status(), **(commands or {})}
        self._peers: dict[int, _Peer] = {}
        # Who was not served, by reason: part of what the status tells of attempts.
        self.refused: Counter[str] = Counter()
        low = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket = socket.socket(fileno=moved_up(low.detach()))
        self._socket.setblocking(False)
        try:
            path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
            require_folder(path.parent)
            remove_socket(path)
            self._socket.bind(str(path))
            path.chmod(0o600)
            self._socket.listen(16)
            self._poll = select.epoll()
        except OSError as error:
            self._socket.close()
            raise ControlError(
                f"{path}: {error.strerror or error}; expected a place for the control socket"
            ) from error
        self._poll.register(self._socket.fileno(), select.EPOLLIN)

    def fileno(self) -> int:
        """For the selector: readable when somebody connects, or says something."""
        return self._poll.fileno()

    def answer(self) -> None:
        """Let in whoever has connected, and answer whoever has spoken."""
        for descriptor, _ in self._poll.poll(0):
            peer = self._peers.get(descriptor)
            if peer is not None:
                self._listen(peer)
            elif descriptor == self._socket.fileno():
                for _ in range(LIMITS.control_peers):
                    if not self._let_in():
                        break

    def due(self, _now: float) -> float:
        """When somebody who has said nothing gets an answer."""
        return min((peer.until for peer in self._peers.values()), default=math.inf)

    def expire(self) -> None:
        """Answer who has said nothing, and leave who did not finish."""
        now = time.monotonic()
        for peer in [peer for peer in self._peers.values() if now >= peer.until]:
            self._respond(peer)

    def close(self) -> None:
        """Stop listening and remove the socket."""
        for peer in list(self._peers.values()):
            self._leave(peer)
        self._poll.close()
        self._socket.close()
        self.path.unlink(missing_ok=True)

    def _let_in(self) -> bool:
        """Let in the next one that waits; whether there was one."""
        try:
            connection, _ = self._socket.accept()
        except OSError:  # gone again, or no descriptor is left for it
            return False
        if _peer_user(connection) not in (0, os.geteuid()):
            self.refused["CONTROL_WRONG_USER"] += 1
            connection.close()
            return True
        connection.setblocking(False)
        if len(self._peers) >= LIMITS.control_peers:
            self._make_room()
        peer = _Peer(connection, time.monotonic() + LIMITS.control_seconds)
        self._peers[connection.fileno()] = peer
        self._poll.register(connection.fileno(), select.EPOLLIN)
        self._listen(peer)
        return True

    def _make_room(self) -> None:
        """The one that has waited longest goes: with its answer, or told that it may come again."""
        oldest = next(iter(self._peers.values()))
        self._listen(oldest)
        if self._peers.get(oldest.connection.fileno()) is oldest:
            self.refused["CONTROL_CROWDED"] += 1
            with contextlib.suppress(OSError):
                oldest.connection.send(_CROWDED)
            self._leave(oldest)

    def _listen(self, peer: _Peer) -> None:
        """Take what a peer has said; answer once that is a line, too long for one, or the end."""
        try:
            said = peer.connection.recv(LIMITS.control_bytes)
        except BlockingIOError:
            return
        except OSError:
            self._leave(peer)
            return
        peer.said += said
        too_long = b"\n" not in peer.said and len(peer.said) >= LIMITS.control_bytes
        self.refused["CONTROL_OVERSIZED"] += too_long
        if not said or b"\n" in peer.said or too_long:
            self._respond(peer)

    def _respond(self, peer: _Peer) -> None:
        line, _, _ = peer.said.partition(b"\n")
        with contextlib.suppress(OSError):
            _send_document(peer.connection, json.dumps(self._answer_to(bytes(line))).encode())
        self._leave(peer)

    def _answer_to(self, line: bytes) -> dict[str, Any]:
        request: Any = {"command": "status"}
        if line:
            try:
                request = json.loads(line)
            except (ValueError, RecursionError):
                return {"error": "NOT_JSON", "found": f"{line[:80]!r}"}
        name = request.get("command") if isinstance(request, dict) else None
        command = self._commands.get(name) if isinstance(name, str) else None
        if command is None:
            return {"error": "UNKNOWN_COMMAND", "found": f"{name!r:.80}"}
        return command(request)

    def _leave(self, peer: _Peer) -> None:
        del self._peers[peer.connection.fileno()]
        peer.connection.close()


def ask(
    path: Path, timeout_seconds: float = 2.0, *, command: str = "status", **details: object
) -> dict[str, Any]:
    """What the agent behind a control socket answers; OSError or ValueError if there is none.

    timeout_seconds: for connecting, and for the answer.
    """
    request = json.dumps({"command": command, **details}).encode() + b"\n"
    deadline = time.monotonic() + timeout_seconds
    said, descriptors = _ask_once(path, timeout_seconds, request)
    while said == _CROWDED and time.monotonic() < deadline:
        said, descriptors = _ask_once(path, timeout_seconds, request)
    if said == _CROWDED:
        raise TimeoutError(errno.ETIMEDOUT, "too many others are asking")
    if not descriptors:
        raise PermissionError(f"{path}: no answer; expected to be the agent's user, or root")
    with os.fdopen(descriptors[0], "rb") as file:
        document = json.loads(file.read(LIMITS.status_bytes))
    if not isinstance(document, dict):
        raise ValueError("the answer is not an object")  # noqa: TRY004 — it is outside data
    return document


def _ask_once(path: Path, timeout_seconds: float, request: bytes) -> tuple[bytes, list[int]]:
    """The byte and the descriptor that come back; neither from an agent that hangs up at once."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        # Python's own time limit would end at once where the queue is full; this one waits in it.
        seconds, rest = divmod(timeout_seconds, 1)
        limit = struct.pack("ll", int(seconds), int(rest * 1_000_000))
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, limit)
        _connect(connection, path)
        connection.settimeout(timeout_seconds)
        # An agent that hangs up at once, on somebody who may not ask, has said nothing.
        with contextlib.suppress(BrokenPipeError):
            connection.sendall(request)
        try:
            said, descriptors, _, _ = socket.recv_fds(connection, 1, 1, socket.MSG_CMSG_CLOEXEC)
        except ConnectionResetError:
            return b"", []
    return said, descriptors


def _connect(connection: socket.socket, path: Path) -> None:
    try:
        connection.connect(str(path))
    except BlockingIOError:
        raise TimeoutError(errno.ETIMEDOUT, "too many others are asking") from None


def _send_document(connection: socket.socket, document: bytes) -> None:
    descriptor = os.memfd_create("bulkhead-status", os.MFD_CLOEXEC)
    try:
        view = memoryview(document)
        while view:
            view = view[os.write(descriptor, view) :]
        os.lseek(descriptor, 0, os.SEEK_SET)
        connection.setblocking(False)
        socket.send_fds(connection, [b"\n"], [descriptor])
    finally:
        os.close(descriptor)


def remove_socket(path: Path) -> None:
    """Remove what an earlier run left; OSError where it is anything but a socket."""
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise FileExistsError(errno.EEXIST, "something that is no socket is there")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        if probe.connect_ex(str(path)) in (0, errno.EAGAIN):
            raise FileExistsError(errno.EEXIST, "another agent answers there")
    path.unlink()


def _peer_user(connection: socket.socket) -> int:
    raw = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    _pid, user, _group = _CREDENTIALS.unpack(raw)
    return int(user)
