"""From the session's thread to the main thread: receipts, refusals, and what the supervisor gets.

`post_*` may be called from any thread and never waits; the main thread waits on `descriptor` (an
eventfd) and takes everything with `take`. What is handed over to the supervisor carries a future
that is done when it has left, so that the session can wait for a slow supervisor without holding
more than one Channel File.
"""

import contextlib
import os
import threading
from collections.abc import Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

from bulkhead.v1 import report_pb2


@dataclass(frozen=True, slots=True)
class HandOver:
    """A message for the supervisor; `descriptor` (or -1) is closed once it has left."""

    kind: str
    fields: Mapping[str, Any]
    descriptor: int = -1
    done: "Future[None]" = field(default_factory=Future)

    def finish(self) -> None:
        """It has left, or never will."""
        if self.descriptor >= 0:
            os.close(self.descriptor)
        if self.done.set_running_or_notify_cancel():  # False: the session has ended meanwhile
            self.done.set_result(None)


@dataclass(slots=True)
class Post:
    """What has come since the last time."""

    receipt: int = 0
    refused: list[int] = field(default_factory=list)
    refusals: list[report_pb2.ContentAcknowledgement] = field(default_factory=list)
    hand_overs: list[HandOver] = field(default_factory=list)


class Mailbox:
    """One per process."""

    def __init__(self) -> None:
        self.descriptor = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._connected = False
        self._receipts_awaited = False
        self._lock = threading.Lock()
        self._post = Post()

    @property
    def connected(self) -> bool:
        """Whether there is a session with the cloud."""
        return self._connected

    @connected.setter
    def connected(self, connected: bool) -> None:
        if connected is not self._connected:
            self._connected = connected
            self.wake()

    def post_receipt(self, delivery: int) -> None:
        """The cloud has everything up to that delivery number.

        Only the first one is worth a wake-up, until the receipts are stored: many follow.
        """
        with self._lock:
            self._post.receipt = max(self._post.receipt, delivery)
            awaited, self._receipts_awaited = self._receipts_awaited, True
        if not awaited:
            self.wake()

    def receipts_stored(self) -> None:
        """What was taken is stored: the next receipt is worth a wake-up again."""
        with self._lock:
            self._receipts_awaited = bool(self._post.receipt)
            more = self._receipts_awaited
        if more:
            self.wake()

    def post_refused(self, delivery: int) -> None:
        """The cloud calls that delivery invalid."""
        with self._lock:
            self._post.refused.append(delivery)
        self.wake()

    def post_refusal(self, acknowledgement: report_pb2.ContentAcknowledgement) -> None:
        """What was offered could not be fetched as offered."""
        with self._lock:
            self._post.refusals.append(acknowledgement)
        self.wake()

    def post_hand_over(self, hand_over: HandOver) -> None:
        """A message for the supervisor."""
        with self._lock:
            self._post.hand_overs.append(hand_over)
        self.wake()

    def wake(self) -> None:
        """Make the main thread look."""
        os.eventfd_write(self.descriptor, 1)

    def take(self) -> Post:
        """Everything that was posted."""
        with contextlib.suppress(BlockingIOError):
            os.eventfd_read(self.descriptor)
        with self._lock:
            post, self._post = self._post, Post()
        return post
