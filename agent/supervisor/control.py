"""The control socket: how `bulkhead agent status` learns how the sensor is.

A connection by the same user (or root) gets the descriptor of one JSON document in memory and is
closed. Nothing is read from it, and however long the document is, it takes no buffer and none of
our time: a peer that stalls holds up nobody.
"""

import contextlib
import errno
import json
import os
import socket
import stat
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

from agent.supervisor.limits import LIMITS

_CREDENTIALS = struct.Struct("3i")


class ControlError(Exception):
    """The control socket can't be made; names the path."""


class ControlSocket:
    """A listening UNIX socket in a folder of ours."""

    def __init__(self, path: Path, status: Callable[[], dict[str, Any]]) -> None:
        self.path = path
        self._status = status
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.setblocking(False)
        try:
            path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
            remove_socket(path)
            self._socket.bind(str(path))
            path.chmod(0o600)
            self._socket.listen(16)
        except OSError as error:
            self._socket.close()
            raise ControlError(
                f"{path}: {error.strerror or error}; expected a place for the control socket"
            ) from error

    def fileno(self) -> int:
        """For the selector."""
        return self._socket.fileno()

    def answer(self) -> None:
        """Answer whoever has connected."""
        try:
            connection, _ = self._socket.accept()
        except OSError:  # gone again, or no descriptor is left for it
            return
        with connection:
            if _peer_user(connection) not in (0, os.geteuid()):
                return
            with contextlib.suppress(OSError):
                _send_document(connection, json.dumps(self._status()).encode())

    def close(self) -> None:
        """Stop listening and remove the socket."""
        self._socket.close()
        self.path.unlink(missing_ok=True)


def ask(path: Path, timeout_seconds: float = 2.0) -> dict[str, Any]:
    """The status of the agent behind a control socket; OSError or ValueError if there is none.

    timeout_seconds: for connecting, and for the answer.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(timeout_seconds)
        connection.connect(str(path))
        _, descriptors, _, _ = socket.recv_fds(connection, 1, 1, socket.MSG_CMSG_CLOEXEC)
    if not descriptors:
        raise PermissionError(f"{path}: no answer; expected to be the agent's user, or root")
    with os.fdopen(descriptors[0], "rb") as file:
        document = json.loads(file.read(LIMITS.status_bytes))
    if not isinstance(document, dict):
        raise ValueError("the status is not an object")  # noqa: TRY004 — it is outside data
    return document


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
