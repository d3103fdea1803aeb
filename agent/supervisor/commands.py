"""Orders to a running supervisor: one datagram each, such as `prevention off`.

A datagram arrives whole or not at all, so nobody who connects and stalls can hold the supervisor
up. The socket lies beside the control socket with mode 0600, and the kernel says with each datagram
who sent it: only root and the supervisor's own user are heard. There is no answer: whoever gave an
order sees in the status that it was followed.
"""

import array
import contextlib
import os
import socket
import struct
from collections.abc import Callable
from pathlib import Path

from agent.supervisor.control import ControlError, remove_socket

SUFFIX = ".in"
MAX_BYTES = 64
_CREDENTIALS = struct.Struct("3i")
_ROOM = socket.CMSG_SPACE(_CREDENTIALS.size) + socket.CMSG_SPACE(8 * array.array("i").itemsize)


def command_path(control: Path) -> Path:
    """Where orders to the supervisor behind a control socket go."""
    return control.with_name(control.name + SUFFIX)


class CommandSocket:
    """The receiving end; made after the control socket, which makes sure that it is alone.

    obey: told each order that was permitted, and the user id and process id of who gave it.
    """

    def __init__(self, control: Path, obey: Callable[[str, int, int], None]) -> None:
        self.path = command_path(control)
        self._obey = obey
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        try:
            remove_socket(self.path)
            self._socket.bind(str(self.path))
            self.path.chmod(0o600)
        except OSError as error:
            self._socket.close()
            raise ControlError(
                f"{self.path}: {error.strerror or error}; expected a place for orders"
            ) from error

    def fileno(self) -> int:
        """For the selector."""
        return self._socket.fileno()

    def receive(self) -> None:
        """Follow one order, if it is one and its sender may give it."""
        try:
            data, ancillary, flags, _ = self._socket.recvmsg(
                MAX_BYTES, _ROOM, socket.MSG_CMSG_CLOEXEC
            )
        except OSError:
            return
        sender = None
        for level, kind, raw in ancillary:
            if (level, kind) == (socket.SOL_SOCKET, socket.SCM_CREDENTIALS):
                pid, user, _group = _CREDENTIALS.unpack(raw[: _CREDENTIALS.size])
                sender = (user, pid)
            elif (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                _close_all(raw)
        if sender is None or sender[0] not in (0, os.geteuid()) or flags & socket.MSG_TRUNC:
            return
        with contextlib.suppress(UnicodeDecodeError):
            self._obey(data.decode("ascii"), *sender)

    def close(self) -> None:
        """Stop listening and remove the socket."""
        self._socket.close()
        self.path.unlink(missing_ok=True)


def give(control: Path, order: str) -> None:
    """Give an order to the supervisor behind a control socket; OSError if it can't be told."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        sender.setblocking(False)
        sender.sendto(order.encode("ascii"), str(command_path(control)))


def _close_all(raw: bytes) -> None:
    descriptors = array.array("i")
    descriptors.frombytes(raw[: len(raw) - len(raw) % descriptors.itemsize])
    for descriptor in descriptors:
        os.close(descriptor)
