"""The link's end of the supervisor's channel, for a loop that must never wait for the supervisor.

Reading takes what is there. Sending keeps what the supervisor's queue does not take yet: `stored`
and heartbeats as their latest value only, everything else in order.
"""

import math
import os
import select
import socket
from collections import deque
from collections.abc import Iterator, Mapping
from typing import Any

from agent import channel
from agent.channel import Message, Sender
from agent.link.limits import LIMITS
from agent.link.mailbox import HandOver


class SupervisorChannel:
    """`closed` once the supervisor has hung up and everything that it sent was read."""

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        self._socket = sock
        self._stored: int | None = None
        self._heartbeat: Mapping[str, int | str] | None = None
        self._hand_overs: deque[HandOver] = deque()
        self._deaf = False
        self.closed = False

    def wait(self, wake: int, timeout_seconds: float, *, reading: bool = True) -> None:
        """Until there is something to read or room to send, `wake` is readable, or time is up."""
        poll = select.poll()
        interest = (select.POLLIN if reading else 0) | (select.POLLOUT if self._waiting else 0)
        poll.register(self._socket, interest)
        poll.register(wake, select.POLLIN)
        # Rounded up: rounded down, the last millisecond would be spent asking again and again.
        events = dict(poll.poll(max(0, math.ceil(timeout_seconds * 1000))))
        gone = select.POLLHUP | select.POLLERR
        if not reading and events.get(self._socket.fileno(), 0) & gone:
            self.closed = True

    def messages(self) -> Iterator[Message]:
        """What the supervisor has sent, up to a batch's worth; ProtocolViolationError if it isn't.

        Descriptors are closed: nothing that the link is sent comes with any.
        """
        size = 0
        for _ in range(LIMITS.batch_messages):
            try:
                message = channel.receive(self._socket, Sender.SUPERVISOR)
            except BlockingIOError:
                return
            except ConnectionResetError:
                # It died with messages of ours unread; what it had sent us still comes.
                continue
            if message is None:
                self.closed = True
                return
            for descriptor in message.descriptors:
                os.close(descriptor)
            yield message
            size += len(message.payload)
            if size > LIMITS.batch_bytes:
                return

    def stored(self, report: int) -> None:
        """Everything up to this report is durable."""
        self._stored = report

    def heartbeat(self, facts: Mapping[str, int | str]) -> None:
        """How we are."""
        self._heartbeat = facts

    def hand_over(self, message: HandOver) -> None:
        """Send a message, in order with others of this method."""
        self._hand_overs.append(message)

    def flush(self) -> bool:
        """Send what the supervisor's queue takes; False where something has to wait."""
        if self._stored is not None and self._send("stored", {"report": self._stored}):
            self._stored = None
        if self._heartbeat is not None and self._send(
            "heartbeat", {"facts": dict(self._heartbeat)}
        ):
            self._heartbeat = None
        while self._hand_overs:
            first = self._hand_overs[0]
            if not self._send(first.kind, first.fields, first.descriptor):
                break
            self._hand_overs.popleft().finish()
        return not self._waiting

    @property
    def _waiting(self) -> bool:
        return self._stored is not None or self._heartbeat is not None or bool(self._hand_overs)

    def _send(self, kind: str, fields: Mapping[str, Any], descriptor: int = -1) -> bool:
        """Whether it needs no further try: sent, or the supervisor will never hear it."""
        if self._deaf:
            return True
        try:
            channel.send(
                self._socket, kind, descriptors=() if descriptor < 0 else (descriptor,), **fields
            )
        except BlockingIOError:
            return False
        except (BrokenPipeError, ConnectionResetError):
            # It has hung up; what it said before is still to be read.
            self._deaf = True
        return True
