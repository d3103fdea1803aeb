"""The control socket: how `bulkhead agent status` learns how the sensor is.

A connection by the same user (or root) gets one JSON document and is closed. Nothing is read from
it, so there is nothing to attack but the number of connections, which is bounded.
"""

import contextlib
import json
import os
import socket
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

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
            path.unlink(missing_ok=True)
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
        except (BlockingIOError, ConnectionAbortedError):
            return
        with connection:
            if _peer_user(connection) not in (0, os.geteuid()):
                return
            document = json.dumps(self._status()).encode() + b"\n"
            # A peer that doesn't read gets what fits into its buffer and no more of our time.
            connection.setblocking(False)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, len(document) * 2 + 65536)
            with contextlib.suppress(OSError):
                connection.send(document)

    def close(self) -> None:
        """Stop listening and remove the socket."""
        self._socket.close()
        self.path.unlink(missing_ok=True)


def ask(path: Path, timeout_seconds: float = 2.0) -> dict[str, Any]:
    """The status of the agent behind a control socket; OSError or ValueError if there is none."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(timeout_seconds)
        connection.connect(str(path))
        pieces = []
        while piece := connection.recv(65536):
            pieces.append(piece)
    document = json.loads(b"".join(pieces))
    if not isinstance(document, dict):
        raise ValueError("the status is not an object")  # noqa: TRY004 — it is outside data
    return document


def _peer_user(connection: socket.socket) -> int:
    raw = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    _pid, user, _group = _CREDENTIALS.unpack(raw)
    return int(user)
