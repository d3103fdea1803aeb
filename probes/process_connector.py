"""The socket of the kernel's process connector: begin to listen, take what has come, end.

Needs CONFIG_PROC_EVENTS, the initial pid and user namespace, and (before Linux 6.6) CAP_NET_ADMIN
to begin. Once it is open nothing is needed to go on receiving.
"""

import contextlib
import errno
import os
import socket
import time

from probes.errors import ProbeError, ProbeReason
from probes.limits import LIMITS
from probes.notifications import (
    CONNECTOR_INDEX,
    Notification,
    Order,
    Sequences,
    What,
    parse,
    request,
)

NETLINK_CONNECTOR = 11
SO_RCVBUFFORCE = 33
DATAGRAM_BYTES = 4096
KERNEL_PORT = 0


class ProcessConnector:
    """An open connector; `receive` returns what has come since, `lost` what never will.

    Raises ProbeError: CONNECTOR_MISSING where this kernel or namespace has none, NOT_PERMITTED
    without the right to listen.
    """

    def __init__(self) -> None:
        self.lost = 0
        self.overruns = 0
        self._sequences = Sequences()
        self._socket = _open()
        try:
            self._listen()
        except BaseException:
            self._socket.close()
            raise

    def fileno(self) -> int:
        """For select: readable when notifications have come."""
        return self._socket.fileno()

    def receive(self) -> list[Notification]:
        """What has come, at most LIMITS.notifications at once; never waits."""
        found: list[Notification] = []
        while len(found) < LIMITS.notifications:
            try:
                datagram, (port, _) = self._socket.recvfrom(DATAGRAM_BYTES)
            except BlockingIOError:
                break
            except OSError as error:
                if error.errno != errno.ENOBUFS:
                    raise
                self.overruns += 1
                self.lost += self._sequences.overrun()
                continue
            notification = parse(datagram) if port == KERNEL_PORT else None
            if notification is not None:
                self.lost += self._sequences.lost_before(notification)
                found.append(notification)
        return found

    def close(self) -> None:
        """Tell the kernel that nobody listens any more, as far as that is permitted, and close."""
        with contextlib.suppress(OSError):
            self._socket.send(request(Order.IGNORE))
        self._socket.close()

    def _listen(self) -> None:
        """Ask for notifications and wait until the kernel has said that they will come."""
        try:
            self._socket.send(request(Order.LISTEN))
        except OSError as error:
            raise _refused(error) from error
        deadline = time.monotonic() + LIMITS.connector_seconds
        while time.monotonic() < deadline:
            for notification in self.receive():
                if notification.what == What.ACKNOWLEDGEMENT:
                    if notification.numbers[0]:
                        raise _refused(OSError(notification.numbers[0], ""))
                    return
            time.sleep(LIMITS.connector_pause)
        raise ProbeError(
            ProbeReason.CONNECTOR_MISSING,
            f"the kernel did not answer within {LIMITS.connector_seconds} s: built without"
            " CONFIG_PROC_EVENTS, or this is a container with a pid namespace of its own",
        )


def _open() -> socket.socket:
    try:
        opened = socket.socket(
            socket.AF_NETLINK, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK, NETLINK_CONNECTOR
        )
    except OSError as error:
        raise ProbeError(
            ProbeReason.CONNECTOR_MISSING, f"connector socket: {error.strerror}"
        ) from error
    try:
        with contextlib.suppress(PermissionError):  # then the kernel's usual room has to do
            opened.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, LIMITS.connector_bytes)
        opened.bind((0, CONNECTOR_INDEX))
    except OSError as error:
        opened.close()
        raise _refused(error) from error
    return opened


def _refused(error: OSError) -> ProbeError:
    words = os.strerror(error.errno or 0)
    permitted = error.errno not in (errno.EPERM, errno.EACCES)
    reason = ProbeReason.CONNECTOR_MISSING if permitted else ProbeReason.NOT_PERMITTED
    return ProbeError(reason, f"process connector: {words}")
